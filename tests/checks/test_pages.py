"""What templates load: every element has the integrity that a policy demands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.test import override_settings

from tests.helpers import site, write
from versioned_storage.checks.pages import check_integrity_policy

from .helpers import ids, only

INTEGRITY = "versioned_storage.integrity.IntegrityMiddleware"
POLICY = {"integrity_policy": "blocked-destinations=(script style)"}


def templates(directory: Path, **files: str) -> dict[str, Any]:
    """Settings with these templates."""
    write(directory, {f"{name}.html": text for name, text in files.items()})
    backend = "django.template.backends.django.DjangoTemplates"
    return {"TEMPLATES": [{"BACKEND": backend, "DIRS": [directory]}], "MIDDLEWARE": [INTEGRITY]}


def test_an_element_of_another_site_without_integrity_is_named_with_its_line(
    tmp_path: Path,
) -> None:
    page = '<p>\n<script defer\n src="https://js.example/v3"></script>'
    settings = templates(tmp_path / "templates", pay=page)
    with site(tmp_path, options=POLICY, **settings):
        message = only(check_integrity_policy(None))
    assert message.id == "versioned_storage.W015"
    path = tmp_path / "templates" / "pay.html"
    assert f'{path}:2 <script defer src="https://js.example/v3">' in message.msg


@pytest.mark.parametrize(
    "element",
    [
        "<script src=\"{% static 'js/app.js' %}\"></script>",
        '<script src="https://js.example/v3" integrity="sha384-x" crossorigin></script>',
        "<script>inline()</script>",
        '<link rel="icon" href="https://img.example/icon.png">',
        '<a href="https://example.com">',
    ],
)
def test_what_a_policy_does_not_block_is_no_finding(tmp_path: Path, element: str) -> None:
    with site(tmp_path, options=POLICY, **templates(tmp_path / "templates", page=element)):
        assert check_integrity_policy(None) == []


@pytest.mark.parametrize(
    "element",
    [
        "<script src=//js.example/v3></script>",
        '<LINK rel="stylesheet" href="http://css.example/a.css">',
        '<link href="http://css.example/a.css" rel=stylesheet>',
        "<script src=\"{% url 'admin:jsi18n' %}\"></script>",
    ],
)
def test_each_spelling_is_seen(tmp_path: Path, element: str) -> None:
    with site(tmp_path, options=POLICY, **templates(tmp_path / "templates", page=element)):
        assert ids(check_integrity_policy(None)) == ["W015"]


def test_a_policy_without_the_middleware_that_sends_it_is_a_finding(tmp_path: Path) -> None:
    with site(tmp_path, options=POLICY):
        assert "not in MIDDLEWARE" in only(check_integrity_policy(None)).msg


def test_without_a_policy_no_template_is_read(tmp_path: Path) -> None:
    settings = templates(tmp_path / "templates", page="<script src=//js.example/v3></script>")
    with site(tmp_path, **settings):
        assert check_integrity_policy(None) == []
    with site(tmp_path, options=POLICY, **settings), override_settings(DEBUG=True):
        assert check_integrity_policy(None) == []
