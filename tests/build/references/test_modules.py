import sys

import pytest

from versioned_storage.build.references import (
    Syntax,
    js_module_references,
    line_of,
    modules,
    rewrite,
)

pytest.importorskip("tree_sitter_javascript", reason="needs the extra [modules]")


def rewritten(text):
    return rewrite(text, [(reference, "NEW") for reference in js_module_references(text)])


def urls(text):
    return [
        reference.url
        for reference in js_module_references(text)
        if reference.syntax is not Syntax.UNPARSED
    ]


def unparsed_lines(text):
    return [
        line_of(text, reference.start)
        for reference in js_module_references(text)
        if reference.syntax is Syntax.UNPARSED
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("import a from './x.js';", 'import a from "NEW";'),
        ('import{a}from"./x.js"', 'import{a} from "NEW"'),
        ("import * as a  from  './x.js'", 'import * as a from "NEW"'),
        (
            "import a, {\n  b,\n  c as d\n} from\n'./x.js'",
            'import a, {\n  b,\n  c as d\n} from "NEW"',
        ),
        ("export * from './x.js'", 'export * from "NEW"'),
        ("export * as a from './x.js'", 'export * as a from "NEW"'),
        ("export { a } from './x.js';", 'export { a } from "NEW";'),
        ("import './x.js';", 'import"NEW";'),
        ("import\n'./x.js'", 'import"NEW"'),
        (
            "import a from './x.json' with {type: 'json'}",
            "import a from \"NEW\" with {type: 'json'}",
        ),
        ("import('./x.js')", 'import("NEW")'),
        ("import ( './x.js' )", 'import("NEW")'),
        ("import(`./x.js`)", 'import("NEW")'),
        ("import('./x.js', {with: {}})", 'import("NEW", {with: {}})'),
        ("import('./x.js',)", 'import("NEW",)'),
        (
            "export { default } from './d.json' with { type: 'json' };",
            "export { default } from \"NEW\" with { type: 'json' };",
        ),
        (
            "export * as a from './d.json'\n  with {type: 'json'}\nexport * from './x.js'",
            'export * as a from "NEW"\n  with {type: \'json\'}\nexport * from "NEW"',
        ),
        (
            "import a from './d.json' assert {type: 'json'};",
            "import a from \"NEW\" assert {type: 'json'};",
        ),
        ("export\n{ a } from './x.js';", 'export\n{ a } from "NEW";'),
        ("export\n\n  {\n a\n}\nfrom\n'./x.js'", 'export\n\n  {\n a\n} from "NEW"'),
        ("export * as a\nfrom './x.js'", 'export * as a from "NEW"'),
        ("export\n* from './x.js'", 'export\n* from "NEW"'),
        ("import source a from './x.wasm';", 'import source a from "NEW";'),
        ("import source from './x.js';", 'import source from "NEW";'),
        ("import source from from './x.wasm';", 'import source from from "NEW";'),
        ("import defer * as a from './x.js';", 'import defer * as a from "NEW";'),
        ("import defer, {a} from './x.js';", 'import defer, {a} from "NEW";'),
        ("import.source('./x.wasm')", 'import.source("NEW")'),
        ("import.defer('./x.js')", 'import.defer("NEW")'),
        ("new globalThis.URL('x', import.meta.url)", 'new globalThis.URL("NEW", import.meta.url)'),
        ("new self.URL('x', import.meta.url)", 'new self.URL("NEW", import.meta.url)'),
        ("new URL('x.png', import.meta.url)", 'new URL("NEW", import.meta.url)'),
        ("new URL('./x.png', import . meta.url).href", 'new URL("NEW", import . meta.url).href'),
    ],
)
def test_each_form_is_found_and_spelled_as_django_spells_it(text, expected):
    assert rewritten(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("import a /* b */ from './x.js'", 'import a /* b */ from "NEW"'),
        ("import a // b\n from './x.js'", 'import a // b\n from "NEW"'),
        ("import a from /* b */ './x.js'", 'import a from /* b */ "NEW"'),
        ("import /* b */ './x.js'", 'import /* b */ "NEW"'),
        (
            "import(/* webpackChunkName: 'b' */ './x.js')",
            "import(/* webpackChunkName: 'b' */ \"NEW\")",
        ),
        ("import/* b */('./x.js')", 'import/* b */("NEW")'),
        ("import('./x.js' /* b */)", 'import("NEW" /* b */)'),
        ("new URL(/* b */ 'x', import.meta.url)", 'new URL(/* b */ "NEW", import.meta.url)'),
    ],
)
def test_comments_between_the_tokens_stay(text, expected):
    assert rewritten(text) == expected


