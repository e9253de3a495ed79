"""Chromium shows pages under a strict Content Security Policy and a strict Integrity-Policy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

import django
import pytest
from django import forms
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.shortcuts import render
from django.test import override_settings
from django.urls import path

from tests.e2e import browser
from tests.helpers import Site, site, write
from tests.pulled import MIDDLEWARE
from tests.servers import wsgi_server
from versioned_storage.forms import Script, Stylesheet
from versioned_storage.templatetags.versioned_static import static_preload_headers

EXAMPLE = Path(__file__).parents[2] / "example_project/showcase/static"
FILES: dict[str, str | bytes] = {
    "css/app.css": "h1 { color: rgb(1, 2, 3) }",
    "css/plain.css": "p { color: rgb(4, 5, 6) }",
    "css/form.css": "label { color: rgb(7, 8, 9) }",
    "css/inline.css": """@font-face { font-family: sans; src: url(../fonts/sans.woff2) }
        h2 { color: rgb(10, 11, 12); font-family: sans }""",
    "fonts/sans.woff2": (EXAMPLE / "fonts/instrument-sans.woff2").read_bytes(),
    "img/photo.svg": "<svg xmlns='http://www.w3.org/2000/svg'/>",
    "img/sprite.svg": """<svg xmlns='http://www.w3.org/2000/svg'><symbol id='a'>
        <rect width='9' height='9'/></symbol></svg>""",
    "js/inline.js": "heard.push('inline')",
    "js/app.js": "import { name } from './lib.js'; heard.push(name);",
    "js/lib.js": "export const name = 'module'",
    "js/form.js": "heard.push('form')",
    "js/classic.js": "window.heard = ['classic']",
    "js/worker.js": "import { name } from './lib.js'; postMessage(`worker of a ${name}`)",
}
TEMPLATES = {
    "page.html": """<!doctype html>{% load static versioned_static %}
        {% import_map "app=js/app.js" "js/lib.js" nonce=NONCE %}
        {% preload "js/classic.js" nonce=NONCE %} {% preload "img/photo.svg" %}
        {% script "js/classic.js" nonce=NONCE %}
        {% static_inline "js/inline.js" nonce=NONCE %}
        {% static_inline "css/inline.css" nonce=NONCE %}
        {% stylesheet "css/app.css" nonce=NONCE %}
        <link rel="stylesheet" href="{% static 'css/plain.css' %}" nonce="{{ NONCE }}">
        <script type="module" nonce="{{ NONCE }}">import "app"</script>
        MEDIA <h1>A</h1> <h2>B</h2> <p>B</p> <label>C</label>
        <img src="{% static 'img/photo.svg' %}">
        <svg><use href="{% static_same_origin 'img/sprite.svg' %}#a"></use></svg>
        <i data-worker="{% static_same_origin 'js/worker.js' %}"></i>""",
    # No import map says what bytes the module and those that it imports have.
    "bare.html": """<!doctype html>{% load static %}<script nonce="{{ NONCE }}">heard = []</script>
        <script type="module" nonce="{{ NONCE }}">import "{% static 'js/app.js' %}"</script>""",
}
#: Nothing is loaded but what has the nonce of the page.
STRICT = {
    "default-src": ["'none'"],
    "base-uri": ["'none'"],
    "script-src": ["NONCE", "'strict-dynamic'"],
    "style-src": ["NONCE"],
    "font-src": ["http://127.0.0.1:*"],
    "img-src": ["'self'", "http://127.0.0.1:*"],
    "worker-src": ["'self'"],
}
#: What a worker says, and what is drawn and written once its files have arrived.
ARRIVED = """async () => {
  const worker = new Worker(document.querySelector("i").dataset.worker, { type: "module" });
  const said = await new Promise((resolve, reject) => {
    worker.onmessage = event => resolve(event.data);
    worker.onerror = () => reject(new Error("it does not load"));
  });
  await document.fonts.ready;
  const fonts = [...document.fonts].map(font => font.status);
  return [said, document.querySelector("use").getBBox().width, ...fonts];
}"""
# Chromium 156 has no destination but "script".
POLICIES = {
    f"integrity_policy{suffix}": "blocked-destinations=(script)" for suffix in ("", "_report_only")
}


class Editor(forms.Form):
    class Media:
        css = {"all": [Stylesheet("css/form.css")]}  # noqa: RUF012 - as Django has it
        js = [Script("js/form.js")]  # noqa: RUF012


def page(request: Any, name: str) -> Any:
    response = render(request, f"{name}.html", {"media": Editor().media})
    names, nonce = ("css/app.css", "fonts/sans.woff2"), nonce_of(request)
    response.headers["Link"] = static_preload_headers(*names, nonce=nonce)
    return response


def nonce_of(request: Any) -> Any:
    """The nonce of either package, in a view."""
    if hasattr(request, "csp_nonce"):
        return request.csp_nonce
    from django.middleware.csp import get_nonce

    return get_nonce(request)


NO_ICON = path("favicon.ico", lambda _: HttpResponse(status=HTTPStatus.NO_CONTENT))
urlpatterns = [NO_ICON, path("<name>/", page)]


def django_s_own() -> tuple[dict[str, Any], str, str]:
    """Settings, the nonce in a template and a form's media in one, as Django 6.1 has them."""
    from django.utils.csp import CSP

    middleware = "django.middleware.csp.ContentSecurityPolicyMiddleware"
    settings = {"SECURE_CSP": _with_nonce(CSP.NONCE), "MIDDLEWARE": [middleware]}
    return settings, "csp_nonce", "{% csp_nonce_attr media %}"


