"""collectstatic, through the storage, to an S3 server; and back to app servers without a build."""

# The server stands around what is expected to fail: two blocks, not one.
# ruff: noqa: SIM117

import errno
import hashlib
import json
from threading import Event
from urllib.parse import unquote, urlsplit

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.core.management.base import CommandError
from django.urls import get_script_prefix, set_script_prefix

from tests.builds import state
from tests.helpers import site
from tests.s3 import ACCESS_KEY, HANGS_UP, SECRET_KEY, Front, front, options, refusal
from versioned_storage.build import compression
from versioned_storage.build.directory import CannotWrite
from versioned_storage.origin import publisher
from versioned_storage.origin.lease import BuildIsPublished
from versioned_storage.origin.publisher import NotOfThisBuild
from versioned_storage.origin.s3_errors import OriginError
from versioned_storage.origin.transfer import PublishFailed
from versioned_storage.storage import VersionedStaticFilesStorage

FILES = {
    "css/app.css": "body { background: url(../img/logo.png) }\n" * 20,
    "js/app.js": "console.log('hello');\n" * 20,
    "img/logo.png": b"\x89PNG" * 20,
    "data/a b.json": '{"a": 1}',
    "fonts/a.woff2": b"wOF2",
    "img/icon.svg": '<svg xmlns="http://www.w3.org/2000/svg"></svg>',
}
CONTENT_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".json": "application/json",
    ".woff2": "font/woff2",
    ".svg": "image/svg+xml",
}
ENCODINGS = {".br": "br", ".gz": "gzip"}


def origin(origin_options, **more):
    """The storage's options: that origin, and few connections."""
    return {"origin": origin_options, "connections": 4, **more}


def publish(tmp_path, origin_options, files=FILES, build="b1", **settings):
    with site(
        tmp_path, files, options=origin(origin_options), BUILD_VERSION=build, **settings
    ) as shop:
        return shop.collect()


def elsewhere(tmp_path):
    """Another machine: one that never ran collectstatic."""
    other = tmp_path / "elsewhere"
    other.mkdir(exist_ok=True)
    return other


# What collectstatic puts on S3


def test_each_file_of_the_build_is_on_s3_with_its_headers(bucket, tmp_path):
    publish(tmp_path, bucket.options())
    build = tmp_path / "static_root/b1"
    on_disk = {
        f"static/b1/{file.relative_to(build).as_posix()}": file.read_bytes()
        for file in build.rglob("*")
        if file.is_file() and file.name != "staticfiles.json"
    }
    objects = bucket.objects()
    assert objects.keys() == on_disk.keys() | {"builds/b1.json"}
    assert {"static/b1/css/app.css", "static/b1/css/app.css.br"} < objects.keys()
    for key, content in on_disk.items():
        stored = objects[key]
        suffix = next((suffix for suffix in ENCODINGS if key.endswith(suffix)), "")
        extension = "." + key.removesuffix(suffix).rpartition(".")[2]
        assert stored["Body"] == content, key
        assert stored["ContentType"] == CONTENT_TYPES[extension], key
        assert stored.get("ContentEncoding") == ENCODINGS.get(suffix), key
        assert stored["CacheControl"] == "max-age=315360000, public, immutable", key
        assert stored["Metadata"]["sha256"] == hashlib.sha256(content).hexdigest(), key


def test_the_record_has_the_manifest_of_the_build_directory(bucket, tmp_path):
    publish(tmp_path, bucket.options())
    stored = json.loads(bucket.get("builds/b1.json")["Body"])
    on_disk = json.loads((tmp_path / "static_root/b1/staticfiles.json").read_text())
    assert stored["state"] == "published"
    assert stored["content"] == on_disk["content"]
    for kept in stored["manifest"]["assets"].values():
        assert kept.pop("sha256").keys() == {"identity", *kept["encodings"]}
    assert stored["manifest"] == on_disk


def test_a_site_without_static_files_has_an_empty_build(bucket, tmp_path):
    publish(tmp_path, bucket.options(), files={})
    assert bucket.listed() == {"builds/b1.json"}
    record = json.loads(bucket.get("builds/b1.json")["Body"])
    assert (record["build"], record["state"]) == ("b1", "published")
    assert json.loads((tmp_path / "static_root/b1/staticfiles.json").read_text())["build"] == "b1"


def test_the_record_comes_after_every_object(bucket, tmp_path):
    with front(bucket.endpoint) as s3:
        publish(tmp_path, bucket.options(endpoint_url=s3.url))
    puts = [(event, path) for event, method, path in s3.events if method == "PUT"]
    path = f"/{bucket.name}/builds/b1.json"
    assert puts[-2:] == [("begin", path), ("end", path)]
    assert {unquote(path) for _, path in puts} == {
        f"/{bucket.name}/{key}" for key in bucket.listed()
    }


