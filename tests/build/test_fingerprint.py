import os
import posixpath
import re
import sys
import tracemalloc
from ast import literal_eval
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

import pytest
from django.contrib.staticfiles.storage import HashedFilesMixin
from django.core.files.storage import FileSystemStorage
from django.core.management import CommandError

from tests.helpers import site, write
from versioned_storage.build.directory import BuildDirectory, digest_of
from versioned_storage.build.fingerprint import Fingerprinter
from versioned_storage.build.recipe import Recipe
from versioned_storage.build.references.scanning import Scanners
from versioned_storage.build.resolver import Resolver
from versioned_storage.build.source_errors import (
    BrokenReference,
    BrokenReferences,
    NameNotUTF8,
    NameTooLong,
    NotUTF8,
    TooMuchToParse,
    UnreadableSource,
    ignore_missing_entry,
)
from versioned_storage.build.source_files import DigestedFile
from versioned_storage.errors import VersionedStorageError
from versioned_storage.storage import VersionedStaticFilesStorage

LOGO = b"\x89PNG\r\n\x1a\n logo"
URL = re.compile(r'(?:url\(|import|from) ?\(?"([^"]+)"')

_opened = None


def _note_open(event, arguments):
    if event == "open" and _opened is not None and isinstance(arguments[0], (str, os.PathLike)):
        _, mode, flags = arguments
        written = flags & (os.O_WRONLY | os.O_RDWR) if isinstance(flags, int) else "r" not in mode
        _opened.append((os.fspath(arguments[0]), bool(written)))


@contextmanager
def opens():
    """The files that are opened meanwhile, and whether to write them, as the interpreter says."""
    global _opened
    if not hasattr(sys, "_versioned_storage_hook"):
        # A hook cannot be taken away again.
        sys._versioned_storage_hook = True
        sys.addaudithook(_note_open)
    _opened = actual = []
    try:
        yield actual
    finally:
        _opened = None


# With a third part, that which is ignored: Django's own patterns have one where Django takes one.
IGNORES = any(
    len(p) == 3 for _, group in HashedFilesMixin.patterns for p in group if type(p) is tuple
)
LOAD = (r"(?P<matched>load (?P<url>\S+))", "load %(url)s", re.compile(r"#[^\n]*"))


class Subclass(VersionedStaticFilesStorage):
    """What users write: patterns of their own, as in Django's documentation."""

    patterns = (
        *VersionedStaticFilesStorage.patterns,
        ("*.tpl", (r"""(?P<matched>src='(?P<url>[^']+)')""",)),
        ("*.html", ((r"""(?P<matched>data-src="(?P<url>[^"]+)")""", 'data-src="%(url)s"'),)),
        ("*.conf", (LOAD if IGNORES else LOAD[:2],)),
    )


class Unhashed(VersionedStaticFilesStorage):
    def file_hash(self, name, content=None):
        return None


class ByLength(VersionedStaticFilesStorage):
    """A hook that reads what it is given."""

    def file_hash(self, name, content=None):
        return f"{sum(len(chunk) for chunk in content.chunks()):04d}"


def build(tmp_path, files=None, *, collect=None, encodings=(), version="b1", **arguments):
    """Collect once, and return the hashed names and the directory of the build.

    Each call is a new storage, as each run of collectstatic is.
    """
    options = {"encodings": list(encodings), **arguments.pop("options", {})}
    with site(tmp_path, files, options=options, BUILD_VERSION=version, **arguments) as shop:
        shop.collect(**(collect or {}))
        return dict(shop.storage.hashed_files), Path(shop.storage.location)


def failure(kind, *arguments, **more):
    """The error with which a collectstatic fails: Django 6 wraps it, older ones do not."""
    with pytest.raises(CommandError) as caught:
        build(*arguments, **more)
    error = caught.value if isinstance(caught.value, kind) else caught.value.__cause__
    assert isinstance(error, kind)
    assert str(caught.value) == str(error)
    return error


def warnings(caplog):
    return [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]


def text(root, name):
    return (root / name).read_bytes().decode()


def tree(root):
    """All that is below a directory, with what would tell that it was touched."""
    return {
        str(path.relative_to(root)): (
            path.lstat().st_mtime_ns,
            path.lstat().st_ino,
            path.readlink() if path.is_symlink() else path.is_dir() or path.read_bytes(),
        )
        for path in sorted(root.rglob("*"))
    }


def hash_of(hashed_name):
    return posixpath.basename(hashed_name).split(".")[-2]


def follow(root, name):
    """The names that a file refers to, by the rules of URLs, each of which has to be there."""
    actual = []
    for url in URL.findall(text(root, name)):
        path = urlsplit(urljoin("http://host/" + _escaped(name), url)).path
        target = unquote(path).removeprefix("/")
        assert (root / target).is_file(), f"{name} refers to {url}"
        actual.append(target)
    return actual


def _escaped(name):
    return "".join(f"%{ord(c):02x}" if c in "%#? " else c for c in name)


# Names, content and what refers to what


def test_a_reference_has_the_hashed_name_of_the_file_as_it_is_written(tmp_path):
    names, root = build(
        tmp_path, {"css/a.css": 'a{background:url("../img/logo.png#x")}', "img/logo.png": LOGO}
    )
    assert re.fullmatch(r"css/a\.[0-9a-f]{12}\.css", names["css/a.css"])
    assert text(root, names["css/a.css"]) == f'a{{background:url("../{names["img/logo.png"]}#x")}}'
    assert hash_of(names["css/a.css"]) == digest_of([(root / "css/a.css").read_bytes()]).md5[:12]
    assert hash_of(names["img/logo.png"]) == digest_of([LOGO]).md5[:12]


def test_an_unchanged_style_sheet_has_another_name_when_what_it_refers_to_changes(tmp_path):
    files = {"a.css": '@import "b.css";', "b.css": "b{background:url(c.png)}", "c.png": b"1"}
    before, _ = build(tmp_path, files)
    after, _ = build(tmp_path, {"c.png": b"2"}, version="b2")
    assert all(before[name] != after[name] for name in files)


def test_a_style_sheet_is_hashed_after_all_that_it_refers_to(tmp_path):
    """In the order of names the first comes last, and the other way round."""
    names, root = build(
        tmp_path,
        {
            "a.css": '@import "b.css"; @import "z.css";',
            "b.css": '@import "z.css";',
            "m.css": '@import "a.css";',
            "z.css": "z{}",
        },
    )
    assert follow(root, names["m.css"]) == [names["a.css"]]
    assert follow(root, names["a.css"]) == [names["b.css"], names["z.css"]]
    assert follow(root, names["b.css"]) == [names["z.css"]]


