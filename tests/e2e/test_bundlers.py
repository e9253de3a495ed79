"""Chromium loads what Vite, webpack and esbuild built, from S3 and from the application."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from csp.constants import NONCE
from django.core.wsgi import get_wsgi_application
from django.shortcuts import render
from django.urls import path

from tests.e2e import browser
from tests.helpers import site, tree, write
from tests.pulled import MIDDLEWARE
from tests.s3 import Bucket
from tests.servers import wsgi_server
from tests.system_packages import defect, skip

SOURCES = Path(__file__).parent / "bundlers"
PAGE = """<!doctype html>{% load static LIBRARY %}<h1>A</h1><p>B</p><img>TAGS"""
ESBUILD_TAGS = """<link rel="stylesheet" href="{% static 'main.css' %}">
<script type="module" src="{% static 'main.js' %}"></script>"""
#: The option prehashed for each bundler, the tag library and the tags of a page.
BUNDLERS = {
    "vite": (r"^assets/.+-[\w-]{8}\.\w+$", "django_vite", "{% vite_asset 'src/main.js' %}"),
    "webpack": (r"\.[0-9a-f]{20}\.\w+$", "webpack_loader", "{% render_bundle 'main' %}"),
    "esbuild": (r"-[A-Z0-9]{8}\.\w+$", "", ESBUILD_TAGS),
}
BUILDS = (
    "vite build",
    "webpack",
    "esbuild src/main.js --bundle --splitting --format=esm --outdir=esbuild --loader:.svg=file",
)
LOADED = """() => [
  heard,
  document.querySelector("img").naturalWidth,
  ...["h1", "p"].map(name => getComputedStyle(document.querySelector(name)).color)
]"""


def page(request: Any) -> Any:
    return render(request, "page.html", {"nonce": getattr(request, "csp_nonce", None)})


urlpatterns = [path("page/", page)]


@pytest.fixture(scope="session")
def bundled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory in which each bundler has built the page, below its name."""
    skip(filter(None, [defect("npm", "--version")]), "npm")
    directory = tmp_path_factory.mktemp("npm") / "bundlers"
    shutil.copytree(SOURCES, directory)
    install = ("npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts")
    install += ("--fetch-retries=0", "--fetch-timeout=20000")
    commands = [install, *(("npx", "--no-install", *build.split()) for build in BUILDS)]
    for command in commands:
        completed = subprocess.run(
            command, cwd=directory, capture_output=True, text=True, timeout=300, check=False
        )
        if completed.returncode and command is install:
            pytest.skip("npm installs nothing: is its registry reachable?")
        assert completed.returncode == 0, completed.stderr + completed.stdout
    return directory


@pytest.fixture
def configured(bundled: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The settings of django-vite; django-webpack-loader reads its own when it is imported."""
    vite = pytest.importorskip("django_vite.core.asset_loader", reason="pip install django-vite")
    monkeypatch.setattr(vite.DjangoViteAssetLoader, "_instance", None)
    reason = "pip install django-webpack-loader"
    webpack = pytest.importorskip("webpack_loader.utils", reason=reason)
    webpack.get_loader.cache_clear()
    config = webpack.load_config("DEFAULT")
    monkeypatch.setitem(config, "BUNDLE_DIR_NAME", "")
    monkeypatch.setitem(config, "STATS_FILE", str(bundled / "webpack-stats.json"))
    return {"DJANGO_VITE": {"default": {"manifest_path": bundled / "vite" / "manifest.json"}}}


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser.chromium() as started:
        yield started


STRICT = {
    "MIDDLEWARE": [
        "csp.middleware.CSPMiddleware",
        *MIDDLEWARE,
        "versioned_storage.integrity.IntegrityMiddleware",
    ]
}


@pytest.mark.parametrize(
    ("origin", "shared"), [("bucket", False), ("bucket", ["*"]), ("application", ["*"])]
)
@pytest.mark.parametrize("bundler", [*BUNDLERS, "vite, strict"])
def test_a_page_loads_its_lazy_chunk_and_their_style_sheets(
    bundler: str,
    origin: str,
    shared: Any,
    chromium: Any,
    bundled: Path,
    configured: dict[str, Any],
    tmp_path: Path,
    moto_bucket: Bucket,
) -> None:
    bundler, _, strict = bundler.partition(", ")
    prehashed, library, tags = BUNDLERS[bundler]
    if strict:
        # Chunks that a module loads have their integrity from an import map.
        tags = "{% load versioned_static %}{% import_map 'assets/*.js' nonce=nonce %}" + tags
    text = PAGE.replace("LIBRARY", library).replace("TAGS", tags)
    write(tmp_path / "templates", {"page.html": text})
    libraries = {library: f"{library}.templatetags.{library}"} if library else {}
    settings = {
        "BUILD_VERSION": "b1",
        "MIDDLEWARE": MIDDLEWARE,
        "ROOT_URLCONF": __name__,
        "TEMPLATES": [
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "DIRS": [tmp_path / "templates"],
                "OPTIONS": {"libraries": libraries},
            }
        ],
        **configured,
    }
    applications: list[Callable[..., Any]] = []

    def application(*arguments: Any) -> Any:
        return applications[0](*arguments)

    with wsgi_server(application) as cdn, wsgi_server(application) as url:
        options = {"js_modules": True, "prehashed": prehashed, "shared_assets": shared}
        if strict:
            options["integrity_policy"] = "blocked-destinations=(script)"
            settings |= STRICT
        if origin == "bucket":
            moto_bucket.let_everyone_read()
            options["origin"] = moto_bucket.options()
            options["cdn_domain"] = f"{moto_bucket.endpoint}/{moto_bucket.name}"
        else:
            options["cdn_domain"] = cdn
            # The same file, where the build is on the disk of the application.
            manifest = tmp_path / "static_root" / "b1" / "manifest.json"
            settings["DJANGO_VITE"] = {"default": {"manifest_path": manifest}}
        if strict:
            static = "/".join(options["cdn_domain"].split("/")[:3])
            directives = {
                "default-src": ["'none'"],
                "script-src": [NONCE, static],
                "style-src": [static],
                "img-src": [static],
            }
            settings["CONTENT_SECURITY_POLICY"] = {"DIRECTIVES": directives}
        files = tree(bundled / bundler)
        with site(tmp_path, files, options=options, **settings) as shop:
            shop.collect()
            passed = {name for name, hashed in shop.storage.hashed_files.items() if name == hashed}
            assert len(passed) == (5 if bundler != "esbuild" else 4)
            applications.append(get_wsgi_application())
            shown = chromium.new_page()
            asked: list[str] = []
            failed: list[str] = []
            shown.on("request", lambda request: asked.append(request.url))
            shown.on(
                "response",
                lambda answer: failed.append(answer.url) if answer.status >= 400 else None,
            )
            shown.goto(f"{url}/page/", wait_until="networkidle")
            loaded = shown.evaluate(LOADED)
    expected = [["main", "lazy"], 7, "rgb(1, 2, 3)", "rgb(4, 5, 6)"]
    if bundler == "esbuild":
        # It resolves the image against the page.
        expected[1] = 0
        failed = [failure for failure in failed if not failure.startswith(f"{url}/page/logo-")]
    assert loaded == expected
    assert failed == []
    assert any("/static/_shared/" in asked_url for asked_url in asked) is bool(shared)
