"""A build on disk against its manifest."""

from pathlib import Path

import pytest

from tests.helpers import site
from versioned_storage.build.damage import Damage, DamagedBuild, damages
from versioned_storage.build.directory import BuildDirectory

FILES = {"css/app.css": "a{color:red}", "img/l.png": b"\x89PNG"}


@pytest.fixture
def build(tmp_path):
    with site(tmp_path, FILES, BUILD_VERSION="b1") as shop:
        shop.collect()
        yield shop.storage.manifest, BuildDirectory(Path(shop.storage.location))


def test_an_intact_build_has_no_damage(build):
    assert list(damages(*build)) == []


def test_missing_and_changed_files_are_damage(build):
    manifest, directory = build
    css, png = manifest.paths["css/app.css"], manifest.paths["img/l.png"]
    directory.remove(css)
    directory.write(png, [b"other"])
    assert list(damages(manifest, directory)) == [
        Damage(css, "is missing"),
        Damage(png, "has changed"),
    ]


def test_an_encoding_that_does_not_decode_is_damage_and_a_missing_one_is_not(build):
    manifest, directory = build
    css = manifest.paths["css/app.css"]
    directory.remove(f"{css}.br")
    directory.write(f"{css}.gz", [b"no gzip"])
    assert list(damages(manifest, directory)) == [Damage(f"{css}.gz", f"does not decode to {css}")]


def test_the_error_shows_the_first_ten():
    error = DamagedBuild("b1", "root/b1", [Damage(f"{n}.css", "is missing") for n in range(12)])
    assert str(error).splitlines()[10:] == [
        "  9.css is missing",
        "  and 2 more",
        (
            "Copy the whole directory again, or run collectstatic with BUILD_VERSION=b1, which "
            "restores the files."
        ),
    ]
