"""The manifest of a build, loaded when it is first needed: from the disk, else from the origin."""

# The server stands around what is expected to fail: two blocks, not one.
# ruff: noqa: SIM117

import hashlib
import shutil
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone

import pytest
from django.test import override_settings

from tests.helpers import site
from tests.s3 import front, refusal
from versioned_storage.errors import MissingManifest
from versioned_storage.manifest_loader import ManifestLoader
from versioned_storage.origin.record import Record, State
from versioned_storage.origin.s3_errors import OriginError

FILES = {
    "css/app.css": "body { background: url(../img/logo.png) }\n" * 20,
    "img/logo.png": b"\x89PNG" * 20,
}


def origin(storage_options, **more):
    """The storage's options: that origin, and few connections."""
    return {"origin": storage_options, "connections": 4, **more}


def elsewhere(tmp_path):
    """Another machine: one that never ran collectstatic."""
    other = tmp_path / "elsewhere"
    other.mkdir(exist_ok=True)
    return other


def test_whatever_fails_is_remembered_for_the_next_pages():
    """An error that is none of ours too: the next page must not get "there is no manifest"."""
    attempts = []

    def load():
        attempts.append(None)
        raise FileNotFoundError(2, "No such file", "/run/token")

    loader = ManifestLoader(load)
    for _ in range(3):
        with pytest.raises(FileNotFoundError, match="token"):
            _ = loader.paths
    assert len(attempts) == 1


def test_a_build_without_files_is_looked_for_again_only_after_seconds(monkeypatch):
    attempts = []

    def load():
        attempts.append(None)
        return {}, ""

    loader = ManifestLoader(load)
    assert [loader.paths, loader.paths] == [{}, {}]
    assert len(attempts) == 1
    loader.forget()
    assert loader.paths == {}
    assert len(attempts) == 2


@pytest.fixture
def published(bucket, tmp_path):
    """A bucket with a published build; the machine that made it is gone."""
    with site(tmp_path, FILES, options=origin(bucket.options()), BUILD_VERSION="b1") as shop:
        shop.collect()
    shutil.rmtree(tmp_path / "static_root")
    return bucket


def app_server(tmp_path, s3, bucket, **more):
    storage_options = origin(bucket.options(endpoint_url=s3.url), **more)
    return site(elsewhere(tmp_path), options=storage_options, BUILD_VERSION="b1")


def test_an_app_server_asks_the_origin_once(published, tmp_path):
    hashed_name = hashlib.md5(FILES["img/logo.png"]).hexdigest()[:12]
    with front(published.endpoint) as s3, app_server(tmp_path, s3, published) as shop:
        urls = {shop.storage.url("img/logo.png") for _ in range(3)}
        shop.storage.url("css/app.css")
        with pytest.raises(ValueError, match=r"Missing staticfiles manifest entry for 'no\.css'"):
            shop.storage.url("no.css")
    assert urls == {f"/static/b1/img/logo.{hashed_name}.png"}
    assert [(request.method, request.path) for request in s3.requests] == [
        ("GET", f"/{published.name}/builds/b1.json")
    ]


def test_many_threads_ask_the_origin_once(published, tmp_path):
    with front(published.endpoint) as s3, app_server(tmp_path, s3, published) as shop:
        storage = shop.storage
        with ThreadPoolExecutor(8) as pool:
            urls = set(pool.map(lambda _: storage.url("css/app.css"), range(40)))
    assert len(urls) == 1
    assert len(s3.requests) == 1


def test_making_the_storage_asks_nothing(published, tmp_path):
    with front(published.endpoint) as s3, app_server(tmp_path, s3, published) as shop:
        assert shop.storage.build_version == "b1"
    assert s3.requests == []


def test_with_debug_nothing_is_asked(published, tmp_path):
    with front(published.endpoint) as s3, app_server(tmp_path, s3, published) as shop:
        with override_settings(DEBUG=True):
            assert shop.storage.url("css/app.css") == "/static/css/app.css"
    assert s3.requests == []


def test_without_strictness_nothing_is_asked(published, tmp_path):
    with front(published.endpoint) as s3:
        with app_server(tmp_path, s3, published, manifest_strict=False) as shop:
            assert shop.storage.url("css/app.css") == "/static/b1/css/app.css"
    assert s3.requests == []


def test_a_machine_with_the_build_asks_nothing(bucket, tmp_path):
    with site(tmp_path, FILES, options=origin(bucket.options()), BUILD_VERSION="b1") as shop:
        shop.collect()
    with front(bucket.endpoint) as s3:
        storage_options = origin(bucket.options(endpoint_url=s3.url))
        with site(tmp_path, options=storage_options, BUILD_VERSION="b1") as shop:
            assert shop.storage.url("css/app.css").startswith("/static/b1/css/app.")
    assert s3.requests == []


def down(request):
    return refusal(500, "InternalError", "We are sorry.")


def test_a_failure_is_remembered(published, tmp_path):
    with front(published.endpoint, down) as s3, app_server(tmp_path, s3, published) as shop:
        for _ in range(3):
            with pytest.raises(OriginError, match="500 InternalError, We are sorry"):
                shop.storage.url("css/app.css")
    assert len(s3.requests) == 1


def test_a_failure_is_remembered_for_seconds_only(published, tmp_path, monkeypatch):
    monkeypatch.setattr("versioned_storage.manifest_loader.RETRY_AFTER", 0.0)
    with front(published.endpoint, down) as s3, app_server(tmp_path, s3, published) as shop:
        with pytest.raises(OriginError):
            shop.storage.url("css/app.css")
        s3.answer = lambda _: None
        assert shop.storage.url("css/app.css").startswith("/static/b1/css/app.")
    assert len(s3.requests) == 2


def test_a_build_that_is_nowhere_is_asked_for_once_and_says_what_to_run(bucket, tmp_path):
    with front(bucket.endpoint) as s3, app_server(tmp_path, s3, bucket) as shop:
        for _ in range(2):
            with pytest.raises(MissingManifest) as missing:
                shop.storage.url("css/app.css")
        manifest = shop.root / "b1/staticfiles.json"
    assert str(missing.value) == (
        "Missing staticfiles manifest entry for 'css/app.css': there is no manifest. Looked at "
        f"{manifest} and s3://{bucket.name}/builds/b1.json. Run 'python manage.py collectstatic' "
        "with the BUILD_VERSION that this process runs with."
    )
    assert len(s3.requests) == 1


def test_a_build_that_is_not_published_yet_is_no_half_answer(bucket, tmp_path):
    claimed = Record("b1", State.PUBLISHING, "x", datetime.now(timezone.utc))
    bucket.put("builds/b1.json", claimed.to_json())
    with front(bucket.endpoint) as s3, app_server(tmp_path, s3, bucket) as shop:
        with pytest.raises(MissingManifest):
            shop.storage.url("css/app.css")
