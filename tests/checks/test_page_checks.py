"""What templates and scripts load: with integrity, and workers from the page's origin."""

from __future__ import annotations

import time
import warnings
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.test import override_settings

from tests.helpers import site, write
from versioned_storage.checks.page_checks import (
    check_integrity_policy,
    check_names,
    check_same_origin,
    check_written_urls,
)

from .helpers import CDN, ids, only

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


PAGES_ONLY = [
    "new Worker(\"{% static 'js/w.js' %}\")",
    "navigator.serviceWorker.register(\n'{% static \"sw.js\" %}')",
    '<svg><use href="{% static "img/sprite.svg" %}#a">',
]
SCRIPTS = [
    "new Worker(new URL('./w.js', import.meta.url), {type: 'module'})",
    'new SharedWorker(""+new URL("w-1a.js",import.meta.url).href,{type:"module"})',
]


@pytest.mark.parametrize("text", PAGES_ONLY + SCRIPTS)
def test_what_must_be_of_the_page_s_origin_is_named_in_templates(tmp_path: Path, text: str) -> None:
    settings = templates(tmp_path / "templates", page=f"<p>\n{text}")
    with site(tmp_path, options={"cdn_domain": CDN}, **settings):
        message = only(check_same_origin(None))
    assert message.id == "versioned_storage.W016"
    assert f"{tmp_path / 'templates' / 'page.html'}:2 " in message.msg


@pytest.mark.parametrize("text", SCRIPTS)
def test_scripts_that_start_a_worker_beside_them_are_named(tmp_path: Path, text: str) -> None:
    with site(tmp_path, {"js/app.mjs": text}, options={"cdn_domain": CDN}) as project:
        assert f"{project.sources / 'js' / 'app.mjs'}:1 new " in only(check_same_origin(None)).msg


@pytest.mark.parametrize(
    "text",
    [
        "new Worker('/static/js/w.js')",
        "new Worker(\"{% static_same_origin 'js/w.js' %}\")",
        "new Worker(URL.createObjectURL(blob)); new URL('a.png', import.meta.url)",
        '<use href="#a"> <img src="{% static "a.svg" %}">',
        "new Worker(url)",
    ],
)
def test_other_workers_are_no_finding(tmp_path: Path, text: str) -> None:
    settings = templates(tmp_path / "templates", page=text)
    with site(tmp_path, {"js/app.js": text}, options={"cdn_domain": CDN}, **settings):
        assert check_same_origin(None) == []


def test_at_the_domain_of_the_pages_workers_need_nothing(tmp_path: Path) -> None:
    with site(tmp_path, {"js/app.js": SCRIPTS[0]}):
        assert check_same_origin(None) == []


OURS = "{% load versioned_static %}"
EXISTING = {
    "js/app.js": "go('/static/js/lib.js'); new Worker('/static/js/lib.js')",
    "js/lib.js": "",
}


@pytest.mark.parametrize(
    "tag",
    [
        "{% static 'js/ap.js' %}",
        '{%static "js/ap.js" as url%}',
        OURS + "{% script 'js/ap.js?v=1' defer=True %}",
        OURS + "{% static_inline 'js/ap.js' %}",
    ],
)
def test_a_name_that_does_not_exist_is_named_without_a_build(tmp_path: Path, tag: str) -> None:
    settings = templates(tmp_path / "templates", page=f"<p>\n{tag}")
    with site(tmp_path, EXISTING, DEBUG=True, **settings):
        message = only(check_names(None))
    assert message.id == "versioned_storage.W017"
    place = f"{tmp_path / 'templates' / 'page.html'}:2 {tag.removeprefix(OURS)}"
    assert place in message.msg


@pytest.mark.parametrize(
    "tag",
    [
        "{% static 'js/app.js#x' %} {% static 'js/' %} {% static name %}",
        "{# {% static 'js/ap.js' %} #}",
        "{% comment %}{% static 'js/ap.js' %}{% endcomment %}",
        "{% script 'of another app' %}",
        "{% static 'css/theme-'|add:name %}",
    ],
)
def test_a_name_that_exists_or_is_not_rendered_is_no_finding(tmp_path: Path, tag: str) -> None:
    with site(tmp_path, EXISTING, **templates(tmp_path / "templates", page=tag)):
        assert check_names(None) == []


