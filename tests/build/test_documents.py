"""What is wrong in style sheets, scripts and other sources, and what of it stops a build."""

import os
import posixpath
import re
from ast import literal_eval
from pathlib import Path

import pytest

from tests.build.building import LOGO, build, failure, fingerprinted, hash_of, text, tree, warnings
from tests.helpers import write
from versioned_storage.build.directory import digest_of
from versioned_storage.build.source_errors import (
    BrokenReference,
    BrokenReferences,
    NameNotUTF8,
    NameTooLong,
    NotUTF8,
    TooMuchToParse,
    UnusableFiles,
    ignore_missing_entry,
)
from versioned_storage.errors import VersionedStorageError


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


def test_a_name_in_another_unicode_form_is_told_with_its_escapes(tmp_path):
    files = {"a.css": "a{b:url(i/\u00e9.png)}", "i/e\u0301.png": LOGO}
    error = failure(BrokenReferences, tmp_path, files)
    assert str(error.references[0]) == (
        "a.css:1: i/\u00e9.png: there is no 'i/\u00e9.png' (did you mean i/e\\u0301.png, which has "
        "the same letters in another Unicode form?)"
    )


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


@pytest.mark.parametrize("option", [{}, {"dry_run": True}, {"link": True}])
@pytest.mark.parametrize("name", ["gone.css", "gone.png"])
def test_a_broken_link_is_an_error(tmp_path, sources, name, option):
    (sources / name).symlink_to("nowhere")
    error = failure(UnusableFiles, tmp_path, collect=option)
    assert f"{sources / name} is a link to nowhere, which does not exist" in str(error)


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
