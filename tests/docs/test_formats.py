"""docs/formats.md names every key of a manifest and of a record."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import datetime, timezone

from tests.docs.reader import DOCS
from versioned_storage.build.manifest import Asset, Bound, Manifest
from versioned_storage.constants import CACHE_CONTROL
from versioned_storage.origin.record import Record, State

PAGE = (DOCS / "formats.md").read_text(encoding="utf-8")
ASSET = Asset(
    name="a.css",
    hashed_name="a.0123456789ab.css",
    build="v1",
    size=1,
    integrity="sha384-x",
    content_type="text/css",
    sha256={"identity": "0"},
    quality={"br": 10},
    made_of="0",
)
SHARED = replace(
    ASSET,
    name="b.css",
    hashed_name="b.0123456789ab.css",
    shared_prefix="_shared",
    etags={"identity": "0"},
)
BOUND = replace(
    ASSET, name="c.js", hashed_name="c.0123456789ab.js", bound=Bound("c.js", "url", "import()")
)
ASSETS = (ASSET, SHARED, BOUND)
MANIFEST = Manifest(
    paths={asset.name: asset.hashed_name for asset in ASSETS},
    build="v1",
    assets={asset.hashed_name: asset for asset in ASSETS},
    shared_prefix="_shared",
    shared_rules=1,
)
RECORD = Record("v1", State.PUBLISHED, "0", datetime.now(timezone.utc), manifest=MANIFEST)


def keys(begin: str, end: str) -> set[str]:
    """The first cells of the tables between two headings or sentences."""
    section = PAGE.partition(begin)[2].partition(end)[0]
    cells = re.findall(r"^\| (`.*?`) \|", section, re.MULTILINE)
    return set(re.findall(r"`(\w+)`", " ".join(cells)))


def test_every_key_of_a_manifest_is_named() -> None:
    stored = json.loads(MANIFEST.to_json())
    assert keys("## The manifest", "An entry of") == stored.keys()
    assert keys("An entry of", "## The record") == {
        key for asset in stored["assets"].values() for key in asset
    }


def test_every_key_and_state_of_a_record_is_named() -> None:
    publishing = RECORD.relying_on(MANIFEST)
    published = publishing.published(MANIFEST, RECORD.since)
    stored = [json.loads(record.to_json()).keys() for record in (publishing, published)]
    assert keys("## The record", "## Headers") == stored[0] | stored[1]
    assert all(f"`{state.value}`" in PAGE for state in State)


def test_the_cache_header_is_that_of_the_code() -> None:
    assert f"`{CACHE_CONTROL}`" in PAGE
