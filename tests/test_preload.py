"""preload_manifest: the manifest read when a process starts to serve."""

# The server stands around what is expected to fail: two blocks, not one.
# ruff: noqa: SIM117

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.apps import apps
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.test import AsyncClient, Client, override_settings

from tests.helpers import site
from tests.s3 import Bucket, front, moto, nobody, refusal
from versioned_storage.apps import PRELOAD_MIDDLEWARE, NothingToServe
from versioned_storage.build.manifest import UnreadableManifest
from versioned_storage.errors import MissingBuildVersion
from versioned_storage.origin.s3_errors import OriginError

ROOT = Path(__file__).parent.parent
FILES = {"css/app.css": "body { color: red }\n"}
SETTINGS = """
import os
SECRET_KEY = "only for tests"
ROOT_URLCONF = "project_settings"
urlpatterns = []
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
INSTALLED_APPS = ["versioned_storage", "django.contrib.staticfiles"]
STATIC_URL = "/static/"
STATIC_ROOT = "static_root"
STORAGES = {
    "staticfiles": {
        "BACKEND": "versioned_storage.storage.VersionedStaticFilesStorage",
        "OPTIONS": {},
    }
}
"""


@pytest.fixture(scope="module")
def s3_server():
    with moto() as url:
        yield url


@pytest.fixture
def bucket(s3_server):
    with Bucket.at(s3_server) as empty:
        yield empty


@pytest.fixture
def published(bucket, tmp_path):
    """A bucket with a build that another machine has published."""
    other = tmp_path / "another"
    other.mkdir()
    with site(other, FILES, options={"origin": bucket.options()}, BUILD_VERSION="b1") as shop:
        shop.collect()
    return bucket


def server(tmp_path, s3=None, build="b1", **options):
    """A site that serves pages and never ran collectstatic."""
    origin_options = {"origin": s3} if s3 else {}
    return site(
        tmp_path,
        options={**origin_options, "preload_manifest": True, **options},
        BUILD_VERSION=build,
        MIDDLEWARE=[PRELOAD_MIDDLEWARE],
    )


@pytest.mark.parametrize("handler", [WSGIHandler, ASGIHandler])
def test_a_process_that_starts_to_serve_asks_once_and_no_page_asks_again(
    published, tmp_path, handler
):
    with front(published.endpoint) as s3:
        with server(tmp_path, published.options(endpoint_url=s3.url)) as shop:
            handler()
            assert s3.asked("GET") == [f"/{published.name}/builds/b1.json"]
            assert shop.storage.url("css/app.css").startswith("/static/b1/css/app.")
    assert len(s3.requests) == 1


def test_it_is_no_part_of_any_request(published, tmp_path):
    with server(tmp_path, published.options()):
        assert Client().get("/").status_code == 404
        assert asyncio.run(AsyncClient().get("/")).status_code == 404


def test_a_build_on_disk_is_preloaded_without_the_origin(tmp_path):
    with site(tmp_path, FILES, BUILD_VERSION="b1") as shop:
        shop.collect()
    with nobody() as url, server(tmp_path, {"bucket_name": "b", "endpoint_url": url}) as shop:
        WSGIHandler()
        assert shop.storage.hashed_files.keys() == FILES.keys()


def test_a_build_with_no_files_is_a_build(tmp_path):
    with site(tmp_path, BUILD_VERSION="b1") as shop:
        shop.collect()
    with server(tmp_path):
        WSGIHandler()


# A process that cannot have its manifest


def test_a_build_that_is_nowhere_stops_the_process_and_says_what_to_run(bucket, tmp_path):
    with server(tmp_path, bucket.options()) as shop:
        with pytest.raises(NothingToServe) as nothing:
            WSGIHandler()
    assert str(nothing.value) == (
        "This process is about to serve pages, and there is no manifest: looked at "
        f"{shop.root}/b1/staticfiles.json and s3://{bucket.name}/builds/b1.json. Run "
        "'python manage.py collectstatic', or 'python manage.py staticbuilds pull', with the "
        "BUILD_VERSION that this process runs with. A process that shows no page starts with "
        "VERSIONED_STORAGE = {'preload_manifest': False}."
    )


def test_a_missing_build_version_stops_it(bucket, tmp_path):
    with server(tmp_path, bucket.options(), build=None):
        with pytest.raises(MissingBuildVersion):
            WSGIHandler()


def test_a_broken_manifest_stops_it(tmp_path):
    with server(tmp_path) as shop:
        (shop.root / "b1").mkdir(parents=True)
        (shop.root / "b1/staticfiles.json").write_text("{")
        with pytest.raises(UnreadableManifest):
            WSGIHandler()