def django_csp() -> tuple[dict[str, Any], str, str]:
    """The same of django-csp, which knows nothing of a form's media."""
    from csp.constants import NONCE

    policy = {"DIRECTIVES": _with_nonce(NONCE)}
    settings = {"CONTENT_SECURITY_POLICY": policy, "MIDDLEWARE": ["csp.middleware.CSPMiddleware"]}
    return settings, "request.csp_nonce", ""


def _with_nonce(nonce: Any) -> dict[str, list[Any]]:
    return {
        directive: [nonce if source == "NONCE" else source for source in sources]
        for directive, sources in STRICT.items()
    }


@contextmanager
def served(
    directory: Path, settings: Mapping[str, Any], files: Mapping[str, str | bytes] = FILES
) -> Iterator[tuple[Site, str]]:
    """The site and its URL; its static files are served at another port, by itself."""
    applications: list[Any] = []

    def application(environ: Any, start_response: Any) -> Any:
        return applications[0](environ, start_response)

    with wsgi_server(application) as cdn, wsgi_server(application) as url:
        options = {"cdn_domain": cdn, "js_modules": True, **POLICIES}
        with site(directory, files, options=options, BUILD_VERSION="b1", **settings) as shop:
            shop.collect()
            applications.append(get_wsgi_application())
            yield shop, url


def complaints(chromium: Any, url: str) -> tuple[Any, list[str]]:
    """The page at a URL once it has loaded, and what the console says."""
    shown, messages = chromium.new_page(), []
    shown.on("console", lambda message: messages.append(message.text))
    shown.goto(url, wait_until="networkidle")
    return shown, messages


@pytest.mark.parametrize(
    "policy",
    [
        pytest.param(
            django_s_own,
            marks=pytest.mark.skipif(django.VERSION < (6, 1), reason="new in Django 6.1"),
        ),
        django_csp,
    ],
)
def test_a_page_breaks_no_policy(tmp_path: Path, policy: Any) -> None:
    settings, nonce, media = policy()
    names = {"NONCE": nonce, "MEDIA": media}
    for name, text in TEMPLATES.items():
        for variable, value in names.items():
            text = text.replace(variable, value)
        write(tmp_path / "templates", {name: text})
    processor = "django.template.context_processors." + ("csp" if media else "request")
    settings["MIDDLEWARE"] += [*MIDDLEWARE, "versioned_storage.integrity.IntegrityMiddleware"]
    settings["TEMPLATES"] = [
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "DIRS": [tmp_path / "templates"],
            "OPTIONS": {"context_processors": [processor]},
        }
    ]
    settings["ROOT_URLCONF"] = __name__
    with browser.chromium() as chromium, served(tmp_path, settings) as (_, url):
        shown, messages = complaints(chromium, f"{url}/page/")
        assert messages == []
        colors = {"h1": "rgb(1, 2, 3)", "h2": "rgb(10, 11, 12)", "p": "rgb(4, 5, 6)"}
        expected = ["classic", "inline", "module"]
        if media:
            colors["label"] = "rgb(7, 8, 9)"
            expected.insert(2, "form")
        color = "selector => getComputedStyle(document.querySelector(selector)).color"
        assert {name: shown.evaluate(color, name) for name in colors} == colors
        assert shown.evaluate("heard") == expected
        assert shown.evaluate(ARRIVED) == ["worker of a module", 9, "loaded"]
        loaded = shown.evaluate("performance.getEntriesByType('resource').map(entry => entry.name)")
        assert sorted(loaded) == sorted(set(loaded))
        assert messages == []
        # The policy is in force: what has no integrity is blocked, without a word on the console.
        shown, _ = complaints(chromium, f"{url}/bare/")
        assert shown.evaluate("heard") == []


