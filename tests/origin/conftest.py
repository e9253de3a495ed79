"""A real S3 server's stand-in for the tests of what talks to S3."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.s3 import Bucket, moto


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """The URL of an S3 server on this machine."""
    with moto() as url:
        yield url


@pytest.fixture
def bucket(s3_server: str) -> Iterator[Bucket]:
    """A bucket with nothing in it."""
    with Bucket.at(s3_server) as made:
        yield made
