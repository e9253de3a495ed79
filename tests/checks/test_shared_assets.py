"""A site with shared assets: they are served, there are some, and scripts have neighbours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps

from tests import s3
from tests.helpers import Site, site
from versioned_storage.build.manifest import Bound, Manifest, Reason
from versioned_storage.checks.shared_assets import (
    check_build_shares,
    check_compressor,
    check_is_served,
)
from versioned_storage.constants import MANIFEST_NAME

from .helpers import OURS, WHITENOISE, ids, only

ORIGIN = {"bucket_name": "b", "endpoint_url": "http://127.0.0.1:9", "region_name": "eu-west-1"}
SHARING: Mapping[str, Any] = {"options": {"shared_assets": True}, "BUILD_VERSION": "b1"}
FILES = {
    "editor/editor.js": "load()",
    "editor/plugins/link.js": "link()",
    "editor/plugins/list.js": "list()",
    "css/app.css": "a {}",
    "app.js": "1",
}


def bind(shop: Site, reasons: Mapping[str, Reason], **options: Any) -> None:
    """Mark all assets of the build b1 as shared but for these; ``options`` go into the manifest."""
    path = shop.root / "b1" / MANIFEST_NAME
    manifest = Manifest.from_json(path.read_text())
    assets = {}
    for key, asset in manifest.assets.items():
        reason = reasons.get(asset.name)
        cause = Bound(asset.name, reason.value, "x") if reason else None
        assets[key] = replace(asset, shared_prefix="" if reason else "_shared", bound=cause)
    manifest = replace(manifest, shared_prefix="_shared", shared_rules=1, assets=assets, **options)
    path.write_text(manifest.to_json())
    del shop.storage.hashed_files


@pytest.mark.parametrize("middleware", [[], [WHITENOISE]])
def test_without_the_middleware_nothing_serves_shared_assets(
    tmp_path: Path, middleware: list[str]
) -> None:
    with site(tmp_path, MIDDLEWARE=middleware, **SHARING):
        warning = only(check_is_served(None))
    assert ids([warning]) == ["W020"]
    assert warning.msg == (
        "Nothing serves /static/_shared/, the URLs of shared assets: STATIC_ROOT has no such "
        f"directory, and {OURS} is not in MIDDLEWARE."
    )
    assert OURS in warning.hint


def test_with_autorefresh_the_middleware_serves_no_shared_asset(tmp_path: Path) -> None:
    with site(tmp_path, MIDDLEWARE=[OURS], WHITENOISE_AUTOREFRESH=True, **SHARING):
        warning = only(check_is_served(None))
    assert ids([warning]) == ["W020"]
    assert warning.hint == "WHITENOISE_AUTOREFRESH = False"


@pytest.mark.parametrize(
    "more",
    [
        {"MIDDLEWARE": [OURS], **SHARING},
        {"MIDDLEWARE": [], **SHARING, "DEBUG": True},
        {"MIDDLEWARE": [], **SHARING, "BUILD_VERSION": None},
        {"MIDDLEWARE": [], "BUILD_VERSION": "b1"},
        {
            "MIDDLEWARE": [],
            "BUILD_VERSION": "b1",
            "options": {"shared_assets": True, "origin": ORIGIN},
        },
    ],
    ids=["served", "debug", "neutral", "not shared", "on S3"],
)
def test_who_serves_them_is_fine(tmp_path: Path, more: Any) -> None:
    with site(tmp_path, FILES, **more):
        assert check_is_served(None) == []
        assert check_build_shares(None) == []


def test_a_build_that_shares_some_of_it_is_fine(tmp_path: Path) -> None:
    with site(tmp_path, FILES, **SHARING) as shop:
        shop.collect()
        bind(shop, {"editor/editor.js": Reason.LOCATION})
        assert check_build_shares(None) == []


def test_a_build_from_before_the_option_is_fine(tmp_path: Path) -> None:
    with site(tmp_path, FILES, BUILD_VERSION="b1") as shop:
        shop.collect()
    with site(tmp_path, FILES, **SHARING):
        assert check_build_shares(None) == []


def test_a_build_that_shares_nothing_is_reported(tmp_path: Path) -> None:
    with site(tmp_path, FILES, **SHARING) as shop:
        shop.collect()
        bind(shop, dict.fromkeys(FILES, Reason.TYPE))
        warning = only(check_build_shares(None))
    assert ids([warning]) == ["W022"]
    assert warning.msg == (
        "shared_assets is on, and build b1 shares nothing: every deploy gives 5 files a new URL."
    )
    assert "staticbuilds show b1 --shared" in warning.hint


def test_files_without_a_hash_are_named(tmp_path: Path) -> None:
    with site(tmp_path, FILES, **SHARING) as shop:
        shop.collect()
        bind(shop, {"css/app.css": Reason.UNHASHED, "app.js": Reason.UNHASHED})
        warning = only(check_build_shares(None))
    assert ids([warning]) == ["W021"]
    assert warning.msg == (
        "2 files of build b1 without a hash in the name cannot be shared: app.js, css/app.css."
    )
    assert "file_hash()" in warning.hint


@pytest.mark.parametrize(
    ("kept", "globs"),
    [(False, ["editor/*"]), (("css/*",), ["css/*", "editor/*"])],
)
def test_a_bound_script_whose_neighbours_have_no_original_name_is_reported(
    tmp_path: Path, kept: Any, globs: list[str]
) -> None:
    with site(tmp_path, FILES, **SHARING) as shop:
        shop.collect()
        reasons = {"editor/editor.js": Reason.LOCATION, "css/app.css": Reason.URL}
        bind(shop, reasons, keep_originals=kept)
        warning = only(check_build_shares(None))
    assert ids([warning]) == ["W023"]
    assert warning.msg == (
        "Scripts of build b1 may compute the URLs of files beside them, and the build does not "
        "have those under their original names: "
        "editor/editor.js (3 files below editor)."
    )
    assert warning.hint == (
        f"'keep_originals': {globs!r}; or silence this check, if their pages work."
    )


@pytest.mark.parametrize(
    ("reasons", "kept"),
    [
        ({"editor/editor.js": Reason.LOCATION}, ("editor/*",)),
        ({"editor/editor.js": Reason.EXCLUDED}, False),
        ({}, False),
    ],
    ids=["kept", "taken out", "portable"],
)
def test_other_files_need_no_original_names(tmp_path: Path, reasons: Any, kept: Any) -> None:
    with site(tmp_path, FILES, **SHARING) as shop:
        shop.collect()
        bind(shop, reasons, keep_originals=kept)
        assert check_build_shares(None) == []


def test_a_script_at_the_root_has_every_file_below_it(tmp_path: Path) -> None:
    with site(tmp_path, FILES, **SHARING) as shop:
        shop.collect()
        bind(shop, {"app.js": Reason.WORKER}, keep_originals=False)
        warning = only(check_build_shares(None))
    assert "app.js (5 files below /)" in warning.msg
    assert warning.hint.startswith("'keep_originals': ['*'];")


def test_compressor_does_not_find_shared_assets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with site(tmp_path, **SHARING):
        assert check_compressor(None) == []
        monkeypatch.setattr(apps, "is_installed", lambda name: name == "compressor")
        assert ids([only(check_compressor(None))]) == ["W024"]
    with site(tmp_path, COMPRESS_ENABLED=False, **SHARING):
        assert check_compressor(None) == []


def test_a_build_on_s3_is_not_requested(tmp_path: Path) -> None:
    options = {"shared_assets": True}
    with s3.front(answer=lambda _: s3.refusal(500, "No", "No.")) as server:
        options["origin"] = {**ORIGIN, "endpoint_url": server.url}
        with site(tmp_path, BUILD_VERSION="b1", options=options):
            assert check_build_shares(None) == []
    assert server.requests == []
