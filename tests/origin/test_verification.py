import hashlib
import json

import brotli
import pytest

from tests.builds import PREFIX, collected, site_origin
from tests.s3 import Answer, Bucket, front, refusal
from versioned_storage.build.directory import BuildDirectory
from versioned_storage.origin import record, verification
from versioned_storage.origin.pruning import PruneCandidate, PrunePlan, Pruner
from versioned_storage.origin.publisher import Publisher
from versioned_storage.origin.record import NotPublished, Record, State
from versioned_storage.origin.s3_errors import OriginError
from versioned_storage.origin.verification import Verifier

CSS = "text/css; charset=utf-8"


def verified(origin, build="b1", *, deep=False):
    return Verifier(origin, deep).verify(build)


def faults(verification):
    """What is wrong, by name below the build."""
    below = f"{PREFIX}b1/"
    return {
        item.path.removeprefix(below): list(map(str, item.faults)) for item in verification.faulty
    }


def replace_object(bucket, name, body, **messages):
    """Put something else in the place of an object, with headers as S3's parameters."""
    origin_options = {
        "ContentType": CSS,
        "CacheControl": "max-age=315360000, public, immutable",
        **messages,
    }
    bucket.client.put_object(
        Bucket=bucket.name, Key=f"static/b1/{name}", Body=body, **origin_options
    )


def body_of(bucket, name):
    return bucket.get(f"static/b1/{name}")["Body"]


@pytest.mark.parametrize("deep", [False, True])
def test_a_published_build_is_well(built, origin, deep):
    result = verified(origin, deep=deep)
    assert result.ok
    assert (result.objects, result.faulty, result.foreign) == (8, (), ())
    assert result.size == sum(file.size for file in built.manifest.files())


def test_verifying_writes_nothing(built, bucket, origin):
    before = bucket.objects()
    verified(origin, deep=True)
    assert bucket.objects().keys() == before.keys()
    assert all(bucket.objects()[key]["ETag"] == before[key]["ETag"] for key in before)


def test_each_object_is_asked_for_once_and_listed_with_all_others(built, bucket):
    with front(bucket.endpoint) as s3:
        result = verified(site_origin({**bucket.options(), "endpoint_url": s3.url}))
    assert len(s3.asked("HEAD")) == 8
    assert len(s3.asked("GET")) == 2
    assert result.requests == 10


def test_what_is_missing_is_told_and_not_asked_for(built, bucket):
    bucket.client.delete_object(Bucket=bucket.name, Key="static/b1/css/app.css.br")
    with front(bucket.endpoint) as s3:
        result = verified(site_origin({**bucket.options(), "endpoint_url": s3.url}))
    size = built.manifest.asset("css/app.css").encodings["br"]
    assert faults(result) == {"css/app.css.br": [f"object is missing, expected {size} bytes"]}
    assert len(s3.asked("HEAD")) == 7
    assert not result.ok


def test_other_bytes_of_another_size_are_told(built, bucket, origin):
    replace_object(bucket, "css/app.css", b"a{}")
    size = built.manifest.asset("css/app.css").size
    assert faults(verified(origin)) == {"css/app.css": [f"size is 3 bytes, expected {size:,}"]}


def test_other_bytes_of_the_same_size_are_told(built, bucket, origin):
    asset = built.manifest.asset("css/app.css")
    replace_object(bucket, "css/app.css", b"x" * asset.size)
    (messages,) = faults(verified(origin))["css/app.css"]
    recorded = hashlib.sha256((built.directory / asset.hashed_name).read_bytes()).hexdigest()
    assert messages.startswith("sha256 is ")
    assert messages.endswith(f", expected {recorded}")