def test_a_diamond_has_one_name_for_what_both_sides_import(tmp_path):
    names, root = build(
        tmp_path,
        {
            "top.css": '@import "left.css"; @import "right.css";',
            "left.css": '@import "bottom.css"; .l{}',
            "right.css": '@import "bottom.css"; .r{}',
            "bottom.css": ".b{}",
        },
    )
    assert follow(root, names["top.css"]) == [names["left.css"], names["right.css"]]
    assert follow(root, names["left.css"]) == follow(root, names["right.css"])
    assert hash_of(names["left.css"]) != hash_of(names["right.css"])


@pytest.mark.parametrize("depth", [50, pytest.param(2000, marks=pytest.mark.deep)])
def test_a_chain_of_imports_is_followed_however_long(tmp_path, depth):
    files = {f"c{n:04d}.css": f'@import "c{n + 1:04d}.css";' for n in range(depth)}
    names, root = build(tmp_path, files | {f"c{depth:04d}.css": "a{}"})
    name, seen = names["c0000.css"], 1
    while actual := follow(root, name):
        (name,) = actual
        seen += 1
    assert name == names[f"c{depth:04d}.css"]
    assert seen == len(set(names.values())) == depth + 1


def test_the_end_of_a_chain_decides_the_name_of_its_start(tmp_path):
    files = {f"c{n:02d}.css": f'@import "c{n + 1:02d}.css";' for n in range(50)}
    before, _ = build(tmp_path, files | {"c50.css": "a{}"})
    after, _ = build(tmp_path, {"c50.css": "b{}"}, version="b2")
    assert not set(before.values()) & set(after.values())


# Cycles

CYCLE = {
    "css/a.css": '@import "b.css"; .a{background:url(../logo.png)}',
    "css/b.css": '@import "sub/c.css"; .b{}',
    "css/sub/c.css": '@import "../a.css"; .c{}',
    "main.css": '@import "css/b.css";',
    "logo.png": LOGO,
}
IN_THE_CYCLE = ("css/a.css", "css/b.css", "css/sub/c.css")


@pytest.mark.parametrize("version", ["b1", None])
def test_files_that_import_each_other_share_one_hash(tmp_path, version):
    names, root = build(tmp_path, CYCLE, version=version)
    assert len({hash_of(names[name]) for name in IN_THE_CYCLE}) == 1
    assert len(set(names.values())) == len(CYCLE)
    assert follow(root, names["css/a.css"]) == [names["css/b.css"], names["logo.png"]]
    assert follow(root, names["css/b.css"]) == [names["css/sub/c.css"]]
    assert follow(root, names["css/sub/c.css"]) == [names["css/a.css"]]
    assert follow(root, names["main.css"]) == [names["css/b.css"]]


@pytest.mark.parametrize("changed", [*IN_THE_CYCLE, "logo.png"])
def test_whatever_changes_in_a_cycle_or_below_it_renames_the_whole_of_it(tmp_path, changed):
    before, _ = build(tmp_path, CYCLE)
    content = CYCLE[changed]
    more = b" " if isinstance(content, bytes) else " "
    after, _ = build(tmp_path, {changed: content + more}, version="b2")
    assert all(before[name] != after[name] for name in (*IN_THE_CYCLE, "main.css"))
    assert (before["logo.png"] != after["logo.png"]) == (changed == "logo.png")


def test_what_imports_a_cycle_has_no_part_in_its_hash(tmp_path):
    before, _ = build(tmp_path, CYCLE)
    after, _ = build(tmp_path, {"main.css": '@import "css/b.css"; .main{}'}, version="b2")
    assert before["main.css"] != after["main.css"]
    assert all(before[name] == after[name] for name in IN_THE_CYCLE)


def test_two_cycles_with_the_same_texts_are_told_apart_by_their_names(tmp_path):
    files = {
        f"{directory}/{name}.css": f'@import "{other}.css";'
        for directory in ("x", "y")
        for name, other in ("ab", "ba")
    }
    names, root = build(tmp_path, files)
    assert hash_of(names["x/a.css"]) != hash_of(names["y/a.css"])
    assert follow(root, names["y/a.css"]) == [names["y/b.css"]]


def test_the_hash_of_a_cycle_is_the_same_in_each_run_and_each_order_of_files(tmp_path):
    write(tmp_path / "sources", CYCLE)
    forwards = fingerprinted(tmp_path, "one", list(CYCLE))
    backwards = fingerprinted(tmp_path, "two", list(reversed(CYCLE)))
    assert forwards == backwards
    contents = [
        {
            str(path.relative_to(tmp_path / root)): path.read_bytes()
            for path in (tmp_path / root).rglob("*.*")
        }
        for root in ("one", "two")
    ]
    assert contents[0] == contents[1]


def test_a_file_that_refers_to_itself_has_a_hash(tmp_path):
    names, root = build(tmp_path, {"a.css": 'a{fill:url("a.css#x")}', "b.css": '@import "a.css";'})
    assert text(root, names["a.css"]) == f'a{{fill:url("{names["a.css"]}#x")}}'
    assert follow(root, names["b.css"]) == [names["a.css"]]


def test_a_reference_to_a_mere_fragment_is_no_cycle(tmp_path):
    names, root = build(tmp_path, {"a.css": "a{fill:url(#x)}"})
    assert text(root, names["a.css"]) == "a{fill:url(#x)}"
    assert hash_of(names["a.css"]) == digest_of([b"a{fill:url(#x)}"]).md5[:12]


def test_modules_that_import_each_other_share_one_hash(tmp_path):
    pytest.importorskip("tree_sitter_javascript")
    names, root = build(
        tmp_path,
        {
            "js/a.js": 'import { b } from "./b.js";\nexport const a = 1;',
            "js/b.js": 'export { a } from "./a.js";\nexport const b = () => import("./c.js");',
            "js/c.js": 'import "/static/js/c.js";\nimport "bare";',
        },
        options={"js_modules": True},
    )
    assert hash_of(names["js/a.js"]) == hash_of(names["js/b.js"]) != hash_of(names["js/c.js"])
    assert follow(root, names["js/a.js"]) == [names["js/b.js"]]
    assert follow(root, names["js/b.js"]) == [names["js/a.js"], names["js/c.js"]]
    # Django's spelling, which has no space.
    assert text(root, names["js/c.js"]) == (
        f'import"./{posixpath.basename(names["js/c.js"])}";\nimport "bare";'
    )