def test_collectstatic_says_what_was_published(bucket, tmp_path, capsys):
    output = publish(tmp_path, bucket.options()) + capsys.readouterr().err
    uploaded = len(bucket.listed()) - 1
    assert f"Published build b1 to s3://{bucket.name}/static/b1/: {uploaded} objects upl" in output


def test_a_dry_run_asks_nothing_of_s3(bucket, tmp_path):
    with front(bucket.endpoint) as s3:
        origin_options = origin(bucket.options(endpoint_url=s3.url))
        with site(tmp_path, FILES, options=origin_options, BUILD_VERSION="b1") as shop:
            shop.collect(dry_run=True)
    assert s3.requests == []


def test_object_parameters_are_on_every_object(bucket, tmp_path):
    parameters = {"StorageClass": "STANDARD_IA", "Tagging": "team=web"}
    publish(tmp_path, bucket.options(object_parameters=parameters))
    for key, stored in bucket.objects().items():
        assert stored["StorageClass"] == "STANDARD_IA", key
        tags = bucket.client.get_object_tagging(Bucket=bucket.name, Key=key)["TagSet"]
        assert tags == [{"Key": "team", "Value": "web"}], key


@pytest.mark.parametrize("name", ["CacheControl", "ContentEncoding", "ContentType"])
def test_a_header_that_the_build_decides_is_refused(tmp_path, name):
    origin_options = origin({"bucket_name": "bucket", "object_parameters": {name: "x"}})
    with site(tmp_path, FILES, options=origin_options, BUILD_VERSION="b1") as shop:
        with pytest.raises(ImproperlyConfigured) as refused:
            _ = shop.storage
    assert (
        f'STORAGES["staticfiles"]["OPTIONS"]["origin"] is a dict that sets {name}. It takes '
        f"object_parameters without {name}, which each object gets from its build"
    ) in str(refused.value)


def test_the_media_storages_settings_connect_and_no_more(bucket, tmp_path):
    settings = {
        "AWS_S3_ENDPOINT_URL": bucket.endpoint,
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_S3_REGION_NAME": "eu-west-1",
        "AWS_STORAGE_BUCKET_NAME": "media",
        "AWS_LOCATION": "uploads",
        "AWS_IS_GZIPPED": True,
        "AWS_S3_OBJECT_PARAMETERS": {"CacheControl": "no-cache", "StorageClass": "STANDARD_IA"},
    }
    publish(tmp_path, {"bucket_name": bucket.name}, **settings)
    stored = bucket.get("static/b1/css/app.css")
    assert stored["CacheControl"] == "max-age=315360000, public, immutable"
    assert "StorageClass" not in stored
    assert "ContentEncoding" not in stored


# The keys and the URLs agree


@pytest.mark.parametrize(
    ("static_url", "script_name", "cdn", "location"),
    [
        ("/static/", None, None, ""),
        ("/static/", "/app", None, "shop"),
        ("/static/", "/app", "cdn.example.com", ""),
        ("/assets/static/", None, "http://127.0.0.1:8443", "shop/stage"),
        ("static/", None, None, ""),
        ("static/", None, "cdn.example.com", "shop"),
        ("static/", "/app", None, ""),
        ("static/", "/app/", "cdn.example.com", "shop"),
        ("https://cdn.example.com/static/", None, None, ""),
        ("https://cdn.example.com/static/", "/app", "cdn.example.com", "shop"),
        ("//cdn.example.com/static/", None, None, "shop"),
    ],
)
def test_each_url_is_the_key_of_an_object(bucket, tmp_path, static_url, script_name, cdn, location):
    files = {"css/app.css": "a { color: red }", "data/a b.json": "{}"}
    origin_options = origin(bucket.options(location=location), cdn_domain=cdn)
    settings = {"STATIC_URL": static_url, "FORCE_SCRIPT_NAME": script_name, "BUILD_VERSION": "b1"}
    with site(tmp_path, files, options=origin_options, **settings) as shop:
        shop.collect()
        urls = [shop.storage.url(name) for name in files]
    keys = bucket.listed()
    for url in urls:
        path = urlsplit(url).path.lstrip("/").replace("%20", " ")
        assert (f"{location}/{path}" if location else path) in keys
    assert (f"{location}/builds/b1.json" if location else "builds/b1.json") in keys


