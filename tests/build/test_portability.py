"""Which assets of a build are shared, why others are not, and how references are spelled."""

from __future__ import annotations

import posixpath
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from django.contrib.staticfiles.storage import ManifestFilesMixin, StaticFilesStorage
from django.core.files.storage import FileSystemStorage
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.build.building import LOGO, build, failure, text
from tests.helpers import tree, write
from versioned_storage.build.assemble import make_manifest
from versioned_storage.build.directory import BuildDirectory
from versioned_storage.build.fingerprint import Fingerprinter
from versioned_storage.build.manifest import Asset, Bound, Manifest, Reason
from versioned_storage.build.portability import Portability, bound_text
from versioned_storage.build.recipe import Recipe
from versioned_storage.build.references.scanning import Scanners
from versioned_storage.build.resolver import Resolver
from versioned_storage.build.source_errors import SharedNameTaken
from versioned_storage.storage import VersionedStaticFilesStorage

RECIPE = Recipe("b1", {}, (), keep_originals=True, shared_prefix="_shared")


@cache
def scanners(js_modules=True):
    storage = VersionedStaticFilesStorage("/tmp", "/static/", js_modules=js_modules)
    return Scanners(storage.patterns)


def cause(name, text="", *, js_modules=True):
    """The reason and the culprit that bind a file; None if it is shared."""
    resolver = Resolver({name}, "/static/", versioned=True)
    portability = Portability(RECIPE, scanners(js_modules), resolver)
    references = scanners(js_modules).references(name, text)
    portability.judge(name, text, references)
    portability.decide([name])
    bound = portability.bound.get(name)
    return bound and (bound.reason, bound.culprit)


def shared(tmp_path, files=None, shared_assets=True, **arguments):
    """A build with shared assets: its manifest and its directory."""
    options = {"shared_assets": shared_assets, **arguments.pop("options", {})}
    _, root = build(tmp_path, files, options=options, **arguments)
    return Manifest.from_json((root / "staticfiles.json").read_bytes()), root


def causes(manifest):
    return {asset.name: asset.bound and str(asset.bound) for asset in manifest.assets.values()}


def follow(manifest, root):
    """Resolve every reference of the build by the URL Standard, from each place of its file.

    Returns the pairs of the file and the files that its references lead to.
    """
    urls = {asset.path: asset for asset in manifest.assets.values()}
    urls |= {asset.original_path: asset for asset in manifest.assets.values()}
    pairs = {}
    for asset in manifest.assets.values():
        if not asset.name.endswith((".css", ".js", ".mjs", ".webmanifest")):
            continue
        text = (root / asset.hashed_name).read_text()
        references = [
            reference.url
            for reference in scanners().references(asset.name, text)
            if not reference.url.startswith(("https:", "#"))
        ]
        build = manifest.build
        places = {f"{build}/{asset.hashed_name}", asset.original_path, asset.path}
        for place in places:
            resolver = Resolver(urls.keys(), "/static/")
            targets = [resolver.find(place, url) for url in references]
            assert all(target and target.name in urls for target in targets), (place, references)
            names = {urls[target.name].hashed_name for target in targets}
            assert pairs.setdefault(asset.name, names) == names
            # A shared neighbour has one URL, wherever the reference is.
            assert all(urls[target.name].path == target.name for target in targets)
    return pairs


# Scripts


@pytest.mark.parametrize(
    ("script", "culprit"),
    [
        ("let u = document.currentScript.src", "currentScript"),
        ("// document.currentScript", "currentScript"),
        ("var d=r.g.document;d.currentScript.src", "currentScript"),
        ("globalThis.document?.currentScript?.src", "currentScript"),
        ("document\n  .currentScript?.src", "currentScript"),
        ("document['currentScript'].src", "currentScript"),
        ("const {currentScript: s} = document; s.src", "currentScript"),
        ("var d=document,s=d.currentScript; s.src", "currentScript"),
        ("document.currentScript.getAttribute('SRC')", "currentScript"),
        ("document.currentScript.getAttribute('href')", "currentScript"),
        ("document.currentScript.getAttribute(name)", "currentScript"),
        ("document.currentScript.datasetOf", "currentScript"),
        ("document.scripts[0].src", "document.scripts"),
        ("d.getElementsByTagName('script')", "getElementsByTagName('script'"),
        ('d.getElementsByTagName( "SCRIPT" )', 'getElementsByTagName( "SCRIPT"'),
        ('d.querySelector("script[src*=app]")', 'querySelector("script'),
        ("d.querySelectorAll(`head > script`)", "querySelectorAll(`head > script"),
        ("n('script[src*=\"app\"]').attr('src')", "script[src"),
        ("$('script').last().attr('src')", "$('script"),
    ],
)
def test_a_script_that_asks_where_it_was_loaded_from_is_bound(script, culprit):
    assert cause("js/a.js", script) == (Reason.LOCATION, culprit)


