"""Carrying out a plan: the lease, the threads and the objects of other writers."""

from __future__ import annotations

import hashlib
from threading import Event

import pytest

from versioned_storage.build.directory import BuildDirectory
from versioned_storage.build.manifest import Asset, Manifest
from versioned_storage.errors import VersionedStorageError
from versioned_storage.origin.lease import LeaseLost
from versioned_storage.origin.objects import CopyResult, LocalBuild, StoredObject
from versioned_storage.origin.plan import Action, CopySource, headers, plan
from versioned_storage.origin.threads import in_background
from versioned_storage.origin.transfer import (
    Contended,
    DamagedObject,
    PublishedMeanwhile,
    PublishFailed,
    Stopped,
    Transfer,
)

HASHED, ORIGINAL = "static/b1/logo.0123.png", "static/b1/logo.png"
PNG = b"\x89PNG"
SHA256 = hashlib.sha256(PNG).hexdigest()


class Lease:
    """A lease that counts its renewals and can be lost."""

    def __init__(self):
        self.renewals = 0
        self.lost = self.published = False

    def check(self):
        if self.lost:
            raise LeaseLost("b1", "s3://bucket/builds/b1.json")

    def renew_if_due(self):
        return not self.published

    def renew(self, *, unless_since=None):
        self.renewals += 1
        self.check()
        return not self.published


class Origin:
    """S3 with a few objects; ``before`` is called with each path that is written."""

    connections = 2

    def __init__(self, **objects):
        self.objects = dict(objects)
        self.writes = []
        self.before = lambda _: None
        self.sha256_of_copies = None

    def url(self, path):
        return f"s3://bucket/{path}"

    def find(self, path):
        return self.objects.get(path)

    def put_file(self, path, body, *, replacing, metadata, before_attempt, **headers):
        return self._write("put", path, body.sha256, replacing, before_attempt, headers)

    def copy(self, source, path, *, etag, sha256, replacing, metadata, before_attempt, **headers):
        written = self._write("copy", path, sha256, replacing, before_attempt, headers)
        return written and CopyResult(written, self.sha256_of_copies)

    def _write(self, operation, path, sha256, replacing, before_attempt, headers):
        before_attempt()
        self.before(path)
        current = self.objects.get(path)
        if (current and current.etag) != replacing:
            return None
        self.writes.append((operation, path))
        etag = f'"{len(self.writes)}"'
        self.objects[path] = StoredObject(len(PNG), etag, sha256, True, headers, {"sha256": sha256})
        return etag


def other(etag='"other"'):
    """An object of other content."""
    return StoredObject(3, etag, "0" * 64, True, {}, {})


@pytest.fixture
def manifest():
    asset = Asset("logo.png", "logo.0123.png", "b1", len(PNG), "sha384-logo", "image/png")
    return Manifest(
        paths={"logo.png": asset.hashed_name},
        build="b1",
        content="content",
        assets={asset.hashed_name: asset},
    )


@pytest.fixture
def directory(tmp_path):
    (tmp_path / "logo.0123.png").write_bytes(PNG)
    return BuildDirectory(tmp_path)


@pytest.fixture
def transfer(manifest, directory):
    return Transfer(Origin(), LocalBuild(manifest, directory), Lease())


def run(transfer, *, stored=None, sources=None):
    planned = plan(
        transfer.build,
        "static/",
        stored=stored or {},
        sources=sources or {},
    )
    return list(transfer.run(planned))


def source(sha256=SHA256):
    return {
        ("sha384-logo", None, None): CopySource("static/b0/logo.0123.png", '"b0"', len(PNG), sha256)
    }


def test_each_object_is_uploaded_and_the_hashed_name_comes_first(transfer):
    transferred = run(transfer)
    assert transfer.origin.writes == [("put", HASHED), ("put", ORIGINAL)]
    assert {item.action for item in transferred} == {Action.UPLOAD}
    assert {item.sha256 for item in transferred} == {SHA256}


def test_what_the_base_build_has_is_copied(transfer):
    run(transfer, sources=source())
    assert transfer.origin.writes == [("copy", HASHED), ("copy", ORIGINAL)]


