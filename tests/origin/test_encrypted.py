"""A bucket that is encrypted with a KMS key: no ETag is the MD5 of what was stored."""

import hashlib
import json
import re
from dataclasses import replace

import pytest

from tests.helpers import site
from tests.s3 import HANGS_UP, front
from versioned_storage.origin.s3 import S3Origin
from versioned_storage.origin.transfer import PublishFailed

FILES = {
    "css/app.css": "body { color: red }\n" * 20,
    "css/a+b c.css": "a { color: blue }\n" * 20,
    "img/logo.png": b"\x89PNG" * 20,
    "empty.txt": "",
}
KMS = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "arn:aws:kms:eu-west-1:1:key/static"}
ETAG = re.compile(r"\b[0-9a-f]{32}\b")


def other(text):
    """The same text with other ETags; twice is the same text again."""
    return ETAG.sub(lambda stored: stored[0][::-1], text)


def encrypted(standing, lives_for=10**6):
    """Stand in for such a bucket; it dies after so many objects."""
    objects = []

    def answer(request):
        if request.method == "PUT" and "/static/" in request.path:
            objects.append(request.path)
            if len(objects) > lives_for:
                return HANGS_UP
        named = ("if-match", "x-amz-copy-source-if-match")
        headers = {
            name: other(value) if name.lower() in named else value
            for name, value in request.headers.items()
        }
        target = f"{request.path}?{request.query}" if request.query else request.path
        stored = standing.passed_on(replace(request, headers=headers), target)
        headers = {
            name: other(value) if name.lower() == "etag" else value
            for name, value in stored.headers.items()
        }
        body = re.sub(
            rb"<ETag>.*?</ETag>", lambda tag: other(tag[0].decode()).encode(), stored.body
        )
        return replace(stored, headers=headers, body=body)

    standing.answer = answer
    return standing


@pytest.fixture
def publish(moto_bucket, tmp_path):
    """Publish from a machine of its own, and return what was asked for."""

    def published(machine, build="b1", files=FILES, **dying):
        (tmp_path / machine).mkdir()
        with front(moto_bucket.endpoint) as s3:
            encrypted(s3, **dying)
            origin = moto_bucket.options(endpoint_url=s3.url, object_parameters=KMS)
            options = {"origin": origin, "connections": 2}
            with site(tmp_path / machine, files, options=options, BUILD_VERSION=build) as shop:
                shop.collect()
        return s3.requests

    return published


def puts(asked):
    """The objects that were put, and those that were copied."""
    keys = [item for item in asked if item.method == "PUT" and "/static/" in item.path]
    copied = {item.path for item in keys if header(item, "x-amz-copy-source")}
    return {item.path for item in keys} - copied, copied


def header(request, name):
    return {origin_options.lower(): value for origin_options, value in request.headers.items()}.get(
        name
    )


def test_this_bucket_has_etags_that_are_no_md5(moto_bucket):
    with front(moto_bucket.endpoint) as s3:
        encrypted(s3)
        origin = S3Origin(moto_bucket.options(endpoint_url=s3.url))
        origin.put("a.css", b"a{}")
        stored, (listed,) = origin.find("a.css"), origin.list("a")
    md5 = hashlib.md5(b"a{}").hexdigest()
    assert stored.etag == listed.etag == f'"{md5[::-1]}"'
    assert stored.sha256 == hashlib.sha256(b"a{}").hexdigest()


def test_what_a_publish_that_died_left_is_known_by_its_digest(moto_bucket, publish):
    with pytest.raises(PublishFailed):
        publish("first", lives_for=6)
    left = {key for key in moto_bucket.listed() if key.startswith("static/")}
    assert left
    uploaded, copied = puts(publish("second"))
    prefix = f"/{moto_bucket.name}/"
    again = {path.removeprefix(prefix) for path in uploaded | copied} & left
    assert again == set()
    record = json.loads(moto_bucket.get("builds/b1.json")["Body"])
    assert record["state"] == "published"


def test_what_did_not_change_is_copied(publish):
    publish("first")
    files = {**FILES, "img/logo.png": b"\x89PNG" * 21}
    uploaded, copied = puts(publish("second", "b2", files=files))
    assert {path.rpartition("/")[2].partition(".")[0] for path in uploaded} == {"logo"}
    assert len(copied) == 2 * 3 * 3


def test_the_key_is_named_for_each_object(publish):
    for item in publish("here"):
        if item.method == "PUT":
            assert header(item, "x-amz-server-side-encryption") == "aws:kms"
            assert header(item, "x-amz-server-side-encryption-aws-kms-key-id") == KMS["SSEKMSKeyId"]
