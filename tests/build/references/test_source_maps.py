import pytest

from versioned_storage.build.references import js_source_maps, rewrite

MAP = "//# sourceMappingURL=a.js.map"
COMMENTS = [
    "//# sourceMappingURL=a.js.map",
    "//@ sourceMappingURL=a.js.map",
    "//#sourceMappingURL=a.js.map",
    "//# sourceMappingURL= a.js.map",
    "/*# sourceMappingURL=a.js.map */",
    "/*@ sourceMappingURL=a.js.map*/",
]


def source_maps(text):
    return [(text[ref.start : ref.end], ref.url) for ref in js_source_maps(text)]


@pytest.mark.parametrize("comment", COMMENTS)
@pytest.mark.parametrize(
    "before",
    [
        "",
        "\ufeff",
        "a()\n",
        "a();",
        "\t",
        "a = b\r\n",
        "a\u2028",
        "'\\\n'\n",
        "/* a */\n",
        "`\n`\n",
        "a = b / c; d = 'e';",
        "/* a */ b() /* c */ ",
    ],
)
@pytest.mark.parametrize("after", ["", "\n", " \t\r\n", "\n// a\n/* b */ // c\n"])
def test_the_last_comment_with_no_code_after_it_is_the_source_map(before, comment, after):
    # A line comment is the whole line, the spaces at its end too.
    spaces = " \t" if comment.startswith("//") and after.startswith(" \t") else ""
    assert source_maps(before + comment + after) == [(comment + spaces, "a.js.map")]


@pytest.mark.parametrize("comment", COMMENTS[:4])
@pytest.mark.parametrize("before", ["", "\ufeff", "a()\n", "a\u2028", "/* a */\r\n"])
def test_a_line_of_its_own_is_a_source_map_wherever_it_is(before, comment):
    """Django rewrites it, and its tests have it on the first line."""
    assert source_maps(f"{before}{comment}\nb();\n") == [(comment, "a.js.map")]


@pytest.mark.parametrize(
    "text",
    [
        f"'{MAP}'",
        f'a = "{MAP}";',
        f"`{MAP}`",
        f"`a{MAP}\n`",
        "/*# sourceMappingURL=a */ b();",
        "a(); /*# sourceMappingURL=a */\nb();",
        f"a(); {MAP}\nb();",
        f"// {MAP}",
        f"a = 'http://b'; {MAP}",
        "a = /[/*# sourceMappingURL=a */]/",
        "//# sourceMappingURL=",
        "//# sourceMappingURL=a b",
        "//# sourcemappingurl=a",
        "//#\nsourceMappingURL=a",
        "// # sourceMappingURL=a",
        "/*# sourceMappingURL=a b */",
        "/*# sourceMappingURL=a",
        "/*# sourceMappingURL=a\n*/",
        "sourceMappingURL=a",
    ],
)
def test_what_looks_like_a_source_map_is_none(text):
    assert source_maps(text) == []


def test_all_that_are_lines_of_their_own_are_found_and_the_last_one():
    text = "//# sourceMappingURL=a\nb();/*# sourceMappingURL=c */\n//# sourceMappingURL=d e\n"
    assert source_maps(text) == [
        ("//# sourceMappingURL=a", "a"),
        ("/*# sourceMappingURL=c */", "c"),
    ]


def test_the_spaces_after_it_go_and_the_line_break_stays():
    text = "a()\n//# sourceMappingURL=a.js.map \r\n"
    (reference,) = js_source_maps(text)
    assert rewrite(text, [(reference, "b")]) == "a()\n//# sourceMappingURL=b\r\n"


STARTS = ["/*", "//", "`${", "${", "'\\a", "`\\", "[/", "=/[", "/\\", "//#\t", "/*#"]
SOURCE_MAPS = ["//# sourceMappingURL=", "/*# sourceMappingURL=", "//# sourceMappingURL=a"]


@pytest.mark.parametrize("part", [*"`\"'\\/(){}$", *STARTS, *SOURCE_MAPS])
@pytest.mark.parametrize("separator", ["", " ", "\n"])
def test_the_time_is_linear(part, separator):
    repeated = part + separator
    text = f"{MAP}\n" + repeated * (100_000 // len(repeated)) + f"\n{MAP}"
    assert js_source_maps(text)[-1].url == "a.js.map"