@pytest.mark.parametrize(
    "script",
    [
        "fetch('/api/')",
        "document.currentScript.getAttribute('data-x')",
        "document.currentScript?.dataset.url; document.currentScript . nonce",
        "document.currentScript?.hasAttribute('async')",
        "let{document:n}=t;const s=n,r=s.currentScript,{DocumentFragment:a,Node:b}=t",
        "let n=t.document;const s=n,r=s.currentScript;t.DocumentFragment;const a=t.Node",
        "$currentScript; currentScripts",
        "document.scriptsLoaded",
        "d.getElementsByTagName('scripture')",
        "d.querySelector('.script') || d.querySelector('[data-script]')",
        "d.querySelector('#script-list')",
        "d.createElement('script')",
        "self.fetch('x'); self.document",
        "window.onmessage = f; other.postMessage(1)",
        "addEventListener('message', f); frame.postMessage(1)",
        "button.addEventListener('activate', f)",
        "new URL('x', self.location.href); frame.postMessage(1)",
        "postMessage({location: x.location})",
        "typeof importScripts == 'function'",
        "importance('x'); my.import('y'); reimport(z)",
        "import 'lodash'; import {b} from 'b'; export {c} from 'c'",
        "export default 1; export {a as b}",
        "import('lodash').then(f)",
        "import('lodash', {with: {type: 'json'}})",
    ],
)
def test_a_script_that_does_not_ask_is_shared(script):
    assert cause("js/a.js", script) is None
    assert cause("js/a.mjs", script) is None


@pytest.mark.parametrize(
    ("script", "culprit"),
    [
        ("importScripts('x.js')", "importScripts("),
        ("self.onmessage = f", "onmessage ="),
        ("onconnect=event=>f(event.ports[0])", "onconnect="),
        ("onmessage = ({data}) => data.port.postMessage(1)", "onmessage ="),
        ("globalThis.onmessage = f", "onmessage ="),
        ("self.addEventListener('message', f)", "addEventListener('message'"),
        ("globalThis.addEventListener('message', f)", "addEventListener('message'"),
        ("self.addEventListener(\n 'fetch', f)", "addEventListener( 'fetch'"),
        ("addEventListener('fetch', f)", "addEventListener('fetch'"),
        ("addEventListener('install', f)", "addEventListener('install'"),
        ("addEventListener('message', f); self.postMessage(1)", "addEventListener('message'"),
        ("globalThis.postMessage(new URL('x', self.location.href))", "location"),
        ("postMessage(new URL('x', location))", "location"),
        ("addEventListener('message', f); postMessage(1)", "addEventListener('message'"),
    ],
)
def test_a_script_of_a_worker_is_bound(script, culprit):
    assert cause("js/a.js", script) == (Reason.WORKER, culprit)


@pytest.mark.parametrize(
    ("script", "culprit"),
    [
        ("import(`./${name}.js`)", "import(`./${name}.js`)"),
        ("import (name)", "import (name)"),
        ("import('./a.js' + x)", "import('./a.js' + x)"),
        ("[...import.meta.x]", "import.meta"),
        ("new URL(name, import.meta.url)", "import.meta"),
        ("import/* x */(name)", "import/* x */(name)"),
        ("import/*'x',*/(name)", "import/*'x',*/(name)"),
        ("System.register([], f)", "System.register("),
        ("(a, b {; import { x } from './y.js'", "import { x } from './y.js'"),
    ],
)
def test_an_import_that_is_not_resolved_binds(script, culprit):
    assert cause("js/a.js", script) == (Reason.IMPORT, culprit)


@pytest.mark.parametrize(
    "script",
    [
        "import './b.js'",
        "f();import{a as b}from'bare'",
        "/* License */import a, {b} from 'bare'",
        "import * as a from 'x'",
        "\ufeffimport a from 'x'",
        "import /* a */ b from 'x'",
        "import defer * as a from 'x'",
        "export * from 'x'",
        "let a;export{a}from'x'",
        "export {\n  a,\n  b\n}\nfrom 'x'",
        "import('./b.js')",
        "new URL('x.png', import.meta.url)",
    ],
)
def test_without_js_modules_each_static_import_binds(script):
    assert cause("js/a.js", script, js_modules=False)[0] == Reason.IMPORT


