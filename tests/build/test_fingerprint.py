import os
import posixpath
import re
import sys
import tracemalloc
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

import pytest
from django.contrib.staticfiles.storage import HashedFilesMixin

from tests.build.building import LOGO, build, failure, fingerprinted, follow, hash_of, text, tree
from tests.helpers import write
from versioned_storage.build.directory import digest_of
from versioned_storage.build.source_errors import (
    BrokenReferences,
)
from versioned_storage.build.source_files import DigestedFile
from versioned_storage.storage import VersionedStaticFilesStorage

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

    monkeypatch.setattr(os, "link", refuse)
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
