"""Which requests show whether the edge serves a build."""

import gzip
import re
from dataclasses import replace
from urllib.parse import quote, urljoin

import pytest

from tests.edge.conftest import FILES, collected
from tests.edge.edges import Edge, refused, serving
from tests.edge.verified import only, verified
from versioned_storage.build.manifest import Asset, Manifest
from versioned_storage.edge.client import EdgeClient
from versioned_storage.edge.probes import BROWSER, earlier_build_probes, sample
from versioned_storage.edge.probing import verify_edge

CSV = b"a,b\n" * 50
BUNDLE = "index-BWz4x_9Q.js"
SCRIPT = b"let e\n" * 50


def test_each_name_of_each_asset_is_asked_for_in_each_encoding(edge, build):
    verified(edge, build)
    requested = {(request.path, request.headers["accept-encoding"]) for request in edge.requests}
    for name in ("data/a%20%2B%20b%20%C3%A9.json", "css/app.css"):
        for accepted in ("identity", "br", "gzip", BROWSER):
            assert (f"/static/b1/{name}", accepted) in requested
    assert (build.path("fonts/a.woff2"), BROWSER) in requested
    assert (build.path("fonts/a.woff2"), "br") not in requested


def test_a_name_is_asked_for_in_each_way_that_references_spell_it(edge, build):
    """{% static %} encodes a plus, a style sheet of an older build does not."""
    verified(edge, build)
    paths = {request.path for request in edge.requests}
    assert {
        "/static/b1/data/a%20%2B%20b%20%C3%A9.json",
        "/static/b1/data/a%20+%20b%20%C3%A9.json",
    } <= paths


def test_what_style_sheets_and_modules_contain_is_asked_for(tmp_path):
    names = ["a + b.png", "c,d;e=f.png", "(x)!.png", "it's.png", "é.png", "g&h@i.png", "100%.png"]
    style = "".join(f'i {{ background: url("../img/{quote(name)}") }}\n' for name in names)
    files = {
        **{f"img/{name}": b"\x89PNG" for name in names},
        "css/app.css": style,
        "js/a + b.js": "export {}",
        "js/app.js": 'import "./a%20+%20b.js";',
    }
    odd = collected(tmp_path, "b1", files, options={"js_modules": True})
    with serving(Edge(odd.root)) as edge:
        verified(edge, odd)
    requested = {request.path for request in edge.requests}
    for name in ("css/app.css", "js/app.js"):
        text = (odd.root / "b1" / odd.manifest.paths[name]).read_text()
        references = re.findall(r'"(\.[^"]+)"', text)
        assert references
        assert {urljoin(odd.path(name), reference) for reference in references} <= requested


def test_sampling_takes_one_of_each_kind_first(build):
    few = sample(build.manifest, 6)
    assert {asset.name for asset in few} == set(FILES)
    assert len(sample(build.manifest, 3)) == 3
    assert sample(build.manifest, 3) == sample(build.manifest, 3)
    assert len(sample(build.manifest, None)) == 6


def test_an_earlier_build_is_asked_for_a_few_of_its_assets(edge, build):
    current = Manifest({}, build="b2")
    few = list(earlier_build_probes(build.manifest, current, f"{edge.url}/static/"))
    assert len(few) == 5
    assert verify_edge("Earlier", few, EdgeClient()).ok


def test_a_shared_asset_is_requested_at_its_shared_url_and_bound_ones_below_the_build(
    sharing_edge, sharing_build
):
    report = verified(sharing_edge, sharing_build)
    assert report.ok, report.text()
    requested = {
        (request.path, request.headers["accept-encoding"]) for request in sharing_edge.requests
    }
    css = sharing_build.path("css/app.css")
    assert css.startswith("/static/_shared/css/app.")
    for path in (css, "/static/b1/css/app.css", sharing_build.path("js/app.js")):
        for accepted in ("identity", "br", "gzip", BROWSER):
            assert (path, accepted) in requested
    assert (css.replace("_shared", "b1"), BROWSER) not in requested


def test_a_range_a_query_and_a_missing_name_are_requested_of_both_kinds(
    sharing_edge, sharing_build
):
    verified(sharing_edge, sharing_build)
    requests = sharing_edge.requests

    def directories(chosen):
        return sorted({request.path.split("/")[2] for request in requests if chosen(request)})

    assert directories(lambda request: "range" in request.headers) == ["_shared", "b1"]
    assert directories(lambda request: request.query) == ["_shared", "b1"]
    assert directories(lambda request: "/not-there-" in request.path) == ["_shared", "b1"]