@pytest.mark.skipif(django.VERSION < (6, 1), reason="new in Django 6.1")
def test_the_admin_of_django_breaks_no_policy(tmp_path: Path) -> None:
    """Its templates know nothing of integrity; its login needs no database."""
    settings, _, _ = django_s_own()
    settings["MIDDLEWARE"] += [
        *MIDDLEWARE,
        "versioned_storage.integrity.IntegrityMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
    ]
    apps = ("admin", "auth", "contenttypes", "messages", "sessions", "staticfiles")
    processors = [
        "django.template.context_processors.csp",
        "django.template.context_processors.request",
        "django.contrib.auth.context_processors.auth",
        "django.contrib.messages.context_processors.messages",
    ]
    settings |= {
        "INSTALLED_APPS": [*(f"django.contrib.{app}" for app in apps), "versioned_storage"],
        "SESSION_ENGINE": "django.contrib.sessions.backends.signed_cookies",
        "STATICFILES_FINDERS": ["django.contrib.staticfiles.finders.AppDirectoriesFinder"],
        "TEMPLATES": [
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "APP_DIRS": True,
                "OPTIONS": {"context_processors": processors},
            }
        ],
    }
    with override_settings(INSTALLED_APPS=settings["INSTALLED_APPS"]):
        from django.contrib import admin

        settings["ROOT_URLCONF"] = (NO_ICON, path("admin/", admin.site.urls))
    with browser.chromium() as chromium, served(tmp_path, settings) as (_, url):
        shown, messages = complaints(chromium, f"{url}/admin/login/")
        assert messages == []
        elements = "link[rel=stylesheet], script[src]"
        has_integrity = f"""[...document.querySelectorAll("{elements}")].map(e => !!e.integrity)"""
        assert set(shown.evaluate(has_integrity)) == {True}
        background = "getComputedStyle(document.querySelector('#header')).backgroundColor"
        assert shown.evaluate(background) == "rgb(65, 118, 144)"


OPEN_PAGE = """<!doctype html>{% load versioned_static %}
    <meta name="build-version" content="{{ build_version }}">
    {% script "js/open_tab.js" type="module" %}
    <p data-new-build hidden>There is a new version.</p>"""


def test_an_open_tab_learns_of_a_new_build_when_somebody_comes_back_to_it(tmp_path: Path) -> None:
    """As docs/howto/open-tabs.md has it, with the module of the example."""
    cdn_urls: list[str] = []

    def open_page(request: Any) -> Any:
        policy = f"default-src 'none'; script-src {cdn_urls[0]}; connect-src 'self'"
        response = render(request, "open.html")
        response.headers["Content-Security-Policy"] = policy
        return response

    write(tmp_path / "templates", {"open.html": OPEN_PAGE})
    settings = {
        "MIDDLEWARE": [*MIDDLEWARE, "versioned_storage.open_tabs.BuildVersionMiddleware"],
        "ROOT_URLCONF": (path("", open_page),),
        "TEMPLATES": [
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "DIRS": [tmp_path / "templates"],
                "OPTIONS": {"context_processors": ["versioned_storage.open_tabs.build_version"]},
            }
        ],
    }
    files = {"js/open_tab.js": (EXAMPLE / "js/open_tab.js").read_text()}
    with browser.chromium() as chromium, served(tmp_path, settings, files) as (shop, url):
        cdn_urls.append(shop.storage.options.cdn_domain)
        tab, messages, requests = chromium.new_page(), [], []
        tab.on("console", lambda message: messages.append(message.text))
        tab.on("request", lambda request: requests.append(request.method))
        tab.clock.install()
        tab.goto(f"{url}/", wait_until="networkidle")
        asked = len(requests)

        def come_back(seconds: int) -> None:
            tab.clock.fast_forward(seconds * 1000)
            tab.evaluate("document.dispatchEvent(new Event('visibilitychange'))")

        come_back(59)
        with tab.expect_response(f"{url}/"):
            come_back(1)
        assert not tab.is_visible("[data-new-build]")
        with override_settings(BUILD_VERSION="b2", STORAGES=shop.settings["STORAGES"]):
            shop.collect()
            come_back(59)
            with tab.expect_response(f"{url}/"):
                come_back(1)
            tab.wait_for_selector("[data-new-build]:visible")
        assert requests[asked:] == ["HEAD", "HEAD"]
        assert messages == []
