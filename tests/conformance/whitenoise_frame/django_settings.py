"""The settings that WhiteNoise's tests run with."""

from __future__ import annotations

from tests.utils import ROOT, AppServer

SECRET_KEY = "only for tests"
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "tests.django_urls"
INSTALLED_APPS = ["whitenoise.runserver_nostatic", "django.contrib.staticfiles"]
MIDDLEWARE = ["whitenoise.middleware.WhiteNoiseMiddleware"]
FORCE_SCRIPT_NAME = f"/{AppServer.PREFIX}"
STATIC_URL = f"/{AppServer.PREFIX}/static/"
STATIC_ROOT = str(ROOT / "root")
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
USE_TZ = True
