import re
import sys
from functools import partial
from itertools import pairwise

import pytest
from django.contrib.staticfiles.storage import HashedFilesMixin, ManifestStaticFilesStorage
from hypothesis import given
from hypothesis import strategies as st

from versioned_storage.build.references import (
    Syntax,
    js_module_references,
    js_source_maps,
    rewrite,
    webmanifest_references,
)
from versioned_storage.build.references.scanning import MissingParser, Scanners, pattern_references

from .test_stylesheets import followed

DJANGOS = HashedFilesMixin.patterns


class WithModules(HashedFilesMixin):
    support_js_module_import_aggregation = True


def patterns_of(storage):
    """What a storage of that class has once it is made."""
    return storage.__new__(storage).patterns


def urls(patterns, name, text):
    return [reference.url for reference in Scanners(patterns).references(name, text)]


def respelled(patterns, name, text):
    return [reference.spell("new") for reference in Scanners(patterns).references(name, text)]


CSS = "@import 'a.css'; b { background: url(b.png) } /*# sourceMappingURL=c.map */"
JS = "import x from './a.js';\nimport('./b.js');\n//# sourceMappingURL=c.map\n"
WEB_MANIFEST = '{"name": "App", "icons": [{"src": "icon.png"}]}'


@pytest.mark.parametrize(
    "name", ["app.css", "css/deep/app.css", "app.js", "app.mjs", "js/app.min.js", "a.webmanifest"]
)
def test_style_sheets_scripts_and_web_manifests_are_read(name):
    assert Scanners(DJANGOS).is_scanned(name)


@pytest.mark.parametrize("name", ["manifest.json", "icons/manifest.json", "site.webmanifest"])
def test_a_web_manifest_is_known_by_its_name(name):
    assert urls(DJANGOS, name, WEB_MANIFEST) == ["icon.png"]
    assert urls((), name, WEB_MANIFEST) == ["icon.png"]


@pytest.mark.parametrize(
    "name",
    [
        "a.png",
        "a.json",
        "my-manifest.json",
        "manifest.json.gz",
        "a.css.map",
        "css",
        "a.svg",
        "a.txt",
    ],
)
def test_other_files_are_not_read(name):
    assert not Scanners(DJANGOS).is_scanned(name)
    assert urls(DJANGOS, name, CSS) == []


def test_what_is_no_pattern_s_is_not_read():
    assert not Scanners(()).is_scanned("app.css")
    assert urls((), "app.css", CSS) == []


def test_django_s_patterns_for_style_sheets_stand_for_the_tokens_of_css():
    assert urls(DJANGOS, "css/app.css", CSS) == ["a.css", "b.png", "c.map"]
    # What the regular expressions would take for references.
    assert urls(DJANGOS, "app.css", "b { content: 'url(a.png)' } /* url(b.png) */") == []
    assert urls(DJANGOS, "app.css", "b { c: image-set('a.png' 1x) }") == ["a.png"]


@pytest.mark.parametrize("name", ["app.js", "app.mjs"])
def test_django_s_pattern_for_scripts_finds_source_maps_alone(name):
    assert urls(DJANGOS, name, JS) == ["c.map"]


@pytest.mark.parametrize("name", ["app.js", "app.mjs"])
def test_with_django_s_patterns_for_modules_the_imports_are_found_too(name):
    pytest.importorskip("tree_sitter_javascript")
    patterns = WithModules().patterns
    assert urls(patterns, name, JS) == ["./a.js", "./b.js", "c.map"]
    assert urls(patterns, name, "s = \"import('./a.js')\"; // import './b.js'") == []


def test_a_subclass_that_adds_to_django_s_patterns_keeps_the_scanners():
    class Storage(ManifestStaticFilesStorage):
        patterns = (*ManifestStaticFilesStorage.patterns, ("*.css", (r"load\((?P<url>\w+)\)",)))

    text = "b { a: load(x); b: url(y); c: 'url(z)' }"
    assert urls(patterns_of(Storage), "app.css", text) == ["x", "y"]


