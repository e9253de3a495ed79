"""What the demo prints: plain where it is piped, with a little colour on a terminal."""

import os
import sys
from collections.abc import Sequence

from versioned_storage import text

_CODES = {"bold": "1", "dim": "2", "green": "32", "red": "31"}


def painted(line: str, style: str) -> str:
    """``line`` in a style, where the terminal has it."""
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return line
    return f"\033[{_CODES[style]}m{line}\033[0m"


def headline(line: str) -> None:
    """Begin a part."""
    print(f"\n{painted(line, 'bold')}", flush=True)


def ok(line: str) -> None:
    """Something was checked, and is so."""
    print(f"  {painted('ok', 'green')}  {line}", flush=True)


def note(line: str) -> None:
    """Something to know."""
    print(f"      {painted(line, 'dim')}", flush=True)


def progress(line: str) -> None:
    """Show how far something is, in one line that the next output overwrites."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K      {line}\r")
        sys.stderr.flush()


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table; the first column is for names, the others for numbers."""
    head, *lines = text.table(heads, rows, numbers=heads[1:]).splitlines()
    print(f"\n  {painted(head, 'dim')}")
    for line in lines:
        print(f"  {line}")
    print(flush=True)
