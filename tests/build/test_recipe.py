"""The options that decide which files a build has."""

from dataclasses import replace

import pytest
from django.core.files.storage import FileSystemStorage

from versioned_storage.build.recipe import Recipe

RECIPE = Recipe("b1", {"br": {}, "gzip": {}}, ("gz", "png"), keep_originals=True)


def test_the_extension_decides_whether_a_file_is_encoded():
    assert RECIPE.is_eligible("css/app.css")
    assert not RECIPE.is_eligible("img/logo.PNG")
    assert not replace(RECIPE, encodings={}).is_eligible("css/app.css")


def test_the_names_of_encodings_are_those_of_eligible_files():
    names = RECIPE.names_of_encodings(["a.css", "l.png", "b.css.gz"])
    assert names == {"a.css.br", "a.css.gz"}


def test_what_a_bundler_encoded_is_known_by_its_name():
    storage = FileSystemStorage()
    names = ["a.css", "a.css.br", "a.css.gz", "b.css.gz", "l.png", "l.png.gz"]
    sources = {name: (storage, name) for name in names}
    assert RECIPE.prebuilt(sources) == {
        "a.css": {"br": (storage, "a.css.br"), "gzip": (storage, "a.css.gz")}
    }


def test_a_prehashed_encoding_has_no_other_name():
    sources = dict.fromkeys(
        ["a.css", "a.css.br", "a.css.gz", "b.css.gz"], (FileSystemStorage(), "")
    )
    recipe = replace(RECIPE, prehashed=lambda name: name in ("a.css.br", "b.css.gz"))
    assert recipe.encodings_only(sources) == {"a.css.br"}


@pytest.mark.parametrize(
    ("name", "quality"),
    [
        ("css/app.css", {"br": 10, "gzip": 9}),
        ("js/app.js.map", {"br": 5, "gzip": 1}),
        ("js/main.js", {"br": 11, "gzip": 9}),
    ],
)
def test_the_last_glob_that_matches_decides_the_quality(name, quality):
    qualities = {"br": {"*": 10, "*.map": 5, "js/main.js": 11}, "gzip": {"*.map": 1}}
    assert replace(RECIPE, encodings=qualities).quality(name) == quality
