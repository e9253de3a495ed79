import json
from copy import deepcopy
from dataclasses import replace

import pytest
from django.contrib.staticfiles.storage import ManifestStaticFilesStorage
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers import site
from versioned_storage.build.manifest import (
    Asset,
    Bound,
    BuildFile,
    Differences,
    Manifest,
    UnreadableManifest,
    content_digest,
    content_type,
    differences,
    matches_globs,
)
from versioned_storage.errors import VersionedStorageError

CSS = Asset(
    name="css/app.css",
    hashed_name="css/app.3f2a9c1b7d10.css",
    build="b1",
    size=1234,
    integrity="sha384-css",
    content_type="text/css; charset=utf-8",
    encodings={"gzip": 300, "br": 250},
)
PNG = Asset("a.png", "a.0123456789ab.png", "b1", 77, "sha384-png", "image/png")


def manifest_of(*assets, **more):
    return Manifest(
        paths={asset.name: asset.hashed_name for asset in assets},
        assets={asset.hashed_name: asset for asset in assets},
        **{"build": "b1", **more},
    )


FULL = manifest_of(
    CSS,
    PNG,
    hash="abcdef",
    content="c0ffee",
    encoders={"gzip": {"level": 9}, "br": {"window": 22, "quality": 11}},
    skip_compress_extensions=("gz", "png"),
)


def test_an_asset_knows_its_path_below_the_static_url():
    assert CSS.path == "b1/css/app.3f2a9c1b7d10.css"
    assert CSS.original_path == "b1/css/app.css"


def test_in_the_neutral_layout_the_path_is_the_name():
    neutral = replace(CSS, build=None)
    assert neutral.path == "css/app.3f2a9c1b7d10.css"
    assert neutral.original_path == "css/app.css"


def test_the_variants_are_identity_and_then_the_encodings_as_preferred():
    assert list(CSS.variants()) == [
        BuildFile("b1/css/app.3f2a9c1b7d10.css", CSS),
        BuildFile("b1/css/app.3f2a9c1b7d10.css.br", CSS, "br"),
        BuildFile("b1/css/app.3f2a9c1b7d10.css.gz", CSS, "gzip"),
    ]
    assert list(PNG.variants()) == [BuildFile("b1/a.0123456789ab.png", PNG)]


def test_an_asset_is_found_by_its_original_name():
    assert FULL.asset("css/app.css") is CSS
    assert FULL.asset("css/app.3f2a9c1b7d10.css") is None
    assert FULL.asset("gone.css") is None


def test_a_build_has_every_variant_under_both_names():
    assert [file.path for file in FULL.files()] == [
        "b1/css/app.3f2a9c1b7d10.css",
        "b1/css/app.3f2a9c1b7d10.css.br",
        "b1/css/app.3f2a9c1b7d10.css.gz",
        "b1/css/app.css",
        "b1/css/app.css.br",
        "b1/css/app.css.gz",
        "b1/a.0123456789ab.png",
        "b1/a.png",
    ]


def test_without_originals_a_build_has_the_hashed_names_alone():
    assert [file.path for file in replace(FULL, keep_originals=False).files()] == [
        "b1/css/app.3f2a9c1b7d10.css",
        "b1/css/app.3f2a9c1b7d10.css.br",
        "b1/css/app.3f2a9c1b7d10.css.gz",
        "b1/a.0123456789ab.png",
    ]


def test_an_asset_with_one_name_is_there_once():
    prehashed = replace(PNG, hashed_name=PNG.name)
    assert [file.path for file in manifest_of(prehashed).files()] == ["b1/a.png"]


def test_the_bytes_of_a_file_are_those_of_the_hashed_one_under_the_original_name_too():
    by_path = {file.path: file for file in FULL.files()}
    assert by_path["b1/css/app.css.br"] == BuildFile("b1/css/app.css.br", CSS, "br")
    assert by_path["b1/css/app.css.br"].source == "css/app.3f2a9c1b7d10.css.br"
    assert by_path["b1/a.png"].source == "a.0123456789ab.png"


