"""Where scripts name their source maps: in comments, and only there."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from .tokens import Kind, Reference, block_source_map

if TYPE_CHECKING:
    from collections.abc import Iterator

_LINE_ENDS = ("\n", "\r", "\u2028", "\u2029")
_CONTINUED = tuple("\\" + end for end in (*_LINE_ENDS, "\r\n"))
_NEWLINES = "".join(_LINE_ENDS)

_CANDIDATE = re.compile(r"/[/*][#@]\s*sourceMappingURL=")
_LINE_SOURCE_MAP = re.compile(rf"//[#@][^\S{_NEWLINES}]*sourceMappingURL=[^\S{_NEWLINES}]*(\S+)")
_REST_OF_LINE = re.compile(rf"[^\S{_NEWLINES}]*(?=[{_NEWLINES}]|\Z)")

_EVENT = re.compile(r"""["'`/(){}]""")
_LINE_END = re.compile(rf"[{_NEWLINES}]")
# U+2028 and U+2029 may stand in a string, and not in a regular expression.
_STRING_STOPS = {quote: re.compile(rf"[{quote}\\\n\r]") for quote in "\"'"}
_TEMPLATE_STOP = re.compile(r"[`\\]|\$\{")
_REGEX_STOP = re.compile(rf"[/\\\[\]{_NEWLINES}]")
_ESCAPE = re.compile(r"\\(?:\r\n|[\s\S])?")

# A slash after these begins a regular expression, as it does after an operator.
_BEFORE_OPERAND = re.compile(
    r"(?<![\w$.])(?:await|case|delete|do|else|in|instanceof|of|return|throw|typeof|void|yield)\Z"
)
_BEFORE_CONDITION = re.compile(r"(?<![\w$.])(?:for|if|while|with)\Z")
_LONGEST_WORD = len(".instanceof")

# What is open, one byte each.
_GROUP, _CONDITION, _BLOCK, _SUBSTITUTION = range(4)


def js_source_maps(text: str) -> list[Reference]:
    """The ``//# sourceMappingURL=`` and ``/*# sourceMappingURL= */`` comments of a script.

    One that says anything else after the URL is none: neither ECMA-426 nor a browser takes it.
    """
    if "sourceMappingURL=" not in text:
        return []
    candidates = [found.start() for found in _CANDIDATE.finditer(text)]
    lines = _Lines(text)
    if all(map(lines.begins_line_comment, candidates)):
        maps = [_line_source_map(text, start) for start in candidates]
    else:
        maps = [
            block_source_map(text, start, end)
            if text.startswith("/*", start)
            else _line_source_map(text, start)
            for start, end in _Lexer(text).comments(candidates[-1])
        ]
    return [source_map for source_map in maps if source_map]


