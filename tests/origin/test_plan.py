"""The plan of a publish, from a manifest, a build directory and what S3 has."""

from dataclasses import replace
from datetime import datetime, timezone

import pytest

from versioned_storage.build.directory import BuildDirectory
from versioned_storage.build.manifest import Asset, Manifest
from versioned_storage.origin.objects import ListedObject, LocalBuild, StoredObject, UploadBody
from versioned_storage.origin.plan import (
    Action,
    CopySource,
    copy_sources,
    headers,
    matches,
    metadata,
    plan,
    reusable,
)

CSS = "text/css; charset=utf-8"
ENCODERS = {"gzip": {"level": 9}}
FILES = {"app.0123.css": b"body { color: red }", "app.0123.css.gz": b"gzip of it"}
HASHED, HASHED_GZ = "static/b2/app.0123.css", "static/b2/app.0123.css.gz"
ORIGINAL, ORIGINAL_GZ = "static/b2/app.css", "static/b2/app.css.gz"


@pytest.fixture
def directory(tmp_path):
    for name, content in FILES.items():
        (tmp_path / name).write_bytes(content)
    return BuildDirectory(tmp_path)


def manifest(build="b2", encoders=ENCODERS, **sha256):
    asset = Asset(
        name="app.css",
        hashed_name="app.0123.css",
        build=build,
        size=len(FILES["app.0123.css"]),
        integrity="sha384-app",
        content_type=CSS,
        encodings={"gzip": len(FILES["app.0123.css.gz"])},
        sha256=sha256,
    )
    return Manifest(
        paths={"app.css": asset.hashed_name},
        build=build,
        content="content",
        encoders=encoders,
        assets={asset.hashed_name: asset},
    )


def base():
    return manifest("b1", identity="sha256-of-identity", gzip="sha256-of-gzip")


def files(of):
    return {f"static/{file.path}": file for file in of.files()}


def stored(path, directory, **changes):
    """An object on S3 that is right for the file at ``path``."""
    file = files(manifest())[path]
    body = UploadBody.of(directory.path(file.source))
    fields = {
        "size": body.size,
        "etag": '"1"',
        "sha256": body.sha256,
        "has_checksum": True,
        "headers": headers(file),
        "metadata": {**metadata(file, manifest()), "sha256": body.sha256},
    }
    return StoredObject(**{**fields, **changes})


def listed(path, size):
    return ListedObject(path, size, '"base"', datetime.now(timezone.utc))


def actions(planned):
    return {step.path: step.action for step in planned.steps}


def test_a_first_publish_uploads_every_object(directory):
    planned = plan(LocalBuild(manifest(), directory), "static/", stored={}, sources={})
    assert set(actions(planned).values()) == {Action.UPLOAD}
    assert actions(planned).keys() == {HASHED, HASHED_GZ, ORIGINAL, ORIGINAL_GZ}
    assert str(planned) == "upload 4 objects (58 B), copy 0 objects (0 B), skip 0 objects (0 B)"


def test_hashed_names_come_before_original_ones_and_large_objects_before_small_ones(directory):
    planned = plan(LocalBuild(manifest(), directory), "static/", stored={}, sources={})
    assert [step.path for step in planned.steps] == [HASHED, HASHED_GZ, ORIGINAL, ORIGINAL_GZ]


def test_objects_of_an_earlier_attempt_are_skipped(directory):
    paths = (HASHED, HASHED_GZ, ORIGINAL, ORIGINAL_GZ)
    on_s3 = {path: stored(path, directory) for path in paths}
    planned = plan(LocalBuild(manifest(), directory), "static/", stored=on_s3, sources={})
    assert set(actions(planned).values()) == {Action.SKIP}


def test_an_original_name_is_copied_from_a_hashed_one_that_is_there(directory):
    on_s3 = {path: stored(path, directory) for path in (HASHED, HASHED_GZ)}
    planned = plan(LocalBuild(manifest(), directory), "static/", stored=on_s3, sources={})
    assert [step.action for step in planned.originals] == [Action.COPY, Action.COPY]


def test_an_object_with_other_headers_is_uploaded_again(directory):
    on_s3 = {HASHED: stored(HASHED, directory, headers={"ContentType": "text/plain"})}
    planned = plan(LocalBuild(manifest(), directory), "static/", stored=on_s3, sources={})
    step = next(step for step in planned.steps if step.path == HASHED)
    assert (step.action, step.reason) == (Action.UPLOAD, "is there with other bytes or headers")


@pytest.mark.parametrize(
    "changes",
    [
        {"sha256": None},
        {"sha256": "0" * 64},
        {"size": 1},
        {"headers": {}},
        {"metadata": {"sha256": "of the bytes that were uploaded"}},
    ],
)
def test_an_object_of_identity_matches_only_with_the_bytes_of_the_build(directory, changes):
    file = files(manifest())[HASHED]
    sha256 = UploadBody.of(directory.path(file.source)).sha256
    assert matches(stored(HASHED, directory), file, lambda: sha256, manifest())
    assert not matches(stored(HASHED, directory, **changes), file, lambda: sha256, manifest())


def test_an_encoding_by_another_zlib_matches_if_it_is_of_the_same_asset(directory):
    file = files(manifest())[HASHED_GZ]
    other = {**metadata(file, manifest()), "sha256": "1" * 64}
    on_s3 = stored(HASHED_GZ, directory, sha256="1" * 64, metadata=other)
    assert matches(on_s3, file, lambda: "0" * 64, manifest())
    assert not matches(on_s3, file, lambda: "0" * 64, manifest(encoders={"gzip": {"level": 1}}))


def test_what_the_base_build_has_is_reused_if_the_encoder_is_the_same():
    contents = {item.content: item.sha256 for item in reusable(base(), ENCODERS)}
    assert contents == {
        ("sha384-app", None, None): "sha256-of-identity",
        ("sha384-app", "gzip", None): "sha256-of-gzip",
    }
    of_other_encoder = {item.content for item in reusable(base(), {"gzip": {"level": 1}})}
    assert of_other_encoder == {("sha384-app", None, None)}


def test_an_encoding_of_another_quality_is_not_reused(directory):
    ours, theirs = manifest(), base()
    (asset,) = ours.assets.values()
    ours = replace(ours, assets={asset.hashed_name: replace(asset, quality={"gzip": 1})})
    assert {item.content for item in reusable(theirs, ENCODERS)} & {
        file.content for file in ours.files()
    } == {("sha384-app", None, None)}
    file = files(ours)[HASHED_GZ]
    assert metadata(file, ours)["encoder"] == "gzip level=1"
    assert not matches(stored(HASHED_GZ, directory), file, lambda: "0" * 64, ours)


def test_objects_of_the_base_build_are_copied(directory):
    sizes = {
        f"static/b1/{name}": listed(f"static/b1/{name}", len(data)) for name, data in FILES.items()
    }
    sources, damaged = copy_sources(base(), manifest(), "static/", sizes)
    assert damaged == []
    assert sources["sha384-app", "gzip", None] == CopySource(
        "static/b1/app.0123.css.gz", '"base"', 10, "sha256-of-gzip"
    )
    planned = plan(LocalBuild(manifest(), directory), "static/", stored={}, sources=sources)
    assert set(actions(planned).values()) == {Action.COPY}


def test_an_object_of_the_base_build_that_is_missing_is_not_copied():
    assert copy_sources(base(), manifest(), "static/", {}) == ({}, [])


def test_an_object_of_the_base_build_with_another_size_is_damaged():
    path = "static/b1/app.0123.css"
    assert copy_sources(base(), manifest(), "static/", {path: listed(path, 1)}) == ({}, [path])