@pytest.mark.parametrize(
    "script",
    [
        "export {a, b}; from(x)",
        "export default a",
        "// how to import x\n * import it from here",
        "text('import x from y')",
        "export const a = 1",
        "import('bare')",
    ],
)
def test_without_js_modules_what_only_looks_like_a_static_import_does_not_bind(script):
    assert cause("js/a.js", script, js_modules=False) is None


def test_resolved_imports_do_not_bind(tmp_path):
    files = {
        "js/a.js": (
            "import b from './b.js'; import './c.js'; export * from './b.js';\n"
            "import('./b.js'); import(/* chunk: \"b\" */ './c.js'); import ( './b.js', {} );\n"
            "new URL('x.png', import.meta.url); new URL('./x.png' , import.meta.url)"
        ),
        "js/b.js": "export default 1",
        "js/c.js": "é()",
        "js/x.png": LOGO,
    }
    manifest, root = shared(tmp_path, files, options={"js_modules": True})

    assert causes(manifest) == dict.fromkeys(files)
    assert len(follow(manifest, root)["js/a.js"]) == 3


# Style sheets, SVG, web app manifests, and all other types


@pytest.mark.parametrize(
    ("sheet", "culprit"),
    [
        ("a{b:url(x y)}", "y)}"),
        ("a{b:'x\n'}url(y)", "'x '}url(y)"),
        ("a{b:url('x' 'y')}", "'x' 'y')}"),
        ("a{b:url(x", "url(x"),
        ("a{b:url('x'", "'x'"),
        ("@import 'x", "'x"),
        (r"a{b:u\72l(x)}", r"\72l(x)}"),
        (r"a{b:\url(x)}", r"\url(x)}"),
        (r"@\69mport 'x'", r"@\69mport 'x'"),
        ("a{b:image-set(var(--c) 1x)}", "var(--c) 1x)}"),
    ],
)
def test_a_style_sheet_that_is_not_read_to_its_end_is_bound(sheet, culprit):
    assert cause("a.css", sheet) == (Reason.UNREAD, culprit)


@pytest.mark.parametrize(
    "sheet",
    [
        "a{b:c}",
        "a{b:url(data:image/png;base64,AA==)}",
        "a{b:url(https://example.com/x) url(//host/x) url(/media/x) url(#x)}",
        r".md\:flex{content:'\201C'} .w-\[calc\(1\%\)\]{b:var(--c)}",
        "/* it's */ a{b:url()}",
    ],
)
def test_a_style_sheet_without_neighbours_is_shared(sheet):
    assert cause("a.css", sheet) is None


@pytest.mark.parametrize(
    "url", ["?x", "../img/", "./", "https:x.png", "/static/", "/static/img/", "missing.png"]
)
def test_a_reference_that_leads_to_no_file_of_the_build_binds(tmp_path, url):
    files = {"css/a.css": f"a{{b:url({url})}}", "css/b.css": "@import 'a.css'", "img/x.png": LOGO}
    manifest, _ = shared(tmp_path, files, options={"ignore_missing": ["*:missing.png"]})

    assert causes(manifest) == {
        "css/a.css": f"css/a.css: {url}",
        "css/b.css": f"css/a.css: {url}",
        "img/x.png": None,
    }


def test_a_style_sheet_that_uses_a_custom_property_with_a_url_of_a_bound_asset_is_bound(tmp_path):
    files = {
        "a/use.css": "a{b:var( --drawn )}",
        "a/plain.css": "a{b:var(--color)}",
        "b/use.css": "a{b:var(--icon)} c{d:url(x.png)}",
        "b/x.png": LOGO,
        "theme/vars.css": ":root{--icon:url(../b/x.png)} .x{--color:red;--drawn:url(y.svg)}",
        "theme/y.svg": "<svg><script/></svg>",
        "z/import.css": "@import '../a/use.css';",
    }
    manifest, root = shared(tmp_path, files)

    bound = "theme/y.svg: <script"
    assert causes(manifest) == {
        "a/use.css": bound,
        "a/plain.css": None,
        "b/use.css": None,
        "b/x.png": None,
        "theme/vars.css": bound,
        "theme/y.svg": bound,
        "z/import.css": bound,
    }
    assert text(root, manifest.paths["a/use.css"]) == files["a/use.css"]
    follow(manifest, root)


