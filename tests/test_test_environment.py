"""In a site's own tests: plain URLs, no network and no setting, whatever runs them.

Each site is a project on disk, whose tests run in a process of their own.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.helpers import BACKEND, run_in_project, write

CDN = "https://cdn.example.net"

SETTINGS = f"""
import os
from pathlib import Path

BASE_DIR = Path(__file__).parent
SECRET_KEY = "only for tests"
DEBUG = False
ROOT_URLCONF = "urls"
INSTALLED_APPS = ["versioned_storage", "django.contrib.staticfiles", "shop"]
MIDDLEWARE = ["versioned_storage.middleware.VersionedWhiteNoiseMiddleware"]
TEMPLATES = [
    {{
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "OPTIONS": {{"context_processors": ["django.template.context_processors.static"]}},
    }}
]
DATABASES = {{"default": {{"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}}}
STATIC_URL = "/static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
STATICFILES_DIRS = [BASE_DIR / "assets"]
BUILD_VERSION = os.environ.get("BUILD_VERSION")
STORAGES = {{
    "default": {{"BACKEND": "django.core.files.storage.FileSystemStorage"}},
    "staticfiles": {{
        "BACKEND": "{BACKEND}",
        "OPTIONS": {{
            "cdn_domain": "{CDN}",
            # Nothing listens on that port, so a request to it fails the test.
            "origin": {{"bucket_name": "my-site-static", "endpoint_url": "http://127.0.0.1:9"}},
        }},
    }},
}}
"""
URLS = """
from django.http import HttpResponse
from django.template import engines
from django.urls import path

PAGE = "{% load static %}{% static 'css/app.css' %} {% get_static_prefix %} {{ STATIC_URL }}"


def page(request):
    return HttpResponse(engines["django"].from_string(PAGE).render({}, request))


urlpatterns = [path("", page)]
"""
# Imported before the test environment is set up.
MODELS = """
from django.templatetags.static import static

LOGO = static("css/app.css")
"""
DJANGO_TESTS = """
from urllib.request import urlopen

from django.contrib.staticfiles.testing import StaticLiveServerTestCase
from django.test import SimpleTestCase, override_settings

from shop.models import LOGO

PAGE = "/static/css/app.css /static/ /static/"


class PageTests(SimpleTestCase):
    def test_url_on_import(self):
        self.assertEqual(LOGO, PAGE.split()[0])

    def test_page(self):
        self.assertEqual(self.client.get("/").content.decode(), PAGE)

    @override_settings(ALLOWED_HOSTS=["example.com"])
    def test_page_of_another_host(self):
        page = self.client.get("/", SERVER_NAME="example.com")
        self.assertEqual(page.content.decode(), PAGE)


class LiveTests(StaticLiveServerTestCase):
    def test_page_and_its_files(self):
        with urlopen(self.live_server_url) as answer:
            page = answer.read().decode()
        self.assertEqual(page, PAGE)
        with urlopen(self.live_server_url + page.split()[0]) as answer:
            self.assertEqual(answer.read(), b"body{}")
"""
PYTEST_TESTS = """
from urllib.request import urlopen

import pytest

PAGE = "/static/css/app.css /static/ /static/"


def test_url_on_import():
    from shop.models import LOGO

    assert LOGO == "/static/css/app.css"


@pytest.mark.parametrize("time", range(3))
def test_page(client, time):
    assert client.get("/").content.decode() == PAGE


def test_live_server(live_server):
    with urlopen(live_server.url) as answer:
        page = answer.read().decode()
    assert page == PAGE
    with urlopen(live_server.url + page.split()[0]) as answer:
        assert answer.read() == b"body{}"
"""
# What a reusable app has in place of manage.py: nothing tells ready() that tests are to run.
RUNTESTS = """
import sys

import django
from django.conf import settings
from django.test.utils import get_runner

django.setup()
sys.exit(bool(get_runner(settings)().run_tests(["tests"])))
"""


class Project:
    """A site with tests."""

    def __init__(self, directory: Path, more_settings: str = "") -> None:
        self.directory = directory
        write(
            directory,
            {
                "settings.py": SETTINGS + more_settings,
                "urls.py": URLS,
                "shop/__init__.py": "",
                "shop/models.py": MODELS,
                "tests.py": DJANGO_TESTS,
                "test_pytest.py": PYTEST_TESTS,
                "runtests.py": RUNTESTS,
                "assets/css/app.css": "body{}",
            },
        )

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return run_in_project(
            self.directory, "-W", "ignore::ResourceWarning", *arguments, **environment
        )


BUILDS = pytest.mark.parametrize(
    "build",
    [
        pytest.param({}, marks=pytest.mark.deep, id="none"),
        pytest.param({"BUILD_VERSION": "b1"}, id="b1"),
    ],
)


@BUILDS
def test_under_djangos_runner_pages_have_plain_urls(tmp_path: Path, build: dict[str, str]) -> None:
    tests = Project(tmp_path).run("-m", "django", "test", **build)
    assert tests.returncode == 0, tests.stderr
    assert "Ran 4 tests" in tests.stderr


@pytest.mark.deep
@BUILDS
def test_under_pytest_django_on_two_workers(tmp_path: Path, build: dict[str, str]) -> None:
    tests = Project(tmp_path).run(
        "-m", "pytest", "-n", "2", "-c", os.devnull, "--rootdir=.", "test_pytest.py", **build
    )
    assert tests.returncode == 0, tests.stdout + tests.stderr
    assert "5 passed" in tests.stdout


@pytest.mark.deep
@BUILDS
def test_under_a_script_that_runs_the_tests(tmp_path: Path, build: dict[str, str]) -> None:
    project = Project(tmp_path)
    # Nothing tells that this process will run tests, so a module that asks on import asks S3.
    write(tmp_path, {"shop/models.py": 'LOGO = "/static/css/app.css"'})
    tests = project.run("runtests.py", **build)
    assert tests.returncode == 0, tests.stderr


@pytest.mark.deep
def test_with_debug_settings_left_on(tmp_path: Path) -> None:
    tests = Project(tmp_path, "DEBUG = True\n").run("-m", "django", "test", BUILD_VERSION="b1")
    assert tests.returncode == 0, tests.stderr


NEUTRAL = 'STORAGES["staticfiles"].pop("OPTIONS")\n'


@pytest.mark.deep
def test_a_storage_without_options_needs_no_manifest_there(tmp_path: Path) -> None:
    tests = Project(tmp_path, NEUTRAL).run("-m", "django", "test")
    assert tests.returncode == 0, tests.stderr


END_TO_END = """
import re
from urllib.request import urlopen

from django.test import LiveServerTestCase


class BuildTests(LiveServerTestCase):
    def test_the_build_is_on_pages_and_served(self):
        with urlopen(self.live_server_url) as page:
            url = page.read().decode().split()[0]
        self.assertRegex(url, r"^/static/b1/css/app\\.[0-9a-f]{12}\\.css$")
        with urlopen(self.live_server_url + url) as answer:
            self.assertEqual(answer.read(), b"body{}")
"""


@pytest.mark.deep
@pytest.mark.parametrize("command", [["-m", "django", "test"], ["runtests.py"]], ids=str)
def test_end_to_end_tests_get_the_urls_of_the_build_with_manifest_strict(
    tmp_path: Path, command: list[str]
) -> None:
    project = Project(tmp_path, NEUTRAL + 'VERSIONED_STORAGE = {"manifest_strict": True}\n')
    write(tmp_path, {"tests.py": END_TO_END})
    collected = project.run("-m", "django", "collectstatic", "--noinput", BUILD_VERSION="b1")
    assert collected.returncode == 0, collected.stderr
    tests = project.run(*command, BUILD_VERSION="b1")
    assert tests.returncode == 0, tests.stderr
    assert "Ran 1 test" in tests.stderr


@pytest.mark.deep
def test_a_neutral_storage_with_a_manifest_behaves_as_djangos(tmp_path: Path) -> None:
    project = Project(tmp_path, NEUTRAL)
    tests = DJANGO_TESTS.partition("class LiveTests")[0].replace("app.css", "app.aa676972bbd2.css")
    write(tmp_path, {"tests.py": tests})
    collected = project.run("-m", "django", "collectstatic", "--noinput")
    assert collected.returncode == 0, collected.stderr
    tests_run = project.run("-m", "django", "test")
    assert tests_run.returncode == 0, tests_run.stderr
