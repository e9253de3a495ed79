"""The app: what happens at start.

Each site is a process of its own, because what the app does it does once, when Django is set up.
"""

import json

import django
import pytest
from django.apps import apps
from django.test import override_settings

from tests.helpers import BACKEND, run_in_project, site, write
from versioned_storage import startup

CDN = "d111111abcdef8.cloudfront.net"

QUICKSTART = f"""
import os
from pathlib import Path

BASE_DIR = Path(__file__).parent
SECRET_KEY = "only for tests"
DEBUG = False
ALLOWED_HOSTS = ["*"]
USE_TZ = True
ROOT_URLCONF = "urls"
INSTALLED_APPS = ["versioned_storage", "django.contrib.staticfiles", "pages"]
MIDDLEWARE = ["versioned_storage.middleware.VersionedWhiteNoiseMiddleware"]
TEMPLATES = [
    {{
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "OPTIONS": {{"context_processors": ["django.template.context_processors.static"]}},
    }}
]
DATABASES = {{"default": {{"ENGINE": "django.db.backends.sqlite3", "NAME": BASE_DIR / "db"}}}}
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
            # Nothing listens there: whoever asks it fails.
            "origin": {{
                "bucket_name": "my-site-static",
                "region_name": "eu-west-1",
                "endpoint_url": "http://127.0.0.1:9",
            }},
        }},
    }},
}}
"""

PAGE = """
from django.http import HttpResponse
from django.template import engines
from django.urls import path

PAGE = (
    "{% load static %}{% static 'css/app.css' %} {% get_static_prefix %} {{ STATIC_URL }}"
)


def page(request):
    return HttpResponse(engines["django"].from_string(PAGE).render({}, request))


urlpatterns = [path("", page)]
"""

TESTS = """
from django.test import SimpleTestCase


class PageTests(SimpleTestCase):
    def test_page(self):
        self.assertContains(self.client.get("/"), "/static/css/app.css")
"""

ASK = """
import json, sys
from django.core.wsgi import get_wsgi_application
application = get_wsgi_application()
from django.conf import settings
from django.contrib.staticfiles.storage import staticfiles_storage
from versioned_storage import static_url

# Not settings.STATIC_URL: Django keeps what that says outside of a request.
first = settings._wrapped.STATIC_URL
get_wsgi_application()
body = b"".join(application({
    "REQUEST_METHOD": "GET", "PATH_INFO": "/", "SCRIPT_NAME": sys.argv[1],
    "SERVER_NAME": "site.test", "SERVER_PORT": "80", "wsgi.url_scheme": "http",
    "wsgi.input": sys.stdin.buffer,
}, lambda status, headers: None)).decode()
print(json.dumps({
    "first": first,
    "again": settings.STATIC_URL,
    "written": static_url.as_written(),
    "location": staticfiles_storage.location,
    "page": body.split(),
}))
"""


class Project:
    """A site on disk, used by its manage.py."""

    def __init__(self, directory, more_settings="", static="body{}"):
        self.directory = directory
        write(
            directory,
            {
                "settings.py": QUICKSTART + more_settings,
                "urls.py": PAGE,
                "ask.py": ASK,
                "pages/__init__.py": "",
                "pages/tests.py": TESTS,
                "assets/css/app.css": static,
            },
        )

    def run(self, *arguments, **environment):
        return run_in_project(self.directory, *arguments, **environment)

    def manage(self, *arguments, **environment):
        return self.run("-m", "django", *arguments, **environment)

    def ask(self, script_name="", **environment):
        process = self.run("ask.py", script_name, **environment)
        assert process.returncode == 0, process.stderr
        return json.loads(process.stdout)

    @property
    def collected(self):
        root = self.directory / "staticfiles"
        return sorted(path.relative_to(root).as_posix() for path in root.rglob("*"))


WITHOUT_S3 = '\nSTORAGES["staticfiles"]["OPTIONS"].pop("origin")\n'
ORIGIN_PULL = '\nSTORAGES["staticfiles"].pop("OPTIONS")\n'


def refused(process):
    """What a command said that ended as a command that was used wrongly does."""
    assert process.returncode == 1
    assert "Traceback" not in process.stderr
    return process.stderr


# Commands that need no build


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(["check"], marks=pytest.mark.deep),
        ["migrate"],
        pytest.param(["check", "--tag", "staticfiles"], marks=pytest.mark.deep),
    ],
)
def test_commands_without_static_files_need_no_build_version(tmp_path, command):
    process = Project(tmp_path).manage(*command)

    assert process.returncode == 0, process.stderr
    assert not (tmp_path / "staticfiles").exists()