def test_a_custom_property_leads_where_one_in_its_value_leads(tmp_path):
    files = {
        "a.css": ":root{--img:url(x.svg);--plain:url(y.png)}",
        "c.css": ".x{--b: var(--img)} .y{--a:red var( --b, var(--c))}",
        "d.css": ".d{background:var(--a)}",
        "e.css": ":root{--f:var(--g);--g:var(--f);color:var(--plain)}",
        "x.svg": "<svg><script/></svg>",
        "y.png": LOGO,
    }
    manifest, _ = shared(tmp_path, files)

    bound = "x.svg: <script"
    assert causes(manifest) == {
        **dict.fromkeys(["a.css", "c.css", "d.css", "x.svg"], bound),
        **dict.fromkeys(["e.css", "y.png"]),
    }


def test_a_prehashed_style_sheet_binds_those_that_use_its_custom_properties(tmp_path):
    files = {
        "dist/vars-1a2b.css": ":root{--icon:url(./x-3c4d.png);--plain:url(../y.png)}",
        "dist/use-5e6f.css": "a{b:var(--icon)}",
        "dist/x-3c4d.png": LOGO,
        "css/use.css": "a{b:var(--plain)}",
        "y.png": LOGO,
    }
    options = {"prehashed": PREHASHED}
    manifest, _ = shared(tmp_path, files, options=options)
    assert causes(manifest)["css/use.css"] == "dist/vars-1a2b.css: prehashed"

    manifest, _ = shared(tmp_path, version="b2", shared_assets=["dist/*"], options=options)
    bound = "dist/vars-1a2b.css: ../y.png"
    assert causes(manifest) == {
        **dict.fromkeys(["css/use.css", "dist/use-5e6f.css", "dist/vars-1a2b.css"], bound),
        **dict.fromkeys(["dist/x-3c4d.png", "y.png"]),
    }


def test_a_missing_source_map_does_not_bind(tmp_path):
    files = {"a.css": "/*# sourceMappingURL=a.map */", "a.js": "//# sourceMappingURL=a.map"}

    assert causes(shared(tmp_path, files)[0]) == {"a.css": None, "a.js": None}


def test_a_style_sheet_that_is_not_utf8_is_bound(tmp_path):
    files = {"a.css": "/* é */".encode("latin-1"), "b.svg": "<svg/>".encode("utf-16")}

    assert causes(shared(tmp_path, files)[0]) == {
        "a.css": "a.css: its encoding",
        "b.svg": "b.svg: its encoding",
    }


@pytest.mark.parametrize(
    "svg",
    [
        "<svg><use href='#a'/><use xlink:href=\"#b\"/><path fill='url(#c)' d='M0'/></svg>",
        '<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://w3.org/svg11.dtd"><svg/>',
        "<svg><style>a{fill:red}</style><image href='data:image/png;base64,AA=='/></svg>",
        "<svg><a href='https://example.com/'>x</a><path style='fill:url(&quot;#a&quot;)'/></svg>",
        "<svg description='icon=1' xmlns:xlink='http://www.w3.org/1999/xlink'/>",
    ],
)
def test_an_svg_that_refers_to_its_own_fragments_is_shared(svg):
    assert cause("a.svg", svg) is None


@pytest.mark.parametrize(
    "svg",
    [
        "<svg><image href='x.png'/></svg>",
        "<svg><use xlink:href = '../x.svg#a'/></svg>",
        "<svg><use href='&#x78;.svg#a'/></svg>",
        "<svg><style>a{fill:url(x.png)}</style></svg>",
        "<svg><style>@import 'x.css'</style></svg>",
        "<svg><path style='fill:ur&#108;(x.svg#a)'/></svg>",
        "<svg><style>a{fill:u\\72l(x.svg)}</style></svg>",
        "<svg><set attributeName='href' to='x.svg'/></svg>",
        "<svg><script>f()</script></svg>",
        "<svg><svg:script>f()</svg:script></svg>",
        "<svg onload='f()'/>",
        "<svg><foreignObject/></svg>",
        "<svg xml:base='/x/'><use href='#a'/></svg>",
        "<?xml-stylesheet href='x.css'?><svg/>",
        "<!DOCTYPE svg [<!ENTITY a SYSTEM 'x'>]><svg/>",
        "<svg xmlns:h='http://www.w3.org/1999/xhtml'><h:img src='x.png'/></svg>",
    ],
)
def test_an_svg_that_may_refer_to_another_file_is_bound(svg):
    assert cause("a.svg", svg)[0] == Reason.SVG


APP = '"name": "x", "icons": [{"src": "/x.png"}]'


