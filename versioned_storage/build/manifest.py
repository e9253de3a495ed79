"""The manifest of a build, ``staticfiles.json``.

It is in Django's 1.1 format with additional keys, so tools that read Django's manifests read ours.
"""

from __future__ import annotations

import errno
import hashlib
import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, field
from enum import Enum
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from whitenoise.media_types import MediaTypes

from ..constants import ENCODINGS, IDENTITY, MANIFEST_NAME, MEDIA_TYPES, is_eligible
from ..errors import VersionedStorageError
from ..text import names_text

T = TypeVar("T")
#: The integrity of an asset, its encoding, None for identity, and the quality of that: see
#: `BuildFile.content`.
Content = tuple[str, "str | None", "int | None"]

#: The version of Django's format, `ManifestFilesMixin.manifest_version`.
VERSION = "1.1"
READABLE_VERSIONS = ("1.0", "1.1")
#: The format of what this package adds and the way it makes builds; part of the content digest.
FORMAT = 2

# Not the system's table, so that a build has the same types on each machine.
_KNOWN_TYPES = MediaTypes(extra_types=MEDIA_TYPES)
# Names that lead out of the build directory or cannot be the name of a file.
_INVALID_NAME = re.compile(r"\0|(?:\A|/)\.\.(?:/|\Z)|\A/|[\ud800-\udfff]")
_SHARED_PREFIX = re.compile(r"_[A-Za-z0-9-]+")
_SUFFIXES = tuple(encoding.suffix for encoding in ENCODINGS.values())
_TEXT_TYPES = ("text/", "application/javascript", "application/xml")


class UnreadableManifest(VersionedStorageError, ValueError):
    """A staticfiles.json that is not a manifest, or has another format."""

    def __init__(self, name: str, reason: str) -> None:
        self.name = name
        self.reason = reason
        super().__init__(
            f"Couldn't load manifest '{name}' (version {VERSION}): {reason}. "
            "Run collectstatic again, with --clear if the file does not belong there."
        )


class Reason(str, Enum):
    """Why an asset is bound to its build, as a heading for those assets."""

    LOCATION = "Scripts that ask where they were loaded from"
    IMPORT = "Imports that are computed or not rewritten"
    WORKER = "Scripts of a worker, which resolves URLs against its own"
    URL = "URLs that lead to no file of the build"
    UNREAD = "Parts that browsers or this package do not read"
    NOT_UTF8 = "Files that are not UTF-8"
    SVG = "SVG that may refer to other files"
    PAGES = "Web app manifests with relative URLs of pages"
    TYPE = "Types that may refer to other files"
    UNHASHED = "Names without a hash"
    PREHASHED = "Prehashed files that no glob of shared_assets names"
    EXCLUDED = 'Excluded by a "!glob" of shared_assets'


@dataclass(frozen=True, slots=True)
class Bound:
    """Why an asset belongs to its build and is not shared: the root cause.

    ``asset`` is the name of the asset with the cause: the bound one, or what it refers to in any
    number of steps. ``culprit`` is the text in that asset, for example a call or a URL.
    """

    asset: str
    reason: str
    culprit: str

    def __str__(self) -> str:
        return f"{self.asset}: {self.culprit}"


