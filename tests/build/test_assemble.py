import errno
import gzip
import os
import re
from contextlib import contextmanager
from pathlib import Path

import brotli
import pytest
from django.core.files.storage import FileSystemStorage
from django.core.management import CommandError

from tests.helpers import site, write
from versioned_storage.build import compression
from versioned_storage.build.assemble import BuildIsComplete, encoding_jobs, make_manifest
from versioned_storage.build.compression import encode
from versioned_storage.build.directory import BuildDirectory, CannotWrite, digest_of
from versioned_storage.build.fingerprint import Fingerprinted, Fingerprinter
from versioned_storage.build.manifest import Manifest
from versioned_storage.build.recipe import Recipe
from versioned_storage.build.references.scanning import Scanners
from versioned_storage.build.resolver import Resolver
from versioned_storage.build.source_errors import (
    BrokenReferences,
    NameCollision,
    WrongEncoding,
)
from versioned_storage.errors import SourceError

PLAIN = b"a{color:red}" * 20
BOTH = ["br", "gzip"]
RECIPE = Recipe("b1", {"br": {}, "gzip": {}}, ("png",), keep_originals=True)


@contextmanager
def build(tmp_path, files=None, *, version="b1", encodings=BOTH, collect=None, **options):
    """A site in which collectstatic ran once; its storage, its manifest, its directory."""
    options["encodings"] = encodings
    with site(tmp_path, files, options=options, BUILD_VERSION=version) as shop:
        shop.collect(**(collect or {}))
        yield shop.storage.manifest, Path(shop.storage.location)


def collected(tmp_path, files=None, **arguments):
    with build(tmp_path, files, **arguments) as (manifest, root):
        return manifest, root


def failure(kind, *arguments, **more):
    """The error with which a collectstatic fails: Django 6 wraps it, older ones do not."""
    with pytest.raises(CommandError) as caught:
        collected(*arguments, **more)
    error = caught.value if isinstance(caught.value, kind) else caught.value.__cause__
    assert isinstance(error, kind)
    assert str(caught.value) == str(error)
    return error


def content(root):
    return {
        str(path.relative_to(root)): (path.read_bytes(), path.lstat().st_mtime_ns)
        for path in root.rglob("*")
        if path.is_file()
    }


def files_of(root):
    """The same, of the files that the manifest is about."""
    files = content(root)
    del files["staticfiles.json"]
    return files


def encoded_by_brotli(data, quality):
    encoder = brotli.Compressor(quality=quality, lgwin=22)
    return encoder.process(data) + encoder.finish()


def by_bundler(data):
    """As no encoder of ours would do it, so that one can tell who did."""
    return {"br": brotli.compress(data, quality=0), "gzip": gzip.compress(data, 1, mtime=1)}


def settled(name, data, hashed_name=None, source=None):
    digest, original = digest_of([data]), digest_of([data if source is None else source])
    return Fingerprinted(name, hashed_name or f"{name}.hash.css", digest, original, True)


def fingerprinter(recipe=RECIPE, sources=()):
    sources = dict.fromkeys(sources, (FileSystemStorage(), "any"))
    return Fingerprinter(sources, recipe, str, Scanners([]), Resolver((), "/static/"))


def record(assets, recipe):
    return make_manifest(fingerprinter(recipe), assets)


# A build and its record


def test_a_build_has_every_encoding_of_each_eligible_file_under_both_names(tmp_path):
    manifest, root = collected(tmp_path, {"a.css": PLAIN, "empty.js": b"", "l.png": b"\x89PNG"})
    for name in ("a.css", "empty.js"):
        for path in (name, manifest.paths[name]):
            data = (root / path).read_bytes()
            assert gzip.decompress((root / f"{path}.gz").read_bytes()) == data
            assert brotli.decompress((root / f"{path}.br").read_bytes()) == data
    assert not list(root.glob("l*.gz"))
    assert len(list(root.iterdir())) == 2 * 3 * 2 + 2 + 1


