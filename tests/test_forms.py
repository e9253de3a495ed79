"""`Script` and `Stylesheet` of a form's media: with integrity, on every Django."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import django
import pytest
from django import forms
from django.template import Context, Template

from tests.helpers import Site, site
from versioned_storage.forms import Script, Stylesheet

FILES = {"css/app.css": "body {}", "js/app.js": "1"}


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Site]:
    options = {"cdn_domain": "d111.cloudfront.net"}
    with site(tmp_path, FILES, options=options, BUILD_VERSION="b1") as project:
        project.collect()
        yield project


class Editor(forms.Form):
    class Media:
        css = {"all": [Stylesheet("css/app.css", media="print")]}  # noqa: RUF012 - as Django has it
        js = [Script("js/app.js", type="module", defer=True)]  # noqa: RUF012


class Other(forms.Form):
    class Media:
        js = [Script("js/app.js", defer=True, type="module")]  # noqa: RUF012


def attributes(shop: Site, name: str) -> str:
    return f'crossorigin="anonymous" integrity="{shop.storage.manifest.asset(name).integrity}"'


def test_the_media_of_a_form_has_integrity(shop: Site) -> None:
    css, js = shop.storage.url("css/app.css"), shop.storage.url("js/app.js")
    assert str(Editor().media).splitlines() == [
        f'<link href="{css}" {attributes(shop, "css/app.css")} media="print" rel="stylesheet">',
        f'<script src="{js}" {attributes(shop, "js/app.js")} type="module" defer></script>',
    ]


def test_the_same_script_of_two_forms_is_loaded_once(shop: Site) -> None:
    merged = str(Editor().media + Other().media)
    assert merged.count("<script") == 1


def test_the_url_of_another_site_has_no_integrity(shop: Site) -> None:
    rendered = str(Script("https://js.example/v3", async_="x"))
    assert rendered == '<script src="https://js.example/v3" async_="x"></script>'


@pytest.mark.skipif(django.VERSION < (6, 1), reason="csp_nonce_attr of a media is new in 6.1")
def test_the_nonce_of_django_is_in_each_element(shop: Site) -> None:
    template = Template("{% csp_nonce_attr media %}")
    rendered = template.render(Context({"media": Editor().media, "csp_nonce": "bm9uY2U="}))
    assert rendered.count('nonce="bm9uY2U="') == rendered.count("integrity=") == 2


def test_a_form_can_be_imported_where_there_is_no_build() -> None:
    assert repr(Script("js/none.js"))
    assert hash(Script("js/none.js", defer=True)) == hash(Script("js/none.js", defer=True))
