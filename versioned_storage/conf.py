"""Every option, its default, and where it is read from; `validators` checks the values.

An option is looked up in the storage's OPTIONS, then in the VERSIONED_STORAGE setting; the build
version then in the BUILD_VERSION setting and in the environment variable of that name.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from typing import Any

from django.apps import apps
from django.conf import UserSettingsHolder, settings

from . import static_url
from .constants import ENCODINGS, MEDIA_TYPES, RESPONSE_HEADERS, SKIP_COMPRESS_EXTENSIONS
from .errors import ConfigurationError
from .validators import CHECKS, InvalidOption

SETTING = "VERSIONED_STORAGE"
STORAGE_OPTIONS = 'STORAGES["staticfiles"]["OPTIONS"]'
# Those of django-storages' S3Storage that people write beside ``origin``.
_OF_ORIGIN = {"bucket_name", "region_name", "endpoint_url", "access_key", "secret_key"}


class UnknownOption(ConfigurationError):
    """A setting names an option that does not exist."""

    def __init__(self, setting: str, name: str, options: Iterable[str]) -> None:
        self.setting = setting
        self.name = name
        self.options = tuple(sorted(options))
        near = get_close_matches(name, self.options, n=1)
        if name in _OF_ORIGIN:
            hint = f" It belongs into the option origin: 'origin': {{'{name}': ...}}."
        else:
            hint = f" Did you mean {near[0]!r}?" if near else ""
        listed = ", ".join(self.options)
        super().__init__(
            f"{setting} has the unknown option {name!r}.{hint} The options are: {listed}."
        )


@dataclass(frozen=True, kw_only=True)
class Options:
    """What a site can configure. Use `load`, which checks each value.

    =========================  =====================================================================
    ``build_version``          names the build: ``[A-Za-z0-9][A-Za-z0-9._-]{0,63}``; None is neutral
    ``cdn_domain``             scheme, host and port before the STATIC_URL path; a bare domain means
                               https
    ``origin``                 options of django-storages' S3Storage; None publishes nothing
    ``encodings``              which encodings each eligible file gets, from "br" and "gzip"; by
                               name, the quality for each glob
    ``skip_compress_extensions``  extensions that get none
    ``keep_originals``         keep the files under their original names beside the hashed ones; a
                               list of globs keeps those of these names
    ``shared_assets``          what a deploy did not change keeps its URL: False, True, or a list of
                               globs of assets that the site vouches for (``"!glob"`` takes out)
    ``shared_prefix``          the directory of shared assets; another one gives each a new URL
    ``manifest_strict``        an unknown name is an error; None leaves it to the storage class, and
                               gives plain URLs in a test environment
    ``debug_strict``           with DEBUG, a name that production will not have is an error, not a
                               warning
    ``js_modules``             rewrite the imports of ES modules; None leaves it to the class
    ``strict_source_maps``     a missing source map is an error, not a warning
    ``ignore_missing``         ``"file-glob:reference-glob"`` of references that may lead nowhere
    ``prehashed``              a regular expression or a callable: names that have a hash already,
                               whose files pass through unchanged
    ``transforms``             ``(glob, function)`` pairs: functions of the site that change sources
    ``publish``                collectstatic publishes the build
    ``base_build``             the published build whose unchanged objects are copied: True is the
                               current one, False none, else a build version
    ``connections``            how many connections to S3 a publish uses
    ``preload_manifest``       a process that serves pages reads the manifest when it starts; None
                               is True with a build version, a CDN or an origin, else False
    ``conditional_writes``     False for a store without them; then only one process at a time may
                               publish
    ``response_headers``       headers of the response with a file; None as the value removes one of
                               `RESPONSE_HEADERS`
    ``integrity_policy``       the header Integrity-Policy that `IntegrityMiddleware` gives pages
    ``integrity_policy_report_only``  the same for Integrity-Policy-Report-Only
    =========================  =====================================================================
    """

    build_version: str | None = None
    cdn_domain: str | None = None
    # Not in the repr, because it can hold credentials.
    origin: Mapping[str, Any] | None = field(default=None, repr=False)
    encodings: Mapping[str, Mapping[str, int]] = field(
        default_factory=lambda: {name: {} for name in ENCODINGS}
    )
    skip_compress_extensions: tuple[str, ...] = SKIP_COMPRESS_EXTENSIONS
    keep_originals: bool | tuple[str, ...] = True
    shared_assets: bool | tuple[str, ...] = False
    shared_prefix: str = "_shared"
    manifest_strict: bool | None = None
    debug_strict: bool = False
    js_modules: bool | None = None
    strict_source_maps: bool = False
    ignore_missing: tuple[str, ...] = ()
    prehashed: Callable[[str], bool] = lambda _: False
    transforms: tuple[tuple[str, str | Callable[[str, bytes], bytes]], ...] = ()
    publish: bool = True
    base_build: bool | str = True
    preload_manifest: bool | None = None
    connections: int = 128
    conditional_writes: bool = True
    response_headers: Mapping[str, str] = field(default_factory=lambda: dict(RESPONSE_HEADERS))
    integrity_policy: str | None = None
    integrity_policy_report_only: str | None = None

    @property
    def wants_build(self) -> bool:
        """Return True if the configuration requires a build version."""
        return self.cdn_domain is not None or self.origin is not None

    @property
    def preloads(self) -> bool:
        """Return True if a process that serves pages reads the manifest when it starts."""
        if self.preload_manifest is not None:
            return self.preload_manifest
        return self.wants_build or self.build_version is not None

    @property
    def shares_assets(self) -> bool:
        """Return True if portable assets are shared by the builds."""
        return self.shared_assets is not False

    @property
    def shared_globs(self) -> tuple[str, ...]:
        """The globs of ``shared_assets``; none where it is True or False."""
        return self.shared_assets if isinstance(self.shared_assets, tuple) else ()

    @property
    def integrity_headers(self) -> dict[str, str]:
        """The headers of pages that demand integrity."""
        headers = {
            "Integrity-Policy": self.integrity_policy,
            "Integrity-Policy-Report-Only": self.integrity_policy_report_only,
        }
        return {name: value for name, value in headers.items() if value is not None}

    @classmethod
    def names(cls) -> frozenset[str]:
        return frozenset(option.name for option in fields(cls))

    @classmethod
    def load(cls, storage_options: Mapping[str, Any] | None = None) -> Options:
        """Read the options from ``storage_options`` and from the settings.

        Raises `UnknownOption` and `InvalidOption`, both ImproperlyConfigured.
        """
        site_options: Any = getattr(settings, SETTING, None) or {}
        if not isinstance(site_options, Mapping):
            example = f"{SETTING} = {{}}"
            raise InvalidOption(SETTING, repr(site_options), "a dict of options", example)
        values = {**_build_version_values(), **_whitenoise_values()}
        for setting, options in ((SETTING, site_options), (STORAGE_OPTIONS, storage_options or {})):
            for name, value in options.items():
                if name not in cls.names():
                    raise UnknownOption(setting, name, cls.names())
                if not _is_unset(value):
                    values[name] = (value, f'{setting}["{name}"]')
        loaded = cls(
            **{name: CHECKS[name](value, setting) for name, (value, setting) in values.items()}
        )
        if loaded.shares_assets and not loaded.conditional_writes:
            # Two publishers would overwrite each other's shared objects.
            setting = values["conditional_writes"][1]
            allowed = "True where shared_assets is on, because builds write the same objects then"
            raise InvalidOption(setting, "False", allowed, "True, or 'shared_assets': False")
        return loaded


def debug() -> bool:
    """Return settings.DEBUG, which test suites switch."""
    return bool(settings.DEBUG)


def in_test_environment() -> bool:
    """Return True once Django's ``setup_test_environment()`` has run, whoever called it.

    It leaves ``mail.outbox``, which the locmem backend makes anywhere, and adds a host that only
    tests have. A test may override ALLOWED_HOSTS, so every layer of the settings counts.
    """
    if not hasattr(sys.modules.get("django.core.mail"), "outbox"):
        return False
    layer: Any = settings._wrapped
    while layer is not None:
        values = vars(layer)
        if "testserver" in (values.get("ALLOWED_HOSTS") or ()):
            return True
        layer = values.get("default_settings")
    return False


def is_test_run() -> bool:
    """Return True in a process that is going to run tests, before their environment is set up."""
    return (
        sys.argv[1:2] == ["test"]
        or "pytest" in sys.modules
        or "PYTEST_VERSION" in os.environ
        or "PYTEST_XDIST_WORKER" in os.environ
    )


def static_root() -> str | None:
    """Return settings.STATIC_ROOT as a string; None where it is not set."""
    return os.fspath(settings.STATIC_ROOT) if settings.STATIC_ROOT else None


def compressor_directory() -> str | None:
    """Return the directory below STATIC_ROOT that django-compressor writes to while it renders.

    None where it is not installed. Its files belong to no build.
    """
    if not apps.is_installed("compressor"):
        return None
    name: str = getattr(settings, "COMPRESS_OUTPUT_DIR", "CACHE")
    return name.strip("/") or None


def compresses_sources() -> bool:
    """Return True if django-compressor writes to a directory that collectstatic collects from.

    It then runs before collectstatic, and what it makes is in the build.
    """
    root = getattr(settings, "COMPRESS_ROOT", None)
    if not apps.is_installed("compressor") or not root:
        return False
    sources = (
        entry[1] if isinstance(entry, tuple) else entry for entry in settings.STATICFILES_DIRS
    )
    return os.fspath(root) in map(os.fspath, sources)


def settings_as_written() -> Any:
    """Return the settings for WhiteNoise: STATIC_URL's path as written, and our media types."""
    _ = settings.DEBUG  # loads the settings where nothing has yet
    holder = UserSettingsHolder(settings._wrapped)
    media_types: Mapping[str, str] = getattr(settings, "WHITENOISE_MIMETYPES", None) or {}
    holder.WHITENOISE_MIMETYPES = {**MEDIA_TYPES, **media_types}
    current = static_url.current()
    if current is not None:
        holder.STATIC_URL = current.path
    return holder


def _is_unset(value: object) -> bool:
    # An environment variable that is not set arrives as None or "".
    return value is None or value == ""


def _build_version_values() -> dict[str, tuple[Any, str]]:
    for value, setting in (
        (getattr(settings, "BUILD_VERSION", None), "BUILD_VERSION"),
        (os.environ.get("BUILD_VERSION"), "The environment variable BUILD_VERSION"),
    ):
        if not _is_unset(value):
            return {"build_version": (value, setting)}
    return {}


def _whitenoise_values() -> dict[str, tuple[Any, str]]:
    # Settings for WhiteNoise keep their meaning.
    values = {}
    for option, setting in (
        ("keep_originals", "WHITENOISE_KEEP_ONLY_HASHED_FILES"),
        ("skip_compress_extensions", "WHITENOISE_SKIP_COMPRESS_EXTENSIONS"),
        ("manifest_strict", "WHITENOISE_MANIFEST_STRICT"),
    ):
        value = getattr(settings, setting, None)
        if value is not None:
            values[option] = (not value if option == "keep_originals" else value, setting)
    return values