@pytest.mark.parametrize(
    ("members", "culprit"),
    [
        ("", None),
        ('"start_url": "/", "scope": "/", "id": "/?x"', None),
        ('"start_url": "https://example.com/"', None),
        ('"description": "not/a/url"', None),
        ('"start_url": "."', "."),
        ('"scope": "../"', "../"),
        ('"shortcuts": [{"name": "x", "url": "new"}]', "new"),
        ('"share_target": {"action": "share"}', "share"),
        ('"file_handlers": [{"icons": [{"src": "x.png"}]}]', "x.png"),
        ('"start_url": "/static/x"', "/static/x"),
    ],
)
def test_a_web_app_manifest_is_shared_if_the_urls_of_its_pages_are_absolute(members, culprit):
    app = f"{{{APP}{', ' if members else ''}{members}}}"

    assert cause("site.webmanifest", app) == (culprit and (Reason.PAGES, culprit))


@pytest.mark.parametrize(
    ("name", "culprit"),
    [
        *((name, None) for name in ("a.png", "a.WOFF2", "a.min.js.map", "a.txt", "a.mp4", "a.pdf")),
        *((f"a{end}", end) for end in (".html", ".xml", ".json", ".gltf", ".swf", ".vtt")),
        ("LICENSE", "no extension"),
        (".htaccess", "no extension"),
        ("manifest.json", ".json"),
        ("a.webmanifest", ".webmanifest"),
    ],
)
def test_the_type_decides_for_all_others(name, culprit):
    assert cause(name, "{}") == (culprit and (Reason.TYPE, culprit))


# The option


FILES = {
    "css/a.css": "@import 'deep/b.css'; a{b:url(../img/x.png) url(/static/img/doc.html)}",
    "css/deep/b.css": "b{c:url('../../img/ünï%20%231.svg#f')}",
    "img/x.png": LOGO,
    "img/ünï #1.svg": "<svg/>",
    "img/doc.html": "<p>",
    "js/loader.js": "document.currentScript",
    "js/site.js": "site()\n//# sourceMappingURL=site.js.map",
    "js/site.js.map": "{}",
    "site.webmanifest": '{"name": "x", "icons": [{"src": "img/x.png"}], "start_url": "/"}',
}


def test_references_to_shared_assets_go_up_to_static_url_from_each_file(tmp_path):
    manifest, root = shared(tmp_path, FILES)
    names = manifest.paths

    assert text(root, names["css/deep/b.css"]) == (
        'b{c:url("../../../_shared/img/%C3%BCn%C3%AF%20%231.677433a0892a.svg#f")}'
    )
    assert text(root, names["css/a.css"]) == (
        f'@import url("../../_shared/{names["css/deep/b.css"]}"); '
        f'a{{b:url("../../_shared/{names["img/x.png"]}") url("../{names["img/doc.html"]}")}}'
    )
    assert text(root, names["js/site.js"]).endswith(
        f"//# sourceMappingURL=../../_shared/{names['js/site.js.map']}"
    )
    assert f'"../_shared/{names["img/x.png"]}"' in text(root, names["site.webmanifest"])
    assert text(root, "css/a.css") == text(root, names["css/a.css"])


def test_the_manifest_marks_what_is_shared_and_says_why_the_rest_is_not(tmp_path):
    manifest, root = shared(tmp_path, FILES)
    bound = Bound("img/doc.html", Reason.TYPE, ".html")

    assert manifest.shared_prefix == "_shared"
    assert manifest.asset("css/a.css").bound == manifest.asset("img/doc.html").bound == bound
    assert manifest.asset("js/loader.js").bound == Bound(
        "js/loader.js", Reason.LOCATION, "currentScript"
    )
    assert {name for name, asset in causes(manifest).items() if asset is None} == {
        *("css/deep/b.css", "img/x.png", "img/ünï #1.svg", "js/site.js", "js/site.js.map"),
        "site.webmanifest",
    }
    assert all(asset.is_shared is (asset.bound is None) for asset in manifest.assets.values())
    follow(manifest, root)


def test_django_s_own_class_reads_the_manifest(tmp_path):
    manifest, root = shared(tmp_path, FILES)

    class DjangoStorage(ManifestFilesMixin, StaticFilesStorage):
        pass

    storage = DjangoStorage(location=str(root), base_url="/static/b1/")
    assert storage.hashed_files == dict(manifest.paths)
    assert storage.stored_name("css/a.css") == manifest.paths["css/a.css"]


def test_without_shared_assets_and_without_a_build_version_nothing_is_marked(tmp_path):
    manifest, _ = shared(tmp_path, FILES, shared_assets=False)
    assert not any(asset.is_shared or asset.bound for asset in manifest.assets.values())

    manifest, _ = shared(tmp_path / "static_root", FILES, version=None)
    assert not any(asset.is_shared or asset.bound for asset in manifest.assets.values())


