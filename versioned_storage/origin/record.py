"""What S3 keeps of one build: its record, outside of what the edge may read."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from ..build.manifest import Manifest, UnreadableManifest
from .s3 import S3Origin

#: Records are not public, but a cache in between must not keep one either.
HEADERS = {"ContentType": "application/json", "CacheControl": "no-store"}


def path(build: str) -> str:
    """Where the record of a build is, below the origin's location."""
    return f"builds/{build}.json"


@dataclass(frozen=True)
class Record:
    """The state of a build on S3: it is published when there is a record that says so."""

    manifest: Manifest

    def to_json(self) -> bytes:
        return json.dumps(
            {
                "state": "published",
                "content": self.manifest.content,
                "manifest": json.loads(self.manifest.to_json()),
            },
            sort_keys=True,
            separators=(",", ":"),
        ).encode()

    @classmethod
    def from_json(cls, data: bytes, *, name: str) -> Record | None:
        """Read a record; None for a build that is not published. Raises `UnreadableManifest`."""
        try:
            stored: Any = json.loads(data)
            if stored["state"] != "published":
                return None
            text = json.dumps(stored["manifest"])
        except (KeyError, TypeError, ValueError) as error:
            raise UnreadableManifest(name, "it is not the record of a build") from error
        return cls(Manifest.from_json(text, name=name))


def read(origin: S3Origin, build: str) -> Record | None:
    """The record of a published build; None when there is none."""
    data = origin.get(path(build))
    return None if data is None else Record.from_json(data, name=origin.url(path(build)))


def create(origin: S3Origin, build: str, record: Record) -> bool:
    """Say that a build is published; False when there is a record of that build already."""
    return origin.create(path(build), record.to_json(), **HEADERS)
