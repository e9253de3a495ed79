"""{% static_inline %}: the content of a file in the page, with absolute URLs."""

from __future__ import annotations

import hashlib
import sys
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.template import Context, Template
from django.test import override_settings

from tests.helpers import Site, site
from tests.s3 import Bucket
from versioned_storage.errors import MissingEntry
from versioned_storage.inlining import CannotInline, csp_hash, inlined

FILES = {
    "css/critical.css": (
        "@import 'more.css'; h1 { background: url(../img/a%20b.svg#x) } "
        "a { fill: url(#g); src: url(data:,x), url(https://other.example/x.png) }"
    ),
    "css/more.css": "p {}",
    "img/a b.svg": "<svg/>",
    "js/app.js": "go('<p>')\n//# sourceMappingURL=app.js.map",
    "js/app.js.map": "{}",
    "js/module.js": "import { go } from './lib.js'; go()",
    "js/lib.js": "export function go() {}",
    "js/end.js": "write('</SCRIPT>')",
    "js/escaped.js": "a = '<!--'; b = '<script>'",
    "js/lit.js": "a = '<script>'; b = '<!--'",
    "css/end.css": "a::before { content: '</style>' }",
}
CDN = {"cdn_domain": "d111.cloudfront.net", "js_modules": True}


@pytest.fixture(params=[CDN, {**CDN, "shared_assets": True}, {"js_modules": True}])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path, FILES, options=request.param, BUILD_VERSION="b1") as project:
        project.collect()
        yield project


def render(source: str, **context: Any) -> str:
    return Template("{% load versioned_static %}" + source).render(Context(context))


def content(shop: Site) -> str:
    """The style sheet with the URLs that {% static %} gives."""
    return (
        f'@import url("{shop.storage.url("css/more.css")}"); '
        f'h1 {{ background: url("{shop.storage.url("img/a b.svg")}#x") }} '
        "a { fill: url(#g); src: url(data:,x), url(https://other.example/x.png) }"
    )


def test_every_reference_of_an_inlined_style_sheet_is_absolute(shop: Site) -> None:
    assert render("{% static_inline 'css/critical.css' media='all' nonce='abc' %}") == (
        f'<style media="all" nonce="abc">{content(shop)}</style>'
    )


def test_every_reference_of_an_inlined_script_is_absolute(shop: Site) -> None:
    source_map = shop.storage.url("js/app.js.map")
    assert render("{% static_inline 'js/app.js' %}") == (
        f"<script>go('<p>')\n//# sourceMappingURL={source_map}</script>"
    )
    library = shop.storage.url("js/lib.js")
    assert render("{% static_inline 'js/module.js' type='module' %}") == (
        f'<script type="module">import {{ go }} from "{library}"; go()</script>'
    )


def test_without_js_modules_the_imports_of_an_inlined_module_are_absolute_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with site(tmp_path, FILES, options={"shared_assets": True}, BUILD_VERSION="b1") as project:
        project.collect()
        absolute = 'import { go } from "/static/b1/js/lib.js"; go()'
        assert inlined("js/module.js") == ("script", absolute)
        with override_settings(DEBUG=True):
            assert '"/static/js/lib.js"' in inlined("js/module.js")[1]
            monkeypatch.setitem(sys.modules, "tree_sitter", None)
            assert inlined("js/module.js")[1] == FILES["js/module.js"]


def test_the_hash_is_that_of_what_is_in_the_element(shop: Site) -> None:
    digest = hashlib.sha256(content(shop).encode()).digest()
    assert csp_hash("css/critical.css") == f"'sha256-{b64encode(digest).decode()}'"


@pytest.mark.parametrize(
    ("name", "end"),
    [("js/end.js", "</SCRIPT"), ("js/escaped.js", "<!--"), ("css/end.css", "</style")],
)
def test_what_changes_the_end_of_the_element_is_an_error(shop: Site, name: str, end: str) -> None:
    with pytest.raises(CannotInline, match=f"'{name}' .* it contains '{end}', which changes"):
        inlined(name)
    assert inlined("js/lit.js")[0] == "script"