def test_a_bucket_that_does_not_exist_stops_it(bucket, tmp_path):
    with server(tmp_path, bucket.options(bucket_name="nobody-made-this")):
        with pytest.raises(OriginError, match="NoSuchBucket"):
            WSGIHandler()


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "ExpiredToken"),
        (403, "AccessDenied"),
        (403, "InvalidAccessKeyId"),
        (429, "TooManyRequests"),
        (500, "InternalError"),
        (503, "SlowDown"),
    ],
)
def test_what_may_pass_is_logged_and_the_process_starts(bucket, tmp_path, caplog, status, code):
    answer = refusal(status, code, "For the night.")
    with front(bucket.endpoint, lambda _: answer) as s3:
        with server(tmp_path, bucket.options(endpoint_url=s3.url)):
            WSGIHandler()
    (line,) = [record for record in caplog.records if record.name == "versioned_storage"]
    assert line.levelname == "ERROR"
    assert code in line.getMessage()


def test_an_origin_that_is_down_is_logged_and_asked_again_by_a_page(
    published, tmp_path, caplog, monkeypatch
):
    monkeypatch.setattr("versioned_storage.manifest_loader.RETRY_AFTER", 0.0)
    sorry = refusal(503, "ServiceUnavailable", "We are sorry.")
    with front(published.endpoint, lambda _: sorry) as s3:
        with server(tmp_path, published.options(endpoint_url=s3.url)) as shop:
            WSGIHandler()
            assert [
                record.levelname for record in caplog.records if record.name == "versioned_storage"
            ] == ["ERROR"]
            assert "The manifest could not be preloaded, pages will ask for it: Get" in caplog.text
            s3.answer = lambda _: None
            assert shop.storage.url("css/app.css").startswith("/static/b1/css/app.")


def test_an_origin_that_cannot_be_reached_is_logged(bucket, tmp_path, caplog):
    with nobody() as url, server(tmp_path, bucket.options(endpoint_url=url)):
        WSGIHandler()
    assert "could not be preloaded" in caplog.text


# Where there is nothing to preload


@pytest.mark.parametrize("settings", [{"DEBUG": True}, {"VERSIONED_STORAGE": {}}], ids=str)
def test_with_debug_or_without_strictness_nothing_is_asked(bucket, tmp_path, settings):
    strict = {} if "DEBUG" in settings else {"manifest_strict": False}
    with front(bucket.endpoint) as s3:
        with server(tmp_path, bucket.options(endpoint_url=s3.url), **strict):
            with override_settings(**settings):
                WSGIHandler()
    assert s3.requests == []


def test_another_storage_is_left_alone(tmp_path):
    backend = "django.contrib.staticfiles.storage.StaticFilesStorage"
    with site(tmp_path, backend=backend, MIDDLEWARE=[PRELOAD_MIDDLEWARE]):
        WSGIHandler()


# The option puts it there


def middleware_after_ready(**settings):
    with override_settings(MIDDLEWARE=["theirs.Middleware"]):
        with override_settings(**settings):
            from django.conf import settings as current

            apps.get_app_config("versioned_storage").ready()
            return current.MIDDLEWARE


@pytest.mark.parametrize(
    ("option", "debug", "expected"),
    [
        (True, False, ["theirs.Middleware", PRELOAD_MIDDLEWARE]),
        # It also notes that the process serves pages.
        (False, False, ["theirs.Middleware", PRELOAD_MIDDLEWARE]),
        (True, True, ["theirs.Middleware"]),
    ],
)
def test_the_option_puts_it_into_the_middleware(tmp_path, option, debug, expected):
    with site(tmp_path, options={"preload_manifest": option}):
        assert middleware_after_ready(DEBUG=debug) == expected


def test_putting_it_there_twice_changes_nothing(tmp_path):
    with server(tmp_path):
        apps.get_app_config("versioned_storage").ready()
        from django.conf import settings

        assert settings.MIDDLEWARE == [PRELOAD_MIDDLEWARE]


@pytest.mark.deep
def test_commands_start_without_a_manifest_and_servers_do_not(tmp_path):
    (tmp_path / "project_settings.py").write_text(SETTINGS)

    def run(*arguments):
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=tmp_path,
            env={
                **os.environ,
                "PYTHONPATH": f"{ROOT}:.",
                "DJANGO_SETTINGS_MODULE": "project_settings",
                "BUILD_VERSION": "b1",
            },
            capture_output=True,
            text=True,
            timeout=60,
        )

    wsgi = ["-c", "from django.core.wsgi import get_wsgi_application as get; get()"]
    asgi = ["-c", "from django.core.asgi import get_asgi_application as get; get()"]
    for server in (wsgi, asgi):
        refused = run(*server)
        assert refused.returncode == 1
        assert "This process is about to serve pages, and there is no manifest" in refused.stderr
    for command in ("check", "migrate", "collectstatic"):
        noinput = ["--noinput"] if command == "collectstatic" else []
        process = run("-m", "django", command, *noinput)
        assert process.returncode == 0, process.stderr
    for server in (wsgi, asgi):
        assert run(*server).returncode == 0