def test_a_relative_static_url_behind_a_cdn_is_the_same_under_any_mount(bucket, tmp_path):
    """collectstatic makes the keys where there is no server to ask for its mount."""
    origin_options = origin(bucket.options(), cdn_domain="cdn.example.com")
    with site(
        tmp_path, FILES, options=origin_options, STATIC_URL="static/", BUILD_VERSION="b1"
    ) as shop:
        shop.collect()
        before = get_script_prefix()
        set_script_prefix("/mounted/")
        try:
            url = shop.storage.url("css/app.css")
        finally:
            set_script_prefix(before)
    assert urlsplit(url).path.lstrip("/") in bucket.listed()


# Again


def test_collecting_again_uploads_nothing(bucket, tmp_path, capsys):
    publish(tmp_path, bucket.options())
    with front(bucket.endpoint) as s3:
        output = publish(tmp_path, bucket.options(endpoint_url=s3.url)) + capsys.readouterr().err
    assert s3.asked("PUT") == [f"/{bucket.name}/builds/b1.json"]
    assert (
        f"Build b1 is published at s3://{bucket.name}/static/b1/ already: nothing to upload"
        in output
    )


def test_the_same_sources_on_another_machine_upload_nothing(bucket, tmp_path):
    publish(tmp_path, bucket.options())
    with front(bucket.endpoint) as s3:
        publish(elsewhere(tmp_path), bucket.options(endpoint_url=s3.url))
    record = f"/{bucket.name}/builds/b1.json"
    assert [(request.method, request.path) for request in s3.requests] == [
        ("GET", record),
        ("PUT", record),
    ]


def test_other_content_under_the_same_build_version_is_refused(bucket, tmp_path):
    publish(tmp_path, bucket.options())
    before = {key: stored["Body"] for key, stored in bucket.objects().items()}
    files = {**FILES, "js/app.js": "other();", "new.js": "x();"}
    del files["fonts/a.woff2"]
    with pytest.raises(BuildIsPublished) as refused:
        publish(elsewhere(tmp_path), bucket.options(), files)
    assert str(refused.value) == (
        f"Build b1 is published at s3://{bucket.name}/builds/b1.json with other content. "
        "Against it, this build has\n"
        "  added (1): new.js\n"
        "  removed (1): fonts/a.woff2\n"
        "  changed (1): js/app.js\n"
        "A published build never changes, because caches keep its URLs for years: "
        "set a new BUILD_VERSION and run collectstatic again."
    )
    assert {key: stored["Body"] for key, stored in bucket.objects().items()} == before


@pytest.fixture
def refused(bucket, tmp_path):
    """The origin of a site whose build is published, with another content of it on the disk."""
    publish(tmp_path, bucket.options())
    files = {**FILES, "js/app.js": "other();"}
    with site(tmp_path, files, options=origin(bucket.options()), BUILD_VERSION="b1") as shop:
        with pytest.raises(BuildIsPublished):
            shop.collect(clear=True)
    return bucket


def test_a_page_does_not_take_a_build_that_was_refused_for_the_published_one(refused, tmp_path):
    published = json.loads(refused.get("builds/b1.json")["Body"])["manifest"]["paths"]
    with site(tmp_path, options=origin(refused.options()), BUILD_VERSION="b1") as shop:
        assert shop.storage.url("js/app.js") == f"/static/b1/{published['js/app.js']}"


def test_the_published_content_can_be_collected_after_another_was_refused(refused, tmp_path):
    publish(tmp_path, refused.options())
    assert (tmp_path / "static_root/b1/staticfiles.json").exists()


def test_a_new_build_version_leaves_the_old_build_alone(bucket, tmp_path):
    publish(tmp_path, bucket.options())
    before = bucket.objects()
    publish(tmp_path, bucket.options(), {"js/app.js": "other();"}, build="b2")
    after = bucket.objects()
    for key, stored in before.items():
        assert after[key]["Body"] == stored["Body"]
        assert after[key]["LastModified"] == stored["LastModified"]
    assert {"static/b2/js/app.js", "builds/b2.json"} < after.keys()


# What goes wrong


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        (
            "InvalidAccessKeyId",
            "S3 does not know these credentials: correct access_key, or AWS_ACCESS_KEY_ID.",
        ),
        ("SignatureDoesNotMatch", "Correct secret_key, or AWS_SECRET_ACCESS_KEY."),
    ],
)
def test_wrong_credentials_stop_collectstatic_before_the_build(tmp_path, code, advice):
    with front(answer=lambda _: refusal(403, code, "They are wrong.")) as s3:
        with pytest.raises(CommandError) as wrong:
            publish(tmp_path, options(s3.url, "static"))
    assert str(wrong.value) == (
        f"GetObject s3://static/builds/b1.json failed: 403 {code}, They are wrong. {advice}"
    )
    assert SECRET_KEY not in str(wrong.value)
    assert s3.asked("PUT") == []
    assert not (tmp_path / "static_root/b1/staticfiles.json").exists()


