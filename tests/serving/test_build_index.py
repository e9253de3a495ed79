"""Which builds there are, as their manifests say."""

from __future__ import annotations

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.shared import Clock
from versioned_storage.build.manifest import Asset, Manifest
from versioned_storage.constants import MANIFEST_NAME
from versioned_storage.serving import build_index as module
from versioned_storage.serving.build_index import LRU, BuildIndex


@pytest.fixture
def index(tmp_path: Path, clock: Clock) -> BuildIndex:
    """The index of an empty STATIC_ROOT."""
    index = BuildIndex(MANIFEST_NAME)
    index.root = str(tmp_path)
    return index


def asset(build: str, name: str, hashed_name: str) -> Asset:
    return Asset(name, hashed_name, build, 10, "sha384-AAAA", "text/css", {"br": 5, "gzip": 6})


def put(root: Path, build: str, *, named: str | None = None, keep_originals: bool = True) -> Path:
    """A manifest of one style sheet and one dotfile, and nothing that it tells of."""
    assets = [asset(build, "app.css", "app.1.css"), asset(build, ".env", ".env.1")]
    manifest = Manifest(
        paths={asset.name: asset.hashed_name for asset in assets},
        build=named or build,
        keep_originals=keep_originals,
        assets={asset.hashed_name: asset for asset in assets},
    )
    path = root / build / MANIFEST_NAME
    path.parent.mkdir(exist_ok=True)
    path.write_text(manifest.to_json())
    return path


def test_builds_are_read_without_a_look_at_their_files(tmp_path: Path, index: BuildIndex) -> None:
    put(tmp_path, "b1")
    put(tmp_path, "b2")
    (tmp_path / "css").mkdir()
    (tmp_path / "b3").write_text("a file")
    index.read()
    assert len(index) == 2
    build = index.get("b1")
    assert build is not None
    assert build.directory == str(tmp_path / "b1")
    assert build.completed_at == int((tmp_path / "b1" / MANIFEST_NAME).stat().st_mtime)


def test_a_file_is_found_by_either_name_and_by_those_of_its_encodings(
    tmp_path: Path, index: BuildIndex
) -> None:
    put(tmp_path, "b1")
    build = index.refresh("b1")
    assert build is not None
    for name in ("app.css", "app.1.css"):
        for suffix, encoding in (("", None), (".br", "br"), (".gz", "gzip")):
            match = build.lookup(name + suffix)
            assert match is not None
            assert (match[0].hashed_name, match[1]) == ("app.1.css", encoding)
    for name in ("", "app.2.css", "app.css.zst", "app.css.br.br", ".br", MANIFEST_NAME, "../b1"):
        assert build.lookup(name) is None


def test_a_dotfile_is_not_found_by_any_name(tmp_path: Path, index: BuildIndex) -> None:
    put(tmp_path, "b1")
    build = index.refresh("b1")
    assert build is not None
    assert [build.lookup(name) for name in (".env", ".env.1", ".env.br")] == [None] * 3


def test_a_build_without_originals_has_the_hashed_names_alone(
    tmp_path: Path, index: BuildIndex
) -> None:
    put(tmp_path, "b1", keep_originals=False)
    build = index.refresh("b1")
    assert build is not None
    assert build.lookup("app.css") is None
    assert build.lookup("app.1.css") is not None


def test_no_root_or_none_that_exists_has_no_builds(tmp_path: Path) -> None:
    index = BuildIndex(MANIFEST_NAME)
    index.read()
    assert index.refresh("b1") is None
    index.root = str(tmp_path / "missing")
    index.read()
    assert len(index) == 0


def test_a_build_that_appears_is_found_within_a_second(
    tmp_path: Path, index: BuildIndex, clock: Clock
) -> None:
    assert index.refresh("b1") is None
    put(tmp_path, "b1")
    assert index.refresh("b1") is None
    clock.now += 1
    assert index.refresh("b1") is not None


def test_a_build_that_went_is_forgotten(tmp_path: Path, index: BuildIndex, clock: Clock) -> None:
    put(tmp_path, "b1")
    assert index.refresh("b1") is not None
    shutil.rmtree(tmp_path / "b1")
    clock.now += 1
    assert index.refresh("b1") is None
    assert len(index) == 0