def test_a_string_is_a_pattern_with_django_s_template():
    patterns = [("*.css", [r"(?P<matched>load\((?P<url>\w+)\))"])]
    assert urls(patterns, "a.css", "load(x) LOAD(y)") == ["x", "y"]
    assert respelled(patterns, "a.css", "load(x)") == ['url("new")']


@pytest.mark.parametrize("sort", [tuple, list])
def test_a_pair_is_a_pattern_and_its_template(sort):
    pattern = sort([r"(?P<how>load|fetch)\((?P<url>\w+)\)", "%(how)s(<%(url)s>)"])
    patterns = [("*.html", [pattern])]
    assert Scanners(patterns).is_scanned("a/index.html")
    assert respelled(patterns, "a/index.html", "load(x) Fetch(y)") == [
        "load(<new>)",
        "Fetch(<new>)",
    ]


@pytest.mark.parametrize("ignored", ["<!--.*?-->", re.compile("<!--.*?-->")])
def test_the_third_of_a_triple_says_where_matches_are_none(ignored):
    patterns = [("*.html", [(r"src=(?P<url>\w+)", "src=%(url)s", ignored)])]
    assert urls(patterns, "a.html", "src=a <!-- src=b --> /* src=c */") == ["a", "c"]


@pytest.mark.parametrize("pattern", [r"src=(?P<url>\w+)", (r"src=(?P<url>\w+)", "%(url)s")])
def test_without_a_third_matches_in_css_comments_are_none(pattern):
    patterns = [("*.txt", [pattern])]
    assert urls(patterns, "a.txt", "src=a /* src=b\n src=c */ src=d /* src=e") == ["a", "d"]


def test_a_pattern_applies_to_the_files_of_its_glob_alone():
    patterns = [("js/*.txt", [r"src=(?P<url>\w+)"])]
    assert urls(patterns, "js/deep/a.txt", "src=x") == ["x"]
    assert urls(patterns, "a.txt", "src=x") == []


def test_all_patterns_of_a_name_are_asked_and_their_references_come_in_order():
    patterns = [("*.txt", [r"b=(?P<url>\w+)"]), ("a.*", [r"a=(?P<url>\w+)", r"c=(?P<url>\w+)"])]
    text = "a=1 b=2 c=3 b=4 a=5"
    actual = Scanners(patterns).references("a.txt", text)
    assert [reference.url for reference in actual] == ["1", "2", "3", "4", "5"]
    assert [text[ref.start : ref.end] for ref in actual] == text.split()


def test_of_references_that_overlap_the_first_is_found():
    patterns = [("*.txt", [r"b\((?P<url>\w+)\)", r"a\((?P<url>.*?)\)\)"])]
    assert urls(patterns, "a.txt", "a(b(x)) b(y)") == ["b(x", "y"]
    assert urls(patterns, "a.txt", "b(y)a(b(x))") == ["y", "b(x"]


def test_where_two_start_together_the_pattern_that_comes_first_counts():
    first, other = r"a(?P<url>b)", r"a(?P<url>bc)"
    assert urls([("*.txt", [first, other])], "a.txt", "abc") == ["b"]
    assert urls([("*.txt", [other, first])], "a.txt", "abc") == ["bc"]


def test_the_same_patterns_twice_find_nothing_twice():
    assert urls((*DJANGOS, *DJANGOS), "app.css", CSS) == ["a.css", "b.png", "c.map"]


def test_modules_without_their_parser_are_an_error_that_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "tree_sitter_javascript", None)
    patterns = [HashedFilesMixin._js_module_import_aggregation_patterns]
    with pytest.raises(MissingParser) as caught:
        Scanners(patterns)
    assert 'pip install "django-versioned-storage[modules]"' in str(caught.value)
    assert "tree_sitter_javascript is not installed" in str(caught.value)


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
        followed,
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
