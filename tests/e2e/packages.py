"""Pages of Django packages with shared assets and integrity, served by a process of its own.

    python -m tests.e2e.packages DIRECTORY PACKAGE...

collects the static files of the packages below DIRECTORY, prints the URL of the server, and serves
until it is ended. ``/enter/`` logs a superuser in.
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import Any

import django
from django.conf import settings

#: What has to be installed for each package, and its pages.
WAGTAIL = [
    *("forms", "redirects", "embeds", "sites", "users", "snippets", "documents", "images"),
    *("search", "admin", ""),
]
PACKAGES: dict[str, list[str]] = {
    "admin": [],
    "rest_framework": ["rest_framework"],
    "tinymce": ["tinymce"],
    "wagtail": [
        *(f"wagtail.contrib.{name}" for name in WAGTAIL[:2]),
        *(f"wagtail.{name}" for name in WAGTAIL[2:-1]),
        *("wagtail", "modelcluster", "taggit"),
    ],
}
PAGES = {
    "admin": ["/admin/", "/admin/auth/user/1/change/", "/admin/auth/group/add/"],
    "rest_framework": ["/api/"],
    "tinymce": ["/editor/"],
    "wagtail": ["/cms/", "/cms/pages/2/edit/", "/cms/images/add/", "/cms/reports/site-history/"],
}


def configure(directory: Path, packages: list[str]) -> None:
    settings.configure(
        SECRET_KEY="only for tests",
        ALLOWED_HOSTS=["*"],
        BUILD_VERSION="b1",
        INSTALLED_APPS=[
            "versioned_storage",
            *[app for package in packages for app in PACKAGES[package]],
            *(f"django.contrib.{name}" for name in ("admin", "auth", "contenttypes", "sessions")),
            *("django.contrib.messages", "django.contrib.staticfiles"),
        ],
        MIDDLEWARE=[
            "versioned_storage.middleware.VersionedWhiteNoiseMiddleware",
            "versioned_storage.integrity.IntegrityMiddleware",
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
            "django.contrib.messages.middleware.MessageMiddleware",
        ],
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.sqlite3",
                "NAME": directory / "db.sqlite3",
            }
        },
        DEFAULT_AUTO_FIELD="django.db.models.AutoField",
        ROOT_URLCONF="tests.e2e.packages",
        STATIC_ROOT=str(directory / "static_root"),
        STATIC_URL="/static/",
        STORAGES={
            "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"},
            "staticfiles": {"BACKEND": "versioned_storage.storage.VersionedStaticFilesStorage"},
        },
        VERSIONED_STORAGE={"shared_assets": True, "encodings": []},
        TEMPLATES=[
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "APP_DIRS": True,
                "OPTIONS": {
                    "context_processors": [
                        "django.template.context_processors.request",
                        "django.contrib.auth.context_processors.auth",
                        "django.contrib.messages.context_processors.messages",
                    ]
                },
            }
        ],
        USE_TZ=True,
        WAGTAIL_SITE_NAME="site",
        WAGTAIL_ENABLE_UPDATE_CHECK=False,
        WAGTAIL_GRAVATAR_PROVIDER_URL=None,
        WAGTAILADMIN_BASE_URL="http://127.0.0.1",
    )
    django.setup()


def prepare() -> None:
    """Make the database, a superuser and the build."""
    from django.contrib.auth import get_user_model
    from django.core.management import call_command

    call_command("migrate", verbosity=0, run_syncdb=True)
    get_user_model().objects.create_superuser("admin", "admin@example.com", "admin")
    call_command("collectstatic", interactive=False, verbosity=0)


def urls() -> list[Any]:
    from django.apps import apps
    from django.contrib import admin
    from django.contrib.auth import get_user_model, login
    from django.http import HttpResponse
    from django.template import engines
    from django.urls import include, path

    def enter(request: Any) -> HttpResponse:
        login(request, get_user_model().objects.get(), "django.contrib.auth.backends.ModelBackend")
        return HttpResponse("in")

    patterns = [
        path("enter/", enter),
        path("favicon.ico", lambda _: HttpResponse(status=204)),
        path("admin/", admin.site.urls),
    ]
    if apps.is_installed("rest_framework"):
        from rest_framework.decorators import api_view
        from rest_framework.response import Response

        @api_view(["GET", "POST"])
        def api(request: Any) -> Response:
            return Response({"a": 1})

        patterns.append(path("api/", api))
    if apps.is_installed("tinymce"):
        from django import forms
        from tinymce.widgets import TinyMCE

        class Form(forms.Form):
            text = forms.CharField(widget=TinyMCE(mce_attrs={"plugins": "lists link code table"}))

        def editor(request: Any) -> HttpResponse:
            page = "<!doctype html><title>x</title>{{ form.media }}<form>{{ form }}</form>"
            template = engines["django"].from_string(page)
            return HttpResponse(template.render({"form": Form()}))

        patterns += [path("editor/", editor), path("tinymce/", include("tinymce.urls"))]
    if apps.is_installed("wagtail"):
        from wagtail.admin import urls as wagtailadmin_urls
        from wagtail.documents import urls as wagtaildocs_urls

        patterns += [
            path("cms/", include(wagtailadmin_urls)),
            path("documents/", include(wagtaildocs_urls)),
        ]
    return patterns


def __getattr__(name: str) -> Any:
    # Read by Django once the apps are loaded.
    if name == "urlpatterns":
        return urls()
    raise AttributeError(name)


def main() -> None:
    directory, *packages = sys.argv[1:]
    configure(Path(directory), packages)
    prepare()
    from django.core.wsgi import get_wsgi_application

    from tests.servers import wsgi_server

    with wsgi_server(get_wsgi_application()) as url:
        sys.stdout.write(f"{url}\n")
        sys.stdout.flush()
        threading.Event().wait()


if __name__ == "__main__":
    main()
