"""How results look on a terminal: Django's colours, and lines that fit its width."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from textwrap import fill
from typing import Any, Protocol

from django.core.management.color import Style, color_style, no_style

#: Prose is no wider than this on a wider terminal too.
PROSE_WIDTH = 80


class Stream(Protocol):
    """A stream that knows whether it is a terminal, as Django's OutputWrapper does too."""

    def isatty(self) -> bool: ...


@dataclass(frozen=True)
class Terminal:
    """The styles of a stream, and its number of columns; None where it is not a terminal."""

    style: Style = field(default_factory=no_style)
    width: int | None = None

    @classmethod
    def of(cls, stream: Stream, options: Mapping[str, Any]) -> Terminal:
        """Return how to write to ``stream``, with Django's ``--no-color`` and ``--force-color``.

        A pipe or a file gets plain text, and so does a terminal where NO_COLOR is set
        (https://no-color.org).
        """
        is_terminal = stream.isatty()
        width = shutil.get_terminal_size().columns if is_terminal else None
        if options.get("force_color"):
            return cls(color_style(force_color=True), width)
        if not is_terminal or options.get("no_color") or os.environ.get("NO_COLOR"):
            return cls(width=width)
        return cls(color_style(), width)

    def wrapped(self, text: str, *, indent: str = "") -> str:
        """Return ``text`` in lines that fit the terminal, the later ones behind ``indent``.

        Without a width it stays one line, for grep. URLs and options are never broken.
        """
        if self.width is None:
            return text
        return fill(
            text,
            min(self.width, PROSE_WIDTH),
            subsequent_indent=indent,
            break_long_words=False,
            break_on_hyphens=False,
        )


#: What a pipe gets.
PLAIN = Terminal()
