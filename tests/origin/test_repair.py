from dataclasses import replace

import pytest

from tests.builds import PREFIX, site_origin
from tests.s3 import front
from versioned_storage.build.directory import BuildDirectory
from versioned_storage.origin import record
from versioned_storage.origin.pruning import PruneCandidate, PrunePlan, Pruner
from versioned_storage.origin.repair import PrunedMeanwhile, Repairer
from versioned_storage.origin.verification import Verifier


@pytest.fixture
def hashed_name(built):
    return built.manifest.paths["css/app.css"]


def repaired(origin, directory=None, *, deep=False):
    verifier = Verifier(origin, deep)
    build_directory = BuildDirectory(directory) if directory is not None else None
    return Repairer(verifier, build_directory).repair(verifier.verify("b1"))


def delete(bucket, *names):
    for name in names:
        bucket.client.delete_object(Bucket=bucket.name, Key=f"static/b1/{name}")


def spoil(bucket, *names):
    for name in names:
        bucket.put(f"static/b1/{name}", b"spoilt")


def outcomes(verification):
    """What was done for each object, by its name below the build."""
    return {repair.url.partition("/b1/")[2]: repair.outcome for repair in verification.repairs}


def headers_of(bucket):
    """What S3 says of each object but the records, without what changes with each writing.

    Nor the checksum, which moto keeps of a copy alone.
    """
    changing = ("ResponseMetadata", "ETag", "LastModified", "ChecksumSHA256", "ChecksumType")
    return {
        key: {name: value for name, value in answer.items() if name not in changing}
        for key, answer in bucket.objects().items()
        if not key.startswith("builds/")
    }


def test_a_build_that_is_well_is_left_alone(built, bucket):
    with front(bucket.endpoint) as s3:
        verification = repaired(
            site_origin({**bucket.options(), "endpoint_url": s3.url}), built.directory
        )
    assert verification.ok
    assert not s3.asked("PUT")


def test_what_is_missing_or_wrong_is_put_back_as_it_was(built, bucket, origin, hashed_name):
    before = headers_of(bucket)
    delete(bucket, "css/app.css.br", f"{hashed_name}.br", "img/logo.png")
    spoil(bucket, hashed_name, "css/app.css", f"{hashed_name}.gz")
    verification = repaired(origin, built.directory)
    assert verification.ok
    assert set(outcomes(verification).values()) == {"was restored from the build directory"}
    assert len(verification.repairs) == 6
    assert headers_of(bucket) == before
    assert not built.wrong(bucket)


def test_only_what_is_wrong_is_written_and_each_on_the_condition_that_it_still_is(
    built, bucket, hashed_name
):
    delete(bucket, "css/app.css.br")
    spoil(bucket, "css/app.css")
    etag = bucket.get("static/b1/css/app.css")["ETag"].strip('"')
    with front(bucket.endpoint) as s3:
        repaired(site_origin({**bucket.options(), "endpoint_url": s3.url}), built.directory)
    puts = {item.path.partition("/b1/")[2]: item for item in s3.requests if item.method == "PUT"}
    conditions = {
        name: {
            header.lower(): value.strip('"')
            for header, value in item.headers.items()
            if header.lower().startswith("if-")
        }
        for name, item in puts.items()
    }
    assert conditions == {
        "css/app.css.br": {"if-none-match": "*"},
        "css/app.css": {"if-match": etag},
    }


def test_the_record_is_not_touched(built, bucket, origin):
    before = record.read(origin, "b1")
    spoil(bucket, "css/app.css")
    repaired(origin, built.directory)
    assert record.read(origin, "b1") == before


def test_wrong_headers_are_set_without_the_build_directory(built, bucket, origin):
    before = headers_of(bucket)
    path = f"{PREFIX}b1/css/app.css.br"
    stored = origin.find(path)
    origin.copy(path, path, etag=stored.etag, sha256=stored.sha256, ContentType="text/plain")
    verification = repaired(origin)
    assert verification.ok
    assert outcomes(verification) == {"css/app.css.br": "has its headers again"}
    assert headers_of(bucket) == before


@pytest.mark.parametrize("original_is_wrong", [True, False])
def test_without_the_build_directory_the_other_name_is_copied(
    built, bucket, origin, hashed_name, original_is_wrong
):
    before = headers_of(bucket)
    names = ["css/app.css.gz", f"{hashed_name}.gz"]
    wrong, right = names if original_is_wrong else reversed(names)
    spoil(bucket, wrong)
    verification = repaired(origin)
    assert verification.ok
    assert outcomes(verification) == {
        wrong: f"was copied from s3://{bucket.name}/static/b1/{right}"
    }
    assert headers_of(bucket) == before