def test_modules_are_left_alone_unless_they_are_asked_for(tmp_path):
    names, root = build(tmp_path, {"a.js": 'import "./b.js";', "b.js": 'import "./a.js";'})
    assert text(root, names["a.js"]) == 'import "./b.js";'


def fingerprinted(tmp_path, root, order):
    """What is made of ``sources`` in ``root``, without collectstatic and in a given order."""
    storage = FileSystemStorage(location=str(tmp_path / "sources"))
    fingerprinter = Fingerprinter(
        sources={name: (storage, name) for name in order},
        recipe=Recipe("b1", (), (), keep_originals=True),
        hashed_name=VersionedStaticFilesStorage(str(tmp_path), "/static/").hashed_name,
        scanners=Scanners(VersionedStaticFilesStorage.patterns),
        resolver=Resolver(frozenset(order), "/static/", versioned=True),
    )
    return list(fingerprinter.run(BuildDirectory(tmp_path / root)))


# How often files are read and written


def test_a_leaf_is_read_once_and_written_once(tmp_path):
    leaves = {f"img/{n}.png": b"%d" % n for n in range(5)}
    with opens() as opened:
        names, root = build(tmp_path, leaves | {"a.css": "a{background:url(img/0.png)}"})
    for leaf in leaves:
        assert opened.count((str(tmp_path / "sources" / leaf), False)) == 1
        written = [path for path, writes in opened if writes and Path(path).parent == root / "img"]
        assert len(written) == len(leaves)
        assert (root / leaf).samefile(root / names[leaf])


def test_a_style_sheet_is_read_once_after_collectstatic_copied_it(tmp_path):
    with opens() as opened:
        _, root = build(tmp_path, {"a.css": '@import "b.css";', "b.css": '@import "a.css";'})
    for name in ("a.css", "b.css"):
        assert opened.count((str(tmp_path / "sources" / name), False)) == 2
    written = [path for path, writes in opened if writes and Path(path).parent == root]
    # Each as collectstatic copies it and as it is in the end, and the manifest: nothing between.
    assert len(written) == 5


def test_nothing_is_written_when_nothing_changed(tmp_path):
    files = {"a.css": '@import "b.css";', "b.css": "b{background:url(c.png)}", "c.png": LOGO}
    _, root = build(tmp_path, files)
    before = tree(root)
    (root / "staticfiles.json").unlink()
    del before["staticfiles.json"]
    _, root = build(tmp_path)
    after = tree(root)
    assert after.pop("staticfiles.json")
    assert after.keys() == before.keys()
    hashed = [name for name in before if before[name] == after[name]]
    assert {name for name in before if re.search(r"\.[0-9a-f]{12}\.", name)} <= set(hashed)


def test_a_large_file_is_streamed(tmp_path):
    size = 64 * 1024 * 1024
    (tmp_path / "sources").mkdir()
    with (tmp_path / "sources" / "film.mp4").open("wb") as film:
        film.truncate(size)
    for version in ("b1", None):
        tracemalloc.start()
        try:
            names, root = build(tmp_path, version=version)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert (root / names["film.mp4"]).stat().st_size == size
        assert peak < size // 8


# Where the files are


def test_an_asset_has_two_names_for_one_file_and_none_of_them_is_the_source(tmp_path):
    names, root = build(
        tmp_path, {"a.css": "a{background:url(l.png)}", "plain.css": "p{}", "l.png": LOGO}
    )
    for name, hashed_name in names.items():
        assert (root / name).stat().st_ino == (root / hashed_name).stat().st_ino
        assert (root / name).stat().st_nlink == 2
        assert (tmp_path / "sources" / name).stat().st_nlink == 1
        assert not (root / name).is_symlink()


def test_an_asset_is_copied_where_links_cannot_be(tmp_path, monkeypatch):
    def refuse(path, target):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    names, root = build(
        tmp_path,
        {"a.css": "a{background:url(l.png)}", "l.png": LOGO},
        FILE_UPLOAD_PERMISSIONS=0o640,
    )
    for name, hashed_name in names.items():
        assert (root / name).read_bytes() == (root / hashed_name).read_bytes()
        for path in (root / name, root / hashed_name):
            assert path.stat().st_nlink == 1
            assert path.stat().st_mode & 0o777 == 0o640
    assert not list(root.rglob("*.partial"))


def test_in_the_neutral_layout_the_original_stays_as_its_source_is(tmp_path):
    files = {"a.css": "a{background:url(l.png)}", "l.png": LOGO}
    names, root = build(tmp_path, files, version=None)
    assert text(root, "a.css") == files["a.css"]
    assert follow(root, names["a.css"]) == [names["l.png"]]
    assert not (root / "l.png").samefile(root / names["l.png"])


@pytest.mark.parametrize("version", ["b1", None])
def test_with_link_the_originals_stay_links_and_the_hashed_files_are_files(tmp_path, version):
    files = {"a.css": "a{background:url(l.png)}", "p.css": "p{}", "l.png": LOGO}
    names, root = build(tmp_path, files, collect={"link": True}, version=version)
    for name, hashed_name in names.items():
        assert (root / name).is_symlink()
        assert (root / name).resolve() == (tmp_path / "sources" / name).resolve()
        assert not (root / hashed_name).is_symlink()
        assert (root / hashed_name).stat().st_ino != (root / name).stat().st_ino
    assert follow(root, names["a.css"]) == [names["l.png"]]
    for name, content in files.items():
        source = (tmp_path / "sources" / name).read_bytes()
        assert source == (content.encode() if isinstance(content, str) else content)


def test_a_source_that_changes_after_link_does_not_change_the_hashed_file(tmp_path):
    names, root = build(tmp_path, {"l.png": LOGO}, collect={"link": True})
    write(tmp_path / "sources", {"l.png": b"other"})
    assert (root / names["l.png"]).read_bytes() == LOGO


