"""Checks of the options, of STATIC_ROOT and of what else decides where builds go."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.core.management import BaseCommand, get_commands

from ..build.source_errors import UnusableFiles
from ..build.transforms import usable_functions
from ..conf import compresses_sources, compressor_directory
from ..site import configured_storage, usable_storage
from ..static_root import StaticRootAmongSources, check_outside_sources, check_sources_are_files
from ..validators import is_local

#: The domain of a distribution in the examples of AWS's documentation and ours.
SAMPLE_DOMAIN = "d111111abcdef8.cloudfront.net"


def check_options(app_configs: Any, **kwargs: Any) -> Sequence[checks.CheckMessage]:
    """The options can be read, transforms imported, and the URL of the storage can hold builds."""
    try:
        if storage := configured_storage():
            usable_functions(storage.options.transforms)
    except ImproperlyConfigured as error:
        return [unusable(error)]
    return []


def check_static_root_outside_sources(
    app_configs: Any, **kwargs: Any
) -> Sequence[checks.CheckMessage]:
    """collectstatic does not collect what it wrote before."""
    storage = usable_storage()
    try:
        check_outside_sources(storage.root if storage else None)
    except StaticRootAmongSources as error:
        return [checks.Error(str(error), id="versioned_storage.E002")]
    return []


def check_static_root(app_configs: Any, **kwargs: Any) -> Sequence[checks.CheckMessage]:
    """collectstatic has a place for builds."""
    storage = usable_storage()
    if storage is None or storage.root is not None:
        return []
    return [
        checks.Warning(
            "STATIC_ROOT is not set: collectstatic has no place for a build.",
            hint='STATIC_ROOT = BASE_DIR / "staticfiles"',
            id="versioned_storage.W004",
        )
    ]


def check_command(app_configs: Any, **kwargs: Any) -> Sequence[checks.CheckMessage]:
    """collectstatic is the command of this package, or a subclass of it."""
    app = get_commands()["collectstatic"]
    if app == "versioned_storage" or usable_storage() is None:
        return []
    theirs, ours = _collectstatic(app), _collectstatic("versioned_storage")
    if issubclass(theirs, ours):
        return []
    return [
        checks.Warning(
            f"collectstatic is the command of {app}, which is above versioned_storage in "
            "INSTALLED_APPS. It waits for named pipes among the sources, and with -v 2 it lists "
            "neither what is not shared nor the section of an error in the documentation.",
            hint=f'INSTALLED_APPS = ["versioned_storage", ..., "{app}", ...], or a Command that '
            f"inherits from {ours.__module__}.Command.",
            id="versioned_storage.W025",
        )
    ]


def _collectstatic(app: str) -> type[BaseCommand]:
    command: type[BaseCommand] = import_module(f"{app}.management.commands.collectstatic").Command
    return command


def check_sources(app_configs: Any, **kwargs: Any) -> Sequence[checks.CheckMessage]:
    """A collectstatic without ``--ignore`` could read all that it collects."""
    if usable_storage() is None:
        return []
    try:
        check_sources_are_files()
    except UnusableFiles as error:
        return [checks.Warning(str(error), id="versioned_storage.W014")]
    return []


def check_cdn_domain(app_configs: Any, **kwargs: Any) -> Sequence[checks.CheckMessage]:
    """The domain of the CDN is one that URLs can begin with."""
    storage = usable_storage()
    cdn = storage.options.cdn_domain if storage else None
    if storage is None or cdn is None or storage.static_url is None:
        return []
    parts, path = urlsplit(cdn), storage.static_url.path
    if parts.hostname == SAMPLE_DOMAIN:
        finding = (
            "the sample domain of the documentation: every static file of every page would be "
            "asked for there."
        )
        remedy = (
            "'cdn_domain': the domain of your distribution; `aws cloudfront list-distributions` "
            "prints it."
        )
        return [_cdn_warning(f"{cdn!r}, {finding}", remedy)]
    if f"{parts.path}/".endswith(path):
        finding = f"and STATIC_URL's path comes after it: URLs begin with {cdn}{path}."
        remedy = f"'cdn_domain': {f'{cdn}/'.removesuffix(path)!r}"
        return [_cdn_warning(f"{cdn!r}, {finding}", remedy)]
    if parts.scheme == "http" and not is_local(parts.hostname or ""):
        finding = "pages that are served over https load no script and no style sheet over http."
        remedy = f"'cdn_domain': {f'https{cdn[4:]}'!r}"
        return [_cdn_warning(f"{cdn!r}: {finding}", remedy)]
    return []


def check_compressor(app_configs: Any, **kwargs: Any) -> Sequence[checks.CheckMessage]:
    """Browsers can load what django-compressor makes of pages."""
    storage = usable_storage()
    if (
        storage is None
        or storage.static_url is None
        or storage.build_version is None
        or storage.options.origin is None
        or settings.DEBUG
        or not getattr(settings, "COMPRESS_ENABLED", True)
        or compresses_sources()
        or (directory := compressor_directory()) is None
    ):
        return []
    return [
        checks.Warning(
            f"django-compressor writes to STATIC_ROOT/{directory}, which belongs to no build and "
            f"is not published to the bucket {storage.options.origin['bucket_name']}: pages would "
            "link to files that are not there.",
            hint="COMPRESS_ENABLED = False, because every file of a build is compressed and cached "
            "for ever; or run `manage.py compress` before collectstatic, with a COMPRESS_ROOT that "
            "is in STATICFILES_DIRS; or have the CDN ask the application for "
            f"{storage.static_url.path}{directory}/*, where VersionedWhiteNoiseMiddleware serves "
            "it, and silence this check.",
            id="versioned_storage.W013",
        )
    ]


def unusable(error: ImproperlyConfigured) -> checks.CheckMessage:
    """The finding that the storage cannot be used, with the storage's own message."""
    return checks.Error(str(error), id="versioned_storage.E001")


def _cdn_warning(finding: str, remedy: str) -> checks.CheckMessage:
    return checks.Warning(f"cdn_domain is {finding}", hint=remedy, id="versioned_storage.W012")
