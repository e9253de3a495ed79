"""Pages and answers say of which build they are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.http import HttpResponse
from django.template import engines
from django.test import RequestFactory, override_settings

from tests.helpers import Site, site
from versioned_storage.open_tabs import BuildVersionMiddleware, build_version

DJANGO_STORAGE = "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path, options={"manifest_strict": True}, BUILD_VERSION="b1") as project:
        yield project


def header(response: HttpResponse) -> str | None:
    """The build version that an answer has after the middleware."""
    answer = BuildVersionMiddleware(lambda _: response)(RequestFactory().get("/"))
    return answer.headers.get("X-Build-Version")


def test_a_page_and_its_answer_have_the_build_version(shop: Site) -> None:
    request = RequestFactory().get("/")
    template = engines["django"].from_string("{{ build_version }}")
    assert template.render(build_version(request)) == "b1"
    assert header(HttpResponse()) == "b1"


def test_a_view_that_sets_the_header_keeps_it(shop: Site) -> None:
    assert header(HttpResponse(headers={"X-Build-Version": "of the view"})) == "of the view"


def test_with_debug_there_is_no_build(shop: Site) -> None:
    with override_settings(DEBUG=True):
        assert build_version(RequestFactory().get("/")) == {"build_version": ""}
        assert header(HttpResponse()) is None


@pytest.mark.parametrize(
    "backend", [DJANGO_STORAGE, "versioned_storage.storage.VersionedStaticFilesStorage"]
)
def test_a_site_without_builds_says_nothing(tmp_path: Path, backend: str) -> None:
    with site(tmp_path, backend=backend):
        assert build_version(RequestFactory().get("/")) == {"build_version": ""}
        assert header(HttpResponse()) is None