@pytest.mark.parametrize("stale", [b"short", LOGO[::-1]])
def test_a_stale_original_in_an_incomplete_build_is_replaced_by_its_content(tmp_path, stale):
    """collectstatic itself looks at the times alone, and leaves what is newer as it is."""
    files = {"l.png": LOGO, "a.css": "a{background:url(l.png)}"}
    write(tmp_path / "sources", files)
    write(tmp_path / "static_root" / "b1", {"l.png": stale, "a.css": "stale{}"})
    for name in files:
        os.utime(tmp_path / "sources" / name, (1_000_000_000, 1_000_000_000))
    names, root = build(tmp_path)
    assert hash_of(names["l.png"]) == digest_of([LOGO]).md5[:12]
    assert (root / "l.png").read_bytes() == (root / names["l.png"]).read_bytes() == LOGO
    assert text(root, "a.css") == text(root, names["a.css"])
    assert follow(root, "a.css") == [names["l.png"]]


@pytest.mark.parametrize("damaged", [b"", LOGO[::-1], LOGO + b"more"])
def test_a_damaged_hashed_file_in_an_incomplete_build_is_written_again(tmp_path, damaged):
    names, root = build(tmp_path, {"l.png": LOGO})
    (root / "staticfiles.json").unlink()
    (root / names["l.png"]).unlink()
    (root / names["l.png"]).write_bytes(damaged)
    build(tmp_path)
    assert (root / names["l.png"]).read_bytes() == (root / "l.png").read_bytes() == LOGO


def test_a_link_in_the_place_of_a_hashed_file_is_replaced_and_not_written_through(tmp_path):
    names, root = build(tmp_path, {"l.png": LOGO})
    (root / "staticfiles.json").unlink()
    elsewhere = tmp_path / "elsewhere.png"
    elsewhere.write_bytes(LOGO)
    (root / names["l.png"]).unlink()
    (root / names["l.png"]).symlink_to(elsewhere)
    build(tmp_path)
    assert not (root / names["l.png"]).is_symlink()
    assert (root / names["l.png"]).read_bytes() == elsewhere.read_bytes() == LOGO
    assert elsewhere.stat().st_nlink == 1


@pytest.mark.parametrize("encodings", [[], ["br", "gzip"]])
def test_without_originals_only_hashed_names_are_left(tmp_path, encodings):
    names, root = build(
        tmp_path,
        {"a.css": '@import "css/b.css";', "css/b.css": '@import "../a.css";', "i/l.png": LOGO},
        options={"keep_originals": False},
        encodings=encodings,
    )
    actual = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
    suffixes = {"br": ".br", "gzip": ".gz"}
    expected = {"staticfiles.json", *names.values()}
    for encoding in encodings:
        expected |= {
            hashed + suffixes[encoding] for hashed in names.values() if "png" not in hashed
        }
    assert actual == expected


# What is wrong with the sources


def test_all_broken_references_are_reported_together(tmp_path):
    files = {
        "css/b.css": "\n\nb{background:url(../img/lgo.svg)}\n\ni{src:url('../../../etc/x.png')}",
        "css/a.css": '@import "../print.css";\na{background:url("logo.svg?v=1#x")}',
        "img/logo.svg": "<svg/>",
    }
    error = failure(BrokenReferences, tmp_path, files)
    assert not (tmp_path / "static_root" / "b1" / "staticfiles.json").exists()
    assert str(error) == (
        "4 references lead nowhere:\n"
        "  css/a.css:1: ../print.css: there is no 'print.css'\n"
        "  css/a.css:2: logo.svg?v=1#x: there is no 'css/logo.svg' (did you mean img/logo.svg?)\n"
        "  css/b.css:3: ../img/lgo.svg: there is no 'img/lgo.svg' (did you mean img/logo.svg?)\n"
        "  css/b.css:5: ../../../etc/x.png: leads out of the static files\n"
        "Correct the reference, or put the file into a directory that collectstatic finds. What is "
        "meant to be missing is listed in the option ignore_missing, for example "
        "ignore_missing=['css/*:*']. Files of a package that no page loads are left out with "
        "collectstatic --ignore 'css/*'."
    )
    assert error.names == ("css/a.css", "css/b.css")
    assert error.references[1] == BrokenReference(
        "css/a.css", 2, "logo.svg?v=1#x", "css/logo.svg", ("img/logo.svg",)
    )
    assert isinstance(error, VersionedStorageError)
    assert isinstance(error, ValueError)


def test_broken_references_are_in_the_order_of_files_whatever_order_they_came_in(tmp_path):
    names = ["b.css", "c.css", "a.css"]
    write(tmp_path / "sources", dict.fromkeys(names, "a{background:url(x.png)}"))
    with pytest.raises(BrokenReferences) as caught:
        fingerprinted(tmp_path, "one", names)
    assert [broken.file for broken in caught.value.references] == ["a.css", "b.css", "c.css"]


def test_one_broken_reference_is_one(tmp_path):
    error = failure(BrokenReferences, tmp_path, {"a.css": "a{background:url(x.png)}"})
    assert re.search(r"^1 reference leads nowhere:\n  a\.css:1: x\.png: ", str(error))


def test_what_is_broken_in_a_cycle_is_reported_like_all_else(tmp_path):
    error = failure(
        BrokenReferences,
        tmp_path,
        {
            "a.css": '@import "b.css"; a{background:url(1.png)}',
            "b.css": '@import "a.css"; b{background:url(2.png)}',
        },
    )
    assert [broken.reference for broken in error.references] == ["1.png", "2.png"]


def test_a_broken_root_absolute_reference_is_named_below_the_static_files(tmp_path):
    error = failure(
        BrokenReferences, tmp_path, {"css/a.css": "a{background:url(/static/img/x.png)}"}
    )
    (broken,) = error.references
    assert str(broken) == "css/a.css:1: /static/img/x.png: there is no 'img/x.png'"


def test_a_way_out_of_the_static_files_by_escapes_is_seen(tmp_path):
    (tmp_path / "secret.png").write_bytes(b"secret")
    error = failure(BrokenReferences, tmp_path, {"a.css": "a{background:url(%2e%2e/secret.png)}"})
    assert re.search("leads out of the static files", str(error))


MAPS = {
    "js/a.js": "a();\n//# sourceMappingURL=maps/a.map",
    "a.css": "/*# sourceMappingURL=b.map */",
}


def test_a_missing_source_map_is_a_warning(tmp_path, caplog):
    names, root = build(tmp_path, MAPS)
    assert warnings(caplog) == [
        (
            "Source maps that do not exist, left as they are:\n"
            "  a.css:1: b.map: there is no 'b.map'\n"
            "  js/a.js:2: maps/a.map: there is no 'js/maps/a.map'"
        )
    ]
    assert text(root, names["js/a.js"]) == MAPS["js/a.js"]