def test_the_text_of_a_manifest_is_django_s_with_more_beside_it():
    assert json.loads(FULL.to_json()) == {
        "version": "1.1",
        "paths": {
            "a.png": "a.0123456789ab.png",
            "css/app.css": "css/app.3f2a9c1b7d10.css",
        },
        "hash": "abcdef",
        "format": 2,
        "build": "b1",
        "content": "c0ffee",
        "encoders": {"br": {"quality": 11, "window": 22}, "gzip": {"level": 9}},
        "skip_compress_extensions": ["gz", "png"],
        "keep_originals": True,
        "assets": {
            "a.0123456789ab.png": {
                "size": 77,
                "integrity": "sha384-png",
                "type": "image/png",
                "encodings": {},
            },
            "css/app.3f2a9c1b7d10.css": {
                "size": 1234,
                "integrity": "sha384-css",
                "type": "text/css; charset=utf-8",
                "encodings": {"br": 250, "gzip": 300},
            },
        },
    }


def test_the_text_is_sorted_whatever_the_order_was():
    turned = replace(
        manifest_of(PNG, replace(CSS, encodings={"br": 250, "gzip": 300})),
        hash="abcdef",
        content="c0ffee",
        encoders={"br": {"quality": 11, "window": 22}, "gzip": {"level": 9}},
        skip_compress_extensions=("gz", "png"),
    )
    text = FULL.to_json()
    assert turned.to_json() == text
    stored = json.loads(text)
    assert json.dumps(stored) == json.dumps(stored, sort_keys=True)


def test_what_was_written_is_read_back():
    assert Manifest.from_json(FULL.to_json()) == FULL


words = st.text(max_size=12)
lines = words.filter(str.isprintable)
filenames = words.filter(lambda name: "\0" not in name and "/" not in name and name != "..")
lines = words.filter(str.isprintable)
sizes = st.integers(min_value=0, max_value=2**53)


@st.composite
def manifests(draw):
    build = draw(st.none() | words)
    names = draw(st.lists(filenames, unique=True, max_size=5))
    assets = [
        Asset(
            name=name,
            hashed_name=f"{name}.{number}",
            build=build,
            size=draw(sizes),
            integrity=draw(lines),
            content_type=draw(lines),
            encodings=draw(st.dictionaries(st.sampled_from(["br", "gzip"]), sizes)),
            quality=draw(st.dictionaries(st.sampled_from(["br", "gzip"]), sizes)),
            made_of=draw(words),
        )
        for number, name in enumerate(names)
    ]
    return manifest_of(
        *assets,
        build=build,
        hash=draw(words),
        content=draw(words),
        encoders=draw(st.dictionaries(words, st.dictionaries(words, sizes), max_size=3)),
        skip_compress_extensions=tuple(draw(st.lists(words, max_size=3))),
        keep_originals=draw(st.booleans()),
    )


@settings(max_examples=30)
@given(manifests())
def test_any_manifest_is_read_back_as_it_was_and_written_again_the_same(manifest):
    text = manifest.to_json()
    assert Manifest.from_json(text) == manifest
    assert Manifest.from_json(text).to_json() == text
    text.encode("ascii")


def test_the_first_format_of_django_is_read():
    manifest = Manifest.from_json('{"paths": {"a.css": "a.1.css"}, "version": "1.0"}')
    assert manifest == Manifest({"a.css": "a.1.css"})
    assert manifest.hash == ""
    assert manifest.build is None


def test_the_format_that_django_writes_is_read(tmp_path):
    backend = "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"
    with site(tmp_path, {"a.css": "b {}"}, backend=backend) as here:
        here.collect()
        text = (here.root / "staticfiles.json").read_text()
        manifest = Manifest.from_json(text)
        assert manifest.paths == json.loads(text)["paths"]
        assert manifest.hash == json.loads(text)["hash"] != ""
        assert manifest.assets == {}
        assert manifest.asset("a.css") is None
        assert list(manifest.files()) == []
        # Written by us it still says to Django what it said before.
        (here.root / "staticfiles.json").write_text(manifest.to_json())
        assert ManifestStaticFilesStorage().hashed_files == manifest.paths
        assert ManifestStaticFilesStorage().manifest_hash == manifest.hash


