"""A bucket, and a site whose builds are published to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import Site, site
from tests.s3 import Bucket, moto

FILES: Mapping[str, str | bytes] = {
    "css/app.css": "body { background: url(../img/logo.png) }\n" * 20,
    "js/app.js": "console.log('hello');\n" * 20,
    "img/logo.png": b"\x89PNG" * 20,
}

#: A site with a build version of its own, and the files that it has instead of `FILES`.
SiteOf = Callable[..., AbstractContextManager[Site]]


@pytest.fixture(scope="package")
def s3_server() -> Iterator[str]:
    with moto() as url:
        yield url


@pytest.fixture
def bucket(s3_server: str) -> Iterator[Bucket]:
    with Bucket.at(s3_server) as make_site:
        yield make_site


@pytest.fixture
def shop(tmp_path: Path, bucket: Bucket) -> SiteOf:
    """The site of this machine, with an origin; options of the storage can be given."""

    def make_site(
        build: str | None = "b1",
        files: Mapping[str, str | bytes] = FILES,
        *,
        machine: str = "here",
        s3: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> AbstractContextManager[Site]:
        place = tmp_path / machine
        place.mkdir(exist_ok=True)
        storage_options = {"origin": s3 or bucket.options(), "connections": 4, **options}
        return site(place, files, options=storage_options, BUILD_VERSION=build)

    return make_site