def test_a_missing_source_map_is_an_error_with_strict_source_maps(tmp_path):
    error = failure(BrokenReferences, tmp_path, MAPS, options={"strict_source_maps": True})
    assert [broken.file for broken in error.references] == ["a.css", "js/a.js"]


def test_a_source_map_that_is_there_is_hashed(tmp_path):
    names, root = build(tmp_path, MAPS | {"js/maps/a.map": "{}", "b.map": "{}"})
    assert text(root, names["js/a.js"]).endswith(posixpath.basename(names["js/maps/a.map"]))


def test_ignore_missing_lets_what_it_names_be_missing_and_nothing_else(tmp_path, caplog):
    files = {
        "vendor/v.css": "v{behavior:url(pie.htc);background:url(gone.png)}",
        "own.css": "o{behavior:url(pie.htc)}",
        "v.js": "//# sourceMappingURL=v.js.map",
    }
    options = {"ignore_missing": ["vendor/*.css:*.htc", "*.js:*.map"]}
    error = failure(BrokenReferences, tmp_path, files, options=options)
    actual = [(broken.file, broken.reference) for broken in error.references]
    assert actual == [("own.css", "pie.htc"), ("vendor/v.css", "gone.png")]
    assert "v.js.map" not in caplog.text


def test_what_ignore_missing_names_stays_as_it_is(tmp_path):
    files = {"a.css": "a{behavior:url( pie.htc );background:url(l.png)}", "l.png": LOGO}
    names, root = build(tmp_path, files, options={"ignore_missing": ["a.css:pie.htc"]})
    assert text(root, names["a.css"]) == (
        f'a{{behavior:url( pie.htc );background:url("{names["l.png"]}")}}'
    )


def test_all_files_that_are_not_utf8_and_have_references_are_one_error(tmp_path):
    reference = b"a{}\n/* \xe9 */ b{background:url(l.png)}"
    files = {"css/old.css": reference, "css/older.css": reference, "css/l.png": LOGO}
    error = failure(NotUTF8, tmp_path, files)
    assert str(error) == (
        "2 files with references are not UTF-8:\n"
        "  css/old.css:2: the byte 0xe9\n"
        "  css/older.css:2: the byte 0xe9\n"
        "Style sheets and scripts are served as UTF-8. Convert each file, for example with "
        "iconv -f latin1 -t utf-8."
    )
    assert isinstance(error, UnicodeDecodeError)
    assert (error.files[0].file, error.files[0].line) == ("css/old.css", 2)
    assert error.files[0].byte == error.object[error.start] == 0xE9
    assert error.names == ("css/old.css", "css/older.css")


def test_a_file_that_is_not_utf8_and_refers_to_nothing_passes_with_a_warning(tmp_path, caplog):
    files = {
        "a.js": b"// caf\xe9\nvar a = 1;",
        "b.css": b"b{content:'\xff';background:url(https://example.com/x.png)}",
        "c.css": "c{}",
    }
    names, root = build(tmp_path, files)
    assert (root / names["a.js"]).read_bytes() == files["a.js"]
    assert hash_of(names["b.css"]) == digest_of([files["b.css"]]).md5[:12]
    assert warnings(caplog) == [
        (
            "Files that are not UTF-8, left as they are because they refer to no other file. They "
            "are served as UTF-8:\n"
            "  a.js:1: the byte 0xe9\n"
            "  b.css:1: the byte 0xff"
        )
    ]


def test_a_list_of_broken_references_stops_at_ten_and_says_how_many_there_are(tmp_path):
    css = "".join(f"a{{background:url(x{n}.png)}}" for n in range(1234))
    error = failure(BrokenReferences, tmp_path, {"a.css": css})
    lines = str(error).splitlines()
    assert lines[0] == "1,234 references lead nowhere:"
    assert lines[11] == "  and 1,224 more"
    assert len(lines) == 13
    assert len(error.references) == 1234


ADVICE = {
    "css/a[1].css": "a{background:url(pages/[slug].png)}",
    "x:y.css": "a{background:url(*.png)}",
    "vendor/[lib]/a.css": "a{background:url(1.png)}b{background:url(2.png)}",
}


@pytest.mark.parametrize(
    "names", [*([name] for name in ADVICE), ["css/a[1].css", "css/b.css"], ["a.css", "b.css"]]
)
def test_the_entry_of_ignore_missing_that_an_error_suggests_does_what_it_says(tmp_path, names):
    files = {
        name: ADVICE.get(name, "a{background:url(1.png)}b{background:url(2)}") for name in names
    }
    error = failure(BrokenReferences, tmp_path, files)
    (entry,) = literal_eval(re.search(r"ignore_missing=(\[.*?'\]|\[.*?\"\])\.", str(error))[1])
    build(tmp_path, options={"ignore_missing": [entry]})


def test_the_suggested_entry_covers_the_directory_with_the_most_broken_files():
    broken = [
        BrokenReference(file, 1, "x.png", "x.png")
        for file in ("own/a.css", "vendor/a/b.css", "vendor/c/d.css")
    ]
    assert ignore_missing_entry(broken) == "vendor/*:*"
    assert ignore_missing_entry(broken[1:]) == "vendor/*:*"
    assert ignore_missing_entry(broken[2:]) == "vendor/c/d.css:x.png"
    assert ignore_missing_entry([broken[2]] * 2) == "vendor/c/d.css:*"
    at_the_top = [BrokenReference(file, 1, "x", "x") for file in ("a.css", "b.css", "c.js")]
    assert ignore_missing_entry(at_the_top[:2]) == "*.css:*"
    assert ignore_missing_entry(at_the_top) == "*:*"
    assert ignore_missing_entry([*at_the_top, broken[0]]) == "*:*"


def test_a_file_is_not_suggested_for_itself(tmp_path):
    error = failure(BrokenReferences, tmp_path, {"css/base.css": '@import "../base.css";'})
    assert error.references[0].near == ()


def test_a_reference_without_its_extension_is_told_the_one_name_that_has_it(tmp_path):
    files = {"a.css": '@import "lib/base";', "lib/base.css": "", "lib/base2.css": "", "base": ""}
    error = failure(BrokenReferences, tmp_path, files)
    assert error.references[0].near == ("lib/base.css",)


