import pytest

from versioned_storage.build.references.tokens import Reference, Syntax, line_of, rewrite


def spelled(kind, url):
    return Reference(0, 0, "old", kind).spell(url)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (Syntax.URL, 'url("a.css")'),
        (Syntax.IMPORT, '@import url("a.css")'),
        (Syntax.CSS_STRING, '"a.css"'),
        (Syntax.BLOCK_SOURCE_MAP, "/*# sourceMappingURL=a.css */"),
        (Syntax.LINE_SOURCE_MAP, "//# sourceMappingURL=a.css"),
        (Syntax.FROM, ' from "a.css"'),
        (Syntax.BARE_IMPORT, 'import"a.css"'),
        (Syntax.IMPORT_CALL, 'import("a.css")'),
        (Syntax.JS_STRING, '"a.css"'),
        (Syntax.JSON_STRING, '"a.css"'),
    ],
)
def test_each_kind_is_spelled_as_django_spells_it(kind, expected):
    assert spelled(kind, "a.css") == expected


@pytest.mark.parametrize(
    ("kind", "url", "expected"),
    [
        (Syntax.CSS_STRING, 'a"b', r'"a\"b"'),
        (Syntax.CSS_STRING, r"a\b", r'"a\\b"'),
        (Syntax.CSS_STRING, "a\nb\r\fc", r'"a\a b\d \c c"'),
        (Syntax.CSS_STRING, "it's é", '"it\'s é"'),
        (Syntax.JS_STRING, 'a"b\\c\nd', r'"a\"b\\c\nd"'),
        (Syntax.JS_STRING, "é\u2028\u2029", '"é\\u2028\\u2029"'),
        (Syntax.JSON_STRING, 'a"b\\\x01', r'"a\"b\\\u0001"'),
    ],
)
def test_what_would_end_a_string_is_escaped(kind, url, expected):
    assert spelled(kind, url) == expected


@pytest.mark.parametrize("kind", [Syntax.BLOCK_SOURCE_MAP, Syntax.LINE_SOURCE_MAP])
def test_what_would_end_a_comment_or_the_url_in_it_is_percent_encoded(kind):
    url = spelled(kind, "a*/ b\nc\u2028d\"'%20*.map").split("=")[1].removesuffix(" */")
    assert url == "a%2A/%20b%0Ac%E2%80%A8d%22%27%20*.map"


def test_only_source_maps_are_source_maps():
    are = {kind for kind in Syntax if Reference(0, 0, "", kind).is_source_map}
    assert are == {Syntax.BLOCK_SOURCE_MAP, Syntax.LINE_SOURCE_MAP}


def test_rewriting_nothing_gives_the_same_text():
    assert rewrite("a { b: c }", []) == "a { b: c }"


def test_rewriting_replaces_tokens_in_whatever_order_they_come():
    first, second = (
        Reference(1, 2, "b", Syntax.CSS_STRING),
        Reference(3, 5, "de", Syntax.CSS_STRING),
    )
    assert rewrite("abcdef", [(second, "2"), (first, "1")]) == 'a"1"c"2"f'


@pytest.mark.parametrize(("position", "line"), [(0, 1), (1, 1), (2, 2), (4, 3), (99, 3)])
def test_lines_are_counted_from_one(position, line):
    assert line_of("a\nb\nc", position) == line
