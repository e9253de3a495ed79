"""A stack that was deployed before there were shared assets serves them.

``deployed/`` has its functions and the statements of its bucket policy, with STATIC_URL "/static/".
"""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
from django.utils.encoding import filepath_to_uri

from tests.edge.conftest import Build
from tests.edge.javascript import RUNTIMES, Runtime, runtime
from tests.edge.test_functions import answered, asked, uris
from versioned_storage.constants import ENCODINGS
from versioned_storage.origin import record

DEPLOYED = Path(__file__).with_name("deployed")


@pytest.fixture(params=RUNTIMES)
def js(request: pytest.FixtureRequest, tmp_path: Path) -> Runtime:
    return runtime(request.param, tmp_path)


def code(name: str) -> str:
    return (DEPLOYED / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("accept", ["identity", *ENCODINGS])
def test_its_request_function_asks_for_the_objects_that_are_published(
    js: Runtime, sharing_build: Build, accept: str
) -> None:
    assets = list(sharing_build.manifest.assets.values())
    assert {asset.is_shared for asset in assets} == {True, False}
    objects = {file.path for file in sharing_build.manifest.files()}
    events = [asked(quoted(asset.path), accept) for asset in assets]
    requested = uris(js, events, code("viewer_request.js"))
    suffix = ENCODINGS[accept].suffix if accept in ENCODINGS else ""
    assert requested == [
        quoted(asset.path) + (suffix if asset.encodings else "") for asset in assets
    ]
    for asset in assets:
        assert asset.path + (suffix if asset.encodings else "") in objects


def test_its_response_function_adds_the_same_headers(js: Runtime, sharing_build: Build) -> None:
    css = sharing_build.manifest.asset("css/app.css")
    assert css is not None
    assert css.is_shared
    paths = (f"/static/{css.path}", f"/static/{css.path}.br", f"/static/b1/{css.hashed_name}")
    responses: list[dict[str, Any]] = js.run(
        code("viewer_response.js"), [answered(path) for path in paths]
    )
    assert [response["headers"] for response in responses] == [responses[0]["headers"]] * 3
    assert responses[0]["headers"]["access-control-allow-origin"] == {"value": "*"}
    assert responses[0]["headers"]["vary"] == {"value": "Accept-Encoding"}


def test_its_bucket_policy_lets_the_cdn_read_shared_objects_and_no_record(
    sharing_build: Build,
) -> None:
    policy = json.loads((DEPLOYED / "bucket_policy.json").read_text(encoding="utf-8"))
    (statement,) = (s for s in policy["Statement"] if s["Effect"] == "Allow")
    keys = [f"static/{file.path}" for file in sharing_build.manifest.files()]
    assert any(key.startswith("static/_shared/") for key in keys)
    for key in keys:
        assert fnmatchcase(f"arn:aws:s3:::my-site-static/{key}", statement["Resource"]), key
    for key in (record.path("b1"), f"{record.PREFIX}_sweep"):
        assert not fnmatchcase(f"arn:aws:s3:::my-site-static/{key}", statement["Resource"]), key


def quoted(path: str) -> str:
    return f"/static/{filepath_to_uri(path)}"
