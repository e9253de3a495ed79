"""Which requests show whether the edge serves a build."""

import gzip

import pytest

from tests.edge.conftest import FILES, collected
from tests.edge.edges import Edge, serving
from tests.edge.verified import verified
from versioned_storage.edge.client import EdgeClient
from versioned_storage.edge.prober import verify_edge
from versioned_storage.edge.probes import BROWSER, earlier_build_probes, sample

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


def test_sampling_takes_one_of_each_kind_first(build):
    few = sample(build.manifest, 6)
    assert {asset.name for asset in few} == set(FILES)
    assert len(sample(build.manifest, 3)) == 3
    assert sample(build.manifest, 3) == sample(build.manifest, 3)
    assert len(sample(build.manifest, None)) == 6


def test_an_earlier_build_is_asked_for_a_few_of_its_assets(edge, build):
    base = f"{edge.url}/static/b1/"
    few = list(earlier_build_probes(build.manifest, base))
    assert len(few) == 5
    assert verify_edge("Earlier", few, EdgeClient()).ok


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
