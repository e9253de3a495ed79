"""What the demo prints: plain where it is piped, with a little colour on a terminal."""

import os
import sys
from collections.abc import Sequence

_CODES = {"bold": "1", "dim": "2", "green": "32", "red": "31"}


def painted(text: str, style: str) -> str:
    """``text`` in a style, where the terminal has it."""
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return text
    return f"\033[{_CODES[style]}m{text}\033[0m"


def headline(text: str) -> None:
    """Begin a part."""
    print(f"\n{painted(text, 'bold')}", flush=True)


def ok(text: str) -> None:
    """Something was checked, and is so."""
    print(f"  {painted('ok', 'green')}  {text}", flush=True)


def note(text: str) -> None:
    """Something to know."""
    print(f"      {painted(text, 'dim')}", flush=True)


def progress(text: str) -> None:
    """Show how far something is, in one line that the next output overwrites."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K      {text}\r")
        sys.stderr.flush()


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns as wide as what is in them; the first is for names, the others for numbers."""
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    print()
    for style, row in (("dim", heads), *(("", row) for row in rows)):
        first, *others = zip(row, widths, strict=True)
        cells = [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]
        line = "  " + "  ".join(cells).rstrip()
        print(painted(line, style) if style else line)
    print(flush=True)


def bytes_text(size: int) -> str:
    """In powers of 1,000: ``"412 B"``, ``"13.8 kB"``, ``"6.1 MB"``."""
    if size < 1000:
        return f"{size} B"
    return f"{size / 1e3:.1f} kB" if size < 1e6 else f"{size / 1e6:.1f} MB"
