"""Plain data as YAML for people: functions as blocks, quotes only where they are needed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence

Value = str | int | bool | Sequence["Value"] | Mapping[str, "Value"]

# A colon within a plain scalar must not be followed by a space.
_PLAIN = re.compile(r"[A-Za-z/](?:(?:[A-Za-z0-9 ./_*-]|:(?! ))*[A-Za-z0-9/*_-])?")
# What YAML 1.1 would read as something else than a string.
_WORDS = frozenset({"true", "false", "yes", "no", "on", "off", "y", "n", "null"})
_INDENT = "  "


def dump(value: Mapping[str, Value]) -> str:
    """A YAML document that reads back as ``value``; its text has to be printable.

    A dumper of our own, because PyYAML would be a dependency of every site for one command.
    """
    return "".join(f"{line}\n" for line in _lines(value))


def _lines(value: Value) -> Iterator[str]:
    if isinstance(value, Mapping) and value:
        for key, below in value.items():
            yield from _item(f"{_text(key)}:", below, beside=not _is_nested(below))
    elif isinstance(value, Sequence) and not isinstance(value, str) and value:
        for below in value:
            yield from _item("-", below, beside=True)
    else:
        yield _text(value) if isinstance(value, str) else json.dumps(value)


def _item(mark: str, below: Value, *, beside: bool) -> Iterator[str]:
    """``mark`` and what belongs to it, which begins ``beside`` it or on the next line."""
    if isinstance(below, str) and _is_block(below):
        yield f"{mark} |"
        lines = iter(below.removesuffix("\n").split("\n"))
    else:
        lines = _lines(below)
        yield f"{mark} {next(lines)}" if beside else mark
    yield from (_INDENT + line if line else "" for line in lines)


def _is_nested(value: Value) -> bool:
    return not isinstance(value, str | int) and bool(value)


def _text(text: str) -> str:
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    if '"' in text and "'" not in text and text.isprintable():
        return f"'{text}'"
    # A string of JSON is a double-quoted scalar of YAML.
    return json.dumps(text, ensure_ascii=False)


def _is_block(text: str) -> bool:
    """Say whether a literal block, which ends with one line feed, gives the text back."""
    lines = text.split("\n")
    return (
        len(lines) > 2
        and lines[-1] == ""
        and lines[-2] != ""
        and lines[0] != ""
        and not lines[0].startswith(" ")
        and all(line.isprintable() and not line.isspace() for line in lines)
    )
