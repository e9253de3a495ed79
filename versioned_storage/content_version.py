"""The sources of a build: what collectstatic would collect, and what it is known by."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from typing import Any

from django.apps import apps
from django.contrib.staticfiles.finders import get_finders
from django.core.files.storage import Storage

from .build.directory import chunks_of
from .build.manifest import FORMAT
from .build.source_errors import UnreadableSource
from .build.source_files import Sources
from .constants import ENCODINGS
from .storage import VersionedStaticFilesStorage

# Of the sha256, in hex digits: 48 bits. Should two contents of a site ever agree in them,
# publishing the second one is refused, as any other content under a published version is.
_LENGTH = 12


def collected(ignore: Iterable[str] = (), *, default_ignore: bool = True) -> Sources:
    """Where each static file comes from, as collectstatic finds them: the first one of a name.

    ``ignore`` has glob patterns of names to leave out. ``default_ignore`` adds those of Django's
    staticfiles app.
    """
    ignored = [*ignore]
    if default_ignore:
        staticfiles: Any = apps.get_app_config("staticfiles")
        ignored += staticfiles.ignore_patterns
    patterns = sorted({os.path.normpath(pattern) for pattern in ignored})
    sources: dict[str, tuple[Storage, str]] = {}
    for finder in get_finders():
        for path, source in finder.list(patterns):
            # A directory of STATICFILES_DIRS may have one.
            prefix = getattr(source, "prefix", None)
            name = f"{prefix}/{path}" if prefix else path
            sources.setdefault(name.replace("\\", "/"), (source, path))
    return sources


def build_version_of(sources: Sources, storage: VersionedStaticFilesStorage) -> str:
    """A build version that is the same as long as the build would be the same.

    Nothing but the sources' names and bytes and what shapes a build gets in: no path of this
    machine, no time, no order. What a subclass's own code does to the bytes is not seen, only
    the name of the class. Raises `UnreadableSource`.
    """
    digests = {name: _sha256(name, *sources[name]) for name in sources}
    whole = json.dumps([FORMAT, _shape(sources, storage), digests], sort_keys=True, default=str)
    return hashlib.sha256(whole.encode()).hexdigest()[:_LENGTH]


def _shape(sources: Sources, storage: VersionedStaticFilesStorage) -> dict[str, Any]:
    """What decides, beside the sources, which files a build has and what is in them.

    Options that only decide whether a build fails are not among it. ``prehashed`` may be any
    callable, so it counts by what it says of each source. The URLs are there because references
    to them are rewritten.
    """
    options, static_url = storage.options, storage.static_url
    return {
        "class": f"{type(storage).__module__}.{type(storage).__qualname__}",
        "patterns": storage.patterns,
        "prehashed": sorted(name for name in sources if options.prehashed(name)),
        "encoders": {name: ENCODINGS[name].settings for name in options.encodings},
        "skip_compress_extensions": options.skip_compress_extensions,
        "keep_originals": options.keep_originals,
        "static_url": [static_url.origin, static_url.path] if static_url else None,
        "cdn_domain": options.cdn_domain,
    }


def _sha256(name: str, source: Storage, path: str) -> str:
    digest = hashlib.sha256()
    try:
        with source.open(path) as file:
            for chunk in chunks_of(file):
                digest.update(chunk)
    except OSError as error:
        raise UnreadableSource(name, error) from error
    return digest.hexdigest()
