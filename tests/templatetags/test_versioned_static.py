"""{% load versioned_static %}: elements with the integrity of what they load."""

import json
import re

import pytest
from django.template import Context, Template
from django.test import override_settings

from tests.helpers import site
from tests.pulled import MIDDLEWARE, served
from tests.shared import mark_shared
from versioned_storage.errors import MissingEntry
from versioned_storage.templatetags.versioned_static import (
    NotOfThePagesOrigin,
    static_preload_headers,
)

FILES = {
    "css/app.css": "body { color: red }",
    "js/a & b.js": "a()",
    "js/app.js": "app()",
    "fonts/a.woff2": b"wOF2",
    "img/a.svg": "<svg xmlns='http://www.w3.org/2000/svg'/>",
    "data.json": "{}",
}
OPTIONS = {"cdn_domain": "d111.cloudfront.net"}


@pytest.fixture
def shop(tmp_path):
    with site(tmp_path, FILES, options=OPTIONS, BUILD_VERSION="b1") as project:
        project.collect()
        yield project


def render(source, **context):
    return Template("{% load versioned_static %}" + source).render(Context(context))


def integrity(shop, name):
    return shop.storage.manifest.asset(name).integrity


def test_a_style_sheet_has_its_url_and_its_integrity(shop):
    assert render("{% stylesheet 'css/app.css' %}") == (
        f'<link rel="stylesheet" href="{shop.storage.url("css/app.css")}" '
        f'integrity="{integrity(shop, "css/app.css")}" crossorigin="anonymous">'
    )


def test_a_shared_asset_has_its_shared_url_and_its_integrity(shop):
    mark_shared(shop.root / "b1", "css/app.css")
    del shop.storage.hashed_files
    sheet = render("{% stylesheet 'css/app.css' %}{% preload 'css/app.css' %}")
    assert sheet.count(' href="https://d111.cloudfront.net/static/_shared/css/app.') == 2
    assert sheet.count(integrity(shop, "css/app.css")) == 2
    assert render("{% static_integrity 'css/app.css' %}") == integrity(shop, "css/app.css")


def test_a_script_has_the_attributes_that_are_given(shop):
    assert render(
        "{% script 'js/app.js' type='module' async=True defer=False nonce=nonce data_x='y' %}",
        nonce=None,
    ) == (
        f'<script src="{shop.storage.url("js/app.js")}" '
        f'integrity="{integrity(shop, "js/app.js")}" crossorigin="anonymous" type="module" '
        'async data-x="y"></script>'
    )


class LazyNonce:
    """As Django 6 makes it: false until it is used for the first time."""

    def __bool__(self):
        return False

    def __str__(self):
        return "bm9uY2U="


def test_a_nonce_that_nobody_has_used_yet_is_rendered(shop):
    rendered = render("{% script 'js/app.js' nonce=csp_nonce %}", csp_nonce=LazyNonce())
    assert ' nonce="bm9uY2U="></script>' in rendered


@pytest.mark.parametrize("context", [{}, {"csp_nonce": ""}, {"csp_nonce": None}])
@pytest.mark.parametrize("tag", ["script 'js/app.js'", "stylesheet 'css/app.css'"])
def test_a_nonce_without_a_value_is_not_rendered(shop, tag, context):
    """No middleware, no context processor: an empty nonce would match no policy."""
    assert "nonce" not in render("{% " + tag + " nonce=csp_nonce %}", **context)


def test_other_attributes_may_be_empty(shop):
    assert ' title=""' in render("{% script 'js/app.js' title='' %}")


def test_django_s_own_nonce_is_that_of_the_header(shop, rf):
    csp = pytest.importorskip("django.middleware.csp")
    from django.http import HttpResponse
    from django.template.context_processors import csp as context_processor
    from django.utils.csp import CSP

    def view(request):
        return HttpResponse(
            render("{% script 'js/app.js' nonce=csp_nonce %}", **context_processor(request))
        )

    policy = {"script-src": [CSP.NONCE]}
    with override_settings(SECURE_CSP=policy):
        response = csp.ContentSecurityPolicyMiddleware(view)(rf.get("/"))
    nonce = re.search(r' nonce="([^"]+)"', response.text)[1]
    assert f"'nonce-{nonce}'" in response["Content-Security-Policy"]


