"""django-compressor: what it writes to STATIC_ROOT/CACHE is served beside the builds."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps

from .helpers import Site, run_in_project, write
from .pulled import served
from .s3 import Bucket


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if django-compressor was in INSTALLED_APPS, which changes the settings for good."""
    is_installed = apps.is_installed
    monkeypatch.setattr(
        apps, "is_installed", lambda name: name == "compressor" or is_installed(name)
    )


@pytest.mark.parametrize(
    ("shared_assets", "image"),
    [(False, "/static/b1/css/dot."), (["!css/*.css"], "/static/_shared/css/dot.")],
)
def test_a_page_of_a_build_gets_the_file_that_compressor_made(
    tmp_path: Path, shared_assets: Any, image: str
) -> None:
    outcome = json.loads(compressed(tmp_path, shared_assets).stdout)
    assert outcome["url"].startswith("/static/CACHE/css/")
    assert (outcome["status"], outcome["image"], outcome["stale"]) == (200, 200, 404)
    assert image in outcome["style sheet"]


def test_compressor_finds_no_file_behind_a_shared_url(tmp_path: Path) -> None:
    """As docs/shared-assets.md and W024 say."""
    completed = compressed(tmp_path, True)
    assert completed.returncode
    assert "UncompressableFileError: '_shared/css/a." in completed.stderr