@dataclass(frozen=True, slots=True)
class Asset:
    """One static file of a build.

    ``size`` is in bytes, without encoding; ``integrity`` is the sha384 in the form of Subresource
    Integrity; ``encodings`` maps names of encodings to sizes in bytes. ``build`` is None in the
    neutral layout. Once the asset is published, ``sha256`` has the hex digest of each object on S3
    by encoding, "identity" included.

    ``shared_prefix`` is the directory below the STATIC_URL path where a shared asset is kept once
    for all builds, "_shared"; it is empty for an asset that belongs to its build. ``etags`` has the
    ETags of the objects of a shared asset as ``sha256`` has their digests.
    ``bound`` says why an asset is not shared, in a build with shared assets. ``quality`` has the
    quality of each encoding for which the site has set another one than the encoder's.
    ``made_of`` is the digest of what transforms made the asset of, where it has one:
    `Transformed.made_of`.
    """

    name: str
    hashed_name: str
    build: str | None
    size: int
    integrity: str
    content_type: str
    encodings: Mapping[str, int] = field(default_factory=dict)
    sha256: Mapping[str, str] = field(default_factory=dict)
    shared_prefix: str = ""
    etags: Mapping[str, str] = field(default_factory=dict)
    bound: Bound | None = None
    quality: Mapping[str, int] = field(default_factory=dict)
    made_of: str = ""

    @property
    def is_shared(self) -> bool:
        return bool(self.shared_prefix)

    @property
    def path(self) -> str:
        """The path below the STATIC_URL path.

        On disk a shared asset is in its build directory like any other: `BuildFile.source`.
        """
        if self.shared_prefix:
            return f"{self.shared_prefix}/{self.hashed_name}"
        return self._below_build(self.hashed_name)

    @property
    def original_path(self) -> str:
        """The path of the original name, if the build has it: see `Manifest.has_original`."""
        return self._below_build(self.name)

    def variants(self, path: str | None = None) -> Iterator[BuildFile]:
        """Yield the file without encoding, then each encoding, at ``path`` or the hashed path."""
        path = path or self.path
        yield BuildFile(path, self)
        for name, encoding in ENCODINGS.items():
            if name in self.encodings:
                yield BuildFile(path + encoding.suffix, self, name)

    def _below_build(self, name: str) -> str:
        return name if self.build is None else f"{self.build}/{name}"


@dataclass(frozen=True)
class BuildFile:
    """One file of a build: an asset in one encoding, under one of its names.

    ``path`` is below the STATIC_URL path; ``encoding`` is None for the asset's own bytes.
    """

    path: str
    asset: Asset
    encoding: str | None = None

    @property
    def suffix(self) -> str:
        return ENCODINGS[self.encoding].suffix if self.encoding else ""

    @property
    def size(self) -> int:
        return self.asset.encodings[self.encoding] if self.encoding else self.asset.size

    @property
    def quality(self) -> int | None:
        """The quality of the encoding that the site has set; None for that of the encoder."""
        return self.asset.quality.get(self.encoding or IDENTITY)

    @property
    def content(self) -> Content:
        """What the bytes are: the asset's integrity, its encoding, and the quality of that."""
        return self.asset.integrity, self.encoding, self.quality

    @property
    def sha256(self) -> str | None:
        """The hex digest of the object on S3; None before it is published."""
        return self.asset.sha256.get(self.encoding or IDENTITY)

    @property
    def is_shared(self) -> bool:
        """Return True if all builds have this object in common; no original is."""
        return self.asset.is_shared and self.path == self.hashed_path

    @property
    def may_be_of_another_encoder(self) -> bool:
        """True for a shared encoding: what it decodes to matters, not its bytes.

        Builds of other machines have the object too, and may have stored it or repaired it.
        """
        return self.is_shared and self.encoding is not None

    @property
    def etag(self) -> str | None:
        """The ETag of a shared object on S3; None before it is published."""
        return self.asset.etags.get(self.encoding or IDENTITY)

    @property
    def source(self) -> str:
        """The file in the build directory that has these bytes, under its hashed name.

        With ``collectstatic --link`` the original on disk is a link to an unprocessed source.
        """
        return self.asset.hashed_name + self.suffix

    @property
    def hashed_path(self) -> str:
        """The path under the hashed name; `path` is another one under the original name."""
        return self.asset.path + self.suffix