def test_the_checksum_that_s3_computed_is_believed_and_not_what_was_said(tmp_path, moto_server):
    """Who replaces an object can say the sha256 of the old one, and S3 keeps its own."""
    with Bucket.at(moto_server) as bucket, collected(tmp_path) as built_build:
        origin = site_origin(bucket.options())
        Publisher(origin).publish(built_build.manifest, BuildDirectory(built_build.directory))
        body = body_of(bucket, "css/app.css")
        metadata = {"sha256": hashlib.sha256(body).hexdigest()}
        checked = {"Metadata": metadata, "ChecksumAlgorithm": "SHA256"}
        replace_object(bucket, "css/app.css", b"x" * len(body), **checked)
        assert list(faults(verified(origin))) == ["css/app.css"]


@pytest.mark.parametrize(
    ("changed", "messages"),
    [
        ({"ContentType": "text/plain"}, f"Content-Type is text/plain, expected {CSS}"),
        ({"ContentEncoding": "gzip"}, "Content-Encoding is gzip, expected none"),
        (
            {"CacheControl": "no-store"},
            "Cache-Control is no-store, expected max-age=315360000, public, immutable",
        ),
    ],
)
def test_a_header_that_is_not_as_published_is_told(built, bucket, origin, changed, messages):
    body = body_of(bucket, "css/app.css")
    metadata = {"sha256": hashlib.sha256(body).hexdigest()}
    replace_object(bucket, "css/app.css", body, Metadata=metadata, **changed)
    assert faults(verified(origin)) == {"css/app.css": [messages]}


def test_an_encoding_without_its_header_is_told(built, bucket, origin):
    body = body_of(bucket, "css/app.css.br")
    metadata = {"sha256": hashlib.sha256(body).hexdigest()}
    replace_object(bucket, "css/app.css.br", body, Metadata=metadata)
    messages = "Content-Encoding is not set, expected br"
    assert faults(verified(origin)) == {"css/app.css.br": [messages]}


def test_bytes_that_are_not_what_s3_says_of_them_are_found_by_reading(built, bucket, origin):
    """Where the store keeps no checksum of its own, what was said at storing proves nothing."""
    asset = built.manifest.asset("css/app.css")
    metadata = {"sha256": hashlib.sha256(body_of(bucket, "css/app.css")).hexdigest()}
    replace_object(bucket, "css/app.css", b"x" * asset.size, Metadata=metadata)
    deep = faults(verified(origin, deep=True))
    messages = [item.partition(" is ")[0] for item in deep["css/app.css"]]
    assert list(deep) == ["css/app.css"]
    assert messages in (["sha256 of the bytes", "sha384 of the decoded bytes"], ["sha256"])


@pytest.mark.parametrize(
    ("encoded", "result"),
    [
        (brotli.compress(b"another file"), "sha384-"),
        (b"no brotli at all", "bytes that do not decode as br"),
        (brotli.compress(b"another file")[:-1], "bytes that do not decode as br"),
    ],
)
def test_an_encoding_that_was_published_broken_is_found_by_decoding(
    built, bucket, origin, encoded, result
):
    """The record can be wrong too: then every digest agrees, and no browser can read the file."""
    text = bucket.get("builds/b1.json")["Body"].decode()
    kept = json.loads(text)
    hashed_name = built.manifest.paths["css/app.css"]
    digest = hashlib.sha256(encoded).hexdigest()
    kept["manifest"]["assets"][hashed_name]["encodings"]["br"] = len(encoded)
    kept["manifest"]["assets"][hashed_name]["sha256"]["br"] = digest
    head, manifest = dict(kept), kept.pop("manifest")
    del head["manifest"]
    bucket.put(
        "builds/b1.json",
        f'{json.dumps(head)[:-1]}, "manifest":\n{json.dumps(manifest)}}}\n'.encode(),
    )
    messages = {
        "Metadata": {"sha256": digest},
        "ContentEncoding": "br",
        "ChecksumAlgorithm": "SHA256",
    }
    for name in ("css/app.css.br", f"{hashed_name}.br"):
        replace_object(bucket, name, encoded, **messages)
    assert verified(origin).ok
    deep = faults(verified(origin, deep=True))
    assert deep.keys() == {"css/app.css.br", f"{hashed_name}.br"}
    assert deep["css/app.css.br"][0].startswith(f"sha384 of the decoded bytes is {result}")