def test_the_manifest_records_what_is_on_disk(tmp_path):
    manifest, root = collected(tmp_path, {"a.css": PLAIN, "l.png": b"\x89PNG"})
    asset = manifest.asset("a.css")
    data = (root / asset.hashed_name).read_bytes()
    assert (asset.size, asset.integrity) == (len(data), digest_of([data]).integrity)
    assert asset.content_type == "text/css; charset=utf-8"
    assert asset.encodings == {
        "br": (root / f"{asset.hashed_name}.br").stat().st_size,
        "gzip": (root / f"{asset.hashed_name}.gz").stat().st_size,
    }
    assert manifest.asset("l.png").encodings == {}
    assert manifest.build == "b1"
    assert list(manifest.encoders) == BOTH


QUALITIES = {"br": {"*": 5, "a.*": 11}, "gzip": {"*.map": 1}}
LINES = b"".join(b".a%d { width: %dpx }\n" % (number % 97, number) for number in range(500))


def test_each_file_is_encoded_at_the_quality_of_its_glob(tmp_path):
    files = {"a.css": LINES, "b.map": LINES + b"\n"}
    manifest, root = collected(tmp_path, files, encodings=QUALITIES)
    style_sheet, source_map = manifest.asset("a.css"), manifest.asset("b.map")
    assert (style_sheet.quality, source_map.quality) == ({}, {"br": 5, "gzip": 1})
    assert style_sheet.encodings["br"] == len(brotli.compress(LINES, quality=11, lgwin=22))
    assert source_map.encodings["br"] == len(brotli.compress(LINES + b"\n", quality=5, lgwin=22))
    for asset in (style_sheet, source_map):
        data = (root / f"{asset.hashed_name}.br").read_bytes()
        assert brotli.decompress(data) == files[asset.name]
        assert (root / f"{asset.name}.br").read_bytes() == data
    assert Manifest.from_json(manifest.to_json()) == manifest


@pytest.mark.parametrize("quality", [5, 11])
def test_an_encoding_of_the_last_build_is_reused_at_the_same_quality_only(tmp_path, quality):
    collected(tmp_path, {"a.css": LINES}, encodings={"br": 5})
    encodings = {"br": {"*.css": quality}}
    manifest, root = collected(tmp_path, {"a.css": LINES}, version="b2", encodings=encodings)
    asset = manifest.asset("a.css")
    assert asset.encodings["br"] == len(brotli.compress(LINES, quality=quality, lgwin=22))
    name = f"{asset.hashed_name}.br"
    assert (root / name).samefile(root.parent / "b1" / name) is (quality == 5)


def test_files_of_the_same_bytes_have_one_encoding_of_the_best_quality(tmp_path):
    hashed_name = collected(tmp_path, {"a.css": LINES}, version="b0")[0].paths["a.css"]
    # A copy that someone made of the hashed file, and the same bytes under another name.
    files = {"a.css": LINES, hashed_name: LINES, "b.css": LINES}
    encodings = {"br": {"*": 5, "a.css": 1, "b.css": 11}}
    manifest, root = collected(
        tmp_path, files, encodings=encodings, prehashed=lambda name: name == hashed_name
    )
    for asset in manifest.assets.values():
        assert asset.quality == {}
        data = (root / f"{asset.hashed_name}.br").read_bytes()
        assert data == encoded_by_brotli(LINES, 11)
        assert asset.encodings["br"] == len(data)


@pytest.mark.parametrize("version", [None, "b1"])
def test_an_encoding_of_another_quality_is_made_again_unless_the_build_is_complete(
    tmp_path, version
):
    for quality in (1, 1, 9):
        manifest, root = collected(
            tmp_path, {"a.css": LINES}, version=version, encodings={"br": quality}
        )
        expected = quality if version is None else 1
        assert (root / "a.css.br").read_bytes() == encoded_by_brotli(LINES, expected)
        assert manifest.asset("a.css").quality == {"br": expected}


def test_an_encoding_of_a_run_that_failed_is_made_again(tmp_path, monkeypatch):
    def only_brotli(directory, name, encoding, stopped):
        if encoding.name == "gzip":
            raise CannotWrite(name, OSError(errno.ENOSPC, "No space left on device"))
        encode(directory, name, encoding, stopped)

    with monkeypatch.context() as disk:
        disk.setattr(compression, "encode", only_brotli)
        failure(CannotWrite, tmp_path, {"a.css": LINES}, encodings={"br": 1, "gzip": 9})
    _, root = collected(tmp_path, {"a.css": LINES}, encodings={"br": 9, "gzip": 9})
    assert (root / "a.css.br").read_bytes() == encoded_by_brotli(LINES, 9)


