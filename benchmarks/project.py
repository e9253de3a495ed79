"""A Django project whose settings come from the environment: what `manage.py` and a server are.

`Project.run` starts this file as a process of its own.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .server import Server


@dataclass(frozen=True)
class Storage:
    """A storage at its best settings for what is compared."""

    backend: str
    app: str = ""
    middleware: str = ""
    build: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)

    def with_options(self, **options: Any) -> Storage:
        return replace(self, options={**self.options, **options})


OURS = Storage(
    "versioned_storage.storage.VersionedStaticFilesStorage",
    app="versioned_storage",
    middleware="versioned_storage.middleware.VersionedWhiteNoiseMiddleware",
    build="b1",
)
NEUTRAL = replace(OURS, build=None)
DJANGO = Storage("django.contrib.staticfiles.storage.ManifestStaticFilesStorage")
ENHANCED = Storage(
    "django_manifeststaticfiles_enhanced.storage.EnhancedManifestStaticFilesStorage",
    app="django_manifeststaticfiles_enhanced",
)
WHITENOISE = Storage(
    "whitenoise.storage.CompressedManifestStaticFilesStorage",
    middleware="whitenoise.middleware.WhiteNoiseMiddleware",
)
WHITENOISE_HASHED_ONLY = replace(WHITENOISE, settings={"WHITENOISE_KEEP_ONLY_HASHED_FILES": True})
SERVESTATIC = Storage(
    "servestatic.storage.CompressedManifestStaticFilesStorage",
    middleware="servestatic.middleware.ServeStaticMiddleware",
)
SERVESTATIC_HASHED_ONLY = replace(
    SERVESTATIC, settings={"SERVESTATIC_KEEP_ONLY_HASHED_FILES": True}
)
NONE = Storage("django.contrib.staticfiles.storage.StaticFilesStorage")


@dataclass(frozen=True)
class Project:
    """A site whose static files are ``tree``, on a machine whose disk is ``root``.

    With a ``server`` the static files go to that S3.
    """

    storage: Storage
    tree: Path
    root: Path
    server: Server | None = None

    def run(self, *arguments: str) -> dict[str, float]:
        """Run a management command, or a function of this module whose name begins with ``:``."""
        command = [sys.executable, __file__, *arguments]
        # Collectfasta writes to where it is started.
        cwd = self.root.parent
        if self.server is None:
            from .harness import run

            return run(command, cwd=cwd, **self.environment())
        return self.server.run(command, cwd=cwd, **self.environment())

    def collect(self, **options: Any) -> dict[str, float]:
        project = replace(self, storage=self.storage.with_options(**options))
        return project.run("collectstatic", "--noinput", "-v0")

    def environment(self) -> dict[str, str]:
        return {
            "BENCH_SETTINGS": json.dumps(self.settings()),
            "PYTHONPATH": str(Path(__file__).parent),
        }

    def settings(self) -> dict[str, Any]:
        storage, server = self.storage, self.server
        options = dict(storage.options)
        if server is not None and storage.app == OURS.app:
            options.setdefault("origin", server.options())
        elif server is not None:
            options |= server.options() | {"default_acl": None, "location": "static"}
        return {
            "SECRET_KEY": "for a benchmark",
            "ALLOWED_HOSTS": ["*"],
            "ROOT_URLCONF": "project",
            "INSTALLED_APPS": [*filter(None, [storage.app]), "django.contrib.staticfiles"],
            "MIDDLEWARE": [*filter(None, [storage.middleware])],
            "STATIC_URL": "/static/",
            "STATIC_ROOT": str(self.root),
            "STATICFILES_DIRS": [str(self.tree)],
            "STATICFILES_FINDERS": ["django.contrib.staticfiles.finders.FileSystemFinder"],
            "BUILD_VERSION": storage.build,
            "STORAGES": {
                "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"},
                "staticfiles": {"BACKEND": storage.backend, "OPTIONS": options},
            },
            **storage.settings,
        }


if "BENCH_SETTINGS" in os.environ:
    from django.conf import settings
    from django.http import HttpResponse
    from django.urls import path

    if not settings.configured:
        settings.configure(**json.loads(os.environ["BENCH_SETTINGS"]))
    urlpatterns = [path("page/", lambda _: HttpResponse(b"hello"))]

if os.environ.get("BENCH_SERVES"):
    import django
    from django.core.asgi import get_asgi_application
    from django.core.wsgi import get_wsgi_application

    django.setup()
    wsgi, asgi = get_wsgi_application(), get_asgi_application()


async def _get_response(request: object) -> None: ...


def worker() -> None:
    """Start what a worker of this site starts: its middleware, its storage, its first URL."""
    from django.contrib.staticfiles.storage import staticfiles_storage
    from django.core.asgi import get_asgi_application

    get_asgi_application()
    staticfiles_storage.url("admin/css/base.css")


def start() -> None:
    """Make the middleware, and print the seconds and the MB that it takes."""
    import gc
    import time

    from django.contrib.staticfiles.storage import staticfiles_storage
    from django.utils.module_loading import import_string

    def resident() -> float:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    import django

    django.setup()
    names = json.loads(os.environ["BENCH_SETTINGS"])["MIDDLEWARE"]
    made = [import_string(name) for name in names]

    staticfiles_storage.url("css/small.css")
    gc.collect()
    before, started = resident(), time.perf_counter()
    kept = [middleware(_get_response) for middleware in made]
    seconds = time.perf_counter() - started
    gc.collect()
    print(json.dumps({"s": seconds, "MB": resident() - before}))
    del kept


def urls() -> None:
    """Print the URLs of the names in the environment."""
    import django
    from django.contrib.staticfiles.storage import staticfiles_storage

    django.setup()
    for name in os.environ["BENCH_NAMES"].split():
        print(staticfiles_storage.url(name))


if __name__ == "__main__":
    if sys.argv[1].startswith(":"):
        globals()[sys.argv[1][1:]]()
    else:
        from django.core.management import execute_from_command_line

        execute_from_command_line(["manage.py", *sys.argv[1:]])