@pytest.mark.parametrize(
    "url",
    ["./x", "../x", "/static/x", "//cdn/x", "https://cdn/x", "./x?y#z", "./a%20b", "./é/日本"],
)
def test_specifiers_that_resolve_alone_are_references(url):
    assert urls(f"import '{url}'; import('{url}')") == [url, url]


@pytest.mark.parametrize(
    "text",
    [
        "import 'react'; export * from 'lodash/x'; import('react'); import '#x'; import '.x'",
        "import(a); import('./' + a); import(`./${a}`); import()",
        "new URL(a, import.meta.url); new URL(`${a}`, import.meta.url)",
        "new URL('./x', b); new URL('./x'); new A('./x', import.meta.url)",
        "new URL('./x', import.meta.url2); new URL('./x', import.meta.env.url)",
        "import.meta.url; new URL('./x', new.target.url)",
        "// import './x'\n/* import './x' */",
        "'import \"./x\"'; `import './x'; ${a} import('./x')`; /import('.\\/x')/",
        "a.import('./x'); a.import = './x'; export const b = './x'; export default './x'",
        "function a() { import './x' }",
        "",
    ],
)
def test_what_looks_like_a_reference_is_none(text):
    assert urls(text) == []


@pytest.mark.parametrize(
    ("literal", "url"),
    [
        (r"'./\x61\u0062\u{63}'", "./abc"),
        (r"'./\ud83d\ude00\ud800'", "./\U0001f600\ufffd"),
        ("'./a\\\nb'", "./ab"),
        (r"'./it\'s\t'", "./it's"),
        (r"`./\`a`", "./`a"),
        (r"'./\u{110000}'", "./\ufffd"),
    ],
)
def test_escapes_are_resolved(literal, url):
    assert urls(f"import({literal})") == [url]


def test_imports_are_found_wherever_code_is():
    text = "async () => { { await import('./x'); `${import('./y')}` } }; <a b={import('./z')} />"
    assert urls(text) == ["./x", "./y", "./z"]


def test_positions_are_code_points():
    text = "\ufeff/* é日\U0001f600 */ import a from './é.js'; '\U0001f600'; import('./日'); // é"
    assert rewritten(text) == (
        '\ufeff/* é日\U0001f600 */ import a from "NEW"; \'\U0001f600\'; import("NEW"); // é'
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("import './x';\nlet = = ;\nimport './y';", ["./x", "./y"]),
        ("import './x';\nfunction (", ["./x"]),
        ("import a from\nlet b = './x';\nimport './y'", ["./y"]),
        ("import './x'; /* import './y'", ["./x"]),
    ],
)
def test_a_syntax_error_costs_only_what_it_damages(text, expected):
    assert urls(text) == expected


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("a = b;\nimport type { A } from './a.js';", [2]),
        ("import './a.js';\nexport { default as a, b as } c from './b.js';", [2]),
        ("let a: string = 'b';\nimport './a.js';", []),
        ("import a, from './a.js';\n\nimport b + c from '../b.js'", [1, 3]),
        ("let = = ;\n// import './y'\n'import \"./y\"'; `import './y'`", []),
        ("import('./x';\nf(", [1]),
        ("import a from 'bare' 1 from;", []),
    ],
)
def test_an_import_that_cannot_be_parsed_is_said(text, lines):
    assert unparsed_lines(text) == lines


def test_code_that_can_be_parsed_has_nothing_unparsed():
    text = "import './a'; export * from './b'; import('./c'); const x = 'import \"./d\"';"
    assert unparsed_lines(text) == []


def test_more_work_than_a_script_can_need_is_refused(monkeypatch):
    monkeypatch.setattr(modules, "_MOST_STEPS", 100)
    assert js_module_references("import './x';") != []
    with pytest.raises(modules.TooMuchWork):
        js_module_references("import './x';" + "(a, b" * 10_000)


@pytest.mark.parametrize("literal", ["'/*'", "`/*`", "/[/*]/"])
def test_what_looks_like_an_open_comment_hides_nothing(literal):
    assert urls(f"/* a */ b = {literal}; import './x'") == ["./x"]


@pytest.mark.parametrize("missing", ["tree_sitter", "tree_sitter_javascript"])
def test_without_the_extra_it_is_an_import_error(missing, monkeypatch):
    modules._language.cache_clear()
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ImportError):
        js_module_references("no module at all")


STARTS = ["import(", "import('./x', ", "new URL('x', ", "`${import(", "import './x';", "export {"]


@pytest.mark.parametrize("part", ["/*", "// import\n", "a.", *"([{", *STARTS])
def test_the_time_is_linear(part):
    text = "import './q';\n" + part * (50_000 // len(part))
    assert urls(text)[0] == "./q"


def test_the_time_is_linear_where_comments_are_never_closed():
    assert urls("import './q';\n" + "/* import" * 10_000) == ["./q"]