@pytest.fixture
def shop_app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of an app of the site."""
    path = tmp_path / "shop"
    monkeypatch.setattr(apps.get_app_config("staticfiles"), "path", str(path))
    return path


PYTHON = """from django.templatetags.static import static as url_of
logo = url_of("js/ap.js")
app = url_of("js/app.js"), url_of(f"js/{x}.js"), url_of(
    "js/"
    "none.js"
)
written = "/static/js/lib.js", f'''
  <img src="/static/js/lib.js?{x}">'''
"""
NOTHING_WRITTEN = '''"""Not static("js/ap.js") and not "/static/js/lib.js"."""
from django.conf.urls.static import static as serve
from django.templatetags.static import static
from versioned_storage.forms import Script
# static("js/ap.js"), "/static/js/lib.js"
serve("js/ap.js"), self.static("js/ap.js")
static("js/%s.js" % x), static("js/" + x), static("js/" "app.js"), static("js/"), static(x)
Script("https://js.example/v3"), Script("/other/v3.js"), Script("js/app.js")
help = "call static('js/ap.js')"
pattern = "\\d"
'''


def test_python_code_of_the_site_is_read_too(tmp_path: Path, shop_app: Path) -> None:
    text = PYTHON.replace("templatetags.static", "other")
    write(shop_app, {"views.py": PYTHON, "tests/a.py": PYTHON, "test_a.py": PYTHON, "b.py": text})
    with site(tmp_path, EXISTING, BUILD_VERSION="b1"):
        names, written = only(check_names(None)), only(check_written_urls(None))
    assert names.msg.splitlines()[1:] == [
        f"  {shop_app}/views.py:2 url_of('js/ap.js')",
        f"  {shop_app}/views.py:3 url_of('js/none.js')",
    ]
    assert [line for line in written.msg.splitlines() if "views.py" in line] == [
        f'  {shop_app}/views.py:7 "/static/js/lib.js',
        f'  {shop_app}/views.py:8 "/static/js/lib.js',
    ]


@pytest.mark.parametrize("text", [NOTHING_WRITTEN, f"{PYTHON}\nprint 'Python 2'\n", f"{PYTHON}\0"])
def test_python_code_that_names_no_missing_file_is_no_finding(
    tmp_path: Path, shop_app: Path, text: str
) -> None:
    write(shop_app, {"views.py": text})
    files = {**EXISTING, "js/app.js": ""}
    with site(tmp_path, files, BUILD_VERSION="b1"), warnings.catch_warnings():
        warnings.simplefilter("error")
        assert check_names(None) == check_written_urls(None) == []


@pytest.mark.parametrize("name", ["../../up.js", "./js/app.js", "js//app.js", "/js/app.js", "js"])
def test_a_name_that_no_manifest_has_does_not_exist(tmp_path: Path, name: str) -> None:
    settings = templates(tmp_path / "templates", page=f"{{% static '{name}' %}}")
    with site(tmp_path, EXISTING, **settings):
        assert ids(check_names(None)) == ["W017"]


def test_a_url_without_a_build_is_named_in_templates_and_scripts(tmp_path: Path) -> None:
    page = '<img src="/static/js/app.js">\n<a href="/static/none.js">'
    settings = templates(tmp_path / "templates", page=page)
    with site(tmp_path, EXISTING, BUILD_VERSION="b1", **settings) as project:
        message = only(check_written_urls(None))
        assert message.id == "versioned_storage.W018"
        assert message.msg.splitlines()[1:] == [
            f'  {tmp_path / "templates" / "page.html"}:1 "/static/js/app.js',
            f"  {project.sources / 'js' / 'app.js'}:1 '/static/js/lib.js",
        ]


def test_a_site_without_builds_may_write_its_urls_out(tmp_path: Path) -> None:
    with site(tmp_path, EXISTING):
        assert check_written_urls(None) == []


def test_no_check_of_pages_takes_long_for_any_text(tmp_path: Path) -> None:
    text = "new Worker(" * 20_000 + "<use " * 20_000 + "<script src=" * 20_000
    text += "{% static '" * 20_000 + "'/static/" * 20_000
    settings = templates(tmp_path / "templates", page=text)
    with site(tmp_path, options={"cdn_domain": CDN, **POLICY}, **settings):
        started = time.monotonic()
        check_same_origin(None)
        check_integrity_policy(None)
        check_names(None)
        check_written_urls(None)
        assert time.monotonic() - started < 5
