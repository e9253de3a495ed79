"""The source maps that scripts name in comments."""

from __future__ import annotations

import re

from .tokens import Reference, Syntax, block_source_map

# ECMA-262, 12.3: the line terminators.
_ENDS = "\n\r\u2028\u2029"
_QUOTES = frozenset("\"'`")
_SPACE = rf"[^\S{_ENDS}]"
_LINE_SOURCE_MAP = re.compile(
    rf"//[#@]{_SPACE}*sourceMappingURL={_SPACE}*([^\s\"'`]+){_SPACE}*(?![^{_ENDS}])"
)
# Whether it is at the start of a line is checked after it: a pattern that begins with a literal is
# searched many times as fast.
_BEGIN = re.compile(rf"//[#@]{_SPACE}*sourceMappingURL=")
# ECMA-426: a comment, one that the line does not end, white space to the end, or code.
_PART = re.compile(
    r"[\s\ufeff]*(?:(?P<line>//.*)|(?P<block>/\*.*?\*/)|/\*.*|(?P<code>[^\s/][^/]*|/)|\Z)",
    re.DOTALL,
)


def js_source_maps(text: str) -> list[Reference]:
    """The ``//# sourceMappingURL=`` and ``/*# sourceMappingURL= */`` comments of a script.

    These are the last one with no code after it, as ECMA-426 extracts a source map URL without
    parsing the script, and each one on a line of its own, because Django rewrites those. A URL
    with a quote in it does not count: it may be the end of a string, and browsers ignore it.
    """
    if "sourceMappingURL=" not in text:
        return []
    maps = {
        source_map.start: source_map
        for match in _BEGIN.finditer(text)
        if _is_line_start(text, match.start())
        if (source_map := _line_source_map(text, match.start()))
    }
    last = _last_source_map(text)
    if last is not None:
        maps[last.start] = last
    return [maps[start] for start in sorted(maps)]


def _is_line_start(text: str, position: int) -> bool:
    # A byte order mark is no character of the line.
    return position == text.startswith("\ufeff") or (position > 0 and text[position - 1] in _ENDS)


def _last_source_map(text: str) -> Reference | None:
    """ECMA-426, "extract a source map URL from JavaScript without parsing", from the last line."""
    end = len(text)
    while True:
        start = max(text.rfind(terminator, 0, end) for terminator in _ENDS) + 1
        source_map, has_code = _source_map_of_line(text, start, end)
        if source_map is not None or has_code or start == 0:
            return source_map
        end = start - 1


def _source_map_of_line(text: str, start: int, end: int) -> tuple[Reference | None, bool]:
    """The last source map of a line with no code after it, and whether the line has code."""
    source_map: Reference | None = None
    has_code = False
    position = start
    while position < end and (part := _PART.match(text, position, end)):
        position = part.end()
        if part["code"]:
            source_map, has_code = None, True
        elif part["line"]:
            source_map = _line_source_map(text, part.start("line")) or source_map
        elif part["block"]:
            in_block = block_source_map(text, *part.span("block"))
            if in_block and _QUOTES.isdisjoint(in_block.url):
                source_map = in_block
    return source_map, has_code


def _line_source_map(text: str, start: int) -> Reference | None:
    match = _LINE_SOURCE_MAP.match(text, start)
    # To the end of the line, as Django has it.
    return Reference(start, match.end(), match[1], Syntax.LINE_SOURCE_MAP) if match else None