def test_builds_that_came_and_went_are_noticed_together(
    tmp_path: Path, index: BuildIndex, clock: Clock
) -> None:
    put(tmp_path, "b1")
    index.refresh_all()
    assert index.get("b1") is not None
    shutil.rmtree(tmp_path / "b1")
    put(tmp_path, "b2")
    index.refresh_all()
    assert index.get("b2") is None
    clock.now += 1
    index.refresh_all()
    assert index.get("b2") is not None
    assert (index.get("b1"), len(index)) == (None, 1)


def test_a_build_is_read_again_only_when_its_manifest_is_another(
    tmp_path: Path, index: BuildIndex, clock: Clock
) -> None:
    path = put(tmp_path, "b1")
    first = index.refresh("b1")
    clock.now += 1
    assert index.refresh("b1") is first
    clock.now += 1
    os.utime(path, (1, 1))
    again = index.refresh("b1")
    assert again is not first
    assert again is not None
    assert again.completed_at == 1


def test_names_that_anybody_may_ask_for_are_not_remembered_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "REMEMBERED_NAMES", 8)
    index = BuildIndex(MANIFEST_NAME)
    index.root = str(tmp_path)
    put(tmp_path, "b1")
    for number in range(100):
        assert index.refresh(f"x{number}") is None
    assert len(index._refreshed_at) <= 8
    assert index.refresh("b1") is not None


@pytest.mark.parametrize("name", ["", ".", "..", "../b1", "b1/", ".git", "b1\0", "a" * 65, "b\n1"])
def test_a_name_that_no_build_can_have_is_not_looked_for(
    index: BuildIndex, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(Path, "stat", lambda _: pytest.fail("the disk was asked"))
    assert index.refresh(name) is None


@pytest.mark.parametrize(
    "text", ["{", '{"version": "9"}', '{"version": "1.1", "assets": 1}', "\xff"]
)
def test_a_manifest_that_cannot_be_read_is_said_and_not_served(
    tmp_path: Path, index: BuildIndex, caplog: pytest.LogCaptureFixture, text: str
) -> None:
    path = put(tmp_path, "b1")
    path.write_bytes(text.encode("latin-1"))
    assert index.refresh("b1") is None
    assert "The build b1 is not served:" in caplog.text


def test_a_manifest_that_stays_unreadable_is_said_once(
    tmp_path: Path, index: BuildIndex, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    path = put(tmp_path, "b1")
    path.write_text("{")
    for _ in range(3):
        index.read()
        clock.now += 1
        index.refresh("b1")
    assert caplog.text.count("The build b1 is not served:") == 1
    path.write_text("{ ")
    index.read()
    assert caplog.text.count("The build b1 is not served:") == 2


def test_a_manifest_of_another_name_is_no_build(tmp_path: Path, index: BuildIndex) -> None:
    """An app may bring a file of that name along, and somebody may copy a build."""
    put(tmp_path, "b1", named="b2")
    assert index.refresh("b1") is None


def test_who_asks_while_a_build_is_read_waits_for_it(tmp_path: Path, index: BuildIndex) -> None:
    put(tmp_path, "b1")
    with ThreadPoolExecutor(8) as pool:
        builds = list(pool.map(index.refresh, ["b1"] * 64))
    assert None not in builds
    assert len({id(build) for build in builds}) == 1


def test_the_value_that_was_not_used_for_the_longest_time_goes() -> None:
    values: LRU[int] = LRU(2)
    values.put("a", 1)
    values.put("b", 2)
    assert values.get("a") == 1
    values.put("c", 3)
    assert (values.get("a"), values.get("b"), values.get("c")) == (1, None, 3)
    assert len(values) == 2


def test_a_name_has_its_last_value_until_it_is_removed() -> None:
    values: LRU[int] = LRU(2)
    values.put("a", 1)
    values.put("a", 2)
    assert values.get("a") == 2
    values.remove("a")
    values.remove("a")
    assert values.get("a") is None
