import pytest

from versioned_storage.build.references import js_source_maps, rewrite

MAP = "//# sourceMappingURL=a.js.map"


def found(text):
    return [(text[ref.start : ref.end], ref.url) for ref in js_source_maps(text)]


@pytest.mark.parametrize(
    "token",
    [
        "//# sourceMappingURL=a.js.map",
        "//@ sourceMappingURL=a.js.map",
        "//#sourceMappingURL=a.js.map",
        "//# sourceMappingURL= a.js.map",
        "/*# sourceMappingURL=a.js.map */",
        "/*@ sourceMappingURL=a.js.map*/",
    ],
)
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
    ],
)
@pytest.mark.parametrize("after", ["", "\n", " \t\r\n", "\u2028a()"])
def test_a_source_map_is_found_where_it_is_a_comment(before, token, after):
    # A line comment is the whole line, the spaces at its end too.
    spaces = after[: len(after) - len(after.lstrip(" \t"))] if token.startswith("//") else ""
    assert found(before + token + after) == [(token + spaces, "a.js.map")]


@pytest.mark.parametrize(
    "text",
    [
        f"'{MAP}'",
        f'a = "{MAP}";',
        f"'\\\n{MAP}';",
        f"'\\\r\n{MAP}';",
        f"`{MAP}`",
        f"`\n{MAP}\n`",
        f"`${{a}}\n{MAP}\n`",
        f"`${{ {{}} + `}}` + '`' }}\n{MAP}\n`",
        f"`\\`\n{MAP}\n`",
        f"/*\n{MAP}\n*/",
        f"/* /*# sourceMappingURL=a */\n// {MAP}",
        f"// {MAP}",
        f"/[/]{MAP}",
        "a = /[/*# sourceMappingURL=a */]/",
        "`/*# sourceMappingURL=a */`",
        "//# sourceMappingURL=",
        "//# sourceMappingURL=a b",
        "//# sourcemappingurl=a",
        "//#\nsourceMappingURL=a",
        "// # sourceMappingURL=a",
        "/*# sourceMappingURL=a b */",
        "/*# sourceMappingURL=a",
        "sourceMappingURL=a",
    ],
)
def test_what_looks_like_a_source_map_is_none(text):
    assert found(text) == []


@pytest.mark.parametrize(
    "code",
    [
        "a = 1 / 2; b = '`' / 3;",
        "a = /`/;",
        "a = /[`/]`/g;",
        r"a = /\/`/;",
        "a(/`/, b)",
        "return /`/;",
        "x.return / 2; y = '`';",
        "a = b\n/ c; '`'",
        "if (a) /`/.test(b);",
        "if (a) { } /`/.test(b);",
        "(a) / 2",
        "a[0] / 2",
        "a++ / 2",
        "'a' / 2",
        "a = b /* / */ / 2",
        "1. / 2",
        "a = `${`${b}`}` / 2; '`'",
        "a = `$` + `\\${` + `{}`;",
        "a = `${ {b: '}'}.c / 2 }`;",
        "a = `${ (b }`;",
        "a = 'it\\'s `';",
        "// it's `\n",
        "'unterminated `\n",
        "/* it's ` */",
        "a => /`/",
        "#!/usr/bin/env -S 'node `\n",
        "<p></p>",
    ],
)
def test_code_before_it_is_read_as_an_engine_reads_it(code):
    # The one in a template must not be found and the one after it must: neither by its position.
    text = f"{code};`\n{MAP}\n`;{MAP}\n//`"
    assert [start for start, _ in spans(text)] == [text.rindex(MAP)]


def spans(text):
    return [(ref.start, ref.end) for ref in js_source_maps(text)]


def test_all_of_several_are_found():
    text = "//# sourceMappingURL=a\nb();/*# sourceMappingURL=c */ //# sourceMappingURL=d e\n" + MAP
    assert [url for _, url in found(text)] == ["a", "c", "a.js.map"]


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
    text = f"a();{MAP}\n" + repeated * (300_000 // len(repeated)) + f";{MAP}"
    assert js_source_maps(text)[0].url == "a.js.map"