def test_another_prefix_is_in_every_reference_and_in_the_names_of_what_has_references(tmp_path):
    manifest, _ = shared(tmp_path, FILES)
    other, root = shared(tmp_path, version="b2", options={"shared_prefix": "_again"})

    assert "../../_again/img/x." in text(root, other.paths["css/a.css"])
    assert other.paths["css/a.css"] != manifest.paths["css/a.css"]
    assert other.paths["img/x.png"] == manifest.paths["img/x.png"]
    assert other.asset("img/x.png").path == f"_again/{other.paths['img/x.png']}"
    assert other.content != manifest.content


def test_a_glob_vouches_for_what_the_rules_bind_and_another_takes_out(tmp_path):
    globs = ["js/*", "img/*.html", "!img/x.*", "!js/site.js"]
    manifest, root = shared(tmp_path, FILES, shared_assets=globs)

    assert causes(manifest) == {
        "css/a.css": "img/x.png: !img/x.*",
        "css/deep/b.css": None,
        "img/doc.html": None,
        "img/x.png": "img/x.png: !img/x.*",
        "img/ünï #1.svg": None,
        "js/loader.js": None,
        "js/site.js": "js/site.js: !js/site.js",
        "js/site.js.map": None,
        "site.webmanifest": "img/x.png: !img/x.*",
    }
    follow(manifest, root)


def test_a_glob_does_not_vouch_for_a_reference_to_a_bound_asset(tmp_path):
    files = {"a.css": "a{b:url(x.html)}", "x.html": "<p>"}
    manifest, _ = shared(tmp_path, files, shared_assets=["a.css"])

    assert causes(manifest) == {"a.css": "x.html: .html", "x.html": "x.html: .html"}


# Cycles, names without a hash, prehashed files


@pytest.mark.parametrize("js_modules", [True, False])
def test_a_cycle_is_shared_as_a_whole(tmp_path, js_modules):
    files = {
        "css/a.css": "@import 'deep/b.css'; @import 'a.css';",
        "css/deep/b.css": "@import '../a.css'; a{b:url(../x.png)}",
        "css/x.png": LOGO,
    }
    manifest, root = shared(tmp_path, files, options={"js_modules": js_modules})

    assert causes(manifest) == dict.fromkeys(files)
    follow(manifest, root)


def test_a_cycle_is_bound_as_a_whole_and_its_name_tells(tmp_path):
    files = {
        "css/a.css": "@import 'b.css';",
        "css/b.css": "@import 'a.css'; a{b:url(../x.txt)}",
        "css/c.css": "@import 'b.css';",
        "x.txt": "",
    }
    portable, _ = shared(tmp_path, files)
    bound, root = shared(tmp_path, version="b2", shared_assets=["!css/b.css"])

    assert causes(portable) == dict.fromkeys(files)
    assert causes(bound) == {
        **dict.fromkeys(["css/a.css", "css/b.css", "css/c.css"], "css/b.css: !css/b.css"),
        "x.txt": None,
    }
    assert portable.paths["css/a.css"] != bound.paths["css/a.css"]
    follow(bound, root)


class HalfHashed(VersionedStaticFilesStorage):
    def file_hash(self, name, content=None):
        return None if "plain" in name else super().file_hash(name, content)


def test_an_asset_without_a_hash_in_its_name_is_bound(tmp_path):
    files = {
        "a.css": "@import 'b.plain.css'; a{c:url(plain.png)}",
        "b.plain.css": "@import 'a.css';",
        "plain.png": LOGO,
        "x.css": "a{b:url(y.css)}",
        "y.css": "a{b:url(plain.png)}",
    }
    backend = f"{__name__}.HalfHashed"
    manifest, root = shared(tmp_path, files, shared_assets=["*"], backend=backend)

    assert causes(manifest) == {
        **dict.fromkeys(["plain.png", "x.css", "y.css"], "plain.png: plain.png"),
        **dict.fromkeys(["a.css", "b.plain.css"], "plain.png: plain.png"),
    }
    follow(manifest, root)


def test_a_cycle_with_a_file_without_a_hash_is_bound(tmp_path):
    files = {"a.css": "@import 'b.plain.css';", "b.plain.css": "@import 'a.css';"}
    manifest, root = shared(tmp_path, files, backend=f"{__name__}.HalfHashed")

    assert causes(manifest) == dict.fromkeys(files, "b.plain.css: b.plain.css")
    follow(manifest, root)


