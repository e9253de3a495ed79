"""A new build takes from the published one what has not changed, without its bytes."""

# The server stands around what is expected to fail: two blocks, not one.

import hashlib
import json
from dataclasses import replace

import pytest

from tests.helpers import site
from tests.s3 import front
from versioned_storage.build import compression
from versioned_storage.origin import record
from versioned_storage.origin.publisher import BaseNotPublished
from versioned_storage.origin.record import Record, State
from versioned_storage.origin.s3 import S3Origin

FILES = {
    "css/app.css": "body { background: url(../img/logo.png) }" * 20,
    "js/app.js": "console.log('one');" * 40,
    "img/logo.png": b"\x89PNG" * 50,
}


def publish(directory, bucket, build, files=FILES, *, endpoint=None, **options):
    """Publish from a machine that has only what is in ``directory``."""
    directory.mkdir(exist_ok=True)
    origin_options = bucket.options(endpoint_url=endpoint or bucket.endpoint)
    with site(
        directory, files, options={"origin": origin_options, **options}, BUILD_VERSION=build
    ) as shop:
        return shop.collect()


@pytest.fixture
def encoded(monkeypatch):
    """The names that were compressed."""
    names = []
    real = compression.encode

    def encode(directory, name, encoding, *stopped):
        names.append(name + encoding.suffix)
        real(directory, name, encoding, *stopped)

    monkeypatch.setattr(compression, "encode", encode)
    return names


def bodies(bucket, build):
    """The objects of a build, by their names in it."""
    prefix = f"static/{build}/"
    return {
        key.removeprefix(prefix): stored
        for key, stored in bucket.objects().items()
        if key.startswith(prefix)
    }


def test_an_empty_machine_compresses_and_uploads_only_what_changed(bucket, tmp_path, encoded):
    publish(tmp_path / "first", bucket, "b1")
    encoded.clear()
    changed = {**FILES, "js/app.js": "console.log('two');" * 40}
    with front(bucket.endpoint) as s3:
        publish(tmp_path / "second", bucket, "b2", changed, endpoint=s3.url)
    assert {name.partition(".")[0] for name in encoded} == {"js/app"}
    puts = [item for item in s3.requests if item.method == "PUT" and "/static/" in item.path]
    uploaded = {
        item.path.partition("/b2/")[2] for item in puts if "x-amz-copy-source" not in item.headers
    }
    assert {name.partition(".")[0] for name in uploaded} == {"js/app"}
    assert len(uploaded) == 6


def test_what_is_copied_is_as_what_is_uploaded(bucket, tmp_path):
    publish(tmp_path / "first", bucket, "b1")
    publish(tmp_path / "second", bucket, "b2")
    copied, uploaded = bodies(bucket, "b2"), bodies(bucket, "b1")
    assert copied.keys() == uploaded.keys()
    for name, stored in copied.items():
        for of in ("Body", "ContentType", "CacheControl", "Metadata"):
            assert stored[of] == uploaded[name][of], (name, of)
        assert stored.get("ContentEncoding") == uploaded[name].get("ContentEncoding"), name


def test_the_manifest_has_the_encodings_that_were_not_made_here(bucket, tmp_path):
    publish(tmp_path / "first", bucket, "b1")
    publish(tmp_path / "second", bucket, "b2")
    disk = tmp_path / "second/static_root/b2"
    assert not list(disk.rglob("*.br"))
    on_disk = json.loads((disk / "staticfiles.json").read_text())["assets"]
    kept = json.loads(bucket.get("builds/b1.json")["Body"])["manifest"]["assets"]
    assert {name: item["encodings"] for name, item in on_disk.items()} == {
        name: item["encodings"] for name, item in kept.items()
    }


def test_a_copy_whose_source_went_away_is_compressed_and_uploaded(bucket, tmp_path, encoded):
    """The base build is being pruned meanwhile."""
    publish(tmp_path / "first", bucket, "b1")
    expected = {name: stored["Body"] for name, stored in bodies(bucket, "b1").items()}
    encoded.clear()

    def prunes(request):
        if "x-amz-copy-source" in request.headers:
            bucket.delete(request.headers["x-amz-copy-source"].partition("/")[2])

    with front(bucket.endpoint, prunes) as s3:
        publish(tmp_path / "second", bucket, "b2", endpoint=s3.url)
    assert {name: stored["Body"] for name, stored in bodies(bucket, "b2").items()} == expected
    assert {name.rpartition(".")[2] for name in encoded} == {"br", "gz"}


@pytest.mark.parametrize("named", [True, "b1"])
def test_the_base_is_the_current_build_or_the_named_one(bucket, tmp_path, named, capsys):
    publish(tmp_path / "first", bucket, "b1")
    publish(tmp_path / "other", bucket, "b2", {"other.css": "a{}"})
    publish(tmp_path / "second", bucket, "b3", base_build=named)
    output = capsys.readouterr().err
    copied = "14 copied inside S3" in output.splitlines()[-1]
    assert copied == (named == "b1")


