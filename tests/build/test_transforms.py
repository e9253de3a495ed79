"""The option `transforms`: functions of the site change sources before they are fingerprinted."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from django.core.management.base import CommandError

from tests.helpers import site, tree
from versioned_storage.content_version import derive_build_version, find_sources
from versioned_storage.validators import InvalidOption

FILES = {
    "css/app.css": "body  {  background: url(../img/a.svg)  }",
    "css/vendor.css": "p  {  }",
    "img/a.svg": "<svg/>",
    "big.txt": "ab  " * 100_000,
}


def squeezed(name: str, data: bytes) -> bytes:
    """A minifier."""
    return data.replace(b"  ", b" ")


def signed(name: str, data: bytes) -> bytes:
    return data + f"/* {name} */".encode()


def text(name: str, data: bytes) -> Any:
    return data.decode()


def failing(name: str, data: bytes) -> bytes:
    raise ValueError("no such colour")


PATH = f"{__name__}.squeezed"
TRANSFORMS = [("css/*.css", PATH), ("css/app.css", signed), ("*.txt", squeezed)]


def built(tmp_path: Path, transforms: Any, build: str | None = "b1", **options: Any) -> Any:
    """The text of each asset of a build."""
    options = {"transforms": transforms, **options}
    with site(tmp_path, FILES, options=options, BUILD_VERSION=build) as shop:
        shop.collect()
        directory = Path(shop.storage.location)
        return {
            name: (directory / hashed_name).read_text()
            for name, hashed_name in shop.storage.hashed_files.items()
        }, tree(directory)


@pytest.mark.parametrize("shared", [False, True])
def test_functions_are_applied_in_order_to_what_their_globs_name(
    tmp_path: Path, shared: bool
) -> None:
    assets, files = built(tmp_path, TRANSFORMS, shared_assets=shared)
    assert assets["css/vendor.css"] == "p { }"
    assert assets["css/app.css"].startswith("body { background: url(")
    assert "/img/a." in assets["css/app.css"]
    assert assets["css/app.css"].endswith("}/* css/app.css */")
    assert assets["big.txt"] == "ab " * 100_000
    assert assets["img/a.svg"] == FILES["img/a.svg"]
    # Under its original name an asset has the same bytes.
    assert files["css/vendor.css"] == b"p { }"


def test_a_name_has_the_hash_of_what_became_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    _, files = built(tmp_path / "plain", [])
    (tmp_path / "other").mkdir()
    _, other_files = built(tmp_path / "other", [("css/vendor.css", PATH)])
    changed = {name for name in files if name not in other_files and ".css" in name}
    assert {name.rpartition("/")[2].partition(".")[0] for name in changed} == {"vendor"}


def test_collecting_the_same_again_changes_nothing(tmp_path: Path) -> None:
    options = {"transforms": TRANSFORMS}
    with site(tmp_path, FILES, options=options, BUILD_VERSION="b1") as shop:
        shop.collect()
        before = tree(shop.root)
        shop.collect()
        assert tree(shop.root) == before


def test_the_derived_build_version_is_that_of_what_becomes_of_the_files(tmp_path: Path) -> None:
    versions = set()
    for transforms in ([], [("css/*", squeezed)], [("css/*", squeezed), ("css/*", signed)]):
        with site(tmp_path, FILES, options={"transforms": transforms}) as shop:
            versions.add(derive_build_version(find_sources(), shop.storage))
    assert len(versions) == 3


def test_a_path_that_leads_to_no_function_is_an_error_of_the_option(tmp_path: Path) -> None:
    options = {"transforms": [("*", "tests.helpers.minified")]}
    with (
        site(tmp_path, FILES, options=options, BUILD_VERSION="b1") as shop,
        pytest.raises(
            CommandError, match=r"The option transforms names tests\.helpers\.minified: "
        ),
    ):
        shop.collect()


class Counted:
    """A function with a version, which notes the files that it is called for."""

    def __init__(self, version: str) -> None:
        self.version = version
        self.names: list[str] = []

    def __call__(self, name: str, data: bytes) -> bytes:
        self.names.append(name)
        return squeezed(name, data)


@pytest.mark.parametrize(("version", "names"), [("1", ["css/app.css"]), ("2", list(FILES)[:2])])
def test_a_function_with_a_version_is_called_for_files_that_changed(
    tmp_path: Path, version: str, names: list[str]
) -> None:
    built(tmp_path, [("css/*", Counted("1"))])
    function = Counted(version)
    # References were rewritten in the other style sheet after the function had made it.
    assets, _ = built(tmp_path, [("css/*", function)], build="b2")
    assert function.names == names
    assert assets["css/vendor.css"] == "p { }"


def test_a_complete_build_calls_no_function_with_a_version(tmp_path: Path) -> None:
    built(tmp_path, [("*.txt", Counted("1"))])
    function = Counted("1")
    built(tmp_path, [("*.txt", function)])
    assert function.names == []


def test_a_damaged_result_of_the_last_build_is_made_again(tmp_path: Path) -> None:
    built(tmp_path, [("*.txt", Counted("1"))])
    (damaged,) = tmp_path.rglob("b1/big.*.txt")
    damaged.write_bytes(b"other")
    function = Counted("1")
    assets, _ = built(tmp_path, [("*.txt", function)], build="b2")
    assert function.names == ["big.txt"]
    assert assets["big.txt"] == "ab " * 100_000


def test_the_derived_build_version_needs_no_result_of_a_function_with_a_version(
    tmp_path: Path,
) -> None:
    function = Counted("1")
    versions = set()
    for transforms in ([], [("css/*", function)], [("css/*", Counted("2"))]):
        with site(tmp_path, FILES, options={"transforms": transforms}) as shop:
            versions.add(derive_build_version(find_sources(), shop.storage))
    assert len(versions) == 3
    assert function.names == []


def test_files_are_transformed_on_all_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("versioned_storage.build.transforms.available_cores", lambda: 2)
    both = Barrier(2, timeout=5)

    def waiting(name: str, data: bytes) -> bytes:
        both.wait()
        return data

    built(tmp_path, [("css/*", waiting)])


def test_without_a_build_version_sources_stay_as_they_are(tmp_path: Path) -> None:
    assets, _ = built(tmp_path, TRANSFORMS, build=None)
    assert assets["css/vendor.css"] == FILES["css/vendor.css"]


@pytest.mark.parametrize(
    ("function", "reason"),
    [(failing, r"ValueError\('no such colour'\)"), (text, "it returned str")],
)
def test_a_function_that_fails_is_named_with_its_file(
    tmp_path: Path, function: Any, reason: str
) -> None:
    # Django 6.1 has another CommandError around it.
    with pytest.raises(CommandError, match=rf"{function.__name__}.* css/app\.css: {reason}\."):
        built(tmp_path, [("css/app.css", function)])


def test_a_function_without_a_name_that_fails_is_described(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"functools\.partial\(.*no such colour"):
        built(tmp_path, [("css/app.css", partial(failing))])


@pytest.mark.parametrize(
    "value", ["css/*", [("css/*",)], [("css/*", "squeezed")], [("css/*", 1)], 1]
)
def test_each_entry_is_a_glob_and_a_function(tmp_path: Path, value: Any) -> None:
    with pytest.raises(
        InvalidOption, match=r"takes a list of globs of names, each with a function"
    ):
        built(tmp_path, value)