def test_django_reads_the_manifest_of_a_build(tmp_path):
    with site(tmp_path, {"a.css": "b { background: url(x.png) }", "x.png": ""}) as here:
        here.collect()
        storage = ManifestStaticFilesStorage()
        assert storage.hashed_files == here.storage.manifest.paths
        assert sorted(storage.hashed_files) == ["a.css", "x.png"]
        assert storage.manifest_hash == here.storage.manifest.hash


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "it is not JSON (Expecting value: line 1 column 1 (char 0))"),
        ("<html>", "it is not JSON (Expecting value: line 1 column 1 (char 0))"),
        ("[]", "its version is None, known are 1.0, 1.1"),
        ("null", "its version is None, known are 1.0, 1.1"),
        ('{"paths": {}}', "its version is None, known are 1.0, 1.1"),
        ('{"version": "2.0"}', "its version is '2.0', known are 1.0, 1.1"),
        ('{"version": 1.1}', "its version is 1.1, known are 1.0, 1.1"),
        (
            '{"version": "1.1", "paths": {}, "assets": {"a.1.css": {}}}',
            "it lacks what a manifest has (KeyError: 'a.1.css')",
        ),
        (
            '{"version": "1.1", "paths": {"a.css": "a.1.css"}, "assets": {"a.1.css": {}}}',
            "it lacks what a manifest has (KeyError: 'size')",
        ),
    ],
)
def test_what_is_no_manifest_is_said_with_the_reason(text, reason):
    with pytest.raises(UnreadableManifest) as caught:
        Manifest.from_json(text)
    assert str(caught.value) == (
        f"Couldn't load manifest 'staticfiles.json' (version 1.1): {reason}. "
        "Run collectstatic again, with --clear if the file does not belong there."
    )
    assert caught.value.reason == reason
    assert isinstance(caught.value, VersionedStorageError)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize("paths", ["null", "5", '"text"', "[1]"])
def test_paths_that_are_no_mapping_are_unreadable(paths):
    with pytest.raises(UnreadableManifest, match="it lacks what a manifest has"):
        Manifest.from_json(f'{{"version": "1.1", "paths": {paths}}}')


def test_an_unreadable_manifest_is_named():
    with pytest.raises(UnreadableManifest, match=r"Couldn't load manifest 'mine\.json' ") as caught:
        Manifest.from_json("", name="mine.json")
    assert caught.value.name == "mine.json"


def test_two_builds_differ_in_what_was_added_removed_and_changed():
    old = manifest_of(CSS, PNG)
    new = manifest_of(
        replace(CSS, hashed_name="css/app.new.css", integrity="sha384-new"),
        replace(PNG, name="b.png", hashed_name="b.1.png"),
        replace(PNG, name="0.png", hashed_name="0.1.png"),
    )
    assert differences(old, new) == Differences(
        added=("0.png", "b.png"), removed=("a.png",), changed=("css/app.css",)
    )
    assert differences(new, old) == Differences(
        added=("a.png",), removed=("0.png", "b.png"), changed=("css/app.css",)
    )


def test_a_name_that_keeps_its_hash_but_not_its_bytes_has_changed():
    changed = differences(manifest_of(PNG), manifest_of(replace(PNG, integrity="sha384-other")))
    assert changed == Differences((), (), ("a.png",))


def test_the_sizes_of_encodings_and_the_build_are_no_difference():
    other = replace(CSS, encodings={"br": 1}, build="b2")
    assert differences(manifest_of(CSS), manifest_of(other)) == Differences((), (), ())


def test_differences_are_listed_by_kind():
    assert str(Differences(("a.css", "b.css"), ("c.css",), ("d.css",))) == (
        "  added (2): a.css, b.css\n  removed (1): c.css\n  changed (1): d.css"
    )
    assert str(Differences((), (), ("d.css",))) == "  changed (1): d.css"


def test_of_many_differences_ten_are_listed_and_the_rest_counted():
    names = tuple(f"{number:04}" for number in range(1010))
    ten = ", ".join(names[:10])
    assert str(Differences(names, (), ())) == f"  added (1,010): {ten} and 1,000 more"
    assert str(Differences(names[:11], (), ())) == f"  added (11): {ten} and 1 more"
    assert str(Differences(names[:10], (), ())) == f"  added (10): {ten}"


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            {"keep_originals": True},
            {"keep_originals": False},
            "keep_originals False instead of True",
        ),
        (
            {"keep_originals": True},
            {"keep_originals": ("js/*",)},
            "keep_originals ('js/*',) instead of True",
        ),
        (
            {"encoders": {"br": {"quality": 11}}},
            {"encoders": {"gzip": {"level": 9}}},
            "encodings with gzip\n  encodings without br",
        ),
        (
            {"skip_compress_extensions": ("png",)},
            {"skip_compress_extensions": ("map", "png", "webp")},
            "skip_compress_extensions with map, webp",
        ),
        (
            {"shared_prefix": ""},
            {"shared_prefix": "_shared"},
            "shared_prefix '_shared' instead of ''",
        ),
    ],
)
def test_builds_of_the_same_assets_differ_in_the_options_that_are_listed(old, new, expected):
    assert str(differences(manifest_of(CSS, **old), manifest_of(CSS, **new))) == f"  {expected}"


