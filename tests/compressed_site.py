"""A site with django-compressor: renders a page and asks the middleware for what it links to.

Run as a program with a directory to work in and the option shared_assets as JSON; prints what
happened as JSON.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import django
from django.conf import settings
from django.core.management import call_command
from django.template import Context, Template
from django.test import Client

directory = Path(sys.argv[1])
(directory / "sources/css").mkdir(parents=True)
(directory / "sources/css/a.css").write_text("a { background: url(dot.svg) }")
(directory / "sources/css/b.css").write_text("b { color: red }")
(directory / "sources/css/dot.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
settings.configure(
    SECRET_KEY="only for tests",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF="tests.urls",
    INSTALLED_APPS=["versioned_storage", "django.contrib.staticfiles", "compressor"],
    MIDDLEWARE=["versioned_storage.middleware.VersionedWhiteNoiseMiddleware"],
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}],
    STATIC_URL="/static/",
    STATIC_ROOT=str(directory / "static_root"),
    STATICFILES_DIRS=[str(directory / "sources")],
    STATICFILES_FINDERS=[
        "django.contrib.staticfiles.finders.FileSystemFinder",
        "compressor.finders.CompressorFinder",
    ],
    BUILD_VERSION="b1",
    STORAGES={
        "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"},
        "staticfiles": {"BACKEND": "versioned_storage.storage.VersionedStaticFilesStorage"},
    },
    # Settings that are not in a module lose the OPTIONS of STORAGES in Django 4.2.
    VERSIONED_STORAGE={"shared_assets": json.loads(sys.argv[2])},
)
django.setup()
call_command("collectstatic", interactive=False, verbosity=0)
# The middleware starts before there is anything of django-compressor.
client = Client()
stale = client.get("/static/stale.css").status_code
page = Template(
    "{% load static compress %}{% compress css %}"
    "<link rel=stylesheet href=\"{% static 'css/a.css' %}\">"
    "<link rel=stylesheet href=\"{% static 'css/b.css' %}\">"
    "{% endcompress %}"
).render(Context())
(url,) = re.findall(r'href="([^"]+)"', page)
response = client.get(url)
style_sheet = response.getvalue().decode()
(image,) = re.findall(r"url\(['\"]?([^)'\"]+)", style_sheet)
outcome = {
    "url": url,
    "status": response.status_code,
    "style sheet": style_sheet,
    "image": client.get(image).status_code,
    "stale": stale,
}
sys.stdout.write(json.dumps(outcome))
