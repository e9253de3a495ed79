"""A site in a test: its settings, its static files, its collectstatic."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

import django
from django.core.files.storage import storages
from django.core.management import call_command
from django.test import override_settings

from versioned_storage.storage import VersionedStaticFilesStorage

BACKEND = "versioned_storage.storage.VersionedStaticFilesStorage"


def write(directory: Path, files: Mapping[str, str | bytes]) -> None:
    """Put files, by their names, below a directory."""
    for name, content in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)


@dataclass
class Site:
    """A Django site with one directory of static files."""

    sources: Path
    root: Path
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def storage(self) -> VersionedStaticFilesStorage:
        """What {% static %} asks."""
        storage = storages["staticfiles"]
        assert isinstance(storage, VersionedStaticFilesStorage)
        return storage

    def collect(self, **options: Any) -> str:
        """Run collectstatic and return what it says."""
        said = StringIO()
        call_command("collectstatic", interactive=False, stdout=said, stderr=said, **options)
        return said.getvalue()


@contextmanager
def site(
    tmp_path: Path,
    files: Mapping[str, str | bytes] | None = None,
    *,
    backend: str = BACKEND,
    options: Mapping[str, Any] | None = None,
    **settings: Any,
) -> Iterator[Site]:
    """A site whose static files are ``files``; ``settings`` are set while it is used."""
    sources, root = tmp_path / "sources", tmp_path / "static_root"
    sources.mkdir(exist_ok=True)
    write(sources, files or {})
    settings = {
        "STATIC_ROOT": str(root),
        "STATICFILES_DIRS": [str(sources)],
        "STATICFILES_FINDERS": ["django.contrib.staticfiles.finders.FileSystemFinder"],
        "STORAGES": {
            "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"},
            "staticfiles": {"BACKEND": backend, "OPTIONS": dict(options or {})},
        },
        **settings,
    }
    with override_settings(**settings):
        if django.VERSION < (5, 1):
            # There an overridden STORAGES loses its OPTIONS.
            storages._backends = settings["STORAGES"]
        yield Site(sources, root, settings)
