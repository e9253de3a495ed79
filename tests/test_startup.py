"""What a process gets before its request handler is built, and what it must have then.

Each site is a process of its own, because a process starts once.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import BACKEND, run_in_project, site, write
from tests.s3 import Bucket, front, nobody, refusal

SETTINGS = f"""
import os
from pathlib import Path
from typing import Any

BASE_DIR = Path(__file__).parent
SECRET_KEY = "only for tests"
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "urls"
INSTALLED_APPS = ["versioned_storage", "django.contrib.staticfiles", "shop"]
DATABASES = {{"default": {{"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
TEMPLATES = [{{"BACKEND": "django.template.backends.django.DjangoTemplates"}}]
STATIC_URL = "/static/"
STATIC_ROOT = BASE_DIR / "static_root"
STORAGES = {{"staticfiles": {{"BACKEND": "{BACKEND}", "OPTIONS": {{}}}}}}
"""
ON_IMPORT = """
from django.templatetags.static import static

LOGO = static("shop/a.css")
"""
URLS = """
from django.http import HttpResponse
from django.template import engines
from django.urls import path


def page(request):
    template = "{% load static %}{% static 'shop/a.css' %}"
    return HttpResponse(engines["django"].from_string(template).render({}, request))


urlpatterns = [path("", page)]
"""
# A server as small as can be: builds the handler, then answers two requests.
SERVE = """
import io
from django.core.wsgi import get_wsgi_application

application = get_wsgi_application()
print("started")
for _ in range(2):
    answer = application({
        "REQUEST_METHOD": "GET", "PATH_INFO": "/", "SERVER_NAME": "site.test",
        "SERVER_PORT": "80", "wsgi.url_scheme": "http", "wsgi.input": io.BytesIO(),
    }, lambda status, headers: print(status))
    print(b"".join(answer).decode())
"""


class Project:
    """A site with one static file."""

    def __init__(self, directory: Path, more: str = "", models: str = "", views: str = "") -> None:
        self.directory = directory
        write(
            directory,
            {
                "settings.py": SETTINGS + more,
                "urls.py": views + URLS,
                "serve.py": SERVE,
                "shop/__init__.py": "",
                "shop/models.py": models,
                "shop/static/shop/a.css": "a{}",
            },
        )

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return run_in_project(self.directory, *arguments, **environment)

    def manage(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return self.run("-m", "django", *arguments, **environment)


def options(**values: Any) -> str:
    if "origin" in values:
        # Its repr is no Python.
        values["origin"].pop("client_config", None)
    return f'STORAGES["staticfiles"]["OPTIONS"].update({values!r})\n'


def lines_of(process: subprocess.CompletedProcess[str]) -> list[str]:
    """What the process said on stderr of failing pages."""
    return [line for line in process.stderr.splitlines() if line.startswith("No URL for ")]


COMMANDS = pytest.mark.parametrize(
    "command",
    [
        pytest.param(["check"], marks=pytest.mark.deep),
        pytest.param(["migrate"], marks=pytest.mark.deep),
        pytest.param(["staticbuilds", "version"], marks=pytest.mark.deep),
        ["collectstatic", "--noinput"],
    ],
    ids=lambda command: command[0],
)


# static() while a module is imported


@COMMANDS
@pytest.mark.parametrize("where", ["models", pytest.param("views", marks=pytest.mark.deep)])
def test_commands_run_where_a_module_asks_for_a_url_on_import(
    tmp_path: Path, command: list[str], where: str
) -> None:
    project = Project(tmp_path, **{where: ON_IMPORT})
    ran = project.manage(*command, BUILD_VERSION="b1")
    assert ran.returncode == 0, ran.stderr
    if where == "models":
        assert ran.stderr.count("asks for the URL of 'shop/a.css' before any page is served") == 1
        assert f"{tmp_path}/shop/models.py:4 asks" in ran.stderr
        assert "it keeps /static/b1/shop/a.css, the URL of the original name." in ran.stderr
        assert "leads nowhere" not in ran.stderr


@pytest.mark.deep
@COMMANDS
def test_where_originals_are_not_kept_the_warning_says_that_the_url_leads_nowhere(
    tmp_path: Path, command: list[str]
) -> None:
    project = Project(tmp_path, options(keep_originals=False), models=ON_IMPORT)
    ran = project.manage(*command, BUILD_VERSION="b1")
    assert ran.returncode == 0, ran.stderr
    assert "It leads nowhere, because keep_originals is off." in ran.stderr


@pytest.mark.parametrize("command", ["check", pytest.param("migrate", marks=pytest.mark.deep)])
def test_commands_without_build_version_run_too(tmp_path: Path, command: str) -> None:
    more = options(cdn_domain="cdn.example.net")
    ran = Project(tmp_path, more, models=ON_IMPORT, views=ON_IMPORT).manage(command)
    assert ran.returncode == 0, ran.stderr
    assert "there is no build version: it keeps /static/shop/a.css" in ran.stderr


@pytest.mark.deep
def test_where_there_is_a_manifest_the_module_gets_the_url_of_the_build(tmp_path: Path) -> None:
    project = Project(tmp_path, models=ON_IMPORT + "print(LOGO)\n")
    assert project.manage("collectstatic", "--noinput", BUILD_VERSION="b1").returncode == 0
    ran = project.manage("check", BUILD_VERSION="b1")
    assert ran.stdout.startswith("/static/b1/shop/a.")
    assert not ran.stdout.startswith("/static/b1/shop/a.css")
    assert "before any page" not in ran.stderr


@pytest.mark.deep
@pytest.mark.parametrize("manifest", ['{"version": "1.1", "paths": {}, "hash": ""}', "{"])
def test_collectstatic_mends_a_manifest_that_lacks_the_file(tmp_path: Path, manifest: str) -> None:
    project = Project(tmp_path, models=ON_IMPORT)
    write(tmp_path, {"static_root/staticfiles.json": manifest})
    assert "collectstatic" in project.manage("migrate").stderr
    ran = project.manage("collectstatic", "--noinput")
    assert ran.returncode == 0, ran.stderr
    assert "and the manifest does not have it yet: it keeps /static/shop/a.css" in ran.stderr
    assert project.manage("migrate").returncode == 0


def test_where_s3_answers_that_there_is_no_build_the_module_gets_a_url(
    tmp_path: Path, moto_bucket: Bucket
) -> None:
    more = options(origin=moto_bucket.options())
    ran = Project(tmp_path, more, models=ON_IMPORT).manage("migrate", BUILD_VERSION="b1")
    assert ran.returncode == 0, ran.stderr
    assert "it keeps /static/b1/shop/a.css" in ran.stderr


def test_where_s3_does_not_answer_the_module_gets_an_error(tmp_path: Path) -> None:
    with nobody() as url:
        more = options(
            origin={
                "bucket_name": "b",
                "endpoint_url": url,
                "access_key": "a",
                "secret_key": "s",
            }
        )
        ran = Project(tmp_path, more, models=ON_IMPORT).manage("migrate", BUILD_VERSION="b1")
    assert ran.returncode == 1
    assert "builds/b1.json failed" in ran.stderr


@pytest.mark.deep
def test_a_script_that_imports_nothing_gets_an_error_for_a_missing_build_version(
    tmp_path: Path,
) -> None:
    script = "import django; django.setup(); from django.templatetags.static import static"
    ran = Project(tmp_path, options(cdn_domain="cdn.example.net")).run(
        "-c", f"{script}; static('shop/a.css')"
    )
    assert "MissingBuildVersion" in ran.stderr


def test_a_process_that_serves_does_not_start_with_a_url_from_before_the_build(
    tmp_path: Path,
) -> None:
    ran = Project(tmp_path, models=ON_IMPORT).run("serve.py", BUILD_VERSION="b1")
    assert ran.returncode == 1
    assert "This process is about to serve pages, and there is no manifest" in ran.stderr


def test_without_the_app_a_missing_manifest_is_always_an_error(tmp_path: Path) -> None:
    """Nothing would notice that pages are served."""
    more = 'INSTALLED_APPS.remove("versioned_storage")\n'
    ran = Project(tmp_path, more, models=ON_IMPORT).manage("migrate", BUILD_VERSION="b1")
    assert "MissingManifest" in ran.stderr


# A process that serves pages


@pytest.mark.parametrize(
    ("values", "environment", "reason"),
    [
        ({"cdn_domain": "cdn.example.net"}, {}, "BUILD_VERSION is not set"),
        ({}, {"BUILD_VERSION": "b2"}, "about to serve pages, and there is no manifest"),
        ({"cdn_domain": "cdn.example.net"}, {"BUILD_VERSION": "b2"}, "there is no manifest"),
    ],
    ids=["no build version", "no build", "no build behind a CDN"],
)
def test_it_does_not_start_without_a_build_and_says_why_on_stderr(
    tmp_path: Path, values: dict[str, Any], environment: dict[str, str], reason: str
) -> None:
    ran = Project(tmp_path, options(**values)).run("serve.py", **environment)
    assert ran.returncode == 1
    assert "started" not in ran.stdout
    assert reason in ran.stderr


@pytest.mark.deep
def test_it_does_not_start_when_s3_has_no_such_build(tmp_path: Path, moto_bucket: Bucket) -> None:
    more = options(origin=moto_bucket.options())
    ran = Project(tmp_path, more).run("serve.py", BUILD_VERSION="b1")
    assert ran.returncode == 1
    assert f"s3://{moto_bucket.name}/builds/b1.json" in ran.stderr


@pytest.mark.deep
def test_it_does_not_start_when_the_build_is_not_published(
    tmp_path: Path, moto_bucket: Bucket
) -> None:
    (tmp_path / "another").mkdir()
    values = {"origin": moto_bucket.options()}
    with site(tmp_path / "another", {"a.css": "a{}"}, options=values, BUILD_VERSION="b1") as shop:
        shop.collect()
    stored = moto_bucket.client.get_object(Bucket=moto_bucket.name, Key="builds/b1.json")
    record = stored["Body"].read().replace(b'"published"', b'"pruning"', 1)
    moto_bucket.client.put_object(Bucket=moto_bucket.name, Key="builds/b1.json", Body=record)
    ran = Project(tmp_path, options(**values)).run("serve.py", BUILD_VERSION="b1")
    assert ran.returncode == 1
    assert "about to serve pages, and there is no manifest" in ran.stderr


@pytest.mark.parametrize(
    "status",
    [403, pytest.param(429, marks=pytest.mark.deep), pytest.param(503, marks=pytest.mark.deep)],
)
def test_it_starts_when_s3_refuses_and_each_failing_page_is_a_line_on_stderr(
    tmp_path: Path, moto_bucket: Bucket, status: int
) -> None:
    answer = refusal(status, "Sorry", "Not now.")
    with front(moto_bucket.endpoint, lambda _: answer) as s3:
        more = options(origin=moto_bucket.options(endpoint_url=s3.url))
        ran = Project(tmp_path, more).run("serve.py", BUILD_VERSION="b1")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.count("500 Internal Server Error") == 2
    assert "The manifest could not be preloaded, pages will ask for it" in ran.stderr
    lines = lines_of(ran)
    assert len(lines) == 2
    assert all(f"{status} Sorry, Not now." in line for line in lines)


@pytest.mark.deep
def test_it_starts_when_s3_cannot_be_reached(tmp_path: Path) -> None:
    with nobody() as url:
        values = {"bucket_name": "b", "endpoint_url": url, "access_key": "a", "secret_key": "s"}
        ran = Project(tmp_path, options(origin=values)).run("serve.py", BUILD_VERSION="b1")
    assert ran.returncode == 0, ran.stderr
    assert len(lines_of(ran)) == 2


@pytest.mark.parametrize("build", [{}, {"BUILD_VERSION": "b2"}], ids=["no version", "wrong one"])
def test_without_preload_each_failing_page_is_a_line_on_stderr(
    tmp_path: Path, build: dict[str, str]
) -> None:
    more = options(cdn_domain="cdn.example.net", preload_manifest=False)
    ran = Project(tmp_path, more).run("serve.py", **build)
    assert ran.stdout.count("500 Internal Server Error") == 2
    assert len(lines_of(ran)) == 2


def test_a_token_file_that_is_missing_is_the_reason_that_every_page_gives(tmp_path: Path) -> None:
    given = {"bucket_name": "b", "region_name": "eu-west-1"}
    ran = Project(tmp_path, options(origin=given)).run(
        "serve.py",
        BUILD_VERSION="b1",
        AWS_WEB_IDENTITY_TOKEN_FILE=str(tmp_path / "no-such-token"),
        AWS_ROLE_ARN="arn:aws:iam::123456789012:role/site",
    )
    assert ran.returncode == 0, ran.stderr
    lines = lines_of(ran)
    assert len(lines) == 2
    assert all("no-such-token" in line for line in lines)
