"""An origin, a published build, and a server that stores whatever it gets."""

import pytest

from tests.builds import collected, site_origin
from tests.s3 import OK, front
from versioned_storage.build.directory import BuildDirectory
from versioned_storage.origin.publisher import Publisher


@pytest.fixture
def origin(bucket):
    return site_origin(bucket.options())


@pytest.fixture
def built(tmp_path, origin):
    """A build that is published and whole, and on this machine."""
    with collected(tmp_path) as built_build:
        Publisher(origin).publish(built_build.manifest, BuildDirectory(built_build.directory))
        yield built_build


@pytest.fixture
def echo():
    """A server that says yes to everything and keeps what it was asked."""
    with front(answer=lambda _: OK) as standing:
        yield standing