BUNDLE = {
    "dist/app-1a2b.js": 'import{a}from"./chunk-3c4d.js";import("./lazy-5e6f.js")',
    "dist/chunk-3c4d.js": 'export let a;import"./app-1a2b.js"',
    "dist/lazy-5e6f.js": 'fetch("/api")',
    "dist/app-7a8b.css": "a{b:url(./logo-9c0d.svg)}",
    "dist/logo-9c0d.svg": "<svg/>",
}
PREHASHED = r"-[0-9a-f]{4}\."


def test_prehashed_files_are_shared_if_a_glob_names_them(tmp_path):
    options = {"prehashed": PREHASHED, "js_modules": True}
    manifest, _ = shared(tmp_path, BUNDLE, options=options)
    assert causes(manifest) == {name: f"{name}: prehashed" for name in BUNDLE}

    manifest, root = shared(tmp_path, version="b2", shared_assets=["dist/*"], options=options)
    assert causes(manifest) == dict.fromkeys(BUNDLE)
    assert {asset.path for asset in manifest.assets.values()} == {f"_shared/{n}" for n in BUNDLE}
    assert {name: text(root, name) for name in BUNDLE} == BUNDLE


def test_a_prehashed_file_is_bound_if_a_neighbour_is_not_below_the_shared_prefix(tmp_path):
    globs = ["dist/*", "!dist/lazy-*", "!*.svg"]
    options = {"prehashed": PREHASHED, "js_modules": True}
    files = {**BUNDLE, "dist/b-1111.css": "@import './plain.css'", "dist/plain.css": ""}
    files["dist/c-2222.css"] = "a{b:url(/static/dist/b-1111.css)}"
    manifest, root = shared(tmp_path, files, shared_assets=globs, options=options)

    lazy, svg = "dist/lazy-5e6f.js: !dist/lazy-*", "dist/logo-9c0d.svg: !*.svg"
    assert causes(manifest) == {
        "dist/app-1a2b.js": lazy,
        "dist/app-7a8b.css": svg,
        "dist/b-1111.css": "dist/b-1111.css: ./plain.css",
        "dist/c-2222.css": "dist/c-2222.css: /static/dist/b-1111.css",
        "dist/chunk-3c4d.js": lazy,
        "dist/lazy-5e6f.js": lazy,
        "dist/logo-9c0d.svg": svg,
        "dist/plain.css": None,
    }
    assert all(text(root, name) == BUNDLE[name] for name in BUNDLE)


def test_a_shared_name_with_other_bytes_is_an_error_that_says_what_to_do(tmp_path):
    options = {"prehashed": PREHASHED}
    shared(tmp_path, BUNDLE, shared_assets=["dist/*"], options=options)
    files = {"dist/lazy-5e6f.js": "fetch('/other')"}
    error = failure(
        SharedNameTaken,
        tmp_path,
        files,
        version="b2",
        options={"prehashed": PREHASHED, "shared_assets": ["dist/*"]},
    )

    assert str(error) == (
        "1 shared asset has the same hashed name in build b1, with other bytes:\n"
        "  dist/lazy-5e6f.js\n"
        "One URL cannot have both, because caches keep what they have. Give each content a name of "
        'its own, or take the file out of the shared assets with the glob "!dist/lazy-5e6f.js" in '
        "the option shared_assets."
    )
    taken_out = ["dist/*", "!dist/lazy-5e6f.js"]
    manifest, _ = shared(tmp_path, version="b3", shared_assets=taken_out, options=options)
    assert not manifest.asset("dist/lazy-5e6f.js").is_shared


# Any site


PLACES = ["", "css/", "css/deep/", "js/"]
LEAVES = {
    "x.png": LOGO,
    "page.html": "<p>",
    "loader.js": "document.currentScript",
    "plain.svg": "<svg/>",
    "drawn.svg": "<svg><image href='x.png'/></svg>",
}


@st.composite
def sites(draw):
    """The files of a site in which style sheets and modules refer to each other, and an order."""
    leaves = {draw(st.sampled_from(PLACES)) + name: content for name, content in LEAVES.items()}
    kinds = draw(st.lists(st.sampled_from(["css", "mjs"]), min_size=1, max_size=7))
    names = [f"{draw(st.sampled_from(PLACES))}{i}.{kind}" for i, kind in enumerate(kinds)]
    files = dict(leaves)
    for name in names:
        is_css = name.endswith(".css")
        of_kind = [other for other in names if other.endswith(".css") is is_css]
        targets = draw(st.lists(st.sampled_from([*of_kind, *leaves]), max_size=3, unique=True))
        urls = [
            f"/static/{target}"
            if draw(st.booleans())
            else f"./{posixpath.relpath(target, posixpath.dirname(name) or '.')}"
            for target in targets
        ]
        line = "a{{b:url({})}}\n" if is_css else "import '{}';\n"
        files[name] = "".join(line.format(url) for url in urls)
    return files, draw(st.permutations(sorted(files)))