def test_the_nonce_of_django_csp_is_that_of_the_header(shop, rf):
    csp = pytest.importorskip("csp.middleware")
    from csp.constants import NONCE
    from csp.context_processors import nonce as context_processor
    from django.http import HttpResponse

    def view(request):
        tag = "{% script 'js/app.js' nonce=request.csp_nonce %}"
        tags = tag + tag.replace("request.csp_nonce", "CSP_NONCE")
        return HttpResponse(render(tags, request=request, **context_processor(request)))

    with override_settings(CONTENT_SECURITY_POLICY={"DIRECTIVES": {"script-src": [NONCE]}}):
        response = csp.CSPMiddleware(view)(rf.get("/"))
    nonce, other = re.findall(r' nonce="([^"]+)"', response.content.decode())
    assert nonce == other
    assert f"'nonce-{nonce}'" in response["Content-Security-Policy"]


def import_map(source, **context):
    rendered = render(source, **context)
    (text,) = re.findall(r'<script type="importmap"[^>]*>(.*)</script>', rendered)
    return json.loads(text)


def test_an_import_map_has_urls_and_their_integrity(shop):
    url = shop.storage.url("js/app.js")
    assert import_map("{% import_map '@shop/app=js/app.js' %}") == {
        "imports": {"@shop/app": url},
        "integrity": {url: integrity(shop, "js/app.js")},
    }


def test_modules_that_others_import_by_their_paths_are_named_by_globs(shop):
    urls = {name: shop.storage.url(name) for name in ("js/app.js", "js/a & b.js")}
    for source in ("{% import_map 'js/*' 'css/*' %}", "{% import_map 'js/a*.js' 'none*' %}"):
        assert import_map(source) == {
            "integrity": {url: integrity(shop, name) for name, url in urls.items()}
        }


def test_an_import_map_takes_a_dict_and_keeps_urls_of_other_sites(shop):
    imports = {"app": "js/app.js", "lit": "https://esm.example/lit"}
    merged = import_map("{% import_map imports %}", imports=imports)
    assert merged["imports"] == {"app": shop.storage.url("js/app.js"), "lit": imports["lit"]}
    assert list(merged["integrity"]) == [merged["imports"]["app"]]


def test_the_import_map_of_django_js_asset_is_merged(shop):
    js_asset = pytest.importorskip("js_asset")
    theirs = js_asset.ImportMap(
        {"editor": "js/a & b.js"},
        scopes={"/x/": {"y": "js/app.js"}},
        integrity={"https://esm.example/lit": "sha384-x"},
    )
    merged = import_map("{% import_map theirs 'app=js/app.js' %}", theirs=theirs)
    urls = {name: shop.storage.url(name) for name in ("js/app.js", "js/a & b.js")}
    assert merged == {
        "imports": {"editor": urls["js/a & b.js"], "app": urls["js/app.js"]},
        "scopes": {"/x/": {"y": urls["js/app.js"]}},
        "integrity": {
            "https://esm.example/lit": "sha384-x",
            **{url: integrity(shop, name) for name, url in urls.items()},
        },
    }


def test_a_specifier_that_an_import_map_blocks_stays_blocked(shop):
    blocked = {"imports": {"x": None}, "scopes": {"/a/": {"y": None}}}
    theirs = f'<script type="importmap">{json.dumps(blocked)}</script>'
    source = "{% import_map theirs ours 'app=js/app.js' %}"
    merged = import_map(source, theirs=theirs, ours={"z": None})
    assert merged["imports"] == {"x": None, "z": None, "app": shop.storage.url("js/app.js")}
    assert merged["scopes"] == {"/a/": {"y": None}}