def test_a_bucket_that_is_not_there_stops_collectstatic_before_the_build(bucket, tmp_path):
    with pytest.raises(CommandError) as missing:
        publish(tmp_path, bucket.options(bucket_name="no-such-bucket"))
    assert str(missing.value).startswith(
        "GetObject s3://no-such-bucket/builds/b1.json failed: 404 NoSuchBucket"
    )
    assert str(missing.value).endswith(" prints a stack that has it, beside the CDN.")
    assert not (tmp_path / "static_root/b1/staticfiles.json").exists()


def test_an_unknown_origin_option_stops_collectstatic(tmp_path):
    with pytest.raises(ImproperlyConfigured, match="'buket' is none of access_key, "):
        publish(tmp_path, {"bucket_name": "static", "buket": "x"})


def test_a_credential_that_may_not_write_publishes_nothing(bucket, tmp_path):
    def read_only(request):
        return refusal(403, "AccessDenied", "Access Denied.") if request.method == "PUT" else None

    with front(bucket.endpoint, read_only) as s3:
        with pytest.raises(OriginError, match="Grant s3:PutObject on it to these credentials"):
            publish(tmp_path, bucket.options(endpoint_url=s3.url))
    assert bucket.listed() == set()


def test_running_again_completes_what_a_server_that_died_midway_left(bucket, tmp_path):
    puts = []

    def dies(request):
        if request.method == "PUT":
            puts.append(request.path)
        return HANGS_UP if len(puts) > 5 else None

    with front(bucket.endpoint, dies) as s3:
        with pytest.raises(PublishFailed) as failed:
            publish(tmp_path, bucket.options(endpoint_url=s3.url))
    left = bucket.listed()
    # Two of the five were the claim, and the question whether S3 keeps it.
    assert len(left) == 4
    assert json.loads(bucket.get("builds/b1.json")["Body"])["state"] == "publishing"
    assert str(failed.value).endswith(
        "No page refers to this build yet, and the published ones are as they were. "
        "Correct the cause and run the same command again: it goes on with what is left."
    )
    publish(tmp_path, bucket.options())
    assert left < bucket.listed()
    assert len(json.loads(bucket.get("builds/b1.json")["Body"])["manifest"]["paths"]) == len(FILES)


# The publish goes on while files are compressed


class Compression:
    """Each file is compressed after S3 got an object, and then ``error`` is raised if there is one.

    ``answer`` is for the front: it refuses what ``refuses`` returns True for.
    """

    def __init__(self, monkeypatch, error=None, refuses=lambda _: False):
        self.encode = compression.encode
        self.error = error
        self.refuses = refuses
        self.got_object = Event()
        self.is_on_disk_at_commit = None
        monkeypatch.setattr(compression, "encode", self)

    def __call__(self, *arguments):
        assert self.got_object.wait(30)
        if self.error is not None:
            raise self.error
        self.encode(*arguments)

    def answer(self, tmp_path):
        def answer(request):
            if request.method == "PUT" and "/static/b1/" in request.path:
                self.got_object.set()
            if b'"state": "published"' in request.body:
                self.is_on_disk_at_commit = (tmp_path / MANIFEST).exists()
            return refusal(403, "AccessDenied", "No.") if self.refuses(request) else None

        return answer


MANIFEST = "static_root/b1/staticfiles.json"


def test_files_are_uploaded_while_others_are_compressed(bucket, tmp_path, monkeypatch):
    compressing = Compression(monkeypatch)
    with front(bucket.endpoint, compressing.answer(tmp_path)) as s3:
        publish(tmp_path, bucket.options(endpoint_url=s3.url))
    assert compressing.is_on_disk_at_commit
    assert state(bucket, "b1") == "published"


def test_a_build_is_complete_on_disk_when_s3_failed_before_it_was(bucket, tmp_path, monkeypatch):
    compressing = Compression(monkeypatch, refuses=lambda request: "logo" in request.path)
    with front(bucket.endpoint, compressing.answer(tmp_path)) as s3:
        with pytest.raises(PublishFailed, match="1 of its"):
            publish(tmp_path, bucket.options(endpoint_url=s3.url))
    assert (tmp_path / MANIFEST).exists()
    assert state(bucket, "b1") == "publishing"
    publish(tmp_path, bucket.options())
    assert state(bucket, "b1") == "published"


