"""The policies of docs/iam.md, on a server that refuses the rest: the least for each role."""

import json
import re
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from string import Template
from uuid import uuid4

import pytest

from tests.builds import PREFIX, collected, site_origin, state
from tests.origin.shared_builds import SHARED, shared_build
from tests.radosgw import arn
from tests.s3 import ACCESS_KEY, Bucket
from versioned_storage.build.directory import BuildDirectory
from versioned_storage.origin import record
from versioned_storage.origin.diagnosis import Doctor, Level
from versioned_storage.origin.objects import UploadBody
from versioned_storage.origin.pruning import Pruner
from versioned_storage.origin.publisher import Publisher
from versioned_storage.origin.repair import Repairer
from versioned_storage.origin.s3_errors import OriginError
from versioned_storage.origin.transfer import PublishFailed
from versioned_storage.origin.verification import Verifier

pytestmark = pytest.mark.radosgw

DOCS = (Path(__file__).parents[2] / "docs" / "iam.md").read_text(encoding="utf-8")
BUILDS, RECORDS = f"{PREFIX}*", "builds/*"


def documented(role, location=""):
    """What the docs let a role do, and to which keys; "" is the bucket itself."""
    text = re.search(rf"^## {role}\n.*?^```json\n(.*?)^```", DOCS, re.DOTALL | re.MULTILINE)[1]
    policy = {"partition": "aws", "bucket": "bucket", "location": location, "static": PREFIX}
    findings = {}
    for statement in json.loads(Template(text).substitute(policy))["Statement"]:
        assert statement.keys() == {"Sid", "Effect", "Action", "Resource"}
        assert statement["Effect"] == "Allow"
        for action in _listed(statement["Action"]):
            findings.setdefault(action, []).extend(
                resource.removeprefix("arn:aws:s3:::bucket").removeprefix("/")
                for resource in _listed(statement["Resource"])
            )
    return findings


def _listed(value):
    return [value] if isinstance(value, str) else value


PUBLISH = documented("Publishing")
READ = documented("Reading at run time")
PRUNE = documented("Pruning")


def on_ceph(role):
    """Ceph 16 asks for the permission to delete many on the bucket; S3 asks for it on each key."""
    return {**role, "s3:DeleteObject": ["", *role["s3:DeleteObject"]]}


@dataclass(frozen=True)
class User:
    """Somebody who owns nothing here."""

    access_key: str
    secret_key: str

    def may(self, bucket, role, **more):
        """Let this user do in a bucket what a role says, and nothing else."""
        everything = {"s3:*": ["", "*"]}
        statements = [
            *granted(bucket, self.access_key, role),
            # Ceph's objects belong to who wrote them, and these tests look at them.
            *granted(bucket, ACCESS_KEY, everything),
        ]
        policy = {"Version": "2012-10-17", "Statement": statements}
        bucket.client.put_bucket_policy(Bucket=bucket.name, Policy=json.dumps(policy))
        keys = {"access_key": self.access_key, "secret_key": self.secret_key}
        return site_origin(bucket.options(**keys, **more), connections=4)


def granted(bucket, access_key, role):
    complete = f"arn:aws:s3:::{bucket.name}"
    return [
        {
            "Effect": "Allow",
            "Principal": {"AWS": [arn(access_key)]},
            "Action": action,
            "Resource": [f"{complete}/{keys}" if keys else complete for keys in resources],
        }
        for action, resources in role.items()
    ]


@pytest.fixture(scope="module")
def user(radosgw_server):
    built_build = User(uuid4().hex, uuid4().hex)
    radosgw_server.add_user(built_build.access_key, built_build.secret_key)
    return built_build


@pytest.fixture
def bucket(radosgw_server):
    with Bucket.at(radosgw_server.url) as built_build:
        yield built_build


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    with collected(tmp_path_factory.mktemp("site")) as built_build:
        yield built_build


@pytest.fixture(scope="module")
def next_(tmp_path_factory):
    with collected(tmp_path_factory.mktemp("site"), build="b2") as built_build:
        yield built_build


