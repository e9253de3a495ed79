"""Settings of the example site, to be read from top to bottom.

The first part is what django-versioned-storage needs. Nothing in it changes between a laptop and
production: what differs comes from environment variables, and what is not set is left out.

    development     nothing set: plain URLs, no build
    origin pull     BUILD_VERSION and CDN_DOMAIN: the CDN fetches each build from this site
    S3              STATIC_BUCKET as well: collectstatic publishes each build to the bucket
"""

import os
from pathlib import Path

from django.core.management.utils import get_random_secret_key

BASE_DIR = Path(__file__).resolve().parent.parent
env = os.environ.get


# --- Static files ------------------------------------------------------------------------------

# What names this build: a git SHA, a tag, the number of a CI run. Every build lives below its own
# version, in STATIC_ROOT, on S3 and in each URL.
BUILD_VERSION = env("BUILD_VERSION")

# Written without a build. With DEBUG off the app points it at the build.
STATIC_URL = "/static/"

# One directory for each build, made below this one by collectstatic.
STATIC_ROOT = env("DEMO_STATIC_ROOT", str(BASE_DIR / "staticfiles"))

# The bucket that builds are published to. Without one nothing is published, and the CDN has this
# site as its origin.
STATIC_ORIGIN = {
    "bucket_name": env("STATIC_BUCKET"),
    "region_name": env("STATIC_REGION", "eu-west-1"),
    # Only for what is not AWS. Credentials come from the environment, as boto3 finds them.
    "endpoint_url": env("STATIC_ENDPOINT_URL"),
}

STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "versioned_storage.storage.VersionedStaticFilesStorage",
        "OPTIONS": {
            # "d111111abcdef8.cloudfront.net"; or a whole URL, so that a local server can stand in.
            "cdn_domain": env("CDN_DOMAIN"),
            "origin": STATIC_ORIGIN if STATIC_ORIGIN["bucket_name"] else None,
            # Brotli and gzip, unless a test is in a hurry.
            "encodings": env("DEMO_ENCODINGS", "br gzip").split(),
            # What a deploy did not change keeps its URL.
            "shared_assets": env("STATIC_SHARED_ASSETS") == "yes",
            # Rewrite `import "./lib/format.js"` in this site's ES modules.
            "js_modules": True,
        },
    },
}

# More directories to collect from, before those of the apps.
STATICFILES_DIRS = [path for path in env("DEMO_STATICFILES_DIRS", "").split(os.pathsep) if path]

INSTALLED_APPS = [
    "versioned_storage",
    # This site.
    "showcase",
    # Apps that bring static files of their own: stylesheets, fonts, images, a whole editor.
    "tinymce",
    "rest_framework",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    # Serves the builds below STATIC_ROOT: to the CDN, or to browsers where there is none.
    "versioned_storage.middleware.VersionedWhiteNoiseMiddleware",
    # Tells open tabs which build answers now: js/open_tab.js compares it with that of its page.
    "versioned_storage.open_tabs.BuildVersionMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]


# --- The rest of a Django site -----------------------------------------------------------------

# Who sets a build version deploys; who does not is at work on the site.
DEBUG = env("DJANGO_DEBUG", "" if BUILD_VERSION else "1") == "1"

# The example serves this machine alone. It keeps nothing that outlives the process, so a key for
# each process will do.
ALLOWED_HOSTS = ["127.0.0.1", "localhost", "[::1]"]
SECRET_KEY = env("SECRET_KEY") or get_random_secret_key()

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                # Which build a page belongs to; empty in development.
                "versioned_storage.open_tabs.build_version",
            ],
        },
    },
]

# Where `make serve` says what its last deploy changed.
DEPLOY_STATUS = env("DEMO_DEPLOY_STATUS")

# Every page renders without a table, the admin's login included. To log in, name a file here,
# then `manage.py migrate` and `manage.py createsuperuser`, as `make serve` does.
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": env("DEMO_DATABASE", ":memory:"),
    },
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"

LANGUAGE_CODE = "en-us"
USE_TZ = True


# --- The apps that bring static files ----------------------------------------------------------

# The editor is served by this site: its script loads theme, icons and skin from beside itself.
TINYMCE_DEFAULT_CONFIG = {
    "license_key": "gpl",
    "height": 380,
    "menubar": False,
    "promotion": False,
    "plugins": "autolink,charmap,code,link,lists,table,wordcount",
    "toolbar": "undo redo | blocks | bold italic | bullist numlist table | link charmap | code",
}

REST_FRAMEWORK = {
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.AllowAny"],
}
