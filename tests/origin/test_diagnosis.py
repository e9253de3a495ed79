import json
from datetime import datetime, timedelta, timezone
from uuid import uuid4

import pytest

from tests.builds import site_origin
from tests.s3 import SECRET_KEY, Answer, front, nobody, options, refusal
from versioned_storage.origin import record
from versioned_storage.origin.diagnosis import Doctor, Level
from versioned_storage.origin.s3 import S3Origin
from versioned_storage.origin.shared_objects import SWEEP, Stage, Sweep

OK, WARNING, FAILURE, UNKNOWN = Level.OK, Level.WARNING, Level.FAILURE, Level.UNKNOWN


def examined(origin):
    """The findings, by their checks."""
    return {finding.check: finding for finding in Doctor(origin).examine()}


def levels(findings):
    return {check: finding.level for check, finding in findings.items()}


def behind(s3, bucket, **more):
    return site_origin({**bucket.options(**more), "endpoint_url": s3.url})


def refusing(method, part, code="AccessDenied", status=403):
    """A server that says no to requests with a method and a part of their path."""

    def answer(request):
        if request.method == method and part in request.path:
            return refusal(status, code, "No")
        return None

    return answer


def test_where_all_can_be_done_nothing_fails_and_nothing_is_left(bucket):
    findings = examined(site_origin(bucket.options()))
    assert list(findings) == [
        "bucket",
        "clock",
        "list builds/",
        "write builds/",
        "read builds/",
        "conditional writes",
        "checksums",
        "delete builds/",
        "list static/",
        "write static/",
        "read static/",
        "copy static/",
        "delete static/",
        "public access",
        "ownership",
    ]
    rest = {"checksums", "public access", "ownership"}
    assert {level for check, level in levels(findings).items() if check not in rest} == {OK}
    assert FAILURE not in levels(findings).values()
    assert not bucket.listed()


def test_a_scratch_key_is_no_record(bucket):
    """Whoever lists the builds at that moment does not stumble over it."""
    seen = []

    def look(request):
        if request.method == "PUT" and "builds/" in request.path:
            seen.append(record.heads(site_origin(bucket.options())))

    with front(bucket.endpoint, look) as s3:
        examined(behind(s3, bucket))
    assert len(seen) > 2
    assert not any(seen)


def test_everything_is_below_the_location(bucket):
    with front(bucket.endpoint) as s3:
        assert FAILURE not in levels(examined(behind(s3, bucket, location="shop"))).values()
    for request in s3.requests:
        if request.method == "PUT":
            assert request.path.startswith(f"/{bucket.name}/shop/")


def test_a_bucket_that_is_not_there_is_the_only_finding(bucket):
    findings = examined(site_origin(bucket.options(bucket_name=f"other-{uuid4().hex}")))
    assert levels(findings) == {"bucket": FAILURE}
    assert (
        "Correct bucket_name in the origin option, or create the bucket" in findings["bucket"].found
    )


def test_a_server_that_nobody_reaches_is_the_only_finding():
    with nobody() as gone:
        assert levels(examined(site_origin(options(gone, "bucket")))) == {"bucket": FAILURE}


@pytest.mark.radosgw
def test_wrong_keys_are_the_only_finding_and_the_secret_is_not_in_it(radosgw_server):
    origin_options = options(radosgw_server.url, "bucket", secret_key=f"not-{SECRET_KEY}")
    findings = examined(site_origin(origin_options))
    assert levels(findings) == {"bucket": FAILURE}
    assert "Correct secret_key, or AWS_SECRET_ACCESS_KEY" in findings["bucket"].found
    assert SECRET_KEY not in str(findings)


@pytest.mark.parametrize(
    ("off", "level"),
    [(0, OK), (40, OK), (90, WARNING), (-90, WARNING), (1000, FAILURE)],
)
def test_a_clock_that_is_off_is_told(bucket, off, level):
    class Elsewhere(S3Origin):
        def now(self):
            return super().now() + timedelta(seconds=off)

    findings = examined(Elsewhere(bucket.options()))["clock"]
    assert findings.level is level
    if level is not OK:
        assert (
            findings.found == f"this machine's is {abs(off)} s {'behind' if off > 0 else 'ahead'}"
        )


