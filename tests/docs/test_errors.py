"""docs/errors.md has a section for each error of the package, and for nothing else."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator
from contextlib import suppress

import versioned_storage
from tests.docs.reader import DOCS
from versioned_storage.errors import VersionedStorageError

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
