"""The frame of manage.py staticbuilds: what holds for every subcommand."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.management.base import CommandError

from tests.helpers import run_in_project, site
from tests.management.command import staticbuilds
from versioned_storage.management.commands import staticbuilds as command
from versioned_storage.management.subcommands import version
from versioned_storage.site import NotVersioned, UnknownBuild

ROOT = Path(__file__).parents[2]
SETTINGS = """
SECRET_KEY = "only for tests"
INSTALLED_APPS = ["versioned_storage", "django.contrib.staticfiles"]
STATIC_URL = "/static/"
STATIC_ROOT = "static_root"
STATICFILES_DIRS = ["static"]
STORAGES = {"staticfiles": {"BACKEND": "versioned_storage.storage.VersionedStaticFilesStorage"}}
"""


@pytest.fixture
def manage(tmp_path):
    """A project, and its manage.py staticbuilds as a process of its own."""
    (tmp_path / "project_settings.py").write_text(SETTINGS)
    (tmp_path / "static").mkdir()
    (tmp_path / "static" / "app.css").write_text("body { color: black }")

    def run(*arguments, settings="project_settings"):
        return subprocess.run(
            [sys.executable, "-m", "django", "staticbuilds", *arguments],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": f"{ROOT}:.", "DJANGO_SETTINGS_MODULE": settings},
            capture_output=True,
            text=True,
            timeout=60,
        )

    return run


def test_an_answer_goes_to_stdout_and_the_exit_code_is_0(manage):
    done = manage("version")
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout) == 13


def test_an_error_is_one_message_on_stderr_and_the_exit_code_is_1(manage):
    done = manage("show", "b7")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("UnknownBuild: There is no build b7: looked at ")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "the following arguments are required: SUBCOMMAND"),
        (("compress",), "invalid choice: 'compress' (choose from"),
        (("show", "../b1"), "'../b1' is not a build version: 1 to 64 letters"),
        (("version", "--nonsense"), "unrecognized arguments: --nonsense"),
        (("verify", "--wait", "soon"), "'soon' is not a number of seconds above 0"),
        (("verify", "--timeout", "0"), "'0' is not a number of seconds above 0"),
        (("verify", "--sample", "few"), "'few' is not a whole number from 1 on"),
        (("verify", "--sample", "0"), "'0' is not a whole number from 1 on"),
    ],
)
def test_wrong_usage_is_exit_code_2(arguments, said, capsys):
    with pytest.raises(SystemExit) as end:
        command.Command().run_from_argv(["manage.py", "staticbuilds", *arguments])
    assert end.value.code == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert said in output.err


def test_djangos_own_arguments_are_taken_after_the_subcommand_too():
    parser = command.Command().create_parser("manage.py", "staticbuilds")
    arguments = parser.parse_args(["version", "--settings", "project_settings", "-v", "2"])
    assert (arguments.settings, arguments.verbosity) == ("project_settings", 2)


def test_djangos_traceback_argument_shows_where_an_error_is_from(tmp_path):
    arguments = ["manage.py", "staticbuilds", "show", "b7", "--traceback"]
    with site(tmp_path), pytest.raises(UnknownBuild):
        command.Command().run_from_argv(arguments)


def test_ctrl_c_ends_it_with_one_line_and_the_exit_code_of_a_shell(tmp_path, monkeypatch, capsys):
    def run(site, options):
        raise KeyboardInterrupt

    monkeypatch.setattr(version, "run", run)
    with site(tmp_path), pytest.raises(SystemExit) as end:
        command.Command().run_from_argv(["manage.py", "staticbuilds", "version"])
    assert end.value.code == 130
    said = capsys.readouterr()
    assert (said.out, said.err) == (
        "",
        "Interrupted. No incomplete build is in use: run the same command again.\n",
    )


def test_a_publish_that_sigterm_ended_gives_its_exit_code(tmp_path, monkeypatch):
    class Terminated(KeyboardInterrupt):
        code = 143

    def run(site, options):
        raise Terminated

    monkeypatch.setattr(version, "run", run)
    with site(tmp_path), pytest.raises(SystemExit) as end:
        command.Command().run_from_argv(["manage.py", "staticbuilds", "version"])
    assert end.value.code == 143


def test_a_finding_is_exit_code_1_and_the_answer_is_printed(tmp_path, monkeypatch):
    monkeypatch.setattr(version.Version, "ok", False)
    with site(tmp_path):
        assert staticbuilds("version").code == 1
        answer = staticbuilds("version", "--json")
    assert answer.code == 1
    assert answer.data["files"] == 0


def test_an_answer_without_words_prints_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(version.Version, "text", lambda _: "")
    with site(tmp_path):
        assert staticbuilds("version").output == ""


def test_the_storage_must_be_ours(tmp_path):
    backend = "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"
    with site(tmp_path, backend=backend), pytest.raises(NotVersioned) as other:
        staticbuilds("version")
    assert str(other.value).startswith(f"The staticfiles storage of this site is {backend}. ")


def test_an_option_that_cannot_be_is_told_as_an_error_of_the_command(tmp_path):
    wrong = site(tmp_path, options={"encodings": ["zip"]})
    with wrong, pytest.raises(CommandError, match="known are br, gzip"):
        staticbuilds("version")


@pytest.mark.parametrize("name", command.SUBCOMMANDS)
def test_each_subcommand_has_a_summary_and_a_help_for_each_argument(name, capsys):
    parser = command.Command().create_parser("manage.py", "staticbuilds")
    with pytest.raises(SystemExit) as end:
        parser.parse_args([name, "--help"])
    assert end.value.code == 0
    said = capsys.readouterr().out
    assert "print the result as JSON" in said
    summary = command.SUBCOMMANDS[name]
    module = command._imported(name)
    assert (module.__doc__ or "").partition("\n")[0] == summary
    assert summary.endswith(".")
    assert " ".join(summary.split()) in " ".join(said.split())
    subparser = next(one for one in parser._actions if one.dest == "subcommand").choices[name]
    assert [one.dest for one in subparser._actions if not one.help] == []


IMPORTS = """
import sys
from django.core.management import execute_from_command_line
try:
    execute_from_command_line(["manage.py", "staticbuilds", *sys.argv[1:]])
except SystemExit:
    pass
package = "versioned_storage.management.subcommands."
print(sorted(name.removeprefix(package) for name in sys.modules if name.startswith(package)))
print("boto3" in sys.modules)
"""


@pytest.mark.parametrize(
    ("arguments", "subcommands", "boto3"),
    [
        (["--help"], [], False),
        (["version"], ["version"], False),
        (["--traceback", "list", "--help"], ["listing"], True),
    ],
)
def test_only_the_subcommand_that_runs_is_imported(tmp_path, arguments, subcommands, boto3):
    (tmp_path / "settings.py").write_text(SETTINGS)
    (tmp_path / "static").mkdir()
    run = run_in_project(tmp_path, "-c", IMPORTS, *arguments)
    assert run.stdout.splitlines()[-2:] == [str(subcommands), str(boto3)], run.stderr


def test_json_is_of_one_document(tmp_path):
    with site(tmp_path):
        assert json.loads(staticbuilds("list", "--json").output) == {"builds": []}
