"""Optimizers make files smaller, or leave them as they are."""

from __future__ import annotations

import base64
import importlib.metadata
import zlib
from pathlib import Path
from typing import Any

import pytest
from django.core.management.base import CommandError

from tests.helpers import site
from versioned_storage import optimizers
from versioned_storage.optimizers import css, jpeg, js, png

SCRIPT = """
/** @license MIT, (c) Example */
// Copyright of a line */
/* a comment */
const  greeting = `two  blanks ${ name /* in */ } // none`;
return_( /a  [/"]  b/u.test( greeting ) ? 1 : 2 ) ; // the end
"""
MINIFIED_SCRIPT = (
    "/*!* @license MIT, (c) Example *//*! Copyright of a line * / */"
    "const greeting=`two  blanks ${ name /* in */ } // none`;"
    """return_(/a  [/"]  b/u.test(greeting)?1:2);"""
)


def minified(script: str) -> str:
    return js("a.js", script.encode()).decode()


def squeezed(style_sheet: str) -> str:
    return css("a.css", style_sheet.encode()).decode()


def test_a_script_loses_blanks_and_comments_but_no_licence() -> None:
    assert minified(SCRIPT).replace("\n", "") == MINIFIED_SCRIPT


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("a ?. b ?? c  ||= 1 ;", "a?.b??c||=1;"),
        ("class A { #x = 1 ; static { f( ) } }", "class A{#x=1;static{f()}}"),
        ("async x => { for await (const y of z) { } }", "async x=>{for await(const y of z){}}"),
        ("a + ++b - -c", "a+ ++b- -c"),
        ("a\n(b)\nc\n[d]", "a\n(b)\nc\n[d]"),
        ("f = () => /a  b/v ;", "f=()=>/a  b/v;"),
        ("x = `a\\`  ${ `${ b }  c` }  d` ;", "x=`a\\`  ${ `${ b }  c` }  d`;"),
        ("if (a) b ; else /x  y/.exec( c )", "if(a)b;else/x  y/.exec(c)"),
    ],
)
def test_a_modern_script_keeps_its_meaning(script: str, expected: str) -> None:
    assert minified(script) == expected


@pytest.mark.parametrize(
    "script",
    [
        # The comment is where a semicolon is inserted.
        "a /* 1\n */ ++b ; c  =  1",
        "b: while (1) { continue /*\r*/ b; }",
        "a /*\u2028*/ ++b ;  c",
        # Without blanks it is a comment of HTML.
        "a = b < !--c ;  d",
        # No script, and one that a compiler has to read first.
        "a  =  ( 1 ;",
        "x = <p>a   b</p> ;",
        # The parser takes the slash for a division and the template literal for a tag's.
        "f = () => { }\n/a/g",
        "f = () => { }\n`a`",
        "export default  () => { }\n/a - b/g",
        "x = { }  / a - b / c",
        "f = async () => { await  /a - b/g }",
        # Line ends that the parser does not count, and of which rjsmin loses some.
        "return\n/a/.test( b )",
        "f = () => { } // license\n/a/g ; b  =  c",
        "a /*\n*/ ++\nb ;  c",
        "async /*\n*/ a => a ;  b",
        "async /*\n*/ function f( ) { }",
    ],
)
def test_a_script_that_would_have_another_meaning_stays(script: str) -> None:
    assert minified(script) == script


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("a\n++\nb", "a\n++\nb"),
        ("f(\n  a ,\n  b\n)\n.c ;\n", "f(a,b).c;"),
        ("a = /* d\n */ b ;", "a=b;"),
        ("if ( a ) {\n  b /  2 ;\n}\nc\n", "if(a){b/2;}\nc"),
    ],
)
def test_a_line_end_goes_only_where_no_statement_could_end(script: str, expected: str) -> None:
    assert minified(script) == expected


@pytest.mark.parametrize(
    "licence",
    [
        "(c) 2024 Foo Inc., MIT",
        "© 2024 Foo Inc.",
        "All Rights Reserved.",
        "Released under the terms of MIT",
        "@preserve",
        "SPDX-License-Identifier: MIT",
    ],
)
def test_each_kind_of_licence_stays(licence: str) -> None:
    source = f"/* {licence} */\n  a  {{ }}\n"
    assert squeezed(source) == f"/*! {licence} */a{{}}"
    assert minified(source.replace("a ", "if (a)")).startswith(f"/*! {licence} */")


def test_an_operator_at_the_end_of_html_comments_is_no_comment() -> None:
    assert minified("while ( i-- > 0 ) f( ) ;") == "while(i-->0)f();"


