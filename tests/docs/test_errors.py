"""docs/errors.md has a section for each error of the package, and for nothing else.

With ``-v 2`` a command prints where that section is.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from io import StringIO
from typing import Any

import pytest
from django.contrib.staticfiles.management.commands.collectstatic import (
    Command as DjangosCollectstatic,
)
from django.core.management import load_command_class
from django.core.management.base import OutputWrapper

import versioned_storage
from tests.docs.reader import DOCS
from versioned_storage.build.source_errors import NotDecoded, NotUTF8
from versioned_storage.errors import MissingBuildVersion, VersionedStorageError

PAGE = (DOCS / "errors.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^### (\w+)\n\n(.+)$", PAGE, re.MULTILINE))


def subclasses(error: type[VersionedStorageError]) -> Iterator[type[VersionedStorageError]]:
    for subclass in error.__subclasses__():
        yield subclass
        yield from subclasses(subclass)


def names() -> set[str]:
    for module in pkgutil.walk_packages(versioned_storage.__path__, "versioned_storage."):
        # A module of an extra that is not installed here has no error that a user could meet.
        with suppress(ModuleNotFoundError):
            importlib.import_module(module.name)
    return {
        error.__name__
        for error in subclasses(VersionedStorageError)
        if error.__module__.startswith("versioned_storage")
    }


def test_every_error_has_a_section_with_its_way_out() -> None:
    assert sorted(names() - SECTIONS.keys()) == []


def test_every_section_is_of_an_error_that_exists() -> None:
    assert sorted(SECTIONS.keys() - names()) == []


def test_an_error_has_one_section() -> None:
    headings = re.findall(r"^### (\w+)$", PAGE, re.MULTILINE)
    assert len(headings) == len(set(headings)) == len(SECTIONS)


@pytest.fixture(params=["staticbuilds", "collectstatic"])
def printed(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """What a command prints that fails with an error."""

    def printed(error: Exception, *arguments: str) -> str:
        def fail(*_: object) -> Any:
            raise error

        monkeypatch.setattr("versioned_storage.site.Site.configured", fail)
        monkeypatch.setattr(DjangosCollectstatic, "collect", fail)
        output = StringIO()
        command = load_command_class("versioned_storage", request.param)
        command.stderr = OutputWrapper(output)
        argument = {"staticbuilds": "list", "collectstatic": "--noinput"}[request.param]
        with pytest.raises(SystemExit):
            command.run_from_argv(["manage.py", request.param, argument, *arguments])
        return output.getvalue()

    return printed


def errors() -> list[VersionedStorageError]:
    """Two errors that are raised for the first time."""
    wrong = UnicodeDecodeError("utf-8", b"\xff", 0, 1, "no")
    return [MissingBuildVersion(["v1"]), NotUTF8([NotDecoded.of("a.css", wrong)])]


def test_with_a_verbosity_of_two_a_command_prints_the_section_of_its_error(printed) -> None:
    for arguments in (("-v", "2"), ("-v3",), ("--verbosity=2",)):
        for error in errors():
            name, message = type(error).__name__, str(error)
            assert name in SECTIONS
            section = f"In the documentation: errors.md#{name.lower()}"
            assert printed(error, *arguments) == f"{name}: {message}\n{section}\n"


def test_otherwise_it_prints_the_message_only(printed) -> None:
    for error in errors():
        assert printed(error) == f"{type(error).__name__}: {error}\n"


def test_an_error_within_another_message_has_no_address(printed) -> None:
    error = VersionedStorageError(f"Because: {MissingBuildVersion(['v1'])}")
    assert "#missingbuildversion" not in printed(error, "-v2")
