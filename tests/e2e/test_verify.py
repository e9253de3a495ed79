"""The verification of an edge that runs the shipped functions, in front of either origin."""

import pytest

from tests.edge.test_deployed import code
from versioned_storage.edge.client import EdgeClient
from versioned_storage.edge.probes import BROWSER, build_probes, edge_probes, sample
from versioned_storage.edge.probing import verify_edge


def verified(edge, world):
    base = f"{edge.url}/static/"
    private = [f"{base}b1/staticfiles.json", f"{edge.url}/builds/b1.json"]
    assets = sample(world.manifest, None)
    probes = [
        *build_probes(world.manifest, base, assets=assets),
        *edge_probes(world.manifest, base, private),
    ]
    return verify_edge("Build b1", probes, EdgeClient(connections=4))


def test_all_is_well_with_what_is_shipped(edge, world):
    report = verified(edge, world)
    assert report.faults == []
    assert report.ok


@pytest.mark.parametrize(("name", "is_shared"), [("js/app.js", True), ("LICENSE", False)])
def test_an_object_that_s3_lost_is_found_and_named(s3_edge, world, name, is_shared):
    asset = world.asset(name)
    assert asset.is_shared is is_shared
    key = f"static/{asset.path}.br"
    lost = world.bucket.get(key)
    world.bucket.client.delete_object(Bucket=world.bucket.name, Key=key)
    try:
        report = verified(s3_edge, world)
    finally:
        names = ("Body", "ContentType", "ContentEncoding", "CacheControl")
        world.bucket.client.put_object(
            Bucket=world.bucket.name, Key=key, **{name: lost[name] for name in names}
        )
    assert {result.headers["Accept-Encoding"] for result in report.failures} == {"br", BROWSER}
    assert all(key.removeprefix("static/") in fault.remedy for fault in report.faults)


def test_a_stack_from_before_shared_assets_serves_them(edge_of, world):
    request, response = code("viewer_request.js"), code("viewer_response.js")
    edge = edge_of(bucket=world.bucket_url, request=request, response=response)
    report = verified(edge, world)
    assert report.faults == []
    assert report.ok


def test_an_edge_in_front_of_s3_without_the_functions_is_found(edge_of, world):
    idle = "function handler(event) { return event.request || event.response; }"
    edge = edge_of(bucket=world.bucket_url, request=idle, response=idle)
    report = verified(edge, world)
    assert {"Content-Encoding", "Vary"} <= {fault.what for fault in report.faults}