def publish(origin, built):
    return Publisher(origin).publish(built.manifest, BuildDirectory(built.directory))


def prune(origin):
    pruner = Pruner(origin)
    return list(pruner.execute(pruner.plan(keep=1, older_than=timedelta(0))))


def without(role, action):
    return {name: on for name, on in role.items() if name != action}


def test_a_publisher_publishes_again_and_copies_from_the_last_build(bucket, user, built, next_):
    origin = user.may(bucket, PUBLISH)
    publish(origin, built)
    publish(origin, built)
    copied = publish(origin, next_)
    assert state(bucket, "b2") == "published"
    assert next_.wrong(bucket) == []
    assert copied.uploaded_size == 0


def test_a_publisher_cannot_delete(bucket, user, built):
    origin = user.may(bucket, PUBLISH)
    publish(origin, built)
    with pytest.raises(OriginError, match="AccessDenied"):
        list(origin.delete(built.keys()))
    assert built.wrong(bucket) == []


def test_a_publisher_needs_each_of_its_permissions_to_write(bucket, user, built):
    with pytest.raises(OriginError) as no_record:
        publish(user.may(bucket, {**PUBLISH, "s3:PutObject": [BUILDS]}), built)
    assert (no_record.value.operation, no_record.value.code) == ("PutObject", "AccessDenied")
    with pytest.raises(PublishFailed, match="Grant s3:PutObject on it to these credentials"):
        publish(user.may(bucket, {**PUBLISH, "s3:PutObject": [RECORDS]}), built)
    assert state(bucket, "b1") == "publishing"


def test_a_publisher_that_may_not_list_publishes_all_the_same(bucket, user, built):
    """S3 then says 403 of what is not there, where it would say 404."""
    origin = user.may(bucket, without(PUBLISH, "s3:ListBucket"))
    publish(origin, built)
    assert state(bucket, "b1") == "published"
    assert built.wrong(bucket) == []


def test_a_reader_reads_records_and_nothing_else(bucket, user, built):
    publish(site_origin(bucket.options()), built)
    origin = user.may(bucket, READ)
    assert record.read(origin, "b1").record.build == "b1"
    with pytest.raises(OriginError) as denied:
        origin.get(min(built.keys()))
    assert (denied.value.status, denied.value.code) == (403, "AccessDenied")
    with pytest.raises(OriginError, match="AccessDenied"):
        publish(origin, built)
    assert built.wrong(bucket) == []


def test_a_pruner_prunes_and_cannot_write_a_build(bucket, user, built, next_):
    for item in (built, next_):
        publish(site_origin(bucket.options()), item)
    origin = user.may(bucket, on_ceph(PRUNE))
    assert [pruned.build for pruned in prune(origin)] == ["b1"]
    assert state(bucket, "b1") == "retired"
    assert bucket.listed() == next_.keys() | {"builds/b1.json", "builds/b2.json"}
    with pytest.raises(PublishFailed, match="AccessDenied"):
        publish(origin, built)


def test_publisher_and_pruner_may_do_what_shared_assets_need(bucket, user, tmp_path):
    other = {**SHARED, "css/app.css": "body { color: blue }\n" * 40}
    origin = user.may(bucket, PUBLISH)
    for build, shared in (("b1", SHARED), ("b2", other)):
        shared_build(tmp_path, build, shared).publish(origin)
    assert Verifier(origin).verify("b2").ok
    pruner = Pruner(user.may(bucket, on_ceph(PRUNE)), "_shared")
    plan = pruner.plan(keep=1, older_than=timedelta(0))
    list(pruner.execute(plan))
    assert pruner.sweep(plan).objects == 3


def test_a_pruner_that_may_not_delete_says_so_and_the_build_is_marked(bucket, user, built, next_):
    for item in (built, next_):
        publish(site_origin(bucket.options()), item)
    with pytest.raises(OriginError, match="AccessDenied"):
        prune(user.may(bucket, without(PRUNE, "s3:DeleteObject")))
    assert state(bucket, "b1") == "pruning"
    assert next_.wrong(bucket) == []