def test_a_complete_build_keeps_its_encodings_and_says_how_they_were_made(tmp_path):
    first, root = collected(tmp_path, {"a.css": LINES}, encodings={"br": 5})
    (root / f"{first.paths['a.css']}.br").unlink()
    again, _ = collected(tmp_path, {"a.css": LINES}, encodings={"br": 11})
    assert again == first
    encoded = (root / f"{first.paths['a.css']}.br").read_bytes()
    assert len(encoded) == len(brotli.compress(LINES, quality=5, lgwin=22))


def test_the_record_is_the_same_in_whatever_order_files_were_done():
    finished = [settled("b.css", b"b"), settled("a.css", b"a"), settled("c/d.css", b"d")]
    assert record(finished, RECIPE).to_json() == record(reversed(finished), RECIPE).to_json()
    assert list(record(finished, RECIPE).paths) == ["a.css", "b.css", "c/d.css"]


@pytest.mark.parametrize(
    "other",
    [
        Recipe("b1", {"br": {}}, ("png",), keep_originals=True),
        Recipe("b1", {"br": {}, "gzip": {}}, ("gif",), keep_originals=True),
        Recipe("b1", {"br": {}, "gzip": {}}, ("png",), keep_originals=False),
    ],
)
def test_the_options_that_shape_a_build_are_a_part_of_its_content_digest(other):
    finished = [settled("a.css", b"a")]
    assert record(finished, RECIPE).content != record(finished, other).content


def test_the_version_is_no_part_of_the_content_digest():
    finished = [settled("a.css", b"a")]
    again = Recipe("b2", RECIPE.encodings, RECIPE.skip_compress_extensions, keep_originals=True)
    assert record(finished, RECIPE).content == record(finished, again).content


def test_two_files_with_one_content_are_one_work(tmp_path):
    assets = [settled("a.css", b"same"), settled("b.css", b"same"), settled("c.css", b"other")]
    jobs = encoding_jobs(
        fingerprinter(), assets, BuildDirectory(tmp_path), qualities={}, encoders={}
    )
    assert [job.names for job in jobs] == [
        ("a.css.hash.css", "a.css", "b.css.hash.css", "b.css"),
        ("c.css.hash.css", "c.css"),
    ]


def test_in_the_neutral_layout_an_original_is_compressed_as_its_source_is(tmp_path):
    manifest, root = collected(
        tmp_path, {"a.css": "a{background:url(l.png)}", "l.png": b"1"}, version=None
    )
    original = gzip.decompress((root / "a.css.gz").read_bytes())
    assert original == b"a{background:url(l.png)}"
    hashed = gzip.decompress((root / f"{manifest.paths['a.css']}.gz").read_bytes())
    assert hashed == f'a{{background:url("{manifest.paths["l.png"]}")}}'.encode()


def test_with_link_only_the_hashed_files_are_compressed(tmp_path):
    manifest, root = collected(tmp_path, {"a.css": PLAIN}, collect={"link": True})
    assert (root / "a.css").is_symlink()
    assert not (root / "a.css.gz").exists()
    assert gzip.decompress((root / f"{manifest.paths['a.css']}.gz").read_bytes()) == PLAIN


@pytest.mark.parametrize(
    ("version", "says"),
    [
        ("b1", r"Build b1 in \S+: 2 assets \(246 B, br \d+ B, gzip \d+ B\), "),
        (None, r"Static files in \S+: 2 assets \(246 B, br \d+ B, gzip \d+ B\), "),
    ],
)
def test_a_run_is_summed_up_in_one_line(tmp_path, capfd, version, says):
    files = {"a.css": PLAIN, "l.png": b"\x89PNG\r\n"}
    collected(tmp_path, files, version=version)
    output = capfd.readouterr().err
    assert re.fullmatch(says + r"2 written, 2 encodings compressed, 0 reused, \d+\.\d s\n", output)
    collected(tmp_path, version=version)
    output = capfd.readouterr().err
    assert re.fullmatch(says + r"0 written, 0 encodings compressed, 2 reused, \d+\.\d s\n", output)