def test_builds_can_differ_in_what_they_share():
    shared = replace(CSS, shared_prefix="_shared")
    assert differences(manifest_of(CSS, PNG), manifest_of(shared, PNG)).options == (
        f"shared_assets with {CSS.name}",
    )
    assert differences(manifest_of(PNG), manifest_of(shared, PNG)).options == ()


def test_a_manifest_that_django_wrote_differs_in_its_assets_only():
    options = {"keep_originals": False, "encoders": {"br": {}}}
    assert differences(manifest_of(build=None), manifest_of(CSS, **options)).options == ()


def test_builds_of_the_same_assets_and_options_differ_in_the_version_of_the_package():
    assert (
        str(Differences((), (), ())) == "  the same assets, made by another version of this package"
    )


def test_the_content_digest_is_that_of_names_bytes_and_options():
    options = {"keep_originals": True, "encodings": ("br", "gzip")}
    digest = content_digest([CSS, PNG], options)
    assert len(digest) == 64
    rest = [
        content_digest([CSS], options),
        content_digest([CSS, replace(PNG, name="b.png")], options),
        content_digest([CSS, replace(PNG, hashed_name="a.1.png")], options),
        content_digest([CSS, replace(PNG, integrity="sha384-other")], options),
        content_digest([CSS, PNG], {**options, "keep_originals": False}),
        content_digest([CSS, PNG], {**options, "encodings": ("br",)}),
    ]
    assert len({digest, *rest}) == 7


def test_the_content_digest_knows_neither_order_nor_build_nor_encoded_bytes():
    options = {"keep_originals": True, "encodings": ("br", "gzip")}
    turned = {"encodings": ["br", "gzip"], "keep_originals": True}
    elsewhere = replace(CSS, build="b2", encodings={"br": 1})
    digest = content_digest([CSS, PNG], options)
    assert content_digest(iter([PNG, elsewhere]), turned) == digest


def test_the_content_digest_is_the_same_in_every_release():
    """Builds on S3 are recognised by it for years: only a new FORMAT may change it."""
    digest = content_digest([CSS, PNG], {"keep_originals": True, "encodings": ["br", "gzip"]})
    assert digest == "bbe9e3258304d0318b81bc593eefa4aa34ef28c259d18ede19194ea51b8df9ea"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("css/app.css", "text/css; charset=utf-8"),
        ("app.js", "text/javascript; charset=utf-8"),
        ("app.mjs", "text/javascript; charset=utf-8"),
        ("app.cjs", "text/javascript; charset=utf-8"),
        ("APP.CSS", "text/css; charset=utf-8"),
        ("index.html", "text/html; charset=utf-8"),
        ("robots.txt", "text/plain; charset=utf-8"),
        ("feed.xml", "text/xml; charset=utf-8"),
        ("img/logo.svg", "image/svg+xml"),
        ("data.json", "application/json"),
        ("app.js.map", "application/json"),
        ("site.webmanifest", "application/manifest+json"),
        ("a.png", "image/png"),
        ("a.woff", "font/woff"),
        ("a.woff2", "font/woff2"),
        ("a.ttf", "font/ttf"),
        ("a.otf", "font/otf"),
        ("a.wasm", "application/wasm"),
        ("favicon.ico", "image/x-icon"),
        ("LICENSE", "application/octet-stream"),
        ("a.wav", "audio/wav"),
        ("a.opus", "audio/ogg"),
        ("a.vtt", "text/vtt; charset=utf-8"),
        ("a.csv", "text/csv; charset=utf-8"),
        ("a.geojson", "application/geo+json"),
        ("a.glb", "model/gltf-binary"),
        ("a.gltf", "model/gltf+json"),
        ("a.jxl", "image/jxl"),
        ("a.yaml", "application/yaml"),
        ("a.csv.gz", "application/gzip"),
        ("a.unheard-of", "application/octet-stream"),
    ],
)
def test_the_content_type_of_a_name(name, expected):
    assert content_type(name) == expected


GOOD = json.loads(FULL.to_json())


def spoiled(*keys, value):
    """The text of a good manifest with another value in one place."""
    stored = deepcopy(GOOD)
    place = stored
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    return json.dumps(stored)


ODD = [None, True, 7, -1, 1.5, "x", [], ["x"], {}, {"x": "y"}, {"x": None}, [[]]]
PLACES = [
    ["paths"],
    ["paths", "a.png"],
    ["hash"],
    ["build"],
    ["content"],
    ["encoders"],
    ["encoders", "br"],
    ["encoders", "br", "quality"],
    ["skip_compress_extensions"],
    ["keep_originals"],
    ["assets"],
    ["assets", "a.0123456789ab.png"],
    *(
        ["assets", "a.0123456789ab.png", key]
        for key in ("size", "integrity", "type", "encodings", "sha256", "quality", "made_of")
    ),
]