@pytest.mark.parametrize(
    "text",
    [
        "a { background: image-set(var(--x) 1x) }",
        "a { background: \\75rl(img.png) }",
        "@import url(//[bad); a {}",
    ],
)
def test_what_cannot_be_read_in_a_style_sheet_stays_as_it_is(tmp_path: Path, text: str) -> None:
    with site(tmp_path, {"css/a.css": text}, BUILD_VERSION="b1") as project:
        project.collect()
        assert inlined("css/a.css") == ("style", text)


def test_the_hash_is_that_of_the_line_ends_that_a_browser_makes(tmp_path: Path) -> None:
    """The HTML parser turns each CRLF and each CR into LF before the text is hashed."""
    with site(tmp_path, {"js/a.js": "a()\r\nb()\rc()"}, BUILD_VERSION="b1") as project:
        project.collect()
        assert inlined("js/a.js") == ("script", "a()\nb()\nc()")
        digest = hashlib.sha256(b"a()\nb()\nc()").digest()
        assert csp_hash("js/a.js") == f"'sha256-{b64encode(digest).decode()}'"


def test_a_byte_order_mark_does_not_get_into_the_page(tmp_path: Path) -> None:
    with site(tmp_path, {"css/a.css": "\ufeffp {}"}, BUILD_VERSION="b1") as project:
        project.collect()
        assert inlined("css/a.css") == ("style", "p {}")


def test_a_file_that_is_not_utf_8_is_an_error(tmp_path: Path) -> None:
    with site(tmp_path, {"css/a.css": b"p { content: '\xe9' }"}, BUILD_VERSION="b1") as project:
        project.collect()
        with pytest.raises(CannotInline, match="it is not UTF-8"):
            inlined("css/a.css")


def test_only_style_sheets_and_scripts_are_inlined(shop: Site) -> None:
    with pytest.raises(CannotInline, match="neither a style sheet nor a script"):
        inlined("img/a b.svg")
    with pytest.raises(MissingEntry):
        inlined("css/none.css")


def test_with_debug_the_source_is_inlined(shop: Site) -> None:
    with override_settings(DEBUG=True):
        element, text = inlined("css/critical.css")
        assert element == "style"
        assert text.startswith('@import url("/static/css/more.css"); h1 { background: url("/static')
        with pytest.raises(CannotInline, match="in no directory that collectstatic collects from"):
            inlined("css/none.css")


def test_a_site_whose_build_is_on_s3_only_reads_it_there(
    tmp_path: Path, moto_bucket: Bucket
) -> None:
    options = {**CDN, "origin": moto_bucket.options()}
    for machine in ("ci", "app"):
        (tmp_path / machine).mkdir()
    with site(tmp_path / "ci", FILES, options=options, BUILD_VERSION="b1") as project:
        project.collect()
    with site(tmp_path / "app", options=options, BUILD_VERSION="b1") as project:
        assert inlined("css/critical.css") == ("style", content(project))
        key = f"static/b1/{project.storage.stored_name('css/more.css')}"
        moto_bucket.client.put_object(Bucket=moto_bucket.name, Key=key, Body=b"x")
        with pytest.raises(CannotInline, match=r"the bytes at s3://.* are not those"):
            inlined("css/more.css")
        moto_bucket.client.delete_object(Bucket=moto_bucket.name, Key=key)
        with pytest.raises(CannotInline, match=r"is not at /.* nor at s3://"):
            inlined("css/more.css")


def test_a_file_is_read_once_in_a_process(shop: Site) -> None:
    first = inlined("css/critical.css")
    for path in (shop.root / "b1" / "css").iterdir():
        path.unlink()
    assert inlined("css/critical.css") == first