def test_a_dry_run_says_what_it_would_build(tmp_path, capfd):
    with site(tmp_path, {"a.css": PLAIN}, BUILD_VERSION="b1") as shop:
        shop.collect(dry_run=True)
    assert capfd.readouterr().err == (
        f"Would build: Build b1 in {shop.root / 'b1'}: 1 asset ({len(PLAIN)} B), 1 to be written\n"
    )
    assert not shop.root.exists()


# A build that is complete


def test_the_same_content_again_leaves_a_complete_build_as_it_is(tmp_path):
    files = {"a.css": "a{background:url(l.png)}", "l.png": b"1"}
    _, root = collected(tmp_path, files)
    before = content(root)
    del before["staticfiles.json"]
    for source in (tmp_path / "sources").iterdir():
        os.utime(source)
    collected(tmp_path)
    after = content(root)
    del after["staticfiles.json"]
    assert after == before


def test_other_content_into_a_complete_build_is_an_error_that_names_what_differs(tmp_path):
    _, root = collected(tmp_path, {"a.css": "a{}", "b.css": "b{}", "c.css": "c{}"})
    before = content(root)
    (tmp_path / "sources" / "a.css").unlink()
    error = failure(BuildIsComplete, tmp_path, {"b.css": "b{color:red}", "new.css": "n{}"})
    assert str(error) == (
        f"Build b1 is complete in {root}, and the collected files have other content, or "
        "options that shape a build have changed since. Compared with the build they have\n"
        "  added (1): new.css\n"
        "  removed (1): a.css\n"
        "  changed (1): b.css\n"
        "A build never changes: set a new BUILD_VERSION, or run collectstatic --clear if this one "
        "was never deployed. To publish it to S3 as it is, run 'python manage.py staticbuilds "
        "publish b1'."
    )
    assert content(root) == before


def test_other_options_for_a_complete_build_are_an_error_too(tmp_path):
    _, root = collected(tmp_path, {"a.css": "a{}"})
    before = content(root)
    error = failure(BuildIsComplete, tmp_path, encodings=["gzip"])
    assert "\n  encodings without br\n" in str(error)
    assert content(root) == before


@pytest.mark.parametrize("lost", ["original", "hashed", "encoded"])
def test_what_a_complete_build_has_lost_is_made_again(tmp_path, lost):
    files = {"a.css": "a{background:url(l.png)}", "l.png": b"1"}
    manifest, root = collected(tmp_path, files)
    hashed_name = manifest.paths["a.css"]
    name = {"original": "a.css", "hashed": hashed_name, "encoded": f"{hashed_name}.gz"}[lost]
    before = (root / name).read_bytes()
    (root / name).unlink()
    again, _ = collected(tmp_path)
    assert (root / name).read_bytes() == before
    assert again == manifest


def test_a_failed_run_leaves_no_manifest_and_the_next_one_completes_the_build(tmp_path):
    files = {"a.css": "a{background:url(l.png)}", "z.css": "z{background:url(gone.png)}"}
    failure(BrokenReferences, tmp_path, files | {"l.png": b"1"})
    root = tmp_path / "static_root" / "b1"
    assert not (root / "staticfiles.json").exists()
    manifest, _ = collected(tmp_path, {"z.css": "z{}"})
    assert sorted(manifest.paths) == ["a.css", "l.png", "z.css"]
    assert (root / "z.css").read_bytes() == (root / manifest.paths["z.css"]).read_bytes() == b"z{}"


# What a bundler brought along


