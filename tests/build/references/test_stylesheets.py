import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from versioned_storage.build.references import Reference, Syntax, css_references, rewrite


def followed(text: str) -> list[Reference]:
    """The references that a browser may follow."""
    return [token for token in css_references(text) if token.syntax is not Syntax.UNREAD]


def actual(text):
    """What is found, as pairs of the token and the URL in it."""
    return [(text[ref.start : ref.end], ref.url) for ref in followed(text)]


def urls(text):
    return [ref.url for ref in followed(text)]


@pytest.mark.parametrize(
    ("token", "url"),
    [
        ("url(a.png)", "a.png"),
        ("url( \t\r\n\fa.png\n )", "a.png"),
        ("url('a.png')", "a.png"),
        ('url( "a.png" )', "a.png"),
        ("url(' a.png ')", "a.png"),
        ("URL(a.png)", "a.png"),
        ("uRl('a.png')", "a.png"),
        ("url(a.eot?#iefix)", "a.eot?#iefix"),
        ("url(a.svg?v=1#icon)", "a.svg?v=1#icon"),
        ("url('a b.png')", "a b.png"),
        ("url(a%20b.png)", "a%20b.png"),
        ("url(é/日本.png)", "é/日本.png"),
        ("url(/*a.png)", "/*a.png"),
        ("url(//cdn/a.png)", "//cdn/a.png"),
    ],
)
def test_a_url_is_found_quoted_and_unquoted(token, url):
    assert actual(f"a {{ b: {token} }}") == [(token, url)]


@pytest.mark.parametrize(
    ("token", "url"),
    [
        (r"url(a\ b.png)", "a b.png"),
        (r"url(a\)b.png)", "a)b.png"),
        (r"url(a\28 b\29.png)", "a(b).png"),
        (r"url(\61\000062 c)", "abc"),
        (r"url(a\\)", "a\\"),
        (r"url(a\20 )", "a"),
        ("url('a\\\nb\\\r\nc')", "abc"),
        ("url('a\\62\r\nc')", "abc"),
        (r"url('a\'b')", "a'b"),
        (r"url('a\\')", "a\\"),
        (r'url("\1F600 .png")', "\U0001f600.png"),
        (r'url("\0\d800\110000")', "\ufffd\ufffd\ufffd"),
        ("url('a\0')", "a\ufffd"),
    ],
)
def test_escapes_are_resolved(token, url):
    assert actual(f"a {{ b: {token}; }}") == [(token, url)]


def test_several_urls_are_found_in_their_order():
    text = "a { b: url(a), url('b') no-repeat } @media x { c { d: url(c) } } :root { --x: url(d) }"
    assert urls(text) == ["a", "b", "c", "d"]


@pytest.mark.parametrize(
    "text",
    [
        "a { b: my-url(x) }",
        "a { b: curl(x) }",
        "a { b: éurl(x) }",
        "a { b: --url(x) }",
        "a { b: _url(x) }",
        "a { b: 1url(x) }",
        "#url(x) {}",
        "@url(x) {}",
        r"a { b: \62url(x) }",
        r"a { b: \62 url(x) }",
        r"a { b: \zurl(x) }",
        "a { b: url (x) }",
        "@document url-prefix('x'), domain('y') {}",
        "a { b: my-image-set('x'), xsrc('x') }",
        "a { content: 'url(x)' }",
        'a { content: "a\\"url(x)" }',
        "a { content: 'a\\\nurl(x)' }",
        "/* url(x) */",
        "/* ' */ a { b: 'url(x)' }",
        "/* url(x)",
        "a { b: 'url(x)",
        "a { b: url(x",
        "a { b: url('x'",
        "a { b: url('x",
        "a { b: url() url('') }",
        "a { b: url('x\n') }",
        "a { b: url(x y) }",
        "a { b: url(x'y) }",
        "a { b: url(x(y) }",
        "a { b: url(x\\\n) }",
        "a { b: url(x\x01) }",
        "a { b: url('x' 'y') }",
    ],
)
def test_what_looks_like_a_url_is_none(text):
    assert actual(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "a { b: 'x\n; c: url(y) }",
        "a { b: url('x\n); c: url(y) }",
        "a { b: url(x z); c: url(y) }",
        "a { b: url(x'z); c: url(y) }",
        r"a { b: url(x'\) url(z)); c: url(y) }",
        "a { b: \\\nurl(y) }",
        "/*/ url(x) */ a { b: url(y) }",
        "/* \" ' */ a { b: url(y) }",
        "/***/ a { b: url(y) }",
        "a { b: 1.url(y) }",
        "a { b: +url(y) }",
        "url(y)",
        "\ufeffurl(y)",
        "a { b: url(); c: url(y) }",
    ],
)
def test_the_next_real_url_is_found(text):
    assert urls(text) == ["y"]


