import re
from functools import partial
from itertools import pairwise

import pytest
from django.contrib.staticfiles.storage import HashedFilesMixin
from hypothesis import given
from hypothesis import strategies as st

from versioned_storage.build.references import (
    Syntax,
    css_references,
    js_module_references,
    js_source_maps,
    pattern_references,
    rewrite,
    webmanifest_references,
)

LOAD = re.compile(r"(?P<matched>load\((?P<quote>['\"])(?P<url>.*?)(?P=quote)(?P<more>, 1)?\))")
COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)


def actual(text, pattern=LOAD, ignored=None):
    references = pattern_references(text, pattern, "load(%(quote)s%(url)s)", ignored)
    return [(text[ref.start : ref.end], ref.url) for ref in references]


def test_the_token_of_a_pattern_is_its_whole_match():
    assert actual("a; load('x.js'); load(\"y.js\", 1)") == [
        ("load('x.js')", "x.js"),
        ('load("y.js", 1)', "y.js"),
    ]


def test_the_template_takes_every_group():
    (reference,) = pattern_references("load('x')", LOAD, "%(matched)s %(quote)s%(url)s", None)
    assert reference.spell('new"%s') == "load('x') 'new\"%s"
    assert not reference.is_source_map


def test_django_s_default_template_is_taken():
    template = HashedFilesMixin.default_template
    (reference,) = pattern_references("load('x')", LOAD, template, None)
    assert reference.spell("new") == 'url("new")'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/* load('x') */ load('y')", ["y"]),
        ("load('x') /* load('y') */ load('z')", ["x", "z"]),
        ("/* a */ /* b */ load('x') /* c load('y') */", ["x"]),
        ("load('/* x */')", ["/* x */"]),
        ("/**/load('x')/**/load('y')", ["x", "y"]),
        ("load('/*') load('x') load('*/') load('y')", ["/*", "y"]),
    ],
)
def test_what_starts_in_an_ignored_block_is_none(text, expected):
    assert [url for _, url in actual(text, ignored=COMMENT)] == expected


def test_a_match_that_starts_with_a_block_is_not_inside_it():
    assert actual("'x'", re.compile("'(?P<url>x)'"), re.compile("'x'")) == [("'x'", "x")]


def test_a_match_without_a_url_is_none():
    assert actual("a b", re.compile("a(?P<url>x)?|b")) == []


def test_a_pattern_without_a_group_for_the_url_is_an_error():
    with pytest.raises(IndexError, match="no such group"):
        actual("a", re.compile("a"))


def test_many_matches_and_blocks_take_linear_time():
    assert len(actual("/**/load('x')" * 30_000, ignored=COMMENT)) == 30_000


_CHARACTERS = "(){}[];,\"'`\\/=\n aé日\U0001f600\ufeff"
_CSS = ["url(", "src(", "image-set(", "@import ", "/*", "*/", "url(d)"]
_JS = ["//", "# ", "\n//# ", "sourceMappingURL=", "${", "./b", "load(", "load('e')"]
_MODULES = [
    "import ",
    "import(",
    "export * ",
    "from ",
    "new URL(",
    ", import.meta.url)",
    "import './c'",
]
_JSON = ['"icons":', '"src":', '"name":']
_PARTS = [*_CHARACTERS, *_CSS, *_JS, *_MODULES, *_JSON]
texts = st.text() | st.lists(st.sampled_from(_PARTS), max_size=30).map("".join)
scanners = pytest.mark.parametrize(
    "scanner",
    [
        css_references,
        js_source_maps,
        js_module_references,
        webmanifest_references,
        partial(pattern_references, pattern=LOAD, template="load(%(url)s)", ignored=COMMENT),
    ],
)


@scanners
@given(texts)
def test_references_are_in_order_and_apart(scanner, text):
    references = scanner(text)
    assert all(0 <= ref.start < ref.end <= len(text) for ref in references)
    assert all(before.end <= after.start for before, after in pairwise(references))
    assert rewrite(text, []) == text


@scanners
@given(texts)
def test_rewriting_leaves_all_that_is_between(scanner, text):
    references = [ref for ref in scanner(text) if ref.syntax is not Syntax.UNPARSED]
    rewritten = rewrite(text, [(reference, "NEW") for reference in references])
    position = 0
    for before, reference in pairwise([None, *references]):
        between = text[before.end if before else 0 : reference.start] + reference.spell("NEW")
        assert rewritten.startswith(between, position)
        position += len(between)
    assert rewritten[position:] == text[references[-1].end if references else 0 :]