@pytest.mark.parametrize("version", ["b1", None])
@pytest.mark.parametrize("link", [False, True])
def test_what_a_bundler_encoded_is_taken_as_that_encoding(tmp_path, version, link):
    encoded = by_bundler(PLAIN)
    files = {
        "css/app.css": PLAIN,
        "css/app.css.gz": encoded["gzip"],
        "css/app.css.br": encoded["br"],
    }
    manifest, root = collected(tmp_path, files, version=version, collect={"link": link})
    assert list(manifest.paths) == sorted(files)
    for name in (manifest.paths["css/app.css"], "css/app.css"):
        assert (root / f"{name}.gz").read_bytes() == encoded["gzip"]
        assert (root / f"{name}.br").read_bytes() == encoded["br"]
    assert manifest.asset("css/app.css").encodings == {
        "br": len(encoded["br"]),
        "gzip": len(encoded["gzip"]),
    }
    for suffix, encoding in ((".gz", "gzip"), (".br", "br")):
        asset = manifest.asset(f"css/app.css{suffix}")
        assert (root / asset.hashed_name).read_bytes() == encoded[encoding]
        assert asset.encodings == {}
        assert not manifest.has_original(asset)
    paths = {file.path.removeprefix("b1/"): file.asset.name for file in manifest.files()}
    assert paths["css/app.css.gz"] == "css/app.css"


def test_an_encoding_that_a_bundler_did_not_bring_is_made(tmp_path):
    encoded = by_bundler(PLAIN)
    manifest, root = collected(tmp_path, {"app.css": PLAIN, "app.css.gz": encoded["gzip"]})
    hashed_name = manifest.paths["app.css"]
    assert (root / f"{hashed_name}.gz").read_bytes() == encoded["gzip"]
    assert brotli.decompress((root / f"{hashed_name}.br").read_bytes()) == PLAIN


def damaged(damage, encoding):
    encoded = by_bundler(PLAIN)[encoding]
    return {
        "stale": by_bundler(b"stale{}")[encoding],
        "truncated": encoded[:-3],
        "empty": b"",
        "plain": b"not encoded at all",
        "trailing": encoded + b"more",
        "bomb": by_bundler(bytes(10_000_000))[encoding],
    }[damage]


each_damage = pytest.mark.parametrize(
    "damage", ["stale", "truncated", "empty", "plain", "trailing", "bomb"]
)
each_suffix = pytest.mark.parametrize(("suffix", "encoding"), [(".gz", "gzip"), (".br", "br")])


@each_suffix
@each_damage
@pytest.mark.parametrize("version", ["b1", None])
def test_a_file_beside_another_that_does_not_decode_to_it_has_its_hashed_name_alone(
    tmp_path, caplog, suffix, encoding, damage, version
):
    data = damaged(damage, encoding)
    files = {
        "d.csv": PLAIN,
        f"d.csv{suffix}": data,
        "e.css": f"a{{b:url(d.csv{suffix})}}",
    }
    manifest, root = collected(tmp_path, files, version=version)
    hashed_name = manifest.paths[f"d.csv{suffix}"]
    assert (root / hashed_name).read_bytes() == data
    assert hashed_name in (root / manifest.paths["e.css"]).read_text()
    decode = {"gzip": gzip.decompress, "br": brotli.decompress}[encoding]
    for name in ("d.csv", manifest.paths["d.csv"]):
        assert decode((root / f"{name}{suffix}").read_bytes()) == PLAIN
    (warning,) = (record for record in caplog.records if record.levelname == "WARNING")
    assert warning.getMessage() == (
        "Files named as an encoding of the file beside them that do not decode to it; each is "
        f"served by its hashed name only:\n  d.csv{suffix}"
    )
    before = files_of(root)
    collected(tmp_path, version=version)
    if version:
        assert files_of(root) == before


@each_suffix
@each_damage
@pytest.mark.parametrize("dry_run", [False, True])
def test_a_prehashed_name_cannot_be_that_of_an_encoding_it_is_not(
    tmp_path, suffix, encoding, damage, dry_run
):
    files = {"css/app.css": PLAIN, f"css/app.css{suffix}": damaged(damage, encoding)}
    error = failure(WrongEncoding, tmp_path, files, collect={"dry_run": dry_run}, prehashed="^css/")
    assert str(error) == (
        f"css/app.css{suffix} does not decode to css/app.css: one of the two is stale or damaged. "
        f"Run the bundler again, or leave its copy out with collectstatic --ignore "
        f"'css/app.css{suffix}'."
    )
    assert isinstance(error, SourceError)
    assert error.names == (f"css/app.css{suffix}",)
    assert not (tmp_path / "static_root" / "b1" / "staticfiles.json").exists()


