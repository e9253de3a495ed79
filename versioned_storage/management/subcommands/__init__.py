"""What `manage.py staticbuilds` can do: a module for each, with its arguments and its answer."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from ...site import Site
from ..terminal import Terminal


class Result(Protocol):
    """The answer of a subcommand: for people, for programs, and whether all is well."""

    @property
    def ok(self) -> bool:
        """False makes the command exit with 1."""
        ...

    def text(self) -> str:
        """What a person reads; empty where there is nothing to say."""
        ...

    def data(self) -> Any:
        """What ``--json`` prints: dicts, lists, strings, numbers, booleans, None."""
        ...


@runtime_checkable
class StyledResult(Protocol):
    """A result that looks better on a terminal than in a pipe."""

    def styled(self, terminal: Terminal) -> str:
        """Return the same as ``text()``, in the colours and the width of ``terminal``."""
        ...


class Subcommand(Protocol):
    """A module of this package; its docstring's first line is the help."""

    __doc__: str | None

    def add_arguments(self, parser: ArgumentParser) -> None: ...

    def run(self, site: Site, options: Mapping[str, Any]) -> Result: ...
