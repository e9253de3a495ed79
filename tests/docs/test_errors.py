"""docs/errors.md has a section for each error of the package, and for nothing else.

With ``-v 2`` a command prints where that section is.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from django.core.management.base import BaseCommand, CommandParser

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


class Failing(BaseCommand):
    """A command that fails with ``error``."""

    requires_system_checks = ()

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def add_arguments(self, parser: CommandParser) -> None:
        parser.prog = "manage.py collectstatic"

    def handle(self, *args: Any, **options: Any) -> None:
        raise self.error


def printed(error: Exception, *arguments: str, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit):
        Failing(error).run_from_argv(["manage.py", "collectstatic", *arguments])
    return capsys.readouterr().err


NOT_UTF8 = NotUTF8([NotDecoded.of("a.css", UnicodeDecodeError("utf-8", b"\xff", 0, 1, "no"))])


@pytest.mark.parametrize("error", [MissingBuildVersion(["v1"]), NOT_UTF8], ids=repr)
def test_with_a_verbosity_of_two_a_command_prints_the_section_of_its_error(error, capsys) -> None:
    name = type(error).__name__
    assert name in SECTIONS
    for arguments in (("-v", "2"), ("-v3",), ("--verbosity=2",)):
        section = f"In the documentation: errors.md#{name.lower()}"
        text = printed(error, *arguments, capsys=capsys)
        assert text == f"{name}: {error}\n{section}\n"


@pytest.mark.parametrize("error", [MissingBuildVersion(["v1"]), NOT_UTF8], ids=repr)
def test_otherwise_it_prints_the_message_only(error, capsys) -> None:
    assert printed(error, capsys=capsys) == f"{type(error).__name__}: {error}\n"


def test_an_error_within_another_message_has_no_address(capsys) -> None:
    error = MissingBuildVersion(["v1"])
    inner = printed(VersionedStorageError(f"Because: {error}"), "-v2", capsys=capsys)
    assert "#missingbuildversion" not in inner
