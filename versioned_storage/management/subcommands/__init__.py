"""The subcommands of `manage.py staticbuilds`: one module each, with its arguments and result."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from ...site import Site
from ..terminal import Terminal


class Result(Protocol):
    """The result of a subcommand, for people and for programs."""

    @property
    def ok(self) -> bool:
        """False makes the command exit with 1."""
        ...

    def text(self) -> str:
        """Return the text for people; empty prints nothing."""
        ...

    def data(self) -> Any:
        """Return what ``--json`` prints: dicts, lists, strings, numbers, booleans, None."""
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
