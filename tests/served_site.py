"""A small site for the servers of `test_servers`: what `STATIC_ROOT` names, and a view."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path

ROOT = os.environ["STATIC_ROOT"]

if not settings.configured:
    settings.configure(
        SECRET_KEY="only for tests",
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF=__name__,
        INSTALLED_APPS=["versioned_storage", "django.contrib.staticfiles"],
        MIDDLEWARE=["versioned_storage.middleware.VersionedWhiteNoiseMiddleware"],
        STATIC_URL="/static/",
        STATIC_ROOT=ROOT,
        BUILD_VERSION="b1",
        WHITENOISE_ROOT=os.environ["WHITENOISE_ROOT"],
        STORAGES={
            "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"},
            "staticfiles": {"BACKEND": "versioned_storage.storage.VersionedStaticFilesStorage"},
        },
    )

from django.core.asgi import get_asgi_application  # noqa: E402 - they need the settings
from django.core.wsgi import get_wsgi_application  # noqa: E402


def a_page(request: HttpRequest) -> HttpResponse:
    return HttpResponse(b"a page")


def open_files(request: HttpRequest) -> JsonResponse:
    """The static files that this very process has open."""
    links = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the directory that is just being read
            links.append(str(descriptor.readlink()))
    return JsonResponse({"open": [link for link in links if link.startswith(ROOT)]})


urlpatterns = [
    path("page/", a_page),
    path("open/", open_files),
]


def wsgi() -> object:
    return get_wsgi_application()


def asgi() -> object:
    return get_asgi_application()