@dataclass(frozen=True)
class Manifest:
    """What a build contains. A manifest that Django wrote has only ``paths`` and ``hash``.

    ``keep_originals`` is True, False, or globs of the names whose originals are kept.
    ``shared_prefix`` is empty and ``shared_rules`` 0 in a build that was made without shared
    assets; otherwise they are the option and the number of the rules that decided what is portable.
    """

    paths: Mapping[str, str]
    hash: str = ""
    build: str | None = None
    content: str = ""
    encoders: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    skip_compress_extensions: tuple[str, ...] = ()
    keep_originals: bool | tuple[str, ...] = True
    shared_prefix: str = ""
    shared_rules: int = 0
    assets: Mapping[str, Asset] = field(default_factory=dict)

    def asset(self, name: str) -> Asset | None:
        """Return the asset with that original name."""
        return self.assets.get(self.paths.get(name, ""))

    def has_original(self, asset: Asset) -> bool:
        """Return True if the build serves the asset under its original name too.

        It does not if originals are not kept, or if the name is that of another asset's encoding:
        ``app.css.gz`` beside ``app.css`` is served by its hashed name only.
        """
        return keeps_original(self.keep_originals, asset.name) and not (
            # The set of all names is made only if it is needed.
            asset.name.endswith(_SUFFIXES) and asset.name in self._names_of_encodings
        )

    @cached_property
    def _names_of_encodings(self) -> frozenset[str]:
        return names_of_encodings(
            (name for asset in self.assets.values() for name in (asset.hashed_name, asset.name)),
            [name for name in self.encoders if name in ENCODINGS],
            self.skip_compress_extensions,
        )

    def shared_files(self) -> Iterator[BuildFile]:
        """Yield every object that the build has in common with other builds."""
        for asset in self.assets.values():
            if asset.is_shared:
                yield from asset.variants()

    def files(self) -> Iterator[BuildFile]:
        """Yield every file that the build serves, under each of its names."""
        for asset in self.assets.values():
            yield from asset.variants()
            if self.has_original(asset) and asset.original_path != asset.path:
                yield from asset.variants(asset.original_path)

    def to_json(self) -> str:
        """Return the manifest as JSON, sorted and spaced like Django's."""
        return json.dumps(
            {
                "version": VERSION,
                "paths": dict(self.paths),
                "hash": self.hash,
                "format": FORMAT,
                "build": self.build,
                "content": self.content,
                "encoders": {name: dict(settings) for name, settings in self.encoders.items()},
                "skip_compress_extensions": list(self.skip_compress_extensions),
                "keep_originals": self.keep_originals,
                **self._shared_to_json(),
                "assets": {
                    asset.hashed_name: {
                        "size": asset.size,
                        "integrity": asset.integrity,
                        "type": asset.content_type,
                        "encodings": dict(asset.encodings),
                        **({"sha256": dict(asset.sha256)} if asset.sha256 else {}),
                        **({"shared": True} if asset.is_shared else {}),
                        **({"etags": dict(asset.etags)} if asset.etags else {}),
                        **({"bound": astuple(asset.bound)} if asset.bound else {}),
                        **({"quality": dict(asset.quality)} if asset.quality else {}),
                        **({"made_of": asset.made_of} if asset.made_of else {}),
                    }
                    for asset in self.assets.values()
                },
            },
            sort_keys=True,
        )

    def _shared_to_json(self) -> dict[str, Any]:
        if not self.shared_prefix:
            return {}
        return {"shared": {"prefix": self.shared_prefix, "rules": self.shared_rules}}

    @classmethod
    def read(cls, path: Path) -> Manifest:
        """Read the manifest at ``path``. Raises `UnreadableManifest`, and OSError."""
        check_is_regular(path)
        return cls.from_json(path.read_bytes(), name=str(path))

    @classmethod
    def from_json(cls, text: str | bytes, *, name: str = MANIFEST_NAME) -> Manifest:
        """Read a manifest, ours or Django's. Raises `UnreadableManifest`."""
        try:
            stored = json.loads(text.decode() if isinstance(text, bytes) else text)
        except UnicodeDecodeError as error:
            raise UnreadableManifest(name, f"it is not UTF-8 ({error})") from error
        except (ValueError, RecursionError) as error:
            raise UnreadableManifest(name, f"it is not JSON ({error})") from error
        return cls.from_stored(stored, name=name)

    @classmethod
    def from_stored(cls, stored: Any, *, name: str = MANIFEST_NAME) -> Manifest:
        """Read a manifest from decoded JSON. Raises `UnreadableManifest`."""
        version = stored.get("version") if isinstance(stored, dict) else None
        if version not in READABLE_VERSIONS:
            shown = repr(version) if isinstance(version, str | float | None) else "of another type"
            reason = f"its version is {shown}, known are {', '.join(READABLE_VERSIONS)}"
            raise UnreadableManifest(name, reason)
        try:
            return cls._from_stored(stored)
        except (KeyError, TypeError, ValueError) as error:
            reason = f"it lacks what a manifest has ({type(error).__name__}: {error})"
            raise UnreadableManifest(name, reason) from error

    @classmethod
    def _from_stored(cls, stored: dict[str, Any]) -> Manifest:
        paths = _texts(stored.get("paths", {}))
        _check_names((*paths, *paths.values()))
        build = stored.get("build")
        names = {hashed_name: name for name, hashed_name in paths.items()}
        encoders = _checked(stored.get("encoders", {}), dict)
        entries = _checked(stored.get("assets", {}), dict)
        shared_prefix, shared_rules = _shared_settings(stored.get("shared"))
        assets = {
            hashed_name: Asset(
                name=names[hashed_name],
                hashed_name=hashed_name,
                build=build,
                size=_size(entry["size"]),
                integrity=entry["integrity"],
                content_type=entry["type"],
                encodings=_sizes(entry["encodings"]),
                sha256=_texts(entry.get("sha256", {})),
                shared_prefix=shared_prefix if entry.get("shared") else "",
                etags=_texts(entry.get("etags", {})),
                bound=Bound(*map(str, entry["bound"])) if "bound" in entry else None,
                quality=_sizes(entry.get("quality", {})),
                made_of=_checked(entry.get("made_of", ""), str),
            )
            for hashed_name, entry in entries.items()
        }
        _check_header_values(
            [text for asset in assets.values() for text in (asset.integrity, asset.content_type)]
        )
        return cls(
            paths=paths,
            hash=_checked(stored.get("hash", ""), str),
            build=None if build is None else _checked(build, str),
            content=_checked(stored.get("content", ""), str),
            encoders={name: _sizes(settings) for name, settings in encoders.items()},
            skip_compress_extensions=tuple(
                _checked(extension, str)
                for extension in _checked(stored.get("skip_compress_extensions", []), list)
            ),
            keep_originals=_keep_originals(stored.get("keep_originals", True)),
            shared_prefix=shared_prefix,
            shared_rules=shared_rules,
            assets=assets,
        )