@pytest.mark.parametrize("keep_originals", [True, False])
def test_a_prehashed_encoding_serves_as_that_alone_and_has_a_url(tmp_path, keep_originals):
    encoded = by_bundler(PLAIN)
    files = {"app-1a.css": PLAIN, "app-1a.css.gz": encoded["gzip"]}
    options = {"prehashed": "^app-", "keep_originals": keep_originals}
    manifest, root = collected(tmp_path, files, **options)
    assert manifest.paths["app-1a.css.gz"] == "app-1a.css.gz"
    assert list(manifest.assets) == ["app-1a.css"]
    assert (root / "app-1a.css.gz").read_bytes() == encoded["gzip"]
    before = files_of(root)
    collected(tmp_path, **options)
    assert files_of(root) == before


def test_a_prehashed_asset_keeps_its_bundler_s_encodings_without_originals(tmp_path):
    """Only app-1a.js carries a hash for the option; app-1a.js.gz is an asset of its own as well."""
    encoded = by_bundler(PLAIN)
    files = {"app-1a.js": PLAIN, "app-1a.js.gz": encoded["gzip"], "app-1a.js.br": encoded["br"]}
    options = {"prehashed": r"^app-\w+\.js$", "keep_originals": False}
    manifest, root = collected(tmp_path, files, **options)
    assert set(manifest.assets["app-1a.js"].encodings) == {"br", "gzip"}
    assert gzip.decompress((root / "app-1a.js.gz").read_bytes()) == PLAIN
    assert brotli.decompress((root / "app-1a.js.br").read_bytes()) == PLAIN


def test_what_a_bundler_encoded_is_not_taken_for_a_style_sheet_that_was_rewritten(tmp_path):
    source = b"a{background:url(l.png)}"
    encoded = by_bundler(source)
    files = {"app.css": source, "app.css.gz": encoded["gzip"], "app.css.br": encoded["br"]}
    manifest, root = collected(tmp_path, files | {"l.png": b"1"})
    assert sorted(manifest.paths) == ["app.css", "app.css.br", "app.css.gz", "l.png"]
    for name in ("app.css", manifest.paths["app.css"]):
        rewritten = (root / name).read_bytes()
        assert manifest.paths["l.png"].encode() in rewritten
        assert gzip.decompress((root / f"{name}.gz").read_bytes()) == rewritten
        assert brotli.decompress((root / f"{name}.br").read_bytes()) == rewritten


def test_without_originals_what_a_bundler_encoded_keeps_no_name_of_its_own(tmp_path):
    encoded = by_bundler(PLAIN)
    files = {"app.css": PLAIN, "app.css.gz": encoded["gzip"]}
    manifest, root = collected(tmp_path, files, keep_originals=False)
    hashed_name = manifest.paths["app.css"]
    assert {path.name for path in root.iterdir()} == {
        "staticfiles.json",
        manifest.paths["app.css.gz"],
        hashed_name,
        f"{hashed_name}.gz",
        f"{hashed_name}.br",
    }
    assert (root / f"{hashed_name}.gz").read_bytes() == encoded["gzip"]


def test_globs_keep_the_originals_of_some_assets_and_their_encodings(tmp_path):
    encoded = by_bundler(PLAIN)
    files = {
        **dict.fromkeys(("js/app.js", "js/loader.js", "css/app.css"), PLAIN),
        **{f"{name}.gz": encoded["gzip"] for name in ("js/app.js", "js/loader.js", "css/app.css")},
        "js/l.png": b"logo",
    }
    options = {"keep_originals": ["js/*", "!js/loader.*"], "encodings": ["gzip"]}
    manifest, root = collected(tmp_path, files, **options)

    originals = {"js/app.js", "js/app.js.gz", "js/l.png"}
    hashed = {name for asset in manifest.paths.values() for name in (asset, f"{asset}.gz")}
    on_disk = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
    assert on_disk - hashed == {*originals, "staticfiles.json"}
    assert {file.path for file in manifest.files()} == {
        f"b1/{name}" for name in on_disk - {"staticfiles.json"}
    }
    assert collected(tmp_path, **options)[0] == manifest
    assert {path.relative_to(root).as_posix() for path in root.rglob("*.*")} == on_disk
    error = failure(BuildIsComplete, tmp_path, **{**options, "keep_originals": ["js/*"]})
    assert "\n  keep_originals without !js/loader.*\n" in str(error)


