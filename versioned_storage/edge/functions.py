"""The two CloudFront Functions, and the constants of a site that are written into them."""

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

#: The size limit of a function, in bytes.
MAX_SIZE = 10_240

# An encoded file has no encodings itself, even if the site's list allows it.
_SUFFIXES = frozenset(encoding.suffix.removeprefix(".") for encoding in ENCODINGS.values())
_SITE_LINE = re.compile(r"^const SITE = .*;\n", re.MULTILINE)
_COMMENTS_AND_BLANK_LINES = re.compile(r"^[ \t]*(?://.*)?\n", re.MULTILINE)


class FunctionTooLarge(VersionedStorageError):
    """CloudFront would refuse the function; ``size`` and ``allowed`` are in bytes."""

    def __init__(self, name: str, size: int) -> None:
        self.name = name
        self.size = size
        self.allowed = MAX_SIZE
        super().__init__(
            f"{name} has {size:,} bytes with the constants of this site, and CloudFront allows "
            f"{MAX_SIZE:,}. Shorten skip_compress_extensions, in the settings and in the kept "
            "builds."
        )


@dataclass(frozen=True)
class CompressionRules:
    """Which files have which encodings, by the options of a site or the manifest of a build.

    ``encodings`` are names in the order of the table, ``skip`` the extensions without encodings.
    """

    encodings: tuple[str, ...] = tuple(ENCODINGS)
    skip: tuple[str, ...] = SKIP_COMPRESS_EXTENSIONS

    @classmethod
    def of(cls, manifest: Manifest) -> CompressionRules:
        """Return the rules of a build; a manifest that Django wrote has no encodings."""
        encodings = tuple(name for name in ENCODINGS if name in manifest.encoders)
        return cls(encodings, manifest.skip_compress_extensions)

    def __and__(self, other: CompressionRules) -> CompressionRules:
        """Return the rules that hold for the files of both."""
        return CompressionRules(
            tuple(name for name in self.encodings if name in other.encodings),
            tuple(sorted({*self.skip, *other.skip})),
        )

    def missing_text(self, other: CompressionRules) -> str:
        """Return what only ``other`` has, for people; empty if nothing."""
        encodings = [name for name in other.encodings if name not in self.encodings]
        extensions = names_text([f".{name}" for name in self.skip if name not in other.skip])
        return " and ".join([*encodings, *([f"encoded {extensions} files"] if extensions else [])])


def in_common(settings: CompressionRules, builds: Iterable[CompressionRules]) -> CompressionRules:
    """Return what the functions may request: what the settings and all builds have."""
    return reduce(CompressionRules.__and__, builds, settings)


@dataclass(frozen=True)
class Constants:
    """The constants of the functions.

    ``prefix`` is the STATIC_URL path, ``manifest`` the name of a file that is never served,
    ``headers`` are those of every response, in addition to ``Access-Control-Allow-Origin``.
    """

    prefix: str = "/static/"
    manifest: str = MANIFEST_NAME
    compression: CompressionRules = CompressionRules()
    headers: Mapping[str, str] = field(default_factory=lambda: dict(RESPONSE_HEADERS))

    def without_encodings(self) -> Constants:
        """Return the constants for an origin that negotiates the encoding itself."""
        return replace(self, compression=CompressionRules((), ()))

    def data(self, name: str) -> Mapping[str, object]:
        """Return the constants of the function ``name``."""
        negotiated = {
            "encodings": [
                {"name": encoding, "suffix": ENCODINGS[encoding].suffix}
                for encoding in self.compression.encodings
            ],
            "skip": sorted(_SUFFIXES.union(self.compression.skip)),
        }
        if name == VIEWER_REQUEST:
            return {"prefix": self.prefix, "manifest": self.manifest, **negotiated}
        # CloudFront's header names are lower case.
        return {"headers": {key.lower(): self.headers[key] for key in self.headers}, **negotiated}


def source(name: str) -> str:
    """Return the code of a function as shipped, with the constants of a default site."""
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


def constants_line(name: str, constants: Constants) -> str:
    """Return the first line of a function: the constants of a site. Raises `FunctionTooLarge`."""
    line = f"const SITE = {json.dumps(constants.data(name))};\n"
    if (size := len(line.encode()) + len(code(name).encode())) > MAX_SIZE:
        raise FunctionTooLarge(name, size)
    return line


def code(name: str) -> str:
    """Return the code of a function below its constants, without comments and blank lines."""
    return _COMMENTS_AND_BLANK_LINES.sub("", _SITE_LINE.sub("", source(name), count=1))


def rendered(name: str, constants: Constants) -> str:
    """Return a function with the constants of a site. Raises `FunctionTooLarge`."""
    return constants_line(name, constants) + code(name)