def test_two_import_maps_with_one_scope_are_merged_in_it(shop):
    scopes = [{"scopes": {"/a/": {name: f"/{name}.js"}}} for name in ("x", "y")]
    maps = [f'<script type="importmap">{json.dumps(scope)}</script>' for scope in scopes]
    assert import_map("{% import_map maps.0 maps.1 %}", maps=maps) == {
        "scopes": {"/a/": {"x": "/x.js", "y": "/y.js"}}
    }


def test_an_import_map_has_a_nonce_and_ends_where_it_ends(shop):
    imports = {"</script><script>": "https://esm.example/?a&b"}
    rendered = render("{% import_map imports nonce='abc' %}", imports=imports)
    assert rendered.startswith('<script type="importmap" nonce="abc">')
    assert rendered.count("<") == 2
    assert json.loads(rendered.partition(">")[2].removesuffix("</script>")) == {"imports": imports}


def test_with_debug_an_import_map_has_plain_urls(shop):
    with override_settings(DEBUG=True):
        assert import_map("{% import_map 'app=js/app.js' 'js/*' undefined %}") == {
            "imports": {"app": "/static/js/app.js"}
        }


def test_a_module_of_an_import_map_that_does_not_exist_is_an_error(shop, caplog):
    with pytest.raises(MissingEntry, match=r"js/ap\.js"):
        render("{% import_map 'js/ap.js' %}")
    caplog.clear()
    with override_settings(DEBUG=True):
        assert import_map("{% import_map 'js/ap.js' 'js/none/*' 'js/app.js' %}") == {}
    (message,) = caplog.messages
    assert "'js/ap.js' fails in production" in message


def test_a_link_header_preloads_what_the_page_will_ask_for(shop):
    value = static_preload_headers("css/app.css", "fonts/a.woff2")
    css, font = (shop.storage.url(name) for name in ("css/app.css", "fonts/a.woff2"))
    assert value == (
        f'<{css}>; rel="preload"; as="style"; integrity="{integrity(shop, "css/app.css")}"; '
        f'crossorigin="anonymous", <{font}>; rel="preload"; as="font"; crossorigin="anonymous"'
    )
    assert static_preload_headers("css/app.css", "fonts/a.woff2", nonce="n0nce") == value.replace(
        '"anonymous", ', '"anonymous"; nonce="n0nce", '
    )


@pytest.mark.parametrize(
    ("options", "settings"),
    [
        (OPTIONS, {}),
        ({**OPTIONS, "shared_assets": True}, {}),
        ({"cdn_domain": "https://d111.cloudfront.net/a/b"}, {}),
        ({}, {"STATIC_URL": "https://static.example.com/static/"}),
        ({}, {}),
    ],
)
def test_a_worker_has_the_url_of_the_page_s_origin(tmp_path, options, settings):
    with site(
        tmp_path, FILES, options=options, BUILD_VERSION="b1", MIDDLEWARE=MIDDLEWARE, **settings
    ) as project:
        project.collect()
        url = render("{% static_same_origin 'js/app.js' %}")
        assert url == f"/static/{project.storage.manifest.asset('js/app.js').path}"
        status, headers, body = served(url)
        assert (status, body) == (200, b"app()")
        assert "immutable" in headers["Cache-Control"]
        assert render("{% static_same_origin 'js/app.js?a#b' %}") == f"{url}?a#b"


def test_an_application_without_the_build_names_the_ways_out(shop):
    (shop.root / "b1" / shop.storage.stored_name("js/app.js")).unlink()
    with pytest.raises(NotOfThePagesOrigin, match=r"no /.*/b1/js/app\.\w+\.js to serve"):
        render("{% static_same_origin 'js/app.js' %}")


def test_an_application_without_static_root_names_the_ways_out(tmp_path, moto_bucket):
    settings = {"options": {**OPTIONS, "origin": moto_bucket.options()}, "BUILD_VERSION": "b1"}
    with site(tmp_path, FILES, **settings) as project:
        project.collect()
    reason = r"no js/app\.\w+\.js to serve\. Put the build"
    with (
        site(tmp_path, STATIC_ROOT=None, **settings),
        pytest.raises(NotOfThePagesOrigin, match=reason),
    ):
        render("{% static_same_origin 'js/app.js' %}")