@pytest.mark.parametrize("keys", PLACES, ids=".".join)
@pytest.mark.parametrize("value", ODD, ids=repr)
def test_a_value_of_another_type_is_never_another_error(keys, value):
    try:
        manifest = Manifest.from_json(spoiled(*keys, value=value))
    except UnreadableManifest:
        return
    # What is read can be used and written.
    assert Manifest.from_json(manifest.to_json()) == manifest
    assert all(isinstance(file.path, str) for file in manifest.files())


@pytest.mark.parametrize(
    "text",
    [
        "[" * 200_000,
        '{"a":' * 200_000,
        '{"version": ' + "[" * 200_000 + "]" * 200_000 + "}",
        '{"version": ' + "[" * 500 + "]" * 500 + "}",
        '{"version": "1.1", "paths": ' + '{"a":' * 200_000 + "1" + "}" * 200_001,
        '{"version": "1.1", "assets": {"a": {"size": 1' + "0" * 5000 + "}}}",
    ],
    ids=range(6),
)
def test_what_is_nested_or_long_beyond_reason_is_no_manifest(text):
    with pytest.raises(UnreadableManifest):
        Manifest.from_json(text)


@pytest.mark.parametrize(
    "name", ["a\0b.css", "../a.css", "a/../../b.css", "/etc/passwd", "\ud800.css"]
)
@pytest.mark.parametrize("is_hashed", [True, False])
def test_a_name_that_is_of_no_file_below_a_build_is_no_manifest(name, is_hashed):
    paths = {"a.css": name} if is_hashed else {name: "a.css"}
    with pytest.raises(UnreadableManifest, match="is not the name of a file"):
        Manifest.from_json(json.dumps({"version": "1.1", "paths": paths}))


def test_a_shared_asset_has_one_path_for_all_builds_and_its_original_stays_in_the_build():
    asset = Asset("a.css", "a.1.css", "b1", 1, "sha384-x", "text/css", shared_prefix="_shared")

    assert asset.path == "_shared/a.1.css"
    assert asset.original_path == "b1/a.css"


def test_the_marks_of_shared_assets_survive_a_round_trip():
    shared = Asset("a.css", "a.1.css", "b1", 1, "sha384-x", "text/css", shared_prefix="_shared")
    cause = Bound("c.js", "asks where it was loaded from", "document.currentScript")
    bound = Asset("b.js", "b.2.js", "b1", 1, "sha384-y", "text/javascript", bound=cause)
    manifest = Manifest(
        {"a.css": "a.1.css", "b.js": "b.2.js"},
        build="b1",
        keep_originals=("*.js",),
        shared_prefix="_shared",
        shared_rules=1,
        assets={"a.1.css": shared, "b.2.js": bound},
    )

    read = Manifest.from_json(manifest.to_json())

    assert read == manifest
    assert [file.path for file in read.files()] == ["_shared/a.1.css", "b1/b.2.js", "b1/b.js"]


def test_without_shared_assets_a_manifest_does_not_mention_them():
    asset = Asset("a.css", "a.1.css", "b1", 1, "sha384-x", "text/css")

    text = Manifest({"a.css": "a.1.css"}, build="b1", assets={"a.1.css": asset}).to_json()

    assert "shared" not in text


@pytest.mark.parametrize(
    "shared", [1, {"prefix": "shared", "rules": 1}, {"prefix": "_a/b", "rules": 1}, {"rules": 1}]
)
def test_another_mark_than_that_of_shared_assets_is_refused(shared):
    stored = {"version": "1.1", "paths": {}, "shared": shared}

    with pytest.raises(UnreadableManifest):
        Manifest.from_stored(stored)


def test_globs_take_in_and_an_exclamation_mark_takes_out():
    assert matches_globs("js/app.js", ["js/*", "!js/loader.js"])
    assert not matches_globs("js/loader.js", ["js/*", "!js/loader.js"])
    assert not matches_globs("css/app.css", ["js/*"])


def test_a_mark_of_a_shared_asset_changes_the_content_digest():
    bound = Asset("a.css", "a.1.css", "b1", 1, "sha384-x", "text/css")
    shared = replace(bound, shared_prefix="_shared")

    assert content_digest([bound], {}) != content_digest([shared], {})
