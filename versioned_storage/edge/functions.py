"""The two CloudFront Functions, and what is written into them for one site."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import reduce
from pathlib import Path

from ..build.manifest import Manifest
from ..constants import ENCODINGS, MANIFEST_NAME, RESPONSE_HEADERS, SKIP_COMPRESS_EXTENSIONS
from ..errors import VersionedStorageError
from ..text import names_text

VIEWER_REQUEST = "viewer_request.js"
VIEWER_RESPONSE = "viewer_response.js"

#: What CloudFront takes of one function, in bytes.
MAX_SIZE = 10_240

# An encoded file has no encodings of its own, whatever a site's list says.
_SUFFIXES = frozenset(encoding.suffix.removeprefix(".") for encoding in ENCODINGS.values())
_DATA = re.compile(r"^const SITE = .*;$", re.MULTILINE)


class FunctionTooLarge(VersionedStorageError):
    """CloudFront would refuse the function; ``size`` and ``allowed`` are in bytes."""

    def __init__(self, name: str, size: int) -> None:
        self.name = name
        self.size = size
        self.allowed = MAX_SIZE
        super().__init__(
            f"{name} has {size:,} bytes with the constants of this site, and CloudFront takes "
            f"{MAX_SIZE:,}. Shorten skip_compress_extensions, of the settings and of the builds "
            "that are kept."
        )


@dataclass(frozen=True)
class CompressionRules:
    """Which files have encodings, and which: the two options, or what a build records of them.

    ``encodings`` are names in the order of the table, ``skip`` the extensions that have none.
    """

    encodings: tuple[str, ...] = tuple(ENCODINGS)
    skip: tuple[str, ...] = SKIP_COMPRESS_EXTENSIONS

    @classmethod
    def of(cls, manifest: Manifest) -> CompressionRules:
        """What that build has. Of a manifest that Django wrote: nothing."""
        encodings = tuple(name for name in ENCODINGS if name in manifest.encoders)
        return cls(encodings, manifest.skip_compress_extensions)

    def __and__(self, other: CompressionRules) -> CompressionRules:
        """What both have."""
        return CompressionRules(
            tuple(name for name in self.encodings if name in other.encodings),
            tuple(sorted({*self.skip, *other.skip})),
        )

    def less_than(self, other: CompressionRules) -> str:
        """What ``other`` has that this has not, for people; empty where there is nothing."""
        encodings = [name for name in other.encodings if name not in self.encodings]
        extensions = names_text([f".{name}" for name in self.skip if name not in other.skip])
        return " and ".join([*encodings, *([f"encoded {extensions} files"] if extensions else [])])


def shared(settings: CompressionRules, builds: Iterable[CompressionRules]) -> CompressionRules:
    """What the functions may ask for: what the settings say and every one of the builds has."""
    return reduce(CompressionRules.__and__, builds, settings)


@dataclass(frozen=True)
class Constants:
    """What is written into the functions.

    ``prefix`` is the STATIC_URL path, ``manifest`` the name of the file that is never served,
    ``headers`` what every answer says beside ``Access-Control-Allow-Origin``.
    """

    prefix: str = "/static/"
    manifest: str = MANIFEST_NAME
    compression: CompressionRules = CompressionRules()
    headers: Mapping[str, str] = field(default_factory=lambda: dict(RESPONSE_HEADERS))

    def without_encodings(self) -> Constants:
        """The same for an edge that leaves the choice to the origin."""
        return replace(self, compression=replace(self.compression, encodings=()))

    def data(self, name: str) -> Mapping[str, object]:
        """What the function of that name reads."""
        negotiated = {
            "encodings": [
                {"name": encoding, "suffix": ENCODINGS[encoding].suffix}
                for encoding in self.compression.encodings
            ],
            "skip": sorted(_SUFFIXES.union(self.compression.skip)),
        }
        if name == VIEWER_REQUEST:
            return {"prefix": self.prefix, "manifest": self.manifest, **negotiated}
        # CloudFront has the names of headers in lower case.
        return {"headers": {key.lower(): self.headers[key] for key in self.headers}, **negotiated}


def source(name: str) -> str:
    """A function as it is shipped: it runs as it is, with the constants of a default site."""
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


def rendered(name: str, constants: Constants) -> str:
    """A function with the constants of a site. Raises `FunctionTooLarge`."""
    line = f"const SITE = {json.dumps(constants.data(name))};"
    code = _DATA.sub(lambda _: line, source(name), count=1)
    if (size := len(code.encode())) > MAX_SIZE:
        raise FunctionTooLarge(name, size)
    return code
