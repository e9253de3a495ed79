"""A build on disk, and what has to be on S3 of it once it is published."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from tests.helpers import site
from tests.s3 import Bucket
from versioned_storage.build.manifest import BuildFile, Manifest
from versioned_storage.constants import CACHE_CONTROL
from versioned_storage.origin.objects import UploadBody
from versioned_storage.origin.s3 import S3Origin

FILES: Mapping[str, str | bytes] = {
    "css/app.css": "body { background: url(../img/logo.png) }\n" * 20,
    "img/logo.png": b"\x89PNG" * 5000,
}
PREFIX = "static/"


def site_origin(options: Mapping[str, Any], **more: Any) -> S3Origin:
    """The origin of a site whose STATIC_URL is /static/."""
    return S3Origin(options, prefix=PREFIX, **more)


def put_file(origin: S3Origin, path: str, file: Path, **headers: str) -> str | None:
    """Store a file with the sha256 that it has; return the ETag."""
    return origin.put_file(path, UploadBody.of(file), **headers)


@dataclass(frozen=True)
class Built:
    """A complete build in ``directory``."""

    manifest: Manifest
    directory: Path

    def keys(self) -> set[str]:
        """Where its objects have to be."""
        return {PREFIX + file.path for file in self.manifest.files()}

    def wrong(self, bucket: Bucket) -> list[str]:
        """What S3 lacks of it or has wrong, in words; empty when the build is whole."""
        return [said for file in self.manifest.files() for said in self._wrong(bucket, file)]

    def _wrong(self, bucket: Bucket, file: BuildFile) -> Iterator[str]:
        key = PREFIX + file.path
        try:
            stored = bucket.get(key)
        except ClientError as error:
            yield f"{key}: {error}"
            return
        if stored["Body"] != (self.directory / file.source).read_bytes():
            yield f"{key}: other bytes"
        for name, expected in (
            ("ContentType", file.asset.content_type),
            ("ContentEncoding", file.encoding),
            ("CacheControl", CACHE_CONTROL),
        ):
            if stored.get(name) != expected:
                yield f"{key}: {name} is {stored.get(name)!r}"


def state(bucket: Bucket, build: str) -> str | None:
    """The state that the record says; None where there is no record."""
    key = f"builds/{build}.json"
    if key not in bucket.listed():
        return None
    said: str = json.loads(bucket.get(key)["Body"])["state"]
    return said


@contextmanager
def collected(
    directory: Path, files: Mapping[str, str | bytes] = FILES, build: str = "b1"
) -> Iterator[Built]:
    """A build that collectstatic made and nobody published yet."""
    with site(directory, files, BUILD_VERSION=build) as shop:
        shop.collect()
        manifest = shop.storage.manifest
        assert manifest is not None
        yield Built(manifest, shop.root / build)
