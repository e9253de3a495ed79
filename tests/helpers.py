"""A site in a test: its settings, its static files, its collectstatic."""

from __future__ import annotations

import os
import subprocess
import sys
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

REPOSITORY = Path(__file__).parent.parent
BACKEND = "versioned_storage.storage.VersionedStaticFilesStorage"

CDN = "d111111abcdef8.cloudfront.net"
#: Nothing listens there: whoever asks it fails.
ORIGIN = {
    "bucket_name": "my-site-static",
    "endpoint_url": "http://127.0.0.1:9",
    "region_name": "eu-west-1",
    "access_key": "x",
    "secret_key": "x",
}
FILES = {
    "css/app.css": "body { background: url(../img/logo.svg) }",
    "img/logo.svg": "<svg xmlns='http://www.w3.org/2000/svg'/>",
    "js/app.js": "console.log(1)",
}


def write(directory: Path, files: Mapping[str, str | bytes]) -> None:
    """Put files, by their names, below a directory."""
    for name, content in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)


def tree(directory):
    """Every file below a directory with what is in it; where a link leads instead."""
    return {
        path.relative_to(directory).as_posix(): str(path.readlink())
        if path.is_symlink()
        else path.read_bytes()
        for path in sorted(Path(directory).rglob("*"))
        if path.is_symlink() or path.is_file()
    }


def run_in_project(
    directory: Path, *arguments: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run Python in a Django project, without a BUILD_VERSION unless ``environment`` has it."""
    inherited = {name: value for name, value in os.environ.items() if name != "BUILD_VERSION"}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=directory,
        env={
            **inherited,
            "PYTHONPATH": os.pathsep.join([str(directory), str(REPOSITORY)]),
            "DJANGO_SETTINGS_MODULE": "settings",
            **environment,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def run_python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run code in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


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
        output = StringIO()
        call_command("collectstatic", interactive=False, stdout=output, stderr=output, **options)
        return output.getvalue()


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
