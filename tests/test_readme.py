"""The quickstarts of the README, run as a newcomer would."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from versioned_storage.conf import Options

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```", README, re.DOTALL | re.MULTILINE)

BEFORE = """
import os
from pathlib import Path
BASE_DIR = Path(__file__).resolve().parent
SECRET_KEY = "only for tests"
DEBUG = False
ROOT_URLCONF = "urls"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates"}]
STATIC_URL = "/static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
STATICFILES_DIRS = [BASE_DIR / "static"]
BUILD_VERSION = os.environ.get("BUILD_VERSION")
INSTALLED_APPS = ["versioned_storage", "django.contrib.staticfiles"]
"""
MANAGE = """
import os, sys
from django.core.management import execute_from_command_line
os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
execute_from_command_line(sys.argv)
"""
PAGE_TEST = """
from django.template import Context, Template
from django.test import SimpleTestCase


class PageTest(SimpleTestCase):
    def test_page(self):
        page = Template("{% load static %}{% static 'css/app.css' %}").render(Context())
        self.assertEqual(page, "/static/css/app.css")
"""

MORE_COMMANDS = ("migrate", "showmigrations")

Manage = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(params=range(len(BLOCKS)), ids=["S3", "origin pull"])
def manage(request: pytest.FixtureRequest, tmp_path: Path) -> Manage:
    """A new project with the settings of one quickstart, and its manage.py."""
    (tmp_path / "settings.py").write_text(BEFORE + BLOCKS[request.param].replace("# ...", ""))
    (tmp_path / "manage.py").write_text(MANAGE)
    (tmp_path / "urls.py").write_text("urlpatterns = []\n")
    (tmp_path / "tests.py").write_text(PAGE_TEST)
    (tmp_path / "static" / "css").mkdir(parents=True)
    (tmp_path / "static" / "css" / "app.css").write_text("body { color: black }")

    def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
            capture_output=True,
            text=True,
            timeout=60,
        )

    return run


@pytest.mark.parametrize(
    "command",
    [
        "check",
        pytest.param("migrate", marks=pytest.mark.deep),
        pytest.param("showmigrations", marks=pytest.mark.deep),
    ],
)
def test_commands_that_show_no_page_need_no_build_version(manage: Manage, command: str) -> None:
    completed = manage(command)
    assert completed.returncode == 0, completed.stderr


@pytest.mark.parametrize("manage", [0], ids=["S3"], indirect=True)
def test_the_site_s_own_test_suite_needs_no_build(manage: Manage) -> None:
    completed = manage("test")
    assert completed.returncode == 0, completed.stderr


def test_collectstatic_without_a_build_version_says_how_to_set_one(manage: Manage) -> None:
    completed = manage("collectstatic", "--noinput")
    assert completed.returncode == 1
    assert "BUILD_VERSION is not set" in completed.stderr
    assert "Traceback" not in completed.stderr


@pytest.mark.parametrize("manage", [0], ids=["S3"], indirect=True)
def test_the_stack_is_printed_before_there_is_a_bucket_or_a_build(manage: Manage) -> None:
    printed = manage("staticbuilds", "cloudformation")
    assert printed.returncode == 0, printed.stderr
    assert "AWS::S3::Bucket" in printed.stdout


def test_the_stack_comes_before_the_first_deploy() -> None:
    """Whoever follows the quickstart has a bucket when collectstatic publishes to it."""
    s3 = README.partition("## Quickstart: S3")[2].partition("## Quickstart: origin pull")[0]
    steps = ["staticbuilds cloudformation", "cloudformation deploy", "collectstatic --noinput"]
    places = [s3.index(step) for step in steps]
    assert places == sorted(places)


def test_a_dry_run_needs_no_bucket(manage: Manage) -> None:
    completed = manage("collectstatic", "--noinput", "--dry-run", BUILD_VERSION="2f1c9ab")
    assert completed.returncode == 0, completed.stderr


def test_the_table_of_options_has_every_option_and_its_default() -> None:
    table = (ROOT / "docs" / "options.md").read_text().partition("\n## ")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]+?) \|", table, re.MULTILINE))
    assert rows.keys() == Options.names()
    for name, default in rows.items():
        if re.fullmatch(r"`(True|\d+)`", default) and name != "manifest_strict":
            assert default.strip("`") == str(getattr(Options(), name))