def test_the_other_name_is_read_before_it_is_copied(built, bucket, origin, hashed_name):
    """It says the right sha256 and has other bytes, which only who reads them sees."""
    kept = bucket.get(f"static/b1/{hashed_name}")
    bucket.client.put_object(
        Bucket=bucket.name,
        Key=f"static/b1/{hashed_name}",
        Body=b"x" * len(kept["Body"]),
        Metadata=kept["Metadata"],
        ContentType=kept["ContentType"],
        CacheControl=kept["CacheControl"],
    )
    delete(bucket, "css/app.css")
    verification = repaired(origin)
    assert not verification.ok
    assert "static/b1/css/app.css" not in bucket.listed()


def test_an_encoding_that_this_machine_lacks_is_made(built, bucket, origin, hashed_name):
    encoded = built.directory / f"{hashed_name}.br"
    encoded.unlink()
    delete(bucket, "css/app.css.br", f"{hashed_name}.br")
    assert repaired(origin, built.directory).ok
    assert encoded.exists()


def test_an_encoding_with_other_bytes_than_were_published_is_not_stored(
    built, bucket, origin, hashed_name
):
    """zlib and zlib-ng differ, and a published build does not."""
    encoded = built.directory / f"{hashed_name}.gz"
    encoded.unlink()
    encoded.write_bytes(b"made by another zlib")
    delete(bucket, "css/app.css.gz", f"{hashed_name}.gz")
    verification = repaired(origin, built.directory)
    assert not verification.ok
    assert [item.repaired for item in verification.repairs] == [False, False]
    assert outcomes(verification)["css/app.css.gz"] == (
        f"cannot be repaired here: {encoded} has other bytes than were published. Repair where "
        "the build was made, or publish under a new BUILD_VERSION"
    )
    assert not {key for key in bucket.listed() if key.endswith(".gz")}


def test_without_any_place_that_has_its_bytes_it_is_said_which_one_was_looked_at(
    built, bucket, origin, hashed_name, tmp_path
):
    delete(bucket, "css/app.css", hashed_name)
    verification = repaired(origin, tmp_path / "elsewhere")
    missing = tmp_path / "elsewhere" / hashed_name
    assert outcomes(verification)["css/app.css"] == (
        f"cannot be repaired here: {missing} is missing. Repair where the build was made"
    )
    assert "STATIC_ROOT is not set" in outcomes(repaired(origin))["css/app.css"]


def test_what_can_be_repaired_is_although_something_else_cannot(built, bucket, origin, hashed_name):
    delete(bucket, "css/app.css", hashed_name, "img/logo.png")
    (built.directory / hashed_name).unlink()
    verification = repaired(origin, built.directory)
    assert {item.path.partition("/b1/")[2] for item in verification.faulty} == {
        "css/app.css",
        hashed_name,
    }
    assert "static/b1/img/logo.png" in bucket.listed()


def test_what_somebody_else_writes_meanwhile_is_not_overwritten(built, bucket):
    delete(bucket, "img/logo.png")

    def write_first(request):
        if request.method == "PUT":
            bucket.put("static/b1/img/logo.png", b"written by somebody else")

    with front(bucket.endpoint, write_first) as s3:
        verification = repaired(
            site_origin({**bucket.options(), "endpoint_url": s3.url}), built.directory
        )
    assert outcomes(verification) == {
        "img/logo.png": "was written by another process meanwhile: run the same command again"
    }
    assert not verification.ok
    assert bucket.get("static/b1/img/logo.png")["Body"] == b"written by somebody else"


def test_what_was_put_back_is_verified_again(built, bucket):
    """A store that says yes and keeps other bytes is not believed."""
    delete(bucket, "img/logo.png")

    def spoil_first(request):
        if request.method == "HEAD" and "static/b1/img/logo.png" in bucket.listed():
            spoil(bucket, "img/logo.png")

    with front(bucket.endpoint, spoil_first) as s3:
        verification = repaired(
            site_origin({**bucket.options(), "endpoint_url": s3.url}), built.directory
        )
    assert [item.repaired for item in verification.repairs] == [True]
    assert not verification.ok


def test_a_prune_meanwhile_is_an_error_that_says_what_is_left(built, bucket):
    delete(bucket, "img/logo.png")

    def prune_first(request):
        if request.method == "PUT":
            beside = site_origin(bucket.options())
            candidate = PruneCandidate(record.read(beside, "b1"), "a test says so")
            list(Pruner(beside).execute(PrunePlan((), (candidate,), {})))

    with front(bucket.endpoint, prune_first) as s3:
        origin = site_origin({**bucket.options(), "endpoint_url": s3.url})
        with pytest.raises(PrunedMeanwhile, match="it is retired") as error:
            repaired(origin, built.directory)
    assert error.value.place == f"s3://{bucket.name}/static/b1/"


def test_the_requests_and_the_objects_of_both_are_counted(built, bucket, origin):
    delete(bucket, "img/logo.png")
    verification = repaired(origin, built.directory)
    # Of the verification 11, then the record, the object, the object again, the record.
    assert verification.requests == 2 + 7 + 1 + 4
    assert replace(verification, repairs=()).objects == 8