FULL_DISK = CannotWrite("app.css.br", OSError(errno.ENOSPC, "No space left"))


def fail(bucket, tmp_path, monkeypatch, error):
    """A collectstatic that fails when S3 has an object already."""
    compressing = Compression(monkeypatch, error)
    with front(bucket.endpoint, compressing.answer(tmp_path)) as s3:
        with pytest.raises(type(error)):
            publish(tmp_path, bucket.options(endpoint_url=s3.url))
    assert not (tmp_path / MANIFEST).exists()
    compressing.error = None


@pytest.mark.parametrize(
    ("error", "left"),
    [(FULL_DISK, "abandoned"), (KeyboardInterrupt(), "publishing")],
    ids=["full disk", "Ctrl-C"],
)
def test_nothing_is_published_when_a_file_cannot_be_compressed(
    bucket, tmp_path, monkeypatch, error, left
):
    fail(bucket, tmp_path, monkeypatch, error)
    assert state(bucket, "b1") == left
    publish(tmp_path, bucket.options())
    assert state(bucket, "b1") == "published"


def test_prune_makes_room_for_other_content_after_a_failure(bucket, tmp_path, monkeypatch):
    fail(bucket, tmp_path, monkeypatch, FULL_DISK)
    other = FILES | {"css/app.css": "body { color: red }"}
    with site(tmp_path, other, options=origin(bucket.options()), BUILD_VERSION="b1") as shop:
        with pytest.raises(NotOfThisBuild):
            shop.collect()
        assert state(bucket, "b1") == "abandoned"
        call_command("staticbuilds", "prune", "--noinput")
        shop.collect()
    assert state(bucket, "b1") == "published"


def test_a_failure_does_not_wait_for_s3(bucket, tmp_path, monkeypatch):
    reached, ends = Event(), Event()
    pass_on = Front.passed_on

    def silent(standing, request, target):
        if "prefix=static%2Fb1" in request.query:
            reached.set()
            ends.wait(30)
        return pass_on(standing, request, target)

    def fails(*_):
        assert reached.wait(30)
        raise FULL_DISK

    monkeypatch.setattr(Front, "passed_on", silent)
    monkeypatch.setattr(compression, "encode", fails)
    monkeypatch.setattr(publisher, "_LONGEST_STOP", 0.1)
    with front(bucket.endpoint) as s3:
        with pytest.raises(CannotWrite):
            publish(tmp_path, bucket.options(endpoint_url=s3.url))
        assert not ends.is_set()
        ends.set()


def test_content_that_is_refused_is_not_compressed(bucket, tmp_path, monkeypatch):
    publish(elsewhere(tmp_path), bucket.options(), FILES | {"css/app.css": "body {}"})

    def compresses(*_):
        raise AssertionError

    monkeypatch.setattr(compression, "encode", compresses)
    with pytest.raises(BuildIsPublished):
        publish(tmp_path, bucket.options())


def test_nothing_is_written_to_s3_when_the_sources_have_an_error(bucket, tmp_path):
    files = FILES | {"css/app.css": "body { background: url(missing.png) }"}
    with front(bucket.endpoint) as s3:
        with pytest.raises(CommandError, match=r"missing\.png"):
            publish(tmp_path, bucket.options(endpoint_url=s3.url), files)
    assert s3.asked("PUT") == []


def test_a_published_build_is_not_activated_before_it_is_complete_on_disk(
    bucket, tmp_path, monkeypatch
):
    publish(tmp_path, bucket.options())
    activated = bucket.get("builds/b1.json")["Body"]

    def fails(_):
        raise FULL_DISK

    monkeypatch.setattr(VersionedStaticFilesStorage, "save_manifest", fails)
    with pytest.raises(CannotWrite):
        publish(elsewhere(tmp_path), bucket.options())
    assert bucket.get("builds/b1.json")["Body"] == activated


# Secrets


def test_no_secret_is_in_anything_that_is_written_said_or_shown(bucket, tmp_path, capsys):
    token = "the-token-of-a-test"
    origin_options = origin(bucket.options(security_token=token))
    with site(tmp_path, FILES, options=origin_options, BUILD_VERSION="b1") as shop:
        output = shop.collect(verbosity=2)
        shown = [repr(shop.storage), repr(shop.storage.options)]
    captured = capsys.readouterr()
    texts = [output, captured.out, captured.err, *shown]
    texts.append((tmp_path / "static_root/b1/staticfiles.json").read_text())
    texts.append(bucket.get("builds/b1.json")["Body"].decode())
    for text in texts:
        assert SECRET_KEY not in text
        assert token not in text