def test_a_data_uri_is_one_token_whatever_is_in_it():
    quoted = "url(\"data:image/svg+xml,<svg fill='url(#a)' style='x:url(b.png)'/>\")"
    assert actual(f"a {{ b: {quoted} }}") == [(quoted, quoted[5:-2])]
    unquoted = "url(data:image/png;base64,iVBORw0KGgo=)"
    assert actual(f"a {{ b: {unquoted} }}") == [(unquoted, unquoted[4:-1])]


def test_nothing_is_found_in_an_unquoted_data_uri_that_needs_quotes():
    uri = "url(data:image/svg+xml,<svg a='url(#a)' b='url(b.png)' c=url(c.png)/>)"
    # The last quote in it begins a string, which the line break ends; then the semicolon counts.
    assert urls(f"a {{ b: {uri}, url(d.png);\n e: url(f.png); g: url(h.png) }}") == ["h.png"]


@pytest.mark.parametrize(
    ("text", "token"),
    [
        ("@import 'a.css';", "@import 'a.css'"),
        ('@import"a.css";', '@import"a.css"'),
        ("@IMPORT\n'a.css';", "@IMPORT\n'a.css'"),
        (
            "@import 'a.css' layer(b) supports(display: grid) screen;",
            "@import 'a.css'",
        ),
        ("@import url(a.css) layer(b) screen;", "url(a.css)"),
        ("@import url( 'a.css' ) supports(not (a: b));", "url( 'a.css' )"),
        ("@import/**/url(a.css);", "url(a.css)"),
        ("@import /* 'b' */ 'a.css';", "'a.css'"),
        ("@charset 'utf-8'; @import 'a.css';", "@import 'a.css'"),
        ("\ufeff@import 'a.css';", "@import 'a.css'"),
    ],
)
def test_an_import_is_found(text, token):
    assert actual(text) == [(token, "a.css")]


@pytest.mark.parametrize(
    "text",
    [
        "foo@import 'a.css';",
        r"\61 @import 'a.css';",
        r"\@import 'a.css';",
        "@imported 'a.css';",
        "@import-x 'a.css';",
        "@import a 'a.css';",
        "@import 'a.css",
        "@import 'a\n.css';",
        "/* @import 'a.css'; */",
        "a { content: \"@import 'a.css'\" }",
        "@namespace url(http://www.w3.org/1999/xhtml);",
        "@namespace svg url('http://www.w3.org/2000/svg');",
        "@namespace/**/svg/* x */url(http://www.w3.org/2000/svg);",
        "@NAMESPACE 'src('; @namespace url 'url(a)';",
        "@charset 'url(a)';",
    ],
)
def test_what_looks_like_an_import_is_none(text):
    assert actual(text) == []


def test_only_one_url_belongs_to_a_namespace():
    assert urls("@namespace url(a); @import url(b);") == ["b"]