def test_a_clock_that_s3_refuses_is_told_to_be_set(bucket):
    answer = refusing("GET", "/builds/", "RequestTimeTooSkewed")
    with front(bucket.endpoint, answer) as s3:
        findings = examined(behind(s3, bucket))
    assert levels(findings) == {"bucket": FAILURE}
    assert "Set the clock of this machine" in findings["bucket"].found


def test_with_shared_assets_a_listing_that_is_denied_is_a_failure(bucket):
    """A publish lists the shared objects: without the permission it fails."""

    def answer(request):
        if "list-type" in request.query and "static" in request.query:
            return refusal(403, "AccessDenied", "No")
        return None

    with front(bucket.endpoint, answer) as s3:
        origin = behind(s3, bucket)
        findings = {item.check: item for item in Doctor(origin, "_shared").examine()}
        without = examined(origin)
    assert findings["list static/"].level is FAILURE
    assert "Grant s3:ListBucket on the bucket" in findings["list static/"].remedy
    assert "shared assets" in findings["list static/"].remedy
    assert without["list static/"].level is WARNING


def test_who_may_not_read_that_nobody_prunes_is_told_both_permissions(bucket):
    """Without the one to list, S3 answers 403 for a key that is not there."""
    with front(bucket.endpoint, refusing("GET", "/builds/_sweep")) as s3:
        findings = {item.check: item for item in Doctor(behind(s3, bucket), "_shared").examine()}
    assert findings["shared assets"].level is FAILURE
    assert findings["shared assets"].remedy == (
        "Grant s3:ListBucket on the bucket, and s3:GetObject below builds/."
    )


def test_a_prune_of_shared_assets_is_told_and_one_that_died(bucket):
    def finding(**swept):
        sweep = Sweep("host, process 7", **swept)
        bucket.put(SWEEP, sweep.to_json())
        findings = {item.check: item for item in Doctor(origin, "_shared").examine()}
        return findings["shared assets"]

    origin = site_origin(bucket.options())
    now = datetime.now(timezone.utc)
    assert finding(since=now, stage=Stage.RELEASED).found == "no prune of them is running"
    assert finding(since=now, stage=Stage.DELETING).found.startswith("pruned by host, process 7")
    dead = finding(since=now - timedelta(hours=1), stage=Stage.DELETING)
    assert dead.level is WARNING
    assert "staticbuilds prune" in dead.remedy
    bucket.put(SWEEP, b"{}")
    findings = {item.check: item for item in Doctor(origin, "_shared").examine()}
    assert findings["shared assets"].level is FAILURE


def test_whether_a_store_honours_the_conditions_of_a_copy_is_told(bucket):
    found = examined(site_origin(bucket.options()))["copy static/"].found
    # Neither of the two stores does, and AWS does.
    assert found == "allowed; its conditions are ignored"


def test_who_may_not_write_learns_what_to_grant(bucket):
    with front(bucket.endpoint, refusing("PUT", "/static/")) as s3:
        findings = examined(behind(s3, bucket))
    assert findings["write builds/"].level is OK
    assert findings["write static/"].level is FAILURE
    assert "s3:PutObject" in findings["write static/"].remedy
    assert not {"read static/", "copy static/"} & findings.keys()


def test_who_may_not_delete_is_warned_and_leaves_one_key_whatever_the_number_of_runs(bucket):
    def answer(request):
        if request.method == "POST":
            return Answer(
                200,
                b"<DeleteResult><Error><Key>k</Key><Code>AccessDenied</Code></Error></DeleteResult>",
                {"Content-Type": "application/xml"},
            )
        return None

    with front(bucket.endpoint, answer) as s3:
        for _ in range(2):
            findings = examined(behind(s3, bucket))
            assert findings["delete builds/"].level is UNKNOWN
            assert findings["delete static/"].level is WARNING
            assert "s3:DeleteObject" in findings["delete static/"].remedy
            assert FAILURE not in levels(findings).values()
    assert bucket.listed() == {"builds/.doctor", "static/.doctor", "static/.doctor-copy"}