def compressed(tmp_path: Path, shared_assets: Any) -> subprocess.CompletedProcess[str]:
    """Run the site with this option."""
    pytest.importorskip("compressor", reason="needs django-compressor")
    program = Path(__file__).with_name("compressed_site.py")
    return subprocess.run(
        [sys.executable, "-W", "ignore", program, tmp_path, json.dumps(shared_assets)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        cwd=Path(__file__).parents[1],
        env={"PYTHONPATH": str(Path(__file__).parents[1])},
    )


def test_only_the_directory_of_compressor_is_served_beside_a_build(
    deployed: Site, installed: None
) -> None:
    write(deployed.root, {"CACHE/js/out.1.js": "1", "left-over.js": "", "CACHE/.secret": ""})
    status, headers, body = served("/static/CACHE/js/out.1.js")
    assert (status, body) == (200, b"1")
    assert headers["Cache-Control"] == "max-age=60, public"
    names = ("left-over.js", "CACHE/.secret", "CACHE/missing.js", "CACHE/js", "CACHE/js/")
    for name in (*names, "CACHE/../left-over.js", "CACHE/js/../../left-over.js", "CACHE/\0"):
        assert served(f"/static/{name}")[0] == 404


def test_without_compressor_a_directory_called_cache_is_not_served(deployed: Site) -> None:
    write(deployed.root, {"CACHE/js/out.1.js": "1"})
    assert served("/static/CACHE/js/out.1.js")[0] == 404


SETTINGS = """
import os
from pathlib import Path

ROOT_URLCONF = "urls"
SECRET_KEY = "only for tests"
ALLOWED_HOSTS = ["*"]
INSTALLED_APPS = ["versioned_storage", "django.contrib.staticfiles", "compressor"]
MIDDLEWARE = [
    "versioned_storage.middleware.VersionedWhiteNoiseMiddleware",
    "versioned_storage.integrity.IntegrityMiddleware",
]
BASE_DIR = Path(__file__).parent
BUILD_VERSION = os.environ.get("BUILD_VERSION")
STATIC_URL = "/static/"
STATIC_ROOT = BASE_DIR / "static_root"
COMPRESS_OFFLINE = True
COMPRESS_ROOT = BASE_DIR / "compressed" / str(BUILD_VERSION)
COMPRESS_URL = f"https://d111.cloudfront.net/static/{BUILD_VERSION}/"
COMPRESS_FILTERS = {
    "css": ["compressor.filters.css_default.CssRelativeFilter"],
    "js": ["compressor.filters.jsmin.rJSMinFilter"],
}
STATICFILES_DIRS = [BASE_DIR / "sources", COMPRESS_ROOT]
STATICFILES_FINDERS = [
    "django.contrib.staticfiles.finders.FileSystemFinder",
    "compressor.finders.CompressorFinder",
]
TEMPLATES = [{
    "BACKEND": "django.template.backends.django.DjangoTemplates",
    "DIRS": [BASE_DIR / "templates"],
    "APP_DIRS": True,
}]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"},
    "staticfiles": {
        "BACKEND": "versioned_storage.storage.VersionedStaticFilesStorage",
        "OPTIONS": {
            "cdn_domain": "d111.cloudfront.net",
            "origin": {
                "bucket_name": os.environ["BUCKET"],
                "endpoint_url": os.environ["ENDPOINT"],
                "region_name": "eu-west-1",
                "access_key": "AKIDOFATEST",
                "secret_key": "the-secret-of-a-test",
            },
        },
    },
}
"""
URLS = """
from django.shortcuts import render
from django.urls import path

urlpatterns = [path("", lambda request: render(request, "page.html"))]
"""
COMPRESSED_PAGE = """{% load static compress %}{% compress css %}
<link rel="stylesheet" href="{% get_static_prefix %}css/a.css">
<link rel="stylesheet" href="{% get_static_prefix %}css/b.css">
{% endcompress %}"""
COMMANDS = """
import sys, django
django.setup()
from django.core.management import call_command
for command in sys.argv[1:]:
    call_command(*command.split())
"""
#: What a page links to, and what the application serves there.
VISIT = """
import re, django
django.setup()
from django.test import Client
page = Client().get("/").content.decode()
(url,) = re.findall('href="([^"]+)"', page)
answer = Client().get(url.removeprefix("https://d111.cloudfront.net"))
print(url, answer.status_code, answer["Cache-Control"], answer.getvalue().decode(), sep=chr(10))
print("integrity=" in page)
"""


@pytest.mark.deep
def test_what_is_compressed_before_collectstatic_is_in_each_build(
    tmp_path: Path, moto_bucket: Bucket
) -> None:
    pytest.importorskip("compressor", reason="needs django-compressor")
    files = {
        "settings.py": SETTINGS,
        "urls.py": URLS,
        "templates/page.html": COMPRESSED_PAGE,
        "sources/css/a.css": "a { background: url(dot.svg) }",
        "sources/css/b.css": "b { color: b1 }",
        "sources/css/dot.svg": "<svg xmlns='http://www.w3.org/2000/svg'/>",
    }
    write(tmp_path, files)

    def run(build: str, code: str, *arguments: str) -> list[str]:
        environment = {
            "BUCKET": moto_bucket.name,
            "ENDPOINT": moto_bucket.endpoint,
            "BUILD_VERSION": build,
        }
        completed = run_in_project(tmp_path, "-W", "ignore", "-c", code, *arguments, **environment)
        assert completed.returncode == 0, completed.stderr + completed.stdout
        return completed.stdout.splitlines()

    for build in ("b1", "b2"):
        write(tmp_path, {"sources/css/b.css": f"b {{ color: {build} }}"})
        run(build, COMMANDS, "compress", "collectstatic --noinput")
    urls = {}
    for build in ("b1", "b2"):
        urls[build], status, caching, *style_sheet, integrity = run(build, VISIT)
        assert urls[build].startswith(f"https://d111.cloudfront.net/static/{build}/CACHE/css/out")
        assert (status, "immutable" in caching, integrity) == ("200", True, "True")
        assert "../../css/dot." in style_sheet[0]
        assert build in style_sheet[-1]
    keys = {build: url.removeprefix("https://d111.cloudfront.net/") for build, url in urls.items()}
    for key in keys.values():
        assert {key, f"{key}.br", f"{key}.gz"} < moto_bucket.listed()
        # And by its hashed name.
        hashed = re.compile(re.escape(key.removesuffix("css")) + r"[0-9a-f]{12}\.css\.br")
        assert [key for key in moto_bucket.listed() if hashed.fullmatch(key)]
    run("b2", COMMANDS, "staticbuilds prune --keep 1 --older-than 0d --noinput")
    assert keys["b2"] in moto_bucket.listed()
    assert not [key for key in moto_bucket.listed() if key.startswith("static/b1/")]
