"""What the version of the package before shared assets makes of a bucket that has some.

It is taken from the history of this repository and runs in a process of its own.
"""

import json
import os
import re
import subprocess
import sys
import tarfile
from io import BytesIO
from itertools import groupby
from pathlib import Path

import pytest

from tests.builds import site_origin, state
from tests.origin.shared_builds import shared_build
from tests.s3 import front

COMMIT = "23c0b66"
ROOT = Path(__file__).parents[2]

PROLOGUE = """
import json, sys
from datetime import timedelta
from pathlib import Path
import versioned_storage
from versioned_storage.build.directory import BuildDirectory
from versioned_storage.build.manifest import Manifest
from versioned_storage.origin import lease, record
from versioned_storage.origin.pruning import Pruner
from versioned_storage.origin.publisher import Publisher
from versioned_storage.origin.s3 import S3Origin
assert Path(versioned_storage.__file__).is_relative_to(sys.argv[1]), versioned_storage.__file__
origin = S3Origin(json.loads(sys.argv[2]), prefix="static/", connections=1)

def publish(directory):
    text = (Path(directory) / "manifest.json").read_text()
    Publisher(origin).publish(Manifest.from_json(text), BuildDirectory(Path(directory)))

def prune():
    pruner = Pruner(origin)
    list(pruner.execute(pruner.plan(keep=1, older_than=timedelta(0))))
"""


@pytest.fixture(scope="module")
def older(tmp_path_factory):
    """The directory of the package as it was."""
    archive = ["git", "archive", COMMIT, "versioned_storage"]
    packed = subprocess.run(archive, cwd=ROOT, capture_output=True, check=False)
    if packed.returncode:
        pytest.skip(f"the history does not have {COMMIT}")
    directory = tmp_path_factory.mktemp("older")
    with tarfile.open(fileobj=BytesIO(packed.stdout)) as files:
        files.extractall(directory, filter="data")
    return directory


def ran(package, origin_options, script):
    """Run a script with the package in that directory, and return the process."""
    options = {name: value for name, value in origin_options.items() if name != "client_config"}
    return subprocess.run(
        [sys.executable, "-c", PROLOGUE + script, str(package), json.dumps(options)],
        env={**os.environ, "PYTHONPATH": str(package)},
        cwd=package,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def on_disk(build):
    """The directory of a build with its manifest beside its files."""
    directory = build.directory.root
    (directory / "manifest.json").write_text(build.manifest.to_json())
    return str(directory)


def test_a_record_with_shared_objects_stops_it(bucket, tmp_path, older):
    build = shared_build(tmp_path, "b1")
    build.publish(site_origin(bucket.options()))
    before = bucket.objects()
    script = f"""
for work in (
    prune,
    lambda: record.read_published(origin, "b1"),
    lambda: lease.abandon(origin, "b1"),
    lambda: publish({on_disk(build)!r}),
):
    try:
        work()
    except record.NewerRecord as error:
        print(error)
"""
    process = ran(older, bucket.options(), script)
    assert process.returncode == 0, process.stderr
    assert process.stdout.count("Upgrade the package to the version that published the build") == 4
    assert bucket.objects().keys() == before.keys()
    assert state(bucket, "b1") == "published"


@pytest.mark.deep
def test_a_record_without_is_as_it_was(bucket, tmp_path, older):
    """Both versions of the package make the same requests, and understand each other's records.

    The order of a build's objects is free, between the requests that read and write its record.
    """
    builds = [
        on_disk(shared_build(tmp_path, build, {}, own={"a.css": text, "b.png": "png"}))
        for build, text in (("b1", "a" * 999), ("b2", "b" * 999))
    ]
    script = f"for build in {[*builds, builds[0]]!r}: publish(build)"
    asked = {}
    for package in (older, ROOT):
        with front(bucket.endpoint) as s3:
            options = bucket.options(endpoint_url=s3.url, location=package.name)
            process = ran(package, options, script)
            assert process.returncode == 0, process.stderr
        requests = [as_asked(request, package.name) for request in s3.requests]
        asked[package] = [
            sorted(group) if are_objects else list(group)
            for are_objects, group in groupby(requests, is_object_write)
        ]
    assert asked[older] == asked[ROOT]
    process = ran(older, bucket.options(location=ROOT.name), "prune()")
    assert process.returncode == 0, process.stderr


def is_object_write(request):
    method, path, *_ = request
    return method == "PUT" and "/static/" in path


def as_asked(request, location):
    """A request without what is new each time."""
    body = re.sub(
        rb'"(since|publish_id|write_id)": "[^"]*"|etag[^,]*,', rb'"\1"', request.body.lower()
    )
    return (
        request.method,
        request.path.replace(location, "?"),
        re.sub(r"[^&]*" + location, "?", request.query),
        body,
    )