def test_who_may_not_list_is_warned(bucket):
    def answer(request):
        # Without that permission S3 says 403 of a key that is not there.
        listing = request.method == "GET" and request.path.strip("/") == bucket.name
        missing = request.method == "GET" and ".doctor-" in request.path and not written(request)
        return refusal(403, "AccessDenied", "No") if listing or missing else None

    def written(request):
        return request.path.partition(f"{bucket.name}/")[2] in bucket.listed()

    with front(bucket.endpoint, answer) as s3:
        findings = examined(behind(s3, bucket))
    assert levels(findings)["bucket"] is WARNING
    assert levels(findings)["list static/"] is WARNING
    assert FAILURE not in levels(findings).values()


@pytest.mark.parametrize("header", ["If-None-Match", "If-Match"])
def test_a_store_that_ignores_a_condition_fails(bucket, header):
    class Ignoring(S3Origin):
        def _condition(self, replacing):
            kept = super()._condition(replacing)
            return {} if header.replace("-", "") in kept else kept

    findings = examined(Ignoring(bucket.options()))["conditional writes"]
    assert findings.level is FAILURE
    assert findings.found.startswith(header)
    assert findings.found.endswith("was ignored")
    assert "conditional_writes to False" in findings.remedy


def test_a_store_that_refuses_the_right_etag_fails(bucket):
    def answer(request):
        if any(name.lower() == "if-match" for name in request.headers):
            return refusal(412, "PreconditionFailed", "No")
        return None

    with front(bucket.endpoint, answer) as s3:
        findings = examined(behind(s3, bucket))["conditional writes"]
    assert findings.level is FAILURE
    assert findings.found.endswith(" was not replaced on If-Match")


def test_without_conditional_writes_by_choice_it_is_a_warning(bucket):
    findings = examined(site_origin(bucket.options(), conditional=False))
    assert findings["conditional writes"].level is WARNING
    assert FAILURE not in levels(findings).values()
    assert not bucket.listed()


# What is asked of the bucket itself; the store is Moto, which knows all of it


@pytest.fixture
def moto_bucket(moto_server):
    from tests.s3 import Bucket

    with Bucket.at(moto_server) as moto_bucket:
        yield moto_bucket


def test_a_bucket_that_is_not_private_is_a_warning(moto_bucket):
    findings = examined(site_origin(moto_bucket.options()))
    assert findings["public access"].level is WARNING
    assert "BlockPublicPolicy" in findings["public access"].found
    assert findings["ownership"].level is WARNING


def test_a_private_bucket_is_well(moto_bucket):
    names = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
    moto_bucket.client.put_public_access_block(
        Bucket=moto_bucket.name, PublicAccessBlockConfiguration=dict.fromkeys(names, True)
    )
    moto_bucket.client.put_bucket_ownership_controls(
        Bucket=moto_bucket.name,
        OwnershipControls={"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
    )
    findings = examined(site_origin(moto_bucket.options()))
    assert (findings["public access"].level, findings["ownership"].level) == (OK, OK)


@pytest.mark.parametrize(
    ("status", "code", "text"),
    [
        (403, "AccessDenied", "could not look: access denied"),
        (501, "NotImplemented", "not available here"),
        (405, "MethodNotAllowed", "not available here"),
    ],
)
def test_what_cannot_be_looked_at_is_no_fault(moto_bucket, status, code, text):
    def answer(request):
        of_bucket = request.path.strip("/") == moto_bucket.name and request.method == "GET"
        return refusal(status, code, "No") if of_bucket else None

    with front(moto_bucket.endpoint, answer) as s3:
        findings = examined(behind(s3, moto_bucket))
    for check in ("public access", "ownership"):
        assert (findings[check].level, findings[check].found) == (UNKNOWN, text)


@pytest.mark.radosgw
def test_what_ceph_does_not_know_is_not_available_there(radosgw_server):
    from tests.s3 import Bucket

    with Bucket.at(radosgw_server.url) as bucket:
        findings = examined(site_origin(bucket.options()))
    assert (findings["checksums"].level, findings["ownership"].level) == (UNKNOWN, UNKNOWN)
    assert json.dumps([finding.found for finding in findings.values()])