def fingerprinted(root, files, order):
    """A build of the files, fingerprinted in that order, without collectstatic."""
    storage = VersionedStaticFilesStorage(str(root / "none"), "/static/")
    sources = FileSystemStorage(location=str(root / "sources"))
    write(root / "sources", files)
    fingerprinter = Fingerprinter(
        sources={name: (sources, name) for name in order},
        recipe=RECIPE,
        name_hook=storage.hashed_name,
        scanners=scanners(),
        resolver=Resolver(frozenset(order), "/static/", versioned=True),
    )
    assets = list(fingerprinter.run(BuildDirectory(root / "b1")))
    return make_manifest(fingerprinter, assets), root / "b1"


@settings(max_examples=40, deadline=None)
@given(sites())
def test_every_reference_leads_to_the_same_file_from_each_place(site):
    files, order = site
    with TemporaryDirectory() as directory:
        follow(*fingerprinted(Path(directory), files, order))


@settings(max_examples=15, deadline=None)
@given(sites())
def test_the_order_of_the_sources_changes_nothing(site):
    files, order = site
    with TemporaryDirectory() as directory, TemporaryDirectory() as other:
        manifest, root = fingerprinted(Path(directory), files, sorted(files))
        again, root_again = fingerprinted(Path(other), files, order)
        assert again.to_json() == manifest.to_json()
        assert tree(root_again) == tree(root)


@settings(max_examples=15, deadline=None)
@given(sites())
def test_an_asset_is_bound_if_and_only_if_it_leads_to_one_with_a_cause(site):
    files, order = site
    with TemporaryDirectory() as directory:
        manifest, root = fingerprinted(Path(directory), files, order)
        targets = follow(manifest, root)
    bound = {asset.hashed_name for asset in manifest.assets.values() if asset.bound}
    for asset in manifest.assets.values():
        if posixpath.basename(asset.name) not in LEAVES:
            assert asset.is_shared is targets[asset.name].isdisjoint(bound)
            assert asset.bound is None or posixpath.basename(asset.bound.asset) in LEAVES


# Packages


@pytest.mark.parametrize(
    ("package", "least"),
    [
        ("django.contrib.admin", 1.0),
        ("rest_framework", 1.0),
        ("tinymce", 0.85),
        ("wagtail.admin", 0.8),
    ],
)
def test_most_bytes_of_the_scripts_of_a_package_are_shared(tmp_path, package, least):
    directory = Path(pytest.importorskip(package).__file__).parent / "static"
    manifest, _ = shared(
        tmp_path, options={"ignore_missing": ["*:*"]}, STATICFILES_DIRS=[str(directory)]
    )

    scripts = [asset for asset in manifest.assets.values() if asset.name.endswith(".js")]
    shared_bytes = sum(asset.size for asset in scripts if asset.is_shared)
    assert shared_bytes >= least * sum(asset.size for asset in scripts)
    assert {asset.bound.reason for asset in scripts if asset.bound} <= {Reason.LOCATION.value}


# What is printed


def test_the_bound_assets_are_listed_by_reason_and_bytes():
    def asset(name, size, bound):
        return Asset(name, f"{name}-1", "b1", size, "sha384-x", "text/css", bound=bound)

    asks = Bound("a.js", Reason.LOCATION.value, "document.currentScript")
    imports = Bound("b.js", Reason.LOCATION.value, "document.scripts")
    page = Bound("x.html", Reason.TYPE.value, ".html")
    assets = [
        asset("a.js", 1000, asks),
        asset("b.js", 500, imports),
        asset("c.css", 100, page),
        asset("d.css", 9000, None),
        asset("e.css", 20, page),
        asset("x.html", 3000, page),
    ]
    assert bound_text(assets) == (
        "Types that may refer to other files: 3 assets, 3.1 kB\n"
        "  x.html: .html (3.1 kB, 3 assets)\n"
        "Scripts that ask where they were loaded from: 2 assets, 1.5 kB\n"
        "  a.js: document.currentScript (1.0 kB)\n"
        "  b.js: document.scripts (500 B)"
    )
    assert bound_text(assets[3:4]) == ""