def check_is_regular(path: Path) -> None:
    """Raise OSError for a pipe, a device or a directory: reading a pipe would block."""
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "Not a regular file", str(path))


def _checked(value: Any, kind: type[T]) -> T:
    """Return the value if it has that type. Raises TypeError."""
    if not isinstance(value, kind):
        message = f"a {type(value).__name__} in the place of a {kind.__name__}"
        raise TypeError(message)
    return value


def _size(value: Any) -> int:
    if type(value) is not int or value < 0:
        message = f"{str(value)[:100]} in the place of a size"
        raise ValueError(message)
    return value


def _sizes(value: Any) -> dict[str, int]:
    for size in _checked(value, dict).values():
        if type(size) is not int or size < 0:
            _size(size)
    return value  # type: ignore[no-any-return]


def _texts(value: Any) -> dict[str, str]:
    for text in _checked(value, dict).values():
        _checked(text, str)
    return value  # type: ignore[no-any-return]


def _keep_originals(value: Any) -> bool | tuple[str, ...]:
    if isinstance(value, list):
        return tuple(_checked(glob, str) for glob in value)
    return _checked(value, bool)


def _shared_settings(value: Any) -> tuple[str, int]:
    """Return the prefix of the shared assets and the number of the rules."""
    if value is None:
        return "", 0
    prefix = _checked(_checked(value, dict)["prefix"], str)
    if not _SHARED_PREFIX.fullmatch(prefix):
        message = f"{prefix[:100]!r} in the place of the prefix of shared assets"
        raise ValueError(message)
    return prefix, _size(value["rules"])


def _check_header_values(values: list[Any]) -> None:
    """Raise TypeError or ValueError unless all can be the value of a header."""
    if not "".join(values).isprintable():
        message = "a line break in a digest or a type"
        raise ValueError(message)


def _check_names(names: Sequence[str]) -> None:
    """Raise ValueError if a name cannot be that of a file below a directory."""
    # A manifest has thousands of names: a search in each takes as long as all else.
    text = "/" + "/\n/".join(names) + "/"
    if text.isascii() and not ("\0" in text or "/../" in text or "//" in text):
        return
    for name in names:
        if _INVALID_NAME.search(name):
            message = f"{name[:100]!r} is not the name of a file"
            raise ValueError(message)