@pytest.mark.parametrize("name", ["image-set", "-webkit-image-set", "IMAGE-SET"])
def test_the_strings_of_an_image_set_are_found(name):
    text = f"""a {{ b: {name}( "a.png" 1x, url(b.png) 2x, 'c.avif' type("image/avif") ), 'd' }}"""
    assert actual(text) == [
        ('"a.png"', "a.png"),
        ("url(b.png)", "b.png"),
        ("'c.avif'", "c.avif"),
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a { b: src('x') }", ["x"]),
        ("a { b: src( 'x' foo('y') ), 'z' }", ["x"]),
        ("a { b: image-set('x' calc((1x + 1x)), 'y') }", ["x", "y"]),
        ("a { b: image-set(src('x') 1x, 'y') }", ["x", "y"]),
        ("a { b: image-set(url('x' z('w')) 1x, 'y') }", ["x", "y"]),
        ("a { b: image-set(/* ) */ 'x' /* 'z' */, 'y') }", ["x", "y"]),
        ("a { b: image-set(var(--a), 'x'), ('y') }", ["x"]),
        ("a { b: image-set('x' 1x; content: 'y' }", ["x"]),
        ("a { b: image-set('x' 1x } c { content: 'y' }", ["x"]),
        ("a { b: image-set('x\n, 'y') }", []),
        ("a { b: image-set('x' / 2) 'y' }", ["x"]),
    ],
)
def test_only_the_strings_right_inside_are_found(text, expected):
    assert urls(text) == expected


@pytest.mark.parametrize("text", ["url('x' foo(y))", "url( 'x' /**/ )", "url('x'/**/)"])
def test_what_follows_in_a_url_function_stays(text):
    assert actual(text) == [("'x'", "x")]


@pytest.mark.parametrize(
    "token",
    [
        "/*# sourceMappingURL=a.css.map */",
        "/*#sourceMappingURL=a.css.map*/",
        "/*@ sourceMappingURL=a.css.map\n*/",
        "/*#\tsourceMappingURL= a.css.map*/",
    ],
)
def test_a_source_map_is_found_where_it_is_a_whole_comment(token):
    assert actual(f"a {{ b: c }} {token}\n") == [(token, "a.css.map")]
    assert followed(token)[0].is_source_map


@pytest.mark.parametrize(
    "text",
    [
        "/*# sourcemappingurl=a */",
        "/*# sourceMappingURL=a b */",
        "/*# sourceMappingURL= */",
        "/* # sourceMappingURL=a */",
        "/* x /*# sourceMappingURL=a */",
        "/*# sourceMappingURL=a",
        "//# sourceMappingURL=a",
        "a { content: '/*# sourceMappingURL=a */' }",
    ],
)
def test_what_looks_like_a_source_map_is_none(text):
    assert actual(text) == []


def test_comments_between_the_parts_of_an_at_rule_are_read_too():
    text = "@import /*# sourceMappingURL=a */ 'b';"
    assert urls(text) == ["a", "b"]


def test_rewriting_changes_the_tokens_alone():
    text = "@import 'a' screen;\na { b: url( c ) d, image-set('e' 1x) } /*# sourceMappingURL=f */\n"
    assert rewrite(text, [(ref, ref.url * 2) for ref in followed(text)]) == (
        '@import url("aa") screen;\n'
        'a { b: url("cc") d, image-set("ee" 1x) } /*# sourceMappingURL=ff */\n'
    )


STARTS = ["/*", "url(", "url('", "url(\\", "\\a", "image-set(", "src(('", "/*#sourceMappingURL="]
AT_STARTS = ["@import", "@import '", "@import/*", "@namespace ", "@namespace url("]