def test_a_large_object_is_read_in_pieces(built, bucket, origin, monkeypatch):
    monkeypatch.setattr(verification, "CHUNK", 7)
    taken = []

    class Decoding(verification.Decoding):
        def take(self, chunk):
            taken.append(len(chunk))
            return super().take(chunk)

    monkeypatch.setattr(verification, "Decoding", Decoding)
    assert verified(origin, deep=True).ok
    assert max(taken) == 7


def test_what_is_not_of_the_build_is_a_note_and_no_fault(built, bucket, origin):
    bucket.put("static/b1/notes.txt", b"by hand")
    bucket.put("static/b10/a.css", b"of another build")
    result = verified(origin)
    assert result.ok
    assert result.foreign == ((f"s3://{bucket.name}/static/b1/notes.txt", 7),)


def test_what_s3_keeps_no_checksum_of_is_counted(built, bucket, origin):
    result = verified(origin)
    kept = bucket.client.head_object(
        Bucket=bucket.name, Key="static/b1/css/app.css", ChecksumMode="ENABLED"
    )
    assert result.unchecked == (0 if "ChecksumSHA256" in kept else 8)
    assert verified(origin, deep=True).unchecked == 0


def test_the_objects_of_a_location_are_below_it(tmp_path, bucket):
    origin = site_origin(bucket.options(location="shop"))
    with collected(tmp_path) as built_build:
        Publisher(origin).publish(built_build.manifest, BuildDirectory(built_build.directory))
    result = verified(origin)
    assert result.ok
    assert result.place == f"s3://{bucket.name}/shop/static/b1/"


def test_a_build_that_nobody_published_is_an_error_that_says_so(origin):
    with pytest.raises(
        NotPublished, match=r"b1 is not published: there is no record of it"
    ) as item:
        verified(origin)
    assert item.value.state is None


@pytest.mark.parametrize("state", [item for item in State if item is not State.PUBLISHED])
def test_a_build_that_is_not_published_is_an_error_that_says_its_state(origin, state):
    record.write(origin, Record("b1", state, "red", origin.now()), None)
    with pytest.raises(NotPublished, match=f"it is {state.value} "):
        verified(origin)


def test_a_build_that_is_pruned_meanwhile_has_no_faults(built, bucket):
    """Its objects go one after another, and its record has said so before."""
    pruned = []

    def prune_first(request):
        if request.method == "HEAD" and not pruned:
            pruned.append(True)
            beside = site_origin(bucket.options())
            candidate = PruneCandidate(record.read(beside, "b1"), "a test says so")
            list(Pruner(beside).execute(PrunePlan((), (candidate,), {})))
        return

    with front(bucket.endpoint, prune_first) as s3:
        origin = site_origin({**bucket.options(), "endpoint_url": s3.url})
        with pytest.raises(NotPublished, match="it is retired"):
            Verifier(origin).verify("b1")


def test_a_refusal_of_s3_is_no_verdict(built, bucket):
    def refuse(request):
        if request.method == "HEAD" and request.path.endswith("app.css.br"):
            return refusal(403, "AccessDenied", "Access Denied")
        return None

    with front(bucket.endpoint, refuse) as s3:
        origin = site_origin({**bucket.options(), "endpoint_url": s3.url})
        with pytest.raises(OriginError) as error:
            verified(origin)
    assert error.value.status == 403


def test_a_body_that_breaks_off_is_no_verdict(built, bucket):
    """What did not arrive may be well: nothing is called wrong, and nothing well."""
    size = str(built.manifest.asset("css/app.css").size)

    def break_off(request):
        if request.method == "GET" and request.path.endswith("/css/app.css"):
            return Answer(200, b"body {", {"Content-Length": size, "Connection": "close"})
        return None

    with front(bucket.endpoint, break_off) as s3:
        origin = site_origin({**bucket.options(), "endpoint_url": s3.url})
        with pytest.raises(OriginError, match="run the same command again"):
            verified(origin, deep=True)