def test_a_sample_has_shared_and_bound_assets_of_each_extension():
    def asset(name, prefix):
        return Asset(name, name, "b1", 1, f"sha384-{name}", "text/css", shared_prefix=prefix)

    assets = [asset(f"{n}.css", "_shared") for n in range(9)] + [asset("z.css", "")]
    manifest = Manifest({}, build="b1", assets={asset.hashed_name: asset for asset in assets})
    assert {asset.is_shared for asset in sample(manifest, 2)} == {True, False}


def test_of_an_earlier_build_those_shared_assets_are_requested_that_are_gone(
    edge, build, sharing_build
):
    """What both builds share is among the assets of the current one."""
    manifest = sharing_build.manifest
    current = replace(
        manifest,
        assets={key: a for key, a in manifest.assets.items() if a.name != "img/logo.png"},
    )
    client = EdgeClient()
    verify_edge("b0", list(earlier_build_probes(manifest, current, f"{edge.url}/static/")), client)
    requested = {request.path for request in edge.requests}
    assert sharing_build.path("img/logo.png") in requested
    assert sharing_build.path("css/app.css") not in requested


def test_a_shared_asset_that_s3_lost_is_reported_with_its_path(sharing_edge, sharing_build):
    css = sharing_build.path("css/app.css")
    sharing_edge.twist = lambda request, right: refused() if request.path == css else right
    report = verified(sharing_edge, sharing_build, names="css/app.css")
    assert only(report) == {"status"}
    assert css.removeprefix("/static/") in report.faults[0].remedy
    assert "staticbuilds verify b1 --repair" in report.faults[0].remedy


def test_other_bytes_at_a_shared_url_are_left_by_another_prefix(sharing_edge, sharing_build):
    css = sharing_build.path("css/app.css")
    sharing_edge.twist = lambda request, right: (
        replace(right, body=b"x") if request.path == css and right.body else right
    )
    report = verified(sharing_edge, sharing_build, names="css/app.css")
    assert any("another shared_prefix than '_shared'" in fault.remedy for fault in report.faults)
    assert not any("new BUILD_VERSION" in fault.remedy for fault in report.faults)


@pytest.mark.parametrize("neighbour", [gzip.compress(CSV), b"not gzip"], ids=["decodes", "differs"])
def test_a_source_at_the_path_of_an_encoding_is_asked_for_by_its_hashed_name_only(
    tmp_path, neighbour
):
    """d.csv.gz beside d.csv: at static/b1/d.csv.gz is the gzip encoding of d.csv."""
    files = {"d.csv": CSV, "d.csv.gz": neighbour, "e.js": "let e\n" * 50}
    foreign = collected(tmp_path, "b1", files)
    with serving(Edge(foreign.root)) as edge:
        report = verified(edge, foreign)
        paths = {request.path for request in edge.requests}
    assert report.ok, report.text()
    assert foreign.path("d.csv.gz") in paths
    assert "/static/b1/d.csv.gz" not in paths


@pytest.mark.parametrize("prehashed", [r"-\w{8}\.js$", r"-\w{8}\.js"])
def test_the_names_asked_for_are_those_that_the_manifest_says_are_served(tmp_path, prehashed):
    """A bundler's .js.gz is an asset, or with a hashed name of its own only an encoding."""
    files = {BUNDLE: SCRIPT, f"{BUNDLE}.gz": gzip.compress(SCRIPT), "d.csv": CSV}
    bundled = collected(tmp_path, "b1", files, options={"prehashed": prehashed})
    with serving(Edge(bundled.root)) as edge:
        report = verified(edge, bundled)
        paths = {request.path for request in edge.requests}
    assert report.ok, report.text()
    served = bundled.manifest.files()
    plain = {f"/static/{file.path}" for file in served if file.encoding is None}
    assert {path for path in paths if "/not-there-" not in path} - plain == {
        "/static/b1/staticfiles.json",
        "/builds/b1.json",
    }
    assert plain <= paths
    assert f"/static/b1/{BUNDLE}.gz" not in paths
