"""IntegrityMiddleware: every style sheet and script of a page, whoever rendered it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.test import RequestFactory, override_settings
from django.utils.html import escape

from tests.helpers import Site, site
from versioned_storage.errors import MissingManifest
from versioned_storage.integrity import IntegrityMiddleware

FILES = {"css/app.css": "body {}", "js/app.js": "1", "img/a.svg": "<svg/>"}
OPTIONS = {"cdn_domain": "d111.cloudfront.net"}
POLICY = "blocked-destinations=(script style)"


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path, FILES, options=OPTIONS, BUILD_VERSION="b1") as project:
        project.collect()
        yield project


def answer(response: HttpResponse) -> HttpResponse:
    """The response as it leaves the middleware."""
    return IntegrityMiddleware(lambda _: response)(RequestFactory().get("/"))


def page(text: str) -> str:
    return answer(HttpResponse(text)).content.decode()


def integrity(shop: Site, name: str) -> str:
    return shop.storage.manifest.asset(name).integrity


def test_elements_of_the_build_get_integrity_and_crossorigin(shop: Site) -> None:
    css, js = shop.storage.url("css/app.css"), shop.storage.url("js/app.js")
    text = '<link rel="stylesheet" href="{}"{}><script\n SRC=\'{}\'{} defer></script>'
    assert page(text.format(css, "", js, "")) == text.format(
        css,
        f' integrity="{integrity(shop, "css/app.css")}" crossorigin="anonymous"',
        js,
        f" integrity='{integrity(shop, 'js/app.js')}' crossorigin='anonymous'",
    )


def test_a_query_and_a_fragment_do_not_hide_the_file(shop: Site) -> None:
    url = shop.storage.url("js/app.js")
    assert integrity(shop, "js/app.js") in page(f'<script src="{url}?v=1#x"></script>')


def test_an_attribute_of_the_page_stays(shop: Site) -> None:
    url = shop.storage.url("js/app.js")
    whole = f'<script src="{url}" integrity="sha384-x" crossorigin></script>'
    assert page(whole) == whole
    assert page(f'<script crossorigin src="{url}">').count("crossorigin") == 1


def test_an_original_name_of_the_build_gets_both_too(shop: Site) -> None:
    """`{% get_static_prefix %}` gives its URL, and django-compressor."""
    url = f"{shop.storage.base_url}js/app.js"
    assert integrity(shop, "js/app.js") in page(f'<script src="{url}"></script>')


def test_an_original_name_outside_of_a_build_has_other_bytes(tmp_path: Path) -> None:
    with site(tmp_path, FILES, BUILD_VERSION=None) as project:
        project.collect()
        assert page('<script src="/static/js/app.js">') == '<script src="/static/js/app.js">'
        assert "integrity" in page(f'<script src="{project.storage.url("js/app.js")}">')


def test_an_unquoted_url_gets_both_without_quotes(shop: Site) -> None:
    url = shop.storage.url("js/app.js")
    assert page(f"<script src={url}?v=1 defer></script><script src={url}></script>") == (
        f"<script src={url}?v=1 integrity={integrity(shop, 'js/app.js')} crossorigin=anonymous "
        f"defer></script><script src={url} integrity={integrity(shop, 'js/app.js')} "
        "crossorigin=anonymous></script>"
    )


def test_a_url_that_a_template_escaped_is_that_of_the_file(tmp_path: Path) -> None:
    name = "js/it's & more.js"
    with site(tmp_path, {name: "1"}, options=OPTIONS, BUILD_VERSION="b1") as project:
        project.collect()
        url = escape(project.storage.url(name))
        assert "&#x27;" in url
        assert f' integrity="{integrity(project, name)}"' in page(f'<script src="{url}">')


@pytest.mark.parametrize(
    "attribute",
    ['data-integrity="x"', "data-crossorigin", 'title="no integrity = no crossorigin "'],
)
def test_an_attribute_that_only_looks_like_ours_does_not_hinder(shop: Site, attribute: str) -> None:
    url = shop.storage.url("js/app.js")
    element = page(f'<script {attribute} src="{url}?x=integrity=1"></script>')
    assert f' integrity="{integrity(shop, "js/app.js")}" crossorigin="anonymous">' in element


@pytest.mark.parametrize(
    "element",
    [
        '<script src="https://js.example/v3"></script>',
        '<script src="{url}x"></script>',
        "<script>let url = '{url}'</script>",
        '<a href="{url}">',
        '<script data-note=">" data-src="{url}"></script>',
        '<link rel="icon" href="{icon}">',
        '<script src="{url}',
    ],
)
def test_what_is_no_element_of_a_style_sheet_or_script_stays(shop: Site, element: str) -> None:
    urls = {"url": shop.storage.url("js/app.js"), "icon": shop.storage.url("img/a.svg")}
    text = element.format(**urls)
    assert page(text) == text


def test_no_page_takes_long(shop: Site) -> None:
    started = time.monotonic()
    page("<script " * 100_000 + '<link "' * 100_000 + "<script src='" * 100_000)
    assert time.monotonic() - started < 5


def test_the_length_of_a_page_is_right(shop: Site) -> None:
    response = HttpResponse(f'<script src="{shop.storage.url("js/app.js")}"></script>')
    response["Content-Length"] = str(len(response.content))
    response = answer(response)
    assert response["Content-Length"] == str(len(response.content))


def test_a_response_without_anything_to_change_keeps_its_length(shop: Site) -> None:
    """To HEAD a view may say how long its page is, and send none of it."""
    response = answer(HttpResponse(headers={"Content-Length": "123"}))
    assert response["Content-Length"] == "123"


def test_a_part_of_a_page_stays(shop: Site) -> None:
    text = f'<script src="{shop.storage.url("js/app.js")}"></script>'
    part = {"Content-Range": f"bytes 0-{len(text) - 1}/9999"}
    assert answer(HttpResponse(text, status=206, headers=part)).content == text.encode()


def test_only_whole_pages_are_changed(shop: Site) -> None:
    text = f'<script src="{shop.storage.url("js/app.js")}"></script>'
    assert b"integrity" not in answer(JsonResponse({"html": text})).content
    compressed = HttpResponse(text, headers={"Content-Encoding": "gzip"})
    assert b"integrity" not in answer(compressed).content
    streamed = answer(StreamingHttpResponse([text]))
    assert b"".join(streamed.streaming_content) == text.encode()


def test_it_runs_under_asgi(shop: Site) -> None:
    async def view(request: object) -> HttpResponse:
        return HttpResponse(f'<script src="{shop.storage.url("js/app.js")}"></script>')

    response = asyncio.run(IntegrityMiddleware(view)(RequestFactory().get("/")))
    assert b"integrity=" in response.content


def test_pages_have_the_header_of_the_option(tmp_path: Path) -> None:
    options = {**OPTIONS, "integrity_policy": POLICY, "integrity_policy_report_only": POLICY}
    with site(tmp_path, FILES, options=options, BUILD_VERSION="b1") as project:
        project.collect()
        response = answer(HttpResponse("<p>"))
        assert response["Integrity-Policy"] == POLICY
        assert response["Integrity-Policy-Report-Only"] == POLICY
        assert "Integrity-Policy" not in answer(JsonResponse({})).headers
        own = answer(HttpResponse(headers={"Integrity-Policy": "blocked-destinations=(script)"}))
        assert own["Integrity-Policy"] == "blocked-destinations=(script)"
        # Nothing has integrity there, so the policy would block everything.
        with override_settings(DEBUG=True):
            assert "Integrity-Policy" not in answer(HttpResponse("<p>")).headers


def test_a_subclass_leaves_out_pages_whose_scripts_come_from_views(tmp_path: Path) -> None:
    class OfTheShop(IntegrityMiddleware):
        def policies(self, request: HttpRequest) -> Mapping[str, str]:
            return {} if request.path.startswith("/admin/") else super().policies(request)

    with site(tmp_path, FILES, options={"integrity_policy": POLICY}, BUILD_VERSION="b1") as project:
        project.collect()
        middleware = OfTheShop(lambda _: HttpResponse("<p>"))
        assert "Integrity-Policy" in middleware(RequestFactory().get("/")).headers
        assert "Integrity-Policy" not in middleware(RequestFactory().get("/admin/")).headers


def test_a_page_without_a_build_is_answered_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It may be the one that says that something is wrong."""

    def fails() -> None:
        raise MissingManifest("js/app.js", [])

    monkeypatch.setattr("versioned_storage.integrity.integrity_by_url", fails)
    assert page("<h1>Server Error</h1>") == "<h1>Server Error</h1>"
    assert "A page has no integrity: Missing staticfiles manifest entry" in caplog.text


def test_another_build_in_the_same_process_has_its_own(tmp_path: Path) -> None:
    for build in ("b1", "b2"):
        files = {"js/app.js": build}
        with site(tmp_path, files, options=OPTIONS, BUILD_VERSION=build) as project:
            project.collect()
            url = project.storage.url("js/app.js")
            assert integrity(project, "js/app.js") in page(f'<script src="{url}"></script>')
