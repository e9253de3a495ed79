"""Checks of shared assets: they are served, exist, and their scripts find the files beside them.

The build is the one in STATIC_ROOT; a build that is on S3 only is not requested.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from django.conf import settings
from django.core import checks

from ..build.manifest import Asset, Manifest, Reason
from ..conf import compressor_directory
from ..errors import VersionedStorageError
from ..site import OURS, above_ours, usable_storage
from ..storage import VersionedStaticFilesStorage
from ..text import count_text, names_text

#: How many names a message has.
_SHOWN = 3
# Why scripts are bound that may compute the URL of a file beside them.
_COMPUTING = (Reason.LOCATION, Reason.IMPORT, Reason.WORKER)


def check_is_served(app_configs: Any, **kwargs: Any) -> Sequence[checks.CheckMessage]:
    """What serves STATIC_ROOT knows shared assets, whose URLs are not paths in it."""
    storage = _sharing_storage()
    if storage is None or storage.options.origin is not None or storage.static_url is None:
        return []
    path = f"{storage.static_url.path}{storage.options.shared_prefix}/"
    _, ours = above_ours()
    if ours is None:
        finding = f"{OURS} is not in MIDDLEWARE"
        remedy = (
            f"Put \"{OURS}\" into MIDDLEWARE, or set 'shared_assets': False: neither nginx nor "
            "WhiteNoise's own middleware knows shared assets."
        )
    elif getattr(settings, "WHITENOISE_AUTOREFRESH", settings.DEBUG):
        finding = "with WHITENOISE_AUTOREFRESH it serves what it finds in STATIC_ROOT"
        remedy = "WHITENOISE_AUTOREFRESH = False"
    else:
        return []
    return [
        checks.Warning(
            f"Nothing serves {path}, the URLs of shared assets: STATIC_ROOT has no such directory, "
            f"and {finding}.",
            hint=remedy,
            id="versioned_storage.W020",
        )
    ]


def check_compressor(app_configs: Any, **kwargs: Any) -> Sequence[checks.CheckMessage]:
    """django-compressor finds the files that pages combine."""
    storage = _sharing_storage()
    if (
        storage is None
        or compressor_directory() is None
        or not getattr(settings, "COMPRESS_ENABLED", True)
    ):
        return []
    return [
        checks.Warning(
            "{% compress %} of django-compressor looks in STATIC_ROOT for the file behind each "
            "URL, and fails for a shared asset, whose URL is not a path there.",
            hint="COMPRESS_ENABLED = False, because every file of a build is compressed and cached "
            "for ever; or take out what it combines, for example 'shared_assets': "
            "['!css/*', '!js/*'], and silence this check.",
            id="versioned_storage.W024",
        )
    ]


def check_build_shares(app_configs: Any, **kwargs: Any) -> Sequence[checks.CheckMessage]:
    """The build has shared assets, and beside its scripts are the files that they may load."""
    storage = _sharing_storage()
    try:
        if storage is None or storage.read_manifest() is None:
            return []
        manifest = storage.manifest
    except (OSError, VersionedStorageError):
        # `check_build` reports it.
        return []
    # Without a prefix the build was made before the option was switched on.
    if manifest is None or not manifest.shared_prefix:
        return []
    return [*_unhashed(manifest), *_nothing_shared(manifest), *_missing_neighbours(manifest)]


def _unhashed(manifest: Manifest) -> Iterator[checks.CheckMessage]:
    names = [asset.name for asset in _root_causes(manifest, Reason.UNHASHED)]
    if names:
        yield checks.Warning(
            f"{count_text(len(names), 'file')} of build {manifest.build} without a hash in the "
            f"name cannot be shared: {names_text(names, _SHOWN)}.",
            hint="Let file_hash() of the storage return a hash of the content, as Django's.",
            id="versioned_storage.W021",
        )


def _nothing_shared(manifest: Manifest) -> Iterator[checks.CheckMessage]:
    if manifest.assets and not any(asset.is_shared for asset in manifest.assets.values()):
        yield checks.Warning(
            f"shared_assets is on, and build {manifest.build} shares nothing: every deploy gives "
            f"{count_text(len(manifest.assets), 'file')} a new URL.",
            hint=f"'manage.py staticbuilds show {manifest.build} --shared' lists the reasons.",
            id="versioned_storage.W022",
        )


def _missing_neighbours(manifest: Manifest) -> Iterator[checks.CheckMessage]:
    """Yield a warning about scripts beside or above files that have no original name."""
    without_original: Counter[str] = Counter()
    for asset in manifest.assets.values():
        if not manifest.has_original(asset):
            without_original.update(_directories(asset.name))
    directories: dict[str, str] = {}
    for script in _root_causes(manifest, *_COMPUTING):
        directory = script.name.rpartition("/")[0]
        if without_original[directory]:
            directories.setdefault(directory, script.name)
    if not directories:
        return
    scripts = [
        f"{script} ({count_text(without_original[directory], 'file')} below {directory or '/'})"
        for directory, script in directories.items()
    ]
    kept = manifest.keep_originals if isinstance(manifest.keep_originals, tuple) else ()
    globs = [*kept, *(f"{directory}/*" if directory else "*" for directory in directories)]
    yield checks.Warning(
        f"Scripts of build {manifest.build} may compute the URLs of files beside them, and the "
        f"build does not have those under their original names: {names_text(scripts, _SHOWN)}.",
        hint=f"'keep_originals': {globs!r}; or silence this check, if their pages work.",
        id="versioned_storage.W023",
    )


def _root_causes(manifest: Manifest, *reasons: Reason) -> list[Asset]:
    """Return the assets that are bound for one of these reasons themselves, sorted by name."""
    return sorted(
        (
            asset
            for asset in manifest.assets.values()
            if asset.bound and asset.bound.asset == asset.name and asset.bound.reason in reasons
        ),
        key=lambda asset: asset.name,
    )


def _directories(name: str) -> Iterator[str]:
    """Yield every directory that a name is below, the root as an empty text."""
    directory = name
    while directory:
        directory = directory.rpartition("/")[0]
        yield directory


def _sharing_storage() -> VersionedStaticFilesStorage | None:
    """Return the storage of a deployed site with shared assets."""
    storage = usable_storage()
    if storage is None or settings.DEBUG or storage.build_version is None:
        return None
    return storage if storage.options.shares_assets else None