def test_what_a_browser_would_not_load_from_a_style_sheet_does_not_stop_a_build(tmp_path, caplog):
    css = '@import "b.css"; a{}\n@import "gone.css"; // url(gone.png)\nc{d:url(no.png)}'
    names, root = build(tmp_path, {"a.css": css, "b.css": ""})
    assert text(root, names["a.css"]) == css.replace(
        '@import "b.css"', f'@import url("{names["b.css"]}")'
    )
    (warning,) = warnings(caplog)
    assert warning.splitlines()[1:] == [
        "  a.css:2: gone.css: there is no 'gone.css'",
        "  a.css:2: gone.png: there is no 'gone.png'",
        "  a.css:3: no.png: there is no 'no.png'",
    ]


def test_imports_that_only_a_bundler_completes_are_one_warning(tmp_path, caplog):
    pytest.importorskip("tree_sitter_javascript")
    source = "import a from './lib/a';\nimport('./lib');\nexport * from \"./b\";"
    files = {
        "js/entry.js": source,
        "js/lib/a.js": "",
        "js/lib/index.js": "",
        "js/b.mjs": "import './b/../lib/';",
    }
    names, root = build(tmp_path, files, options={"js_modules": True})
    assert text(root, names["js/entry.js"]) == source
    assert warnings(caplog) == [
        (
            "Imports that only a bundler completes, left as they are. No browser can load these "
            "modules; if no page does, leave them out with collectstatic --ignore:\n"
            "  js/b.mjs:1: ./b/../lib/: there is no 'js/lib' (did you mean js/lib/index.js?)\n"
            "  js/entry.js:1: ./lib/a: there is no 'js/lib/a' (did you mean js/lib/a.js?)\n"
            "  js/entry.js:2: ./lib: there is no 'js/lib' (did you mean js/lib/index.js?)\n"
            "  js/entry.js:3: ./b: there is no 'js/b' (did you mean js/b.mjs?)"
        )
    ]
    error = failure(
        BrokenReferences, tmp_path, {"js/c.js": "import './d';"}, options={"js_modules": True}
    )
    assert [broken.reference for broken in error.references] == ["./d"]


def test_an_import_that_cannot_be_parsed_is_a_warning_with_its_line(tmp_path, caplog):
    pytest.importorskip("tree_sitter_javascript")
    files = {"t.js": "a();\nimport type { T } from './u.js';", "u.js": ""}
    build(tmp_path, files, options={"js_modules": True})
    assert warnings(caplog) == [
        "What looks like an import of an ES module and cannot be parsed, left as it is:\n  t.js:2"
    ]


def test_a_script_that_the_parser_cannot_finish_is_named_with_the_way_to_exempt_it(
    tmp_path, monkeypatch
):
    pytest.importorskip("tree_sitter_javascript")
    monkeypatch.setattr("versioned_storage.build.references.modules._MOST_STEPS", 10)
    files = {"js/hu[ge].js": "import './b.js';" + "(a, b" * 10_000, "js/b.js": "b()"}
    error = failure(TooMuchToParse, tmp_path, files, options={"js_modules": True})
    assert error.names == ("js/hu[ge].js",)
    prehashed = literal_eval(re.search(r"prehashed=r('.*?')", str(error))[1].replace("\\", "\\\\"))
    build(tmp_path, options={"js_modules": True, "prehashed": prehashed})


@pytest.mark.parametrize("prehashed", [r"-\d{8}\.", r"^$"])
def test_a_script_that_puts_static_url_before_its_paths_is_a_warning(tmp_path, caplog, prehashed):
    """What Vite writes with its documented ``base: "/static/"`` leads out of every build."""
    files = {
        "assets/main-12345678.js": 'let a;\nconst b=function(d){return"/static/"+d};import(b("x"))',
        "assets/t.mjs": "fetch(`/static/${x}`)",
        "assets/good.js": 'fetch("/static/assets/t.mjs"); "x/static/"; \'/static/"',
        "assets/static.txt": '"/static/"',
    }
    build(tmp_path, files, options={"prehashed": prehashed})
    assert warnings(caplog) == [
        (
            'Scripts that put "/static/" before paths of their own, which then lead out of every '
            'build. With Vite set base: "./", with webpack publicPath: "auto":\n'
            "  assets/main-12345678.js:2\n"
            "  assets/t.mjs:1"
        )
    ]


def test_in_the_neutral_layout_a_script_may_put_static_url_before_its_paths(tmp_path, caplog):
    build(tmp_path, {"a.js": 'const base = "/static/";'}, version=None)
    assert warnings(caplog) == []


def test_a_name_that_has_no_room_for_its_hash_is_an_error_that_names_it(tmp_path):
    name = "n" * 240 + ".css"
    error = failure(NameTooLong, tmp_path, {f"css/{name}": "a{}"})
    assert f"The name of css/{name} is too long" in str(error)
    assert not list((tmp_path / "static_root").rglob("*.json"))
    build(tmp_path, {"css/" + "n" * 230 + ".txt": "fits"}, collect={"ignore_patterns": [name]})


def test_a_name_that_is_not_utf8_is_an_error(tmp_path, sources):
    Path(os.fsdecode(os.fsencode(sources) + b"/caf\xe9.css")).write_text("a{}")
    error = failure(NameNotUTF8, tmp_path)
    assert error.names == (r"caf\xe9.css",)


def test_a_file_that_is_not_scanned_may_have_any_bytes(tmp_path):
    names, root = build(tmp_path, {"a.txt": b"\xe9", "b.html": b"\xff"})
    assert (root / names["a.txt"]).read_bytes() == b"\xe9"


def test_a_reference_to_a_directory_stays_as_it_is(tmp_path):
    content = "a{background:url(img/)}b{background:url(img)}c{background:url(./)}d{src:url(../css)}"
    names, root = build(
        tmp_path, {"css/a.css": content, "css/img/l.png": LOGO, "css/b.css": '@import "a.css";'}
    )
    assert text(root, names["css/a.css"]) == content


def test_a_broken_link_fails_in_collectstatic_itself(tmp_path, sources):
    (sources / "gone.css").symlink_to("nowhere.css")
    with pytest.raises(FileNotFoundError, match=r"gone\.css"):
        build(tmp_path)