def test_a_publisher_verifies_and_repairs(bucket, user, built):
    origin = user.may(bucket, PUBLISH)
    publish(origin, built)
    bucket.client.delete_object(Bucket=bucket.name, Key=max(built.keys()))
    verifier = Verifier(origin, deep=True)
    findings = verifier.verify("b1")
    assert [item.path for item in findings.faulty] == [max(built.keys())]
    assert Repairer(verifier, BuildDirectory(built.directory)).repair(findings).ok
    assert built.wrong(bucket) == []


def test_a_publisher_fails_nothing_that_the_doctor_tries(bucket, user):
    origin = user.may(bucket, PUBLISH)
    levels = {item.check: item.level for item in Doctor(origin).examine()}
    assert Level.FAILURE not in levels.values()
    assert (levels["delete builds/"], levels["delete static/"]) == (Level.UNKNOWN, Level.WARNING)


def test_the_doctor_tells_a_reader_that_it_cannot_write(bucket, user):
    findings = {item.check: item for item in Doctor(user.may(bucket, READ)).examine()}
    assert (findings["bucket"].level, findings["list static/"].level) == (Level.OK, Level.OK)
    assert findings["write builds/"].level is Level.FAILURE
    assert (findings["write static/"].found, findings["write static/"].remedy) == (
        "access denied",
        "Grant s3:PutObject and s3:GetObject there for publishing.",
    )


def test_a_reader_can_tell_what_is_missing_from_what_is_forbidden(bucket, user):
    assert record.read(user.may(bucket, READ), "b7") is None


def test_a_reader_cannot_change_a_record(bucket, user, built):
    publish(site_origin(bucket.options()), built)
    origin = user.may(bucket, READ)
    stored = record.read(origin, "b1")
    with pytest.raises(OriginError, match="AccessDenied"):
        record.write(origin, replace(stored.record, state=record.State.ABANDONED), stored.etag)
    assert state(bucket, "b1") == "published"


def test_a_pruner_writes_no_file_of_a_build(bucket, user, built):
    publish(site_origin(bucket.options()), built)
    with pytest.raises(OriginError, match="AccessDenied"):
        user.may(bucket, on_ceph(PRUNE)).put("static/b1/late.css", b"")
    assert built.wrong(bucket) == []


def test_each_role_stays_in_its_location(bucket, user, built):
    shop = user.may(bucket, documented("Publishing", "shop/"), location="shop")
    publish(shop, built)
    assert bucket.listed() == {f"shop/{key}" for key in built.keys() | {"builds/b1.json"}}
    keys = {"access_key": user.access_key, "secret_key": user.secret_key}
    beside = site_origin(bucket.options(**keys))
    for path in ("static/b1/a.css", "builds/b1.json", "media/a.png", "shop/media/a.png"):
        with pytest.raises(OriginError, match="AccessDenied"):
            beside.put(path, b"")
    assert record.read(
        user.may(bucket, documented("Reading at run time", "shop/"), location="shop"), "b1"
    )


def test_wrong_keys_are_refused_by_name(bucket):
    for keys, code in (
        ({"secret_key": "wrong"}, "SignatureDoesNotMatch"),
        ({"access_key": "AKIDOFNOBODY"}, "InvalidAccessKeyId"),
    ):
        with pytest.raises(OriginError) as refused:
            record.read(site_origin(bucket.options(**keys)), "b1")
        assert refused.value.code == code


def test_a_body_that_was_changed_on_its_way_is_refused(bucket, tmp_path):
    """The signature holds the sha256 of the body, so a server that knows no checksums sees it.

    boto3 signs the bytes that it is given, so this can only be seen with AWS's Common Runtime.
    """
    pytest.importorskip("awscrt", reason="needs the extra [crt]")
    (tmp_path / "a.css").write_bytes(b"a{}")
    changed = replace(UploadBody.of(tmp_path / "a.css"), sha256="0" * 64)
    with pytest.raises(OriginError, match=r"400|403"):
        site_origin(bucket.options()).put_file("a.css", changed)
    assert bucket.listed() == set()
