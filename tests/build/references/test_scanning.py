import re
import sys

import pytest
from django.contrib.staticfiles.storage import HashedFilesMixin, ManifestStaticFilesStorage

from versioned_storage.build.references.scanning import MissingParser, Scanners

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
    assert Scanners(DJANGOS).read(name)


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
    assert not Scanners(DJANGOS).read(name)
    assert urls(DJANGOS, name, CSS) == []


def test_what_is_no_pattern_s_is_not_read():
    assert not Scanners(()).read("app.css")
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
    assert Scanners(patterns).read("a/index.html")
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