@pytest.mark.deep
def test_the_test_command_needs_no_build_version_and_no_manifest(tmp_path):
    process = Project(tmp_path).manage("test")

    assert process.returncode == 0, process.stderr
    assert "Ran 1 test" in process.stderr


@pytest.mark.deep
def test_the_test_command_with_a_build_version_reaches_for_no_network(tmp_path):
    process = Project(tmp_path).manage("test", BUILD_VERSION="b1")

    assert process.returncode == 0, process.stderr


def test_a_page_without_build_version_says_what_is_missing(tmp_path):
    ask = (
        "import django; django.setup(); from django.templatetags.static import static; static('x')"
    )

    process = Project(tmp_path).run("-c", ask)

    assert "MissingBuildVersion: BUILD_VERSION is not set, and with cdn_domain or" in process.stderr


def test_debug_needs_nothing(tmp_path):
    answer = Project(tmp_path, "\nDEBUG = True\n").ask(BUILD_VERSION="b1")

    assert answer["page"] == ["/static/css/app.css", "/static/", "/static/"]
    assert answer["first"] == "/static/"


# collectstatic


def test_collectstatic_without_build_version_writes_nothing_and_says_why(tmp_path):
    project = Project(tmp_path)

    process = project.manage("collectstatic", "--noinput")

    answer = refused(process).rstrip()
    assert answer.endswith(
        "BUILD_VERSION is not set, and with cdn_domain or origin every file is in a build. Set it "
        "in the environment or the settings to what names this deploy, for example "
        "BUILD_VERSION=$(git rev-parse --short HEAD). Builds in STATIC_ROOT: none."
    )
    assert project.collected == []


@pytest.mark.deep
def test_collectstatic_without_build_version_names_the_builds_that_are_there(tmp_path):
    project = Project(tmp_path, WITHOUT_S3)
    for version in ("b2", "b1"):
        assert project.manage("collectstatic", "--noinput", BUILD_VERSION=version).returncode == 0
    before = project.collected

    for options in ([], ["--clear"], ["--dry-run"]):
        process = project.manage("collectstatic", "--noinput", *options)
        assert "Builds in STATIC_ROOT: b1, b2." in refused(process)
    assert project.collected == before


@pytest.mark.parametrize(
    "options",
    [
        [],
        *(
            pytest.param([option], marks=pytest.mark.deep)
            for option in ("--clear", "--dry-run", "--link")
        ),
    ],
)
def test_collectstatic_with_a_slash_in_the_build_version_writes_nothing(tmp_path, options):
    project = Project(tmp_path)

    process = project.manage("collectstatic", "--noinput", *options, BUILD_VERSION="feature/x")

    assert (
        "BUILD_VERSION is 'feature/x'. It takes 1 to 64 letters, digits, dots, hyphens and "
        "underscores, the first a letter or a digit (it becomes a directory and a part of each "
        "URL), for example '2f1c9ab'."
    ) in refused(process)
    assert project.collected == []


def test_collectstatic_with_an_unknown_option_lists_the_known_ones(tmp_path):
    more = '\nSTORAGES["staticfiles"]["OPTIONS"]["cdn_domian"] = "x"\n'
    project = Project(tmp_path, more)

    process = project.manage("collectstatic", "--noinput", BUILD_VERSION="b1")

    known = (
        "allow_overwrite, base_build, " if django.VERSION >= (5, 1) else "base_build, base_url, "
    )
    found = f"the unknown option 'cdn_domian'. Did you mean 'cdn_domain'? The options are: {known}"
    assert found in refused(process)
    assert project.collected == []


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ("/", "its path is the whole site"),
        ("/builds/", "the records of the builds are kept at that path"),
    ],
)
def test_collectstatic_with_a_static_url_that_cannot_hold_builds(tmp_path, written, reason):
    project = Project(tmp_path, f"\nSTATIC_URL = '{written}'\n")

    process = project.manage("collectstatic", "--noinput", BUILD_VERSION="b1")

    assert f"STATIC_URL is '{written}': {reason}." in refused(process)
    assert project.collected == []


# settings.STATIC_URL


def hashed(project, version):
    manifest = json.loads(
        (project.directory / f"staticfiles/{version}/staticfiles.json").read_text()
    )
    return manifest["paths"]["css/app.css"]


