"""STATIC_URL: as it is written in the settings, and as it is pointed at a build.

``settings.STATIC_URL`` itself is pointed at the build, so that ``{% get_static_prefix %}``,
``{{ STATIC_URL }}`` and the site's JavaScript agree with ``{% static %}``. Every path and every S3
key is derived from the written value, never from the pointed one; this module remembers both.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from django.conf import settings
from django.urls import get_script_prefix

from .errors import ConfigurationError

_ABSOLUTE = re.compile(r"(?:https?:/)?/")

# The written STATIC_URL by the pointed one. There is more than one entry only where a test suite
# reloads the apps under other settings.
_written: dict[str, str] = {}


class InvalidStaticURL(ConfigurationError):
    """There cannot be builds below STATIC_URL."""

    def __init__(self, value: str, reason: str, remedy: str) -> None:
        self.value = value
        self.reason = reason
        super().__init__(f"STATIC_URL is {value!r}: {reason}. {remedy}")


@dataclass(frozen=True)
class StaticURL:
    """A STATIC_URL without any build.

    ``host`` is its scheme and host (``"https://static.example.com"``, ``"//host"``) or ``""``.
    ``path`` starts and ends with a slash. ``relative`` is True for a value without a leading slash
    where FORCE_SCRIPT_NAME is not set: Django then puts the server's script name before it.
    """

    host: str
    path: str
    relative: bool = False

    @classmethod
    def parse(cls, written: str, script_name: str | None = None) -> StaticURL:
        """Read ``written`` as Django would, with FORCE_SCRIPT_NAME as ``script_name``."""
        if not _ABSOLUTE.match(written):
            mount = (script_name or "").strip("/")
            path = f"/{mount}/{written}" if mount else f"/{written}"
            return cls("", _closed(path), relative=not mount)
        parts = urlsplit(written)
        scheme = f"{parts.scheme}:" if parts.scheme else ""
        host = f"{scheme}//{parts.netloc}" if parts.netloc else ""
        return cls(host, _closed(parts.path))

    def check_holds_builds(self, cdn: str | None) -> None:
        """Raise `InvalidStaticURL` if builds cannot live at this URL, or not behind ``cdn``."""
        value = self.host + self.path
        remedy = (
            "Builds are published below its path, so give it a path of its own, for example "
            "STATIC_URL = '/static/'."
        )
        if self.path == "/":
            raise InvalidStaticURL(value, "its path is the whole site", remedy)
        if self.path == "/builds/":
            reason = "the records of the builds are kept at that path"
            raise InvalidStaticURL(value, reason, remedy)
        host = self.host.rpartition("//")[2].lower()
        if cdn and host and host != urlsplit(cdn).netloc.lower():
            reason = f"it has another host than cdn_domain, {cdn!r}"
            remedy = f"Drop the host, STATIC_URL = {self.path!r}, or drop cdn_domain."
            raise InvalidStaticURL(value, reason, remedy)

    def plain(self) -> str:
        """Return the URL without a build, as Django's own storage has it."""
        if self.relative:
            return get_script_prefix() + self.path.removeprefix("/")
        return self.host + self.path

    def of_build(self, build: str, cdn: str | None) -> str:
        """Return the URL of a build, behind ``cdn`` (``"https://d111.cloudfront.net"``) if set.

        Behind a CDN a relative STATIC_URL is below FORCE_SCRIPT_NAME only: S3 keys are made where
        there is no server to ask. ``build`` may also be the prefix of the shared assets.
        """
        return f"{self.behind(cdn)}{build}/"

    def behind(self, cdn: str | None) -> str:
        """Return the URL that the paths of assets are below, behind ``cdn`` if set."""
        return self.plain() if cdn is None else f"{cdn}{self.path}"

    def pointed_at(self, build: str, cdn: str | None) -> str:
        """Return the settings.STATIC_URL for ``build``; Django resolves a relative one."""
        if self.relative and cdn is None:
            return f"{self.path.removeprefix('/')}{build}/"
        return self.of_build(build, cdn)


def as_written() -> str | None:
    """Return STATIC_URL as it is written in the settings, even if it is pointed at a build."""
    raw = _raw()
    return raw if raw is None else _written.get(raw, raw)


def current() -> StaticURL | None:
    """Return the `StaticURL` of the site; None where STATIC_URL is not set."""
    written = as_written()
    return StaticURL.parse(written, settings.FORCE_SCRIPT_NAME) if written else None


def point_at(build: str, cdn: str | None) -> None:
    """Point settings.STATIC_URL at ``build``. Doing it again changes nothing."""
    written = as_written()
    if not written:
        return
    static_url = StaticURL.parse(written, settings.FORCE_SCRIPT_NAME)
    static_url.check_holds_builds(cdn)
    pointed = static_url.pointed_at(build, cdn)
    _written[pointed] = written
    settings.STATIC_URL = pointed


def restore() -> None:
    """Set settings.STATIC_URL to what it was before `point_at`."""
    written = as_written()
    if written is not None and written != _raw():
        settings.STATIC_URL = written


def split_name(name: str) -> tuple[str, str]:
    """Split the name in ``{% static %}`` into the path, and the query and fragment after it."""
    ends = [end for end in (name.find("?"), name.find("#")) if end >= 0]
    end = min(ends, default=len(name))
    return name[:end], name[end:]


def _raw() -> str | None:
    # Reading settings.STATIC_URL puts the current script prefix before a relative value and keeps
    # it; the settings object behind it has the value itself.
    _ = settings.DEBUG  # loads the settings where nothing has yet
    value: str | None = getattr(settings._wrapped, "STATIC_URL", None)
    return value


def _closed(path: str) -> str:
    return path if path.endswith("/") else f"{path}/"