def test_without_a_base_everything_is_made_and_uploaded(bucket, tmp_path, encoded, capsys):
    publish(tmp_path / "first", bucket, "b1")
    encoded_names = sorted(encoded)
    encoded.clear()
    publish(tmp_path / "second", bucket, "b2", base_build=False)
    assert sorted(encoded) == encoded_names
    assert "copied" not in capsys.readouterr().err


def test_a_base_that_is_not_published_is_an_error_before_the_build(bucket, tmp_path):
    with pytest.raises(BaseNotPublished) as refused:
        publish(tmp_path / "first", bucket, "b2", base_build="b1")
    assert str(refused.value).startswith(
        f"The base build b1 is not published (s3://{bucket.name}/builds/b1.json)."
    )
    assert bucket.listed() == set()


def test_encodings_that_were_made_in_another_way_are_made_again(bucket, tmp_path, encoded):
    publish(tmp_path / "first", bucket, "b1")
    encoded.clear()
    stored = bucket.get("builds/b1.json")["Body"]
    bucket.put("builds/b1.json", stored.replace(b'"quality": 11', b'"quality": 5'))
    publish(tmp_path / "second", bucket, "b2")
    assert {name.rpartition(".")[2] for name in encoded} == {"br"}


def test_running_again_after_a_failed_publish_skips_what_is_there(bucket, tmp_path, capsys):
    """On another machine, too, which has none of the encodings."""
    publish(tmp_path / "first", bucket, "b1")
    published = Record.from_json(bucket.get("builds/b1.json")["Body"], name="b1")
    leased = replace(published, state=State.PUBLISHING, totals=None, manifest=None)
    bucket.put("builds/b1.json", leased.to_json())
    capsys.readouterr()
    with front(bucket.endpoint) as s3:
        publish(tmp_path / "second", bucket, "b1", endpoint=s3.url)
    assert "0 objects uploaded, 0 B, 14 there already" in capsys.readouterr().err
    assert {path.rpartition("/")[2] for path in s3.asked("PUT")} == {"b1.json"}


def damage(bucket, key, body):
    """Overwrite an object as another tool would, with the metadata that it had."""
    stored = bucket.get(key)
    bucket.client.put_object(
        Bucket=bucket.name,
        Key=key,
        Body=body,
        ContentType=stored["ContentType"],
        CacheControl=stored["CacheControl"],
        Metadata=stored["Metadata"],
    )


def hashed_script(bucket):
    (key,) = [key for key in bucket.listed() if key.endswith(".js") and key.count(".") == 2]
    return key


def test_an_object_of_the_base_build_with_another_size_is_uploaded_and_not_copied(
    bucket, tmp_path, caplog
):
    publish(tmp_path / "first", bucket, "b1")
    key = hashed_script(bucket)
    damage(bucket, key, b"")
    with front(bucket.endpoint) as s3:
        publish(tmp_path / "second", bucket, "b2", endpoint=s3.url)
    name = key.rpartition("/")[2]
    assert bucket.get(f"static/b2/js/{name}")["Body"] == FILES["js/app.js"].encode()
    copies = [item.headers.get("x-amz-copy-source", "") for item in s3.requests]
    assert not any(copy.endswith(f"b1/js/{name}") for copy in copies)
    assert (
        "Objects of the base build b1 differ from its record, so they were uploaded and not "
        f"copied:\n  s3://{bucket.name}/{key}\n"
    ) in caplog.text


def test_an_object_of_the_base_build_with_another_checksum_is_uploaded_after_its_copy(
    moto_bucket, tmp_path, caplog
):
    """Ceph answers a copy with no checksum, so nobody sees it there; `verify --deep` does."""
    publish(tmp_path / "first", moto_bucket, "b1")
    key = hashed_script(moto_bucket)
    good = FILES["js/app.js"].encode()
    damage(moto_bucket, key, good.replace(b"one", b"two"))
    publish(tmp_path / "second", moto_bucket, "b2")
    name = key.rpartition("/")[2]
    for path in (f"static/b2/js/{name}", "static/b2/js/app.js"):
        assert moto_bucket.get(path)["Body"] == good
    assert f"copied:\n  s3://{moto_bucket.name}/{key}\n" in caplog.text
    stored = record.read(S3Origin(moto_bucket.options()), "b2").record
    sha256 = hashlib.sha256(good).hexdigest()
    assert stored.manifest.assets[f"js/{name}"].sha256["identity"] == sha256


def test_a_copy_replaces_only_what_the_plan_saw(moto_bucket, tmp_path):
    """The condition is sent; moto and Ceph ignore it, S3 does not."""
    publish(tmp_path / "first", moto_bucket, "b1")
    with front(moto_bucket.endpoint) as s3:
        publish(tmp_path / "second", moto_bucket, "b2", endpoint=s3.url)
    copies = [item for item in s3.requests if "x-amz-copy-source" in item.headers]
    assert copies
    assert all(item.headers["If-None-Match"] == "*" for item in copies)
    assert all("x-amz-copy-source-if-match" in item.headers for item in copies)