@pytest.mark.parametrize(
    ("more", "script_name", "written", "prefix"),
    [
        ("", "", "/static/", "/static/b1/"),
        pytest.param(
            "STATIC_URL = 'static/'", "", "static/", "/static/b1/", marks=pytest.mark.deep
        ),
        ("STATIC_URL = 'static/'", "/mount", "static/", "/mount/static/b1/"),
        pytest.param(
            "STATIC_URL = 'static/'; FORCE_SCRIPT_NAME = '/app'",
            "",
            "static/",
            "/app/static/b1/",
            marks=pytest.mark.deep,
        ),
        pytest.param(
            "FORCE_SCRIPT_NAME = '/app'", "/app", "/static/", "/static/b1/", marks=pytest.mark.deep
        ),
        pytest.param(
            "STATIC_URL = 'http://s.test/x/'",
            "",
            "http://s.test/x/",
            "http://s.test/x/b1/",
            marks=pytest.mark.deep,
        ),
    ],
)
def test_every_way_to_ask_for_the_prefix_gives_that_of_the_build(
    tmp_path, more, script_name, written, prefix
):
    """Under get_wsgi_application(), called twice, and in a request."""
    project = Project(tmp_path, f"{ORIGIN_PULL}{more}\n")
    assert project.manage("collectstatic", "--noinput", BUILD_VERSION="b1").returncode == 0

    answer = project.ask(script_name, BUILD_VERSION="b1")

    assert answer["page"] == [prefix + hashed(project, "b1"), prefix, prefix]
    assert answer["written"] == written
    assert answer["again"] == prefix
    assert answer["location"] == str(tmp_path / "staticfiles" / "b1")


@pytest.mark.parametrize(
    ("more", "path"),
    [
        ("", "/static/"),
        pytest.param("STATIC_URL = 'static/'", "/static/", marks=pytest.mark.deep),
        ("STATIC_URL = 'static/'; FORCE_SCRIPT_NAME = '/app'", "/app/static/"),
    ],
)
def test_behind_a_cdn_the_prefix_is_that_of_the_cdn_wherever_the_site_is_mounted(
    tmp_path, more, path
):
    project = Project(tmp_path, f"{WITHOUT_S3}{more}\n")
    assert project.manage("collectstatic", "--noinput", BUILD_VERSION="b1").returncode == 0

    answer = project.ask("/mount", BUILD_VERSION="b1")

    prefix = f"https://{CDN}{path}b1/"
    assert answer["page"] == [prefix + hashed(project, "b1"), prefix, prefix]
    assert answer["first"] == answer["again"] == prefix


@pytest.mark.deep
def test_without_build_version_static_url_stays_as_it_is(tmp_path):
    project = Project(tmp_path, ORIGIN_PULL)
    assert project.manage("collectstatic", "--noinput").returncode == 0

    answer = project.ask()

    assert answer["first"] == "/static/"
    assert answer["page"][0].startswith("/static/css/app.")


# The parts


def ready():
    apps.get_app_config("versioned_storage").ready()


def test_getting_ready_again_points_at_the_same_build(tmp_path, settings):
    with site(tmp_path, BUILD_VERSION="b1", STATIC_URL="/static/"):
        ready()
        assert settings.STATIC_URL == "/static/b1/"
        ready()
        assert settings.STATIC_URL == "/static/b1/"


@pytest.mark.parametrize(
    "more",
    [
        {"DEBUG": True},
        {"BUILD_VERSION": None},
        {"BUILD_VERSION": "a/b"},
        {"STATIC_URL": "/builds/"},
        {"backend": "django.contrib.staticfiles.storage.StaticFilesStorage"},
        {"backend": "nowhere.Storage"},
        {"options": {"base_url": "/other/"}},
        {"options": {"connections": 0}},
    ],
)
def test_what_is_no_build_of_ours_leaves_static_url_alone(tmp_path, settings, more):
    with site(tmp_path, **{"BUILD_VERSION": "b1", "STATIC_URL": "/static/", **more}):
        ready()
        assert more.get("STATIC_URL", "/static/") == settings.STATIC_URL


NOT_INSTALLED = "INSTALLED_APPS = ['django.contrib.staticfiles', 'pages']"


@pytest.mark.parametrize(("more", "times"), [("", 0), (NOT_INSTALLED, 1)])
def test_the_storage_says_once_that_its_app_is_not_installed(tmp_path, more, times):
    project = Project(tmp_path, f"{ORIGIN_PULL}{more}\n")

    process = project.manage("collectstatic", "--noinput", BUILD_VERSION="b1")

    assert process.returncode == 0, process.stderr
    assert process.stderr.count("versioned_storage is not in INSTALLED_APPS") == times
    assert process.stderr.count('INSTALLED_APPS = ["versioned_storage", ...]') == times


def test_another_storage_of_ours_does_not_say_it_again(tmp_path, caplog):
    startup._warn_not_installed.cache_clear()
    with site(tmp_path) as shop, override_settings(INSTALLED_APPS=["django.contrib.staticfiles"]):
        assert type(shop.storage)() is not type(shop.storage)()
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    startup._warn_not_installed.cache_clear()