@pytest.mark.parametrize("option", ["dry_run", "link"])
@pytest.mark.parametrize("name", ["gone.css", "gone.png"])
def test_a_broken_link_that_collectstatic_lets_pass_is_an_error(tmp_path, sources, name, option):
    (sources / name).symlink_to("nowhere")
    error = failure(UnreadableSource, tmp_path, collect={option: True})
    assert str(error) == (
        f"Cannot read {name} ({sources / name}): it is a symbolic link to nowhere, which does "
        f"not exist. Restore the file, or leave it out with collectstatic --ignore '{name}'."
    )
    assert error.names == (name,)


@pytest.mark.parametrize("name", ["l.png", "a.css"])
def test_a_link_out_of_its_source_directory_is_collected_by_its_content(tmp_path, sources, name):
    outside = tmp_path / "outside"
    outside.write_text("/* shared */")
    (sources / name).symlink_to(outside)
    names, root = build(tmp_path)
    for path in (root / name, root / names[name]):
        assert path.is_file()
        assert not path.is_symlink()
        assert path.read_text() == "/* shared */"
    assert outside.stat().st_nlink == 1


def test_with_link_a_link_out_of_its_source_directory_still_gives_a_hashed_file(tmp_path, sources):
    (tmp_path / "outside").write_bytes(LOGO)
    (sources / "l.png").symlink_to(tmp_path / "outside")
    names, root = build(tmp_path, collect={"link": True})
    assert (root / "l.png").is_symlink()
    assert not (root / names["l.png"]).is_symlink()
    assert (root / names["l.png"]).read_bytes() == LOGO


def test_a_dry_run_finds_broken_references_and_writes_nothing(tmp_path):
    error = failure(
        BrokenReferences, tmp_path, {"a.css": "a{background:url(x.png)}"}, collect={"dry_run": True}
    )
    assert re.search(r"a\.css:1: x\.png: there is no 'x\.png'", str(error))
    assert not (tmp_path / "static_root").exists()


@pytest.mark.parametrize("version", ["b1", None])
def test_a_dry_run_leaves_all_that_is_there_as_it_is(tmp_path, version):
    files = {"a.css": "a{background:url(l.png)}", "l.png": LOGO}
    build(tmp_path, files, version=version, encodings=["gzip"])
    if version:
        (tmp_path / "static_root" / version / "staticfiles.json").unlink()
    before = tree(tmp_path)
    build(tmp_path, collect={"dry_run": True}, version=version, encodings=["gzip"])
    assert tree(tmp_path) == before
    write(tmp_path / "sources", {"l.png": b"other", "new.css": "n{}"})
    before = tree(tmp_path)
    build(tmp_path, collect={"dry_run": True}, version=version, encodings=["gzip"])
    assert tree(tmp_path) == before


# Names that carry a hash already

VITE = "assets/index-BzX3k9Qa.css"
WEBPACK = "main.8f2d9c1b7d10e5a4.css"
ESBUILD = "chunk-7ZQ4XK2N.js"
BUNDLED = {
    VITE: "a{background:url(./logo-Ca81dQx_.svg)}",
    "assets/logo-Ca81dQx_.svg": "<svg/>",
    WEBPACK: '@import "gone.css";',
    ESBUILD: "//# sourceMappingURL=chunk-7ZQ4XK2N.js.map",
    "own.css": f'@import "{VITE}"; @import "{WEBPACK}";',
}
HASHED_BY_A_BUNDLER = r"(?:-[A-Za-z0-9_-]{8}|\.[0-9a-f]{16})\.(?:css|js|svg)$"


@pytest.mark.parametrize(
    "prehashed",
    [
        HASHED_BY_A_BUNDLER,
        re.compile(HASHED_BY_A_BUNDLER),
        lambda name: name != "own.css",
    ],
    ids=["text", "pattern", "callable"],
)
@pytest.mark.parametrize("version", ["b1", None])
def test_what_a_bundler_hashed_passes_through_unchanged(tmp_path, caplog, prehashed, version):
    names, root = build(tmp_path, BUNDLED, options={"prehashed": prehashed}, version=version)
    for name in (VITE, WEBPACK, ESBUILD, "assets/logo-Ca81dQx_.svg"):
        assert names[name] == name
        assert text(root, name) == BUNDLED[name]
    assert follow(root, names["own.css"]) == [VITE, WEBPACK]
    assert names["own.css"] != "own.css"
    assert not [record for record in caplog.records if record.levelname == "WARNING"]
    files = [path for path in root.rglob("*") if path.is_file()]
    assert len(files) == len(BUNDLED) + 2


def test_what_a_bundler_hashed_is_still_there_without_originals(tmp_path):
    options = {"prehashed": HASHED_BY_A_BUNDLER, "keep_originals": False}
    _, root = build(tmp_path, BUNDLED, options=options)
    assert text(root, VITE) == BUNDLED[VITE]
    assert not (root / "own.css").exists()


def test_a_prehashed_file_that_link_left_as_a_link_becomes_a_file(tmp_path):
    """An asset of a build has bytes of its own, whatever becomes of the sources."""
    options = {"prehashed": HASHED_BY_A_BUNDLER}
    _, root = build(tmp_path, BUNDLED, options=options, collect={"link": True})
    assert not (root / VITE).is_symlink()
    assert text(root, VITE) == BUNDLED[VITE]
    assert (root / "own.css").is_symlink()


@pytest.mark.parametrize("version", ["b1", None])
@pytest.mark.parametrize("keep_originals", [True, False])
def test_without_a_file_hash_the_names_stay_and_references_hold(tmp_path, version, keep_originals):
    files = {"a.css": '@import "/static/sub/b.css";', "sub/b.css": "b{background:url(l.png)}"}
    names, root = build(
        tmp_path,
        files | {"sub/l.png": LOGO},
        backend="tests.build.test_fingerprint.Unhashed",
        options={"keep_originals": keep_originals},
        version=version,
    )
    assert all(name == hashed_name for name, hashed_name in names.items())
    assert text(root, "sub/b.css") == 'b{background:url("l.png")}'
    written = "./sub/b.css" if version else "/static/sub/b.css"
    assert text(root, "a.css") == f'@import url("{written}");'
    assert (root / "sub/l.png").read_bytes() == LOGO


