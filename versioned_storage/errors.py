"""The errors of this package: their root, and those that several modules use.

The root is a ``CommandError`` because ``collectstatic`` is Django's command, and Django prints only
those without a traceback. Each error takes data, keeps it as attributes and words its own message:
what was found, what was expected, what to do.
"""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import CommandError

from .text import names_text


@dataclass(frozen=True)
class Fault:
    """Something that a verification, a repair or a diagnosis found wrong, in words for people.

    ``what`` names the value that is wrong, ``found`` and ``expected`` are its two values and
    ``remedy`` is the line that mends it.
    """

    what: str
    found: str
    expected: str
    remedy: str = ""

    def __str__(self) -> str:
        """One line, without the remedy."""
        return f"{self.what} is {self.found}, expected {self.expected}"


class VersionedStorageError(CommandError):
    """The root of every error of this package."""

    #: A command with ``-v 2`` or more lets the text end with the place of the error's section.
    shows_section = False

    def __str__(self) -> str:
        if self.shows_section:
            section = type(self).__name__.lower()
            return f"{self.message()}\nIn the documentation: errors.md#{section}"
        return self.message()

    def message(self) -> str:
        """Return what was found, what was expected and what to do."""
        return super().__str__()


class ConfigurationError(VersionedStorageError, ImproperlyConfigured):
    """A setting or an option is missing or invalid."""


class SourceError(VersionedStorageError):
    """Some of the collected files, ``names``, are unusable."""

    def __init__(self, names: Sequence[str], *args: object) -> None:
        self.names = tuple(names)
        super().__init__(*args)


class OtherContent(VersionedStorageError):
    """The origin has other content under this build version, or another publisher writes it."""


class MissingBuildVersion(ConfigurationError):
    """A CDN or an origin is configured without a build version."""

    def __init__(self, builds: Sequence[str]) -> None:
        self.builds = tuple(builds)
        builds_text = names_text(self.builds) or "none"
        super().__init__(
            "BUILD_VERSION is not set, and with cdn_domain or origin every file is in a build. Set "
            "it in the environment or the settings to what names this deploy, for example "
            f"BUILD_VERSION=$(git rev-parse --short HEAD). Builds in STATIC_ROOT: {builds_text}."
        )


class MissingManifest(VersionedStorageError, ValueError):
    """A page needs the hashed name of a file, and there is no manifest."""

    def __init__(self, name: str, places: Sequence[str]) -> None:
        self.name = name
        self.places = tuple(places)
        super().__init__(
            f"Missing staticfiles manifest entry for '{name}': there is no manifest. Looked at "
            f"{' and '.join(self.places) or 'nothing, because STATIC_ROOT is not set'}. Run "
            "'python manage.py collectstatic' with the BUILD_VERSION that this process runs with."
        )


class MissingEntry(VersionedStorageError, ValueError):
    """A page needs the hashed name of a file that is not in ``paths``, those of the manifest."""

    def __init__(self, name: str, paths: Mapping[str, str]) -> None:
        self.name = name
        originals = {hashed_name: original for original, hashed_name in paths.items()}
        if name in originals:
            hint = f"It is the hashed name of '{originals[name]}': use that name."
        else:
            hint = name_hint(name, paths)
        if not hint.startswith("It is "):
            hint = (
                f"{f'{hint} ' if hint else ''}If the file is new, run 'python manage.py "
                "collectstatic' with a new BUILD_VERSION."
            )
        super().__init__(f"Missing staticfiles manifest entry for '{name}'. {hint}")


def name_hint(name: str, names: Collection[str]) -> str:
    """Return what may have been meant by a name that is not in ``names``; "" if nothing is near."""
    directory = f"{name.rstrip('/')}/"
    if "://" in name or name.startswith("//"):
        return "It is a URL: use it as it is, without static()."
    if any(other.startswith(directory) for other in names):
        return f"It is a directory: '{directory}', with a slash, has a URL."
    folded = posixpath.normpath(name).lstrip("/").lower()
    near = sorted(other for other in names if other.lower() == folded)
    near = near or get_close_matches(name, names, n=3, cutoff=0.75)
    return f"Did you mean {' or '.join(map(repr, near))}?" if near else ""


class MissingMarks(ConfigurationError):
    """A page needs a URL, and the manifest that the storage loads does not say what is shared."""

    def __init__(self, module: str, storage: str) -> None:
        self.module = module
        self.storage = storage
        super().__init__(
            "shared_assets is on and builds are published to S3, where a shared asset is not below "
            f"its build. {module}.{storage} loads a manifest that has only paths, so the URLs of "
            "shared assets are unknown. Let load_manifest() call super().load_manifest(), which "
            "reads staticfiles.json or the record on S3, or set 'shared_assets': False and publish "
            "a new build."
        )