@dataclass(frozen=True)
class Differences:
    """How a build differs from another one: names of assets, sorted, and lines about options."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]
    options: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return the first ten assets of each kind and their number, and the options."""
        lines = []
        for kind in ("added", "removed", "changed"):
            names = getattr(self, kind)
            if names:
                lines.append(f"  {kind} ({len(names):,}): {names_text(names)}")
        lines += (f"  {option}" for option in self.options)
        return "\n".join(lines) or "  the same assets, made by another version of this package"


def differences(old: Manifest, new: Manifest) -> Differences:
    """Return what changes from ``old`` to ``new``."""
    before, after = _contents(old), _contents(new)
    common = before.keys() & after.keys()
    return Differences(
        added=tuple(sorted(after.keys() - before.keys())),
        removed=tuple(sorted(before.keys() - after.keys())),
        changed=tuple(sorted(name for name in common if before[name] != after[name])),
        # A manifest that Django wrote has no options.
        options=tuple(_changed_options(old, new, common)) if old.build is not None else (),
    )


def _changed_options(old: Manifest, new: Manifest, names: Collection[str]) -> Iterator[str]:
    before, after = _options(old, names), _options(new, names)
    for option, value in before.items():
        other = after[option]
        if isinstance(value, tuple) and isinstance(other, tuple):
            for word, items in (("with", {*other} - {*value}), ("without", {*value} - {*other})):
                if items:
                    yield f"{option} {word} {names_text(sorted(items))}"
        elif value != other:
            yield f"{option} {other!r} instead of {value!r}"


def _options(manifest: Manifest, names: Collection[str]) -> dict[str, object]:
    """Return what a manifest tells of the options, and which assets of these names are shared."""
    shared = [
        asset.name for asset in manifest.assets.values() if asset.is_shared and asset.name in names
    ]
    return {
        "encodings": tuple(manifest.encoders),
        "keep_originals": manifest.keep_originals,
        "skip_compress_extensions": manifest.skip_compress_extensions,
        "shared_prefix": manifest.shared_prefix,
        "shared_assets": tuple(shared),
    }


def matches_globs(name: str, globs: Iterable[str]) -> bool:
    """Return True if a glob matches the name and no ``"!glob"`` does."""
    globs = tuple(globs)
    return any(fnmatchcase(name, glob) for glob in globs if not glob.startswith("!")) and not any(
        fnmatchcase(name, glob[1:]) for glob in globs if glob.startswith("!")
    )


def keeps_original(keep_originals: bool | tuple[str, ...], name: str) -> bool:
    """Return True if the option keeps the file with this original name."""
    if isinstance(keep_originals, bool):
        return keep_originals
    return matches_globs(name, keep_originals)


def names_of_encodings(
    names: Iterable[str], encodings: Iterable[str], skip: tuple[str, ...]
) -> frozenset[str]:
    """Return the names of these encodings of all files that are eligible."""
    suffixes = [ENCODINGS[encoding].suffix for encoding in encodings]
    return frozenset(
        name + suffix for name in names if is_eligible(name, skip) for suffix in suffixes
    )


def content_digest(assets: Iterable[Asset], options: Mapping[str, object]) -> str:
    """Return a sha256, in hex, of every asset's names and bytes and of ``options``.

    ``options`` are those that decide which files a build has. Encoded bytes are not included,
    because versions of zlib encode differently. The mark of a shared asset is.
    """
    identity = sorted(
        (asset.name, asset.hashed_name, asset.integrity, *(["shared"] if asset.is_shared else []))
        for asset in assets
    )
    content = [FORMAT, dict(options), identity]
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def content_type(name: str) -> str:
    """Return the Content-Type of a file, with a charset for text; the extension decides."""
    return with_charset(_KNOWN_TYPES.get_type(name))


def with_charset(media_type: str, charset: str = "utf-8") -> str:
    """Return the media type, with the charset if it is text."""
    return f"{media_type}; charset={charset}" if media_type.startswith(_TEXT_TYPES) else media_type


def _contents(manifest: Manifest) -> dict[str, tuple[str, str]]:
    return {asset.name: (asset.hashed_name, asset.integrity) for asset in manifest.assets.values()}