@pytest.mark.parametrize("part", [*"\"'\\[(", *STARTS, *AT_STARTS])
@pytest.mark.parametrize("separator", ["", " ", "\n"])
def test_the_time_is_linear(part, separator):
    repeated = part + separator
    for start in ("a { b: url(c); d: e('", "a { b: url(c); "):
        assert followed(start + repeated * (100_000 // len(repeated)))[0].url == "c"


_CHARACTERS = "(){};,\"'\\\n -#@aé\0\x01\ufeff"
_TOKENS = ["url(", "URL( ", "src(", "image-set(", "@import ", "@namespace ", "url(a.png)", "'x'"]
_OTHERS = ["/*", "*/", "/*# ", "sourceMappingURL=", "\\61 ", "\r\n", "b.png"]
css_texts = st.lists(st.sampled_from([*_CHARACTERS, *_TOKENS, *_OTHERS]), max_size=25).map("".join)
_STRIPPED = "".join(map(chr, range(0x21)))
a_url = st.text(min_size=1).filter(lambda url: "\0" not in url and url == url.strip(_STRIPPED))


@given(css_texts, a_url)
def test_what_was_rewritten_is_found_again_in_the_same_places(text, url):
    references = followed(text)
    rewritten = rewrite(text, [(reference, url) for reference in references])
    again = followed(rewritten)
    in_comments = re.search(r"""[\s\x00-\x1f\x7f"']|\*/""", url)
    for before, after in zip(references, again, strict=True):
        assert after.is_source_map == before.is_source_map
        assert after.url == url or (after.is_source_map and in_comments)
        assert rewritten[after.start : after.end] in before.spell(url)
    assert [actual.syntax for actual in again if actual.syntax is Syntax.IMPORT] == []


def loaded(text):
    return {reference.url: reference.is_loaded for reference in followed(text)}


@pytest.mark.parametrize(
    "before",
    [
        "",
        "\ufeff",
        '@charset "utf-8";\n/* a{} */ ',
        "@layer a, b;\n@import url(c.css) layer(a) supports(display: grid) screen;",
        "<!-- \n",
        "@import 'a;b{c.css'; ;",
    ],
)
def test_an_import_before_all_rules_is_loaded(before):
    assert loaded(f"{before}@import 'x.css';")["x.css"]


@pytest.mark.parametrize(
    "before",
    [
        "a{}",
        "@media print{",
        "@layer a{}",
        "@font-face{src:url(f.woff)}\n",
        "@namespace url(http://www.w3.org/1999/xhtml);",
        "// ",
        "@import 'a.css'; b{} @import 'c.css';",
        "/* open */ . ",
    ],
)
@pytest.mark.parametrize("form", ["'x.css'", "url(x.css)", 'url("x.css")', "/* a */ 'x.css'"])
def test_an_import_after_a_rule_is_not_loaded(before, form):
    assert loaded(f"{before}@import {form};")["x.css"] is False


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a{ // b:url(x)\n c:url(y); d:url(z) }", {"x": False, "y": False, "z": True}),
        ("a{ // b:url(x);\n c:url(y) }", {"x": False, "y": True}),
        ("// a{b:url(x)}\nc{d:url(y)}", {"x": False, "y": True}),
        ("// a: url(x);\nb{c:url(y)} d{e:url(z)}", {"x": False, "y": False, "z": True}),
        ("a{} // don't\nb{c:url(x)}", {"x": False}),
        ("a{b:url(x); // c\n} d{e:url(y)}", {"x": True, "y": True}),
        ("a{ // b\n &:hover{c:url(x)} d:url(y) }", {"x": False, "y": True}),
        ("@media print{ // a\n b{c:url(x)} d{e:url(y)} }", {"x": False, "y": True}),
        ("a{/* b */ // c:url(x)\n}", {"x": False}),
        ("a{b:url(//host/x) url(y)}", {"//host/x": True, "y": True}),
        ("a{b:url(http://host/x;y)} c{d:url(z)}", {"http://host/x;y": True, "z": True}),
        ("/* // */ a{b:url(x)}", {"x": True}),
        ("a{b:'// {' url(x)}", {"x": True}),
        ("a{b:c // url(x)\n}", {"x": False}),
        ("a{b:url(x) // url(y)\n; c:url(z)}", {"x": False, "y": False, "z": True}),
        ("a // b\n{c:url(x)} d{e:url(y)}", {"x": False, "y": True}),
        ("@import url(x) // y\n; @import url(z);", {"x": False, "z": True}),
        ("a{b:url(x) /* // */; c:url(y)}", {"x": True, "y": True}),
    ],
)
def test_two_slashes_drop_the_declaration_or_the_rule_that_they_begin(text, expected):
    assert loaded(text) == expected


@pytest.mark.parametrize("part", ["//", "// '", "a{//", "url(//", "@import 'a", "@layer ", "/* */"])
def test_the_time_is_linear_where_browsers_drop_what_is_there(part):
    followed(part * (100_000 // len(part)) + "@import 'x.css'; a{b:url(y)}")
