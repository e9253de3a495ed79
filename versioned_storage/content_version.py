"""A build version derived from the content: the sources and what shapes a build of them."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from contextlib import closing
from typing import Any

from django.apps import apps
from django.core.files.storage import Storage

from .build.assemble import SHARED_RULES
from .build.directory import chunks_of
from .build.manifest import FORMAT
from .build.source_files import Sources, open_source
from .build.transforms import Transformed, transformed
from .collect import recipe_of
from .constants import ENCODINGS
from .static_root import check_sources_are_files, listed_sources
from .storage import VersionedStaticFilesStorage

# Hex digits of the sha256: 48 bits. If two contents ever collide, publishing the second is refused:
# a published version never gets other content.
_LENGTH = 12


def find_sources(ignore: Iterable[str] = (), *, default_ignore: bool = True) -> Sources:
    """Return the sources that collectstatic would collect: the first file of each name.

    ``ignore`` has glob patterns of names to leave out. ``default_ignore`` adds those of Django's
    staticfiles app. Raises `UnusableFiles` for loops of links and special files.
    """
    ignored = [*ignore]
    check_sources_are_files(ignored)
    if default_ignore:
        staticfiles: Any = apps.get_app_config("staticfiles")
        ignored += staticfiles.ignore_patterns
    patterns = sorted({os.path.normpath(pattern) for pattern in ignored})
    sources: dict[str, tuple[Storage, str]] = {}
    for name, source, path in listed_sources(patterns):
        sources.setdefault(name, (source, path))
    return sources


def derive_build_version(sources: Sources, storage: VersionedStaticFilesStorage) -> str:
    """Return a build version that changes when the build would change.

    It depends on the names and bytes of the sources and on what shapes a build: not on a path of
    this machine, a time or an order. Of a storage subclass it sees the name, not the code. Raises
    `UnreadableSource`.
    """
    # collectstatic leaves such a source out.
    left_out = storage.manifest_name if storage.manifest_storage is storage else None
    sources = {name: source for name, source in sources.items() if name != left_out}
    sources = transformed(sources, storage.options.transforms)
    digests = {name: _digest(name, *sources[name]) for name in sources}
    text = json.dumps([FORMAT, _shape(sources, storage), digests], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:_LENGTH]


def _shape(sources: Sources, storage: VersionedStaticFilesStorage) -> dict[str, Any]:
    """Return the options that, with the sources, decide which files a build has and their bytes.

    Options that only decide whether a build fails are left out. ``prehashed`` may be any callable,
    so its answer for each source counts. The URLs count because references to them are rewritten.
    """
    options, static_url = storage.options, storage.static_url
    recipe = recipe_of(options)
    shape = {
        "class": f"{type(storage).__module__}.{type(storage).__qualname__}",
        "patterns": storage.patterns,
        "prehashed": sorted(name for name in sources if options.prehashed(name)),
        "encoders": {name: ENCODINGS[name].settings for name in options.encodings},
        # As each file has them, so that it makes no difference how the option is written.
        "qualities": {name: recipe.quality(name) for name in filter(recipe.is_eligible, sources)},
        "skip_compress_extensions": options.skip_compress_extensions,
        "keep_originals": options.keep_originals,
        "static_url": [static_url.host, static_url.path] if static_url else None,
        "cdn_domain": options.cdn_domain,
    }
    if options.shares_assets:
        shape["shared_assets"] = [options.shared_prefix, SHARED_RULES, options.shared_globs]
    return shape


def _digest(name: str, source: Storage, path: str) -> str:
    # The same functions make the same of the same source.
    if isinstance(source, Transformed) and source.made_of:
        return source.made_of
    digest = hashlib.sha256()
    with closing(open_source(name, source, path)) as file:
        for chunk in chunks_of(file):
            digest.update(chunk)
    return digest.hexdigest()