def test_globs_keep_the_originals_of_some_assets_in_the_neutral_layout(tmp_path):
    files = {"js/app.js": PLAIN, "css/app.css": PLAIN}
    options = {"keep_originals": ["js/*"], "encodings": [], "version": None}
    manifest, root = collected(tmp_path, files, **options)

    on_disk = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
    assert on_disk == {"js/app.js", *manifest.paths.values(), "staticfiles.json"}


@pytest.mark.parametrize(
    ("files", "encodings"),
    [
        ({"app.css": PLAIN, "app.css.gz": b"any"}, ["br"]),
        ({"l.png": PLAIN, "l.png.gz": b"any"}, BOTH),
        ({"data.csv.gz": b"any"}, BOTH),
    ],
    ids=["not an encoding here", "not eligible", "alone"],
)
def test_an_archive_that_is_nobody_s_encoding_is_an_asset(tmp_path, files, encodings):
    manifest, root = collected(tmp_path, files, encodings=encodings)
    assert manifest.paths.keys() == files.keys()
    (archive,) = [name for name in files if name.endswith(".gz")]
    assert (root / manifest.paths[archive]).read_bytes() == b"any"


# Hashed copies among the sources


def outputs(tmp_path, files, **options):
    """The files that a collectstatic of a neutral site leaves, as somebody may have committed."""
    with site(tmp_path / "earlier", files, options={"encodings": ["gzip"], **options}) as shop:
        shop.collect()
        return {name: data for name, (data, _) in content(shop.root).items()}


@pytest.fixture
def earlier(tmp_path):
    (tmp_path / "earlier").mkdir()
    return tmp_path


def test_a_hashed_copy_with_other_bytes_is_an_error_that_names_both(earlier):
    files = outputs(earlier, {"a.css": "a{background:url(i.png)}", "i.png": b"PNG"})
    (copy,) = [
        name
        for name in files
        if name.startswith("a.") and name.count(".") == 2 and name.endswith("css")
    ]
    del files["staticfiles.json"]
    error = failure(NameCollision, earlier, files)
    assert ("a.css", copy, copy) in [
        (*sorted(names, key=len), path) for *names, path in error.collisions
    ]
    assert f"--ignore '{copy}'" in str(error)
    assert not (earlier / "static_root" / "b1" / "staticfiles.json").exists()


@pytest.mark.parametrize("version", ["b1", None])
@pytest.mark.parametrize("keep_originals", [True, False])
def test_hashed_copies_with_the_same_bytes_change_nothing(earlier, version, keep_originals):
    files = outputs(earlier, {"a.css": PLAIN, "i.png": b"PNG"})
    del files["staticfiles.json"]
    manifest, root = collected(earlier, files, version=version, keep_originals=keep_originals)
    assert set(manifest.paths) == set(files)
    for asset in manifest.assets.values():
        assert digest_of([(root / asset.hashed_name).read_bytes()]).integrity == asset.integrity
        if manifest.has_original(asset):
            assert (root / asset.name).read_bytes() == files[asset.name]
    before = files_of(root)
    collected(earlier, version=version, keep_originals=keep_originals)
    if version:
        assert files_of(root) == before


def test_a_bundler_s_copy_that_changed_is_taken_in_the_next_build(tmp_path):
    first, second = by_bundler(PLAIN)["gzip"], gzip.compress(PLAIN, 2, mtime=2)
    assert first != second
    before, root = collected(tmp_path, {"app.css": PLAIN, "app.css.gz": first})
    write(tmp_path / "sources", {"app.css.gz": second})
    after, root = collected(tmp_path, version="b2")
    assert (root / f"{after.paths['app.css']}.gz").read_bytes() == second
    assert after.paths["app.css"] == before.paths["app.css"]