def test_with_debug_every_file_is_of_the_page_s_origin(shop):
    with override_settings(DEBUG=True):
        assert render("{% static_same_origin 'js/app.js' %}") == "/static/js/app.js"


def test_an_attribute_that_is_given_replaces_ours(shop):
    rendered = render("{% script 'js/app.js' crossorigin='use-credentials' %}")
    assert re.findall(r'crossorigin="([^"]*)"', rendered) == ["use-credentials"]


def test_what_an_attribute_or_a_name_has_is_escaped(shop):
    rendered = render("{% script name title=title %}", name="js/a & b.js", title='"><script>')
    assert 'title="&quot;&gt;&lt;script&gt;"' in rendered
    assert "/js/a%20%26%20b." in rendered
    assert rendered.count("<script") == 1


def test_the_value_alone_is_for_elements_of_ones_own(shop):
    assert render("{% static_integrity 'js/app.js' %}") == integrity(shop, "js/app.js")
    assert render("{% static_integrity 'js/app.js?v=1#x' %}") == integrity(shop, "js/app.js")
    assert render("{% static_integrity 'js/a%20%26%20b.js' %}") == integrity(shop, "js/a & b.js")
    assert render("{% static_integrity 'js/app.js' as sri %}[{{ sri }}]").startswith("[sha384-")


@pytest.mark.parametrize(
    ("name", "destination", "has_integrity", "has_cors"),
    [
        ("css/app.css", "style", True, True),
        ("js/app.js", "script", True, True),
        ("fonts/a.woff2", "font", False, True),
        ("img/a.svg", "image", False, False),
        ("data.json", "fetch", False, True),
    ],
)
def test_a_preload_asks_as_the_element_that_needs_it(
    shop, name, destination, has_integrity, has_cors
):
    rendered = render("{% preload name %}", name=name)
    assert f'rel="preload" href="{shop.storage.url(name)}" as="{destination}"' in rendered
    assert ('crossorigin="anonymous"' in rendered) is has_cors
    assert ('crossorigin="anonymous"' in static_preload_headers(name)) is has_cors
    assert ("integrity=" in rendered) is has_integrity


def test_an_image_with_crossorigin_has_a_preload_with_it(shop):
    rendered = render("{% preload 'img/a.svg' crossorigin='anonymous' %}")
    assert rendered.endswith(' as="image" crossorigin="anonymous">')


def test_what_a_preload_is_for_can_be_said(shop):
    rendered = render("{% preload 'data.json' as='script' type='application/json' %}")
    assert 'as="script"' in rendered
    assert 'type="application/json"' in rendered


def test_with_debug_there_is_no_integrity(shop):
    with override_settings(DEBUG=True):
        assert render("{% stylesheet 'css/app.css' %}") == (
            '<link rel="stylesheet" href="/static/css/app.css" crossorigin="anonymous">'
        )
        assert render("{% static_integrity 'css/app.css' %}") == ""


def test_a_test_suite_needs_no_build(tmp_path):
    with site(tmp_path, options={"manifest_strict": False}):
        assert render("{% script 'js/app.js' %}") == (
            '<script src="/static/js/app.js" crossorigin="anonymous"></script>'
        )


def test_another_storage_has_no_integrity(tmp_path):
    backend = "django.contrib.staticfiles.storage.StaticFilesStorage"
    with site(tmp_path, backend=backend):
        assert "integrity" not in render("{% script 'js/app.js' %}")


def test_the_neutral_layout_has_integrity_too(tmp_path):
    with site(tmp_path, FILES) as project:
        project.collect()
        assert integrity(project, "js/app.js") in render("{% script 'js/app.js' %}")


def test_an_unknown_file_is_the_error_that_static_gives(shop):
    with pytest.raises(MissingEntry, match=r"js/ap\.js"):
        render("{% script 'js/ap.js' %}")