def test_a_copy_with_another_checksum_is_replaced_by_an_upload(transfer):
    transfer.origin.sha256_of_copies = "0" * 64
    transferred = run(transfer, sources=source())
    assert transfer.damaged == ["s3://bucket/static/b0/logo.0123.png"]
    assert transfer.origin.writes == [("copy", HASHED), ("put", HASHED), ("put", ORIGINAL)]
    assert {item.action for item in transferred} == {Action.UPLOAD}
    assert transfer.lease.renewals == 0


def test_an_object_that_is_not_what_its_metadata_says_stops_the_publish(transfer, manifest):
    (file, _) = manifest.files()
    right = StoredObject(len(PNG), '"1"', SHA256, False, headers(file), {"sha256": SHA256})
    transfer.origin.objects[HASHED] = right
    transfer.origin.sha256_of_copies = "0" * 64
    with pytest.raises(PublishFailed) as failed:
        run(transfer, stored={HASHED: right})
    (failure,) = failed.value.failures
    assert isinstance(failure, DamagedObject)
    assert "Delete the object and run the same command again." in str(failure)


def test_the_lease_is_checked_before_each_attempt(transfer):
    transfer.lease.lost = True
    with pytest.raises(LeaseLost):
        run(transfer)
    assert transfer.origin.writes == []


def test_nothing_is_overwritten_after_the_lease_was_abandoned(transfer):
    """The next holder of the lease has written the object meanwhile."""

    def abandon(path):
        transfer.origin.objects[path] = other()
        transfer.lease.lost = True

    transfer.origin.before = abandon
    with pytest.raises(LeaseLost):
        run(transfer)
    assert transfer.origin.objects == {HASHED: other()}


def test_a_leftover_is_replaced_after_a_renewal(transfer):
    transfer.origin.objects[HASHED] = other()
    run(transfer, stored={HASHED: other()})
    assert transfer.lease.renewals == 1
    assert transfer.origin.objects[HASHED].sha256 == SHA256


def test_an_object_that_another_publisher_wrote_is_skipped(transfer, manifest):
    (file, _) = manifest.files()
    right = StoredObject(len(PNG), '"right"', SHA256, True, headers(file), {"sha256": SHA256})
    transfer.origin.before = lambda path: transfer.origin.objects.setdefault(path, right)
    transferred = run(transfer)
    assert {item.action for item in transferred} == {Action.SKIP}
    assert transfer.lease.renewals == 0


def test_an_object_that_changes_each_time_is_an_error(transfer):
    versions = iter(range(100))

    def write(path):
        transfer.origin.objects[path] = other(f'"other {next(versions)}"')

    transfer.origin.before = write
    with pytest.raises(PublishFailed) as failed:
        run(transfer)
    assert isinstance(failed.value.failures[0], Contended)


def test_a_build_that_is_published_meanwhile_ends_the_transfer(transfer):
    transfer.lease.published = True
    with pytest.raises(PublishedMeanwhile):
        run(transfer)
    assert transfer.origin.writes == []


def test_a_stopped_transfer_starts_no_request(transfer):
    transfer.stop.set()
    with pytest.raises(Stopped):
        run(transfer)
    assert transfer.origin.writes == []


def test_a_stop_from_another_thread_ends_it_before_the_next_request(transfer):
    reached, release = Event(), Event()

    def wait(path):
        reached.set()
        assert release.wait(10)

    transfer.origin.before = wait
    future = in_background(lambda: run(transfer))
    assert reached.wait(10)
    transfer.stop.set()
    release.set()
    with pytest.raises(Stopped):
        future.result(10)
    assert transfer.origin.writes == [("put", HASHED)]


def test_a_file_that_is_missing_is_a_failure_that_names_it(transfer):
    transfer.build.directory.path("logo.0123.png").unlink()
    with pytest.raises(PublishFailed, match=r"logo\.0123\.png"):
        run(transfer)


def test_an_error_of_the_program_is_raised_as_it_is(transfer):
    def fail(path):
        raise ZeroDivisionError

    transfer.origin.before = fail
    with pytest.raises(ZeroDivisionError):
        run(transfer)


def test_failures_are_collected_and_counted(transfer):
    def fail(path):
        raise VersionedStorageError("S3 is on fire")

    transfer.origin.before = fail
    with pytest.raises(PublishFailed, match="1 of its 2 objects failed"):
        run(transfer)
