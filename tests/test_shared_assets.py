"""Shared assets switched on for a running site, and off again: no page names a missing file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from tests.helpers import Site, site
from tests.management.command import staticbuilds
from tests.pulled import MIDDLEWARE, served
from tests.s3 import Bucket, front
from versioned_storage.apps import preload
from versioned_storage.storage import VersionedStaticFilesStorage

FILES: Mapping[str, str | bytes] = {
    "css/app.css": "body { background: url(../img/logo.png) }\n" * 20,
    "img/logo.png": b"\x89PNG" * 20,
    "js/loader.js": "load(document.currentScript.src)\n" * 20,
}
CHANGED = {**FILES, "css/app.css": "body { color: red }\n" * 20}
#: Each deploy of the site: its build, its files, and whether they are shared.
DEPLOYS: tuple[tuple[str, Mapping[str, str | bytes], Any], ...] = (
    ("b1", FILES, False),
    ("b2", FILES, True),
    ("b3", CHANGED, ["js/*", "!js/loader.js"]),
    ("b4", CHANGED, False),
)


@pytest.fixture(scope="module")
def bucket(moto_server: str) -> Iterator[Bucket]:
    with Bucket.at(moto_server) as bucket:
        yield bucket


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The machine that makes the builds."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def pages(home: Path, bucket: Bucket) -> dict[str, list[str]]:
    """The URLs of the pages of each build, which are all deployed."""
    pages = {}
    for build, files, shared in DEPLOYS:
        with running(home, bucket, build, files, shared_assets=shared) as shop:
            shop.collect()
            pages[build] = urls(shop)
    return pages


@contextmanager
def running(
    directory: Path,
    bucket: Bucket,
    build: str,
    files: Mapping[str, str | bytes] | None = None,
    *,
    backend: str = "versioned_storage.storage.VersionedStaticFilesStorage",
    **options: Any,
) -> Iterator[Site]:
    directory.mkdir(exist_ok=True)
    # A fixture of a module may run before the tests are told from pages.
    strict = {"manifest_strict": True}
    options = {"origin": bucket.options(), "connections": 4, **strict, **options}
    with site(
        directory,
        files,
        backend=backend,
        options=options,
        BUILD_VERSION=build,
        MIDDLEWARE=MIDDLEWARE,
    ) as shop:
        yield shop


def urls(shop: Site) -> list[str]:
    return [shop.storage.url(name) for name in FILES]


def test_each_deploy_shares_what_it_says(pages: dict[str, list[str]]) -> None:
    directories = {build: [url.split("/")[2] for url in page] for build, page in pages.items()}
    assert directories == {
        "b1": ["b1"] * 3,
        "b2": ["_shared", "_shared", "b2"],
        "b3": ["_shared", "_shared", "b3"],
        "b4": ["b4"] * 3,
    }
    # Only the style sheet was changed.
    assert [old == new for old, new in zip(pages["b2"], pages["b3"], strict=True)] == [
        False,
        True,
        False,
    ]


def test_every_url_of_every_page_is_on_s3(pages: dict[str, list[str]], bucket: Bucket) -> None:
    objects = bucket.objects()
    for page in pages.values():
        for url in page:
            assert unquote(url).lstrip("/") in objects


@pytest.mark.parametrize("current", [build for build, *_ in DEPLOYS])
def test_every_process_serves_the_urls_of_every_page(
    pages: dict[str, list[str]], home: Path, bucket: Bucket, current: str
) -> None:
    """During a rollout, after it, and after a rollback; shared assets on or off in the settings."""
    for shared in (True, False):
        with running(home, bucket, current, shared_assets=shared) as shop:
            assert urls(shop) == pages[current]
            for page in pages.values():
                for url in page:
                    assert served(url)[0] == 200, url


def test_a_process_that_has_no_build_reads_the_marks_from_s3(
    pages: dict[str, list[str]], tmp_path: Path, bucket: Bucket
) -> None:
    with running(tmp_path / "elsewhere", bucket, "b2") as shop:
        preload(shop.storage)
        assert urls(shop) == pages["b2"]


def test_a_pulled_manifest_has_the_marks(
    pages: dict[str, list[str]], tmp_path: Path, bucket: Bucket
) -> None:
    with running(tmp_path / "elsewhere", bucket, "b2"):
        staticbuilds("pull", "b2")
        with front(bucket.endpoint) as s3:
            origin = bucket.options(endpoint_url=s3.url)
            with running(tmp_path / "elsewhere", bucket, "b2", origin=origin) as shop:
                assert urls(shop) == pages["b2"]
        assert s3.requests == []


class OnlyPaths(VersionedStaticFilesStorage):
    def load_manifest(self) -> tuple[dict[str, str], str]:  # type: ignore[override]
        return super().load_manifest()[0], ""


def test_a_storage_that_changes_the_paths_alone_keeps_the_marks(
    pages: dict[str, list[str]], home: Path, bucket: Bucket
) -> None:
    backend = f"{__name__}.OnlyPaths"
    with running(home, bucket, "b2", backend=backend, shared_assets=True) as shop:
        assert urls(shop) == pages["b2"]