class _Lines:
    """Tells what is a comment for certain without a look at all the code before it."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._may_span_lines = [
            (text.find(opening), text.rfind(closing))
            for opening, closing in (("`", "`"), ("/*", "*/"))
        ]

    def begins_line_comment(self, start: int) -> bool:
        """Whether two slashes begin a line, and nothing from a line before can be open there."""
        text = self._text
        return (
            text.startswith("//", start)
            and (start == 0 or text.endswith(_LINE_ENDS, 0, start))
            and not text.endswith(_CONTINUED, 0, start)
            and not any(0 <= first < start < last for first, last in self._may_span_lines)
        )


def _line_source_map(text: str, start: int) -> Reference | None:
    found = _LINE_SOURCE_MAP.match(text, start)
    rest = _REST_OF_LINE.match(text, found.end()) if found else None
    if found is None or rest is None:
        return None
    # To the end of the line, as Django has it.
    return Reference(start, rest.end(), found[1], Kind.LINE_SOURCE_MAP)


class _Lexer:
    """Reads a script from one character that can matter to the next.

    Strings, templates and regular expressions can look like comments, so there is no way around
    them. Code that no engine would run may be misread; it never takes longer.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._position = _line_end(text, 0) if text.startswith("#!") else 0
        # Whether a whole operand is before the position, so that a slash would divide it.
        self._after_operand = False
        self._open = bytearray()

    def comments(self, last: int) -> Iterator[tuple[int, int]]:
        """Where the comments are, up to the one that begins at ``last``."""
        text = self._text
        while self._position <= last and (event := _EVENT.search(text, self._position)):
            start = event.start()
            code = text[self._position : start].rstrip()
            self._position = event.end()
            if code:
                self._after_operand = _ends_operand(code)
            if event[0] == "/":
                if text.startswith(("/", "*"), self._position):
                    self._position = _comment_end(text, start)
                    yield start, self._position
                else:
                    self._slash()
            elif event[0] in "\"'":
                self._position = _string_end(text, start)
                self._after_operand = True
            elif event[0] == "`":
                self._template()
            else:
                self._bracket(event[0], code)

    def _slash(self) -> None:
        if not self._after_operand:
            self._position = _regex_end(self._text, self._position)
        self._after_operand = not self._after_operand

    def _template(self) -> None:
        """The characters of a template, from where it starts or a substitution in it ends."""
        text = self._text
        while found := _TEMPLATE_STOP.search(text, self._position):
            self._position = found.end()
            if found[0] == "\\":
                self._position += 1
                continue
            self._after_operand = found[0] == "`"
            if not self._after_operand:
                self._open.append(_SUBSTITUTION)
            return
        self._position = len(text)

    def _bracket(self, bracket: str, code: str) -> None:
        self._after_operand = False
        if bracket == "(":
            is_condition = _ends_with(_BEFORE_CONDITION, code)
            self._open.append(_CONDITION if is_condition else _GROUP)
        elif bracket == "{":
            self._open.append(_BLOCK)
        elif bracket == ")":
            is_matched = self._open and self._open[-1] in (_GROUP, _CONDITION)
            self._after_operand = not is_matched or self._open.pop() == _GROUP
        else:
            # Parentheses that are still open in the braces stay open for good.
            while self._open and self._open[-1] in (_GROUP, _CONDITION):
                self._open.pop()
            if self._open and self._open.pop() == _SUBSTITUTION:
                self._template()


def _ends_operand(code: str) -> bool:
    last = code[-1]
    if last.isalnum() or last in "_$":
        return not _ends_with(_BEFORE_OPERAND, code)
    # "<" as in a closing tag of JSX; nobody compares with a regular expression.
    return last in "].<" or code.endswith(("++", "--"))


def _ends_with(words: re.Pattern[str], code: str) -> bool:
    return words.search(code[-_LONGEST_WORD:]) is not None


def _line_end(text: str, start: int) -> int:
    found = _LINE_END.search(text, start)
    return found.start() if found else len(text)


def _comment_end(text: str, start: int) -> int:
    if text.startswith("//", start):
        return _line_end(text, start)
    end = text.find("*/", start + 2)
    return len(text) if end < 0 else end + 2


def _escape_end(text: str, start: int) -> int:
    found = _ESCAPE.match(text, start)
    return found.end() if found else start


def _string_end(text: str, start: int) -> int:
    """The end of the string, or of the line where it does not end."""
    quote, position = text[start], start + 1
    while found := _STRING_STOPS[quote].search(text, position):
        position = found.start()
        if found[0] == "\\":
            position = _escape_end(text, position)
        else:
            return found.end() if found[0] == quote else position
    return len(text)


def _regex_end(text: str, position: int) -> int:
    """The end of the regular expression, or of the line where it does not end."""
    in_class = False
    while found := _REGEX_STOP.search(text, position):
        stop, position = found[0], found.end()
        if stop in _LINE_ENDS:
            return found.start()
        if stop == "\\":
            position += not text.startswith(_LINE_ENDS, position)
        elif stop == "/" and not in_class:
            return position
        elif stop in "[]":
            in_class = stop == "["
    return len(text)