@pytest.mark.parametrize(
    ("style_sheet", "expected"),
    [
        ("a  { b: c ; }\n/* d */", "a{b:c}"),
        ("a :hover , b > c { d: e }", "a :hover,b>c{d:e}"),
        ("a { b: calc( 1px + ( 2px ) ) }", "a{b:calc(1px + (2px))}"),
        (".a { & .b { c: d } &:hover { } }", ".a{& .b{c:d}&:hover{}}"),
        ("/* Copyright X */ a { b: c }", "/*! Copyright X */a{b:c}"),
        (".licence { }  /* d */", ".licence{}"),
        ("@media (a) and (b: c) { d { } }", "@media (a) and (b:c){d{}}"),
        ("@font-face { src: url( 'a  b' ) }", "@font-face { src: url( 'a  b' ) }"),
        # A blank before a colon may be one of a selector.
        ("a  { b : c }", "a  { b : c }"),
        # A descendant, of which rcssmin would make a compound.
        ("@layer a { b :hover { c: d } }", "@layer a { b :hover { c: d } }"),
        (".a { .b :is( c ) { d: e } }", ".a { .b :is( c ) { d: e } }"),
        ("a { --b: ; c: d }", "a { --b: ; c: d }"),
        ("a { --b: ; }", "a { --b: ; }"),
        # Invalid rules and queries, which would be valid without the blank.
        ("a: hover  { b: c }", "a: hover  { b: c }"),
        ("a { b: hover { c: d } }", "a { b: hover { c: d } }"),
        ("a:is(b: hover)  { c: d }", "a:is(b: hover)  { c: d }"),
        ("a[b ~ ='c']  { d: e }", "a[b ~ ='c']  { d: e }"),
        ("@media (width > =1px)  { a { } }", "@media (width > =1px)  { a { } }"),
        ("@media (width >/**/=1px)  { a { } }", "@media (width >/**/=1px)  { a { } }"),
        ("@media ( width >= 1px )  { a { } }", "@media (width>=1px){a{}}"),
        ("a { b: url( /* c */ 'd' ) }", "a { b: url( /* c */ 'd' ) }"),
        ("@function --a( --b <c > )  { }", "@function --a( --b <c > )  { }"),
    ],
)
def test_a_style_sheet_keeps_its_meaning(style_sheet: str, expected: str) -> None:
    assert squeezed(style_sheet) == expected


@pytest.mark.parametrize("optimizer", [css, js])
@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.min.js", b"a { }  "),
        ("a.js", b"a { }  \n/*# sourceMappingURL=a.map */"),
        ("a.js", b"a { }  " * 100),
        ("a.js", b"a { }  \xff"),
        ("a.js", b""),
    ],
    ids=["name", "source map", "long lines", "not UTF-8", "empty"],
)
def test_what_is_minified_or_has_a_source_map_stays(optimizer: Any, name: str, data: bytes) -> None:
    assert optimizer(name, data) == data


def chunk(kind: bytes, data: bytes) -> bytes:
    checksum = zlib.crc32(kind + data).to_bytes(4, "big")
    return len(data).to_bytes(4, "big") + kind + data + checksum


def image(*metadata: bytes) -> bytes:
    """A PNG of 32 by 32 grey pixels in four bytes each, badly compressed."""
    header = (32).to_bytes(4, "big") * 2 + bytes([8, 6, 0, 0, 0])
    pixels = (b"\0" + b"\x80\x80\x80\xff" * 32) * 32
    data = chunk(b"IDAT", zlib.compress(pixels, 0)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(metadata) + data


def test_a_png_is_smaller_and_keeps_its_author() -> None:
    optimized = png("a.png", image(chunk(b"tEXt", b"Author\0Example")))
    assert len(optimized) < len(image()) / 10
    assert b"Author\0Example" in optimized
    assert png("a.png", optimized) == optimized


@pytest.mark.parametrize(
    "data",
    [
        image(chunk(b"bKGD", b"\0\1\0\2\0\3")),
        image(chunk(b"sBIT", b"\5\5\5\5")),
        image() + b"after the end",
    ],
    ids=["background", "significant bits", "after the end"],
)
def test_a_png_stays_where_oxipng_would_lose_more_than_pixels(data: bytes) -> None:
    assert png("a.png", data) == data


# One grey pixel, with a comment.
JPEG = base64.b64decode(
    "/9j/4AAQSkZJRgABAQEASABIAAD//gAHaGVsbG//2wBDAAMCAgICAgMCAgIDAwMDBAYEBAQEBAgGBgUGCQgKCgkI"
    "CQkKDA8MCgsOCwkJDRENDg8QEBEQCgwSExIQEw8QEBD/wAALCAABAAEBAREA/8QAFAABAAAAAAAAAAAAAAAAAAAA"
    "Cf/EABQQAQAAAAAAAAAAAAAAAAAAAAD/2gAIAQEAAD8AVN//2Q=="
)


def test_a_jpeg_keeps_its_markers_and_is_never_larger() -> None:
    optimized = jpeg("a.jpg", JPEG)
    assert b"hello" in optimized
    assert len(optimized) <= len(JPEG)


@pytest.mark.parametrize(
    "data",
    [
        JPEG + JPEG,
        JPEG + b"a film",
        JPEG.replace(b"\xff\xfe\0\7hello", b"\xff\xe2\0\7MPF\0\0"),
    ],
    ids=["two images", "a film", "an index of images"],
)
def test_a_jpeg_with_more_than_an_image_stays(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mozjpeg_lossless_optimization.optimize", lambda *_, **__: b"smaller")
    assert jpeg("a.jpg", JPEG) == b"smaller"
    assert jpeg("a.jpg", data) == data


@pytest.mark.parametrize("optimizer", [png, jpeg])
def test_what_only_has_the_name_of_an_image_stays(optimizer: Any) -> None:
    assert optimizer("a.png", b"not an image") == b"not an image"


def test_a_missing_extra_is_an_error_that_names_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def version(package: str) -> str:
        if package == "rcssmin":
            raise importlib.metadata.PackageNotFoundError(package)
        return "1"

    monkeypatch.setattr(optimizers, "version", version)
    monkeypatch.delitem(css.__dict__, "version", raising=False)
    options = {"transforms": [("*.css", "versioned_storage.optimizers.css")]}
    with (
        site(tmp_path, {"a.css": "a { }"}, options=options, BUILD_VERSION="b1") as shop,
        pytest.raises(CommandError) as caught,
    ):
        shop.collect()
    assert str(caught.value) == (
        "The option transforms names versioned_storage.optimizers.css, and rcssmin is not "
        'installed. Run pip install "django-versioned-storage[minify]", or take it out of the '
        "option."
    )


def test_the_version_changes_with_the_packages() -> None:
    installed = importlib.metadata.version("rcssmin")
    assert css.version == f"versioned_storage.optimizers.css 2, rcssmin {installed}"