def test_a_file_hash_of_a_subclass_may_read_the_content(tmp_path):
    names, root = build(
        tmp_path,
        {"a.css": "a{background:url(l.png)}", "l.png": LOGO, "x.css": '@import "y.css";'}
        | {"y.css": '@import "x.css";'},
        backend="tests.build.test_fingerprint.ByLength",
    )
    assert names["l.png"] == f"l.{len(LOGO):04d}.png"
    assert names["a.css"] == f"a.{len(text(root, 'a.css')):04d}.css"
    assert hash_of(names["x.css"]) == hash_of(names["y.css"])
    assert (root / names["l.png"]).read_bytes() == LOGO
    assert follow(root, names["a.css"]) == [names["l.png"]]


# What references become

ABSOLUTE = {
    "css/a.css": (
        'a{background:url("/static/img/l.png?v#x")}'
        'b{background:url("https://cdn.example.com/static/b1/img/l.png")}'
        'c{background:url("https://cdn.example.com/static/img/l.png")}'
        'd{background:url("/static/css/here.png")}'
        'e{background:url("https://other.example.com/static/img/l.png")}'
        'f{background:url("//cdn.example.com/static/img/l.png")}'
        'g{background:url("/media/l.png")}'
        'h{background:url("data:image/png;base64,AA==")}'
    ),
    "img/l.png": LOGO,
    "css/here.png": LOGO,
}


def urls(css):
    return re.findall(r'url\("([^"]+)"\)', css)


def test_in_a_build_root_absolute_and_cdn_references_become_relative_ones(tmp_path):
    names, root = build(tmp_path, ABSOLUTE, options={"cdn_domain": "cdn.example.com"})
    logo = "../" + names["img/l.png"]
    assert urls(text(root, names["css/a.css"])) == [
        f"{logo}?v#x",
        logo,
        logo,
        "./" + posixpath.basename(names["css/here.png"]),
        *urls(ABSOLUTE["css/a.css"])[4:],
    ]


def test_a_static_url_with_a_host_is_ours_too(tmp_path):
    names, root = build(
        tmp_path,
        {"a.css": 'a{background:url("https://s.example.com/assets/l.png")}', "l.png": LOGO},
        STATIC_URL="https://s.example.com/assets/",
    )
    assert urls(text(root, names["a.css"])) == ["./" + names["l.png"]]


def test_in_the_neutral_layout_root_absolute_references_stay_root_absolute(tmp_path):
    names, root = build(tmp_path, ABSOLUTE, version=None)
    assert urls(text(root, names["css/a.css"])) == [
        f"/static/{names['img/l.png']}?v#x",
        *urls(ABSOLUTE["css/a.css"])[1:3],
        f"/static/{names['css/here.png']}",
        *urls(ABSOLUTE["css/a.css"])[4:],
    ]


ODD_NAMES = [
    ("two words.png", "two%20words.png"),
    ("a#b.png", "a%23b.png"),
    ("a?b.png", "a%3Fb.png"),
    ("100%.png", "100%25.png"),
    ("a%20b.png", "a%2520b.png"),
    ("c++.png", "c++.png"),
    ("c+d.png", "c%2Bd.png"),
    ("日本 é.png", "%E6%97%A5%E6%9C%AC%20%C3%A9.png"),
    ("ünï.png", "ünï.png"),
    ("it's (1).png", "it%27s%20(1).png"),
    ('say "x".png', "say%20%22x%22.png"),
    ("d#r/e?.png", "d%23r/e%3F.png"),
]


@pytest.mark.parametrize("version", ["b1", None])
@pytest.mark.parametrize(("name", "reference"), ODD_NAMES)
@pytest.mark.parametrize("prefix", ["", "/static/css #1/"])
def test_an_odd_name_is_found_and_written_as_a_url_that_leads_there(
    tmp_path, name, reference, prefix, version
):
    prefix = prefix.replace(" ", "%20").replace("#", "%23")
    names, root = build(
        tmp_path,
        {
            "css #1/a.css": f'a{{background:url("{prefix}{reference}?q=1#f")}}',
            f"css #1/{name}": LOGO,
        },
        version=version,
    )
    hashed_name = names[f"css #1/{name}"]
    stem, extension = posixpath.splitext(f"css #1/{name}")
    assert hashed_name == f"{stem}.{digest_of([LOGO]).md5[:12]}{extension}"
    (url,) = urls(text(root, names["css #1/a.css"]))
    resolved = urlsplit(urljoin("http://host/static/css%20%231/a.css", url))
    assert unquote(resolved.path) == f"/static/{hashed_name}"
    assert (resolved.query, resolved.fragment) == ("q=1", "f")


def test_a_subclass_adds_patterns_in_django_s_way(tmp_path):
    names, root = build(
        tmp_path,
        {
            "a.tpl": "src='l.png' src='https://example.com/x.png'",
            "b.html": '<img data-src="l.png">',
            "c.conf": "# load gone.png\nload l.png" if IGNORES else "#\nload l.png",
            "d.css": "d{background:url(l.png)}",
            "l.png": LOGO,
        },
        backend="tests.build.test_fingerprint.Subclass",
    )
    logo = names["l.png"]
    # A pattern alone has Django's default template.
    assert text(root, names["a.tpl"]) == f"url(\"{logo}\") src='https://example.com/x.png'"
    assert text(root, names["b.html"]) == f'<img data-src="{logo}">'
    assert text(root, names["c.conf"]).splitlines()[1] == f"load {logo}"
    assert text(root, names["d.css"]) == f'd{{background:url("{logo}")}}'


def test_a_broken_reference_of_a_pattern_is_reported_too(tmp_path):
    error = failure(
        BrokenReferences,
        tmp_path,
        {"b.html": '<p>\n<img data-src="x.png">'},
        backend="tests.build.test_fingerprint.Subclass",
    )
    assert re.search(r"b\.html:2: x\.png: there is no 'x\.png'", str(error))


def test_a_web_app_manifest_refers_to_its_icons(tmp_path):
    names, root = build(
        tmp_path, {"app.webmanifest": '{"name": "x", "icons": [{"src": "l.png"}]}', "l.png": LOGO}
    )
    assert text(root, names["app.webmanifest"]) == (
        f'{{"name": "x", "icons": [{{"src": "{names["l.png"]}"}}]}}'
    )


def test_a_digested_file_is_opened_only_by_whoever_reads_it(tmp_path):
    (tmp_path / "f").write_bytes(LOGO)
    digest = digest_of([LOGO])
    with opens() as opened, DigestedFile("f", digest, lambda: (tmp_path / "f").open("rb")) as file:
        assert file.size == len(LOGO)
        assert not opened
        assert b"".join(file.chunks()) == LOGO
    assert len(opened) == 1
