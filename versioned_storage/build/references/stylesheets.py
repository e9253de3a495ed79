"""Where style sheets refer to other files, by the tokens of CSS Syntax Level 3."""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import replace
from typing import TYPE_CHECKING

from .tokens import Reference, Syntax, block_source_map, trimmed

if TYPE_CHECKING:
    from collections.abc import Iterator

_KEYWORDS = ("url(", "@import", "image-set(", "src(")

# Each search jumps to the next character that can matter. The character class comes first, because
# `re` skips to it quickly; the characters around it are checked after.
_AT_THE_TOP = re.compile(r"""["'(@/\\](?:(?<=["'@\\])|(?<=/)(?=\*)|(?<=[lLcCtT]\())""")
_INSIDE = re.compile(r"""["'(@/\\);{}](?:(?<!/)|(?=\*))""")

_FUNCTIONS = ("url", "src", "-webkit-image-set", "image-set")
_LONGEST_FUNCTION = max(map(len, _FUNCTIONS))
# The complement of the ASCII characters that no name has; `re` compiles the opposite in 3 ms.
_NAME_CHARACTER = r"[^\x01-,./:-@\[-^`{-\x7f]"
_IN_A_NAME = re.compile(rf"[#@]|{_NAME_CHARACTER}")
_AT_KEYWORD = re.compile(
    rf"@(?:(?P<import>import)|namespace)(?!\\|{_NAME_CHARACTER})", re.ASCII | re.IGNORECASE
)
_NAMESPACE_PREFIX = re.compile(rf"(?!url\()(?:\\|{_NAME_CHARACTER})*", re.ASCII | re.IGNORECASE)
_URL_FUNCTION = re.compile(r"url\(", re.IGNORECASE)
_BEFORE_IMPORT = re.compile(
    r"[\s;]+|/\*|<!--|-->|@(?:charset|layer|import)(?:[^;{}'\"]|\"[^\"]*\"|'[^']*')*;",
    re.IGNORECASE,
)
_STRUCTURE = re.compile(r"""/\*|//|["'{};]|url\(\s*(?=[^"'\s])""", re.IGNORECASE)
# Slashes as of a comment, not of a URL or of base64; a quick test that few style sheets pass. `re`
# finds a pattern that begins with a literal faster, so what is before them is checked after them.
_SLASHES = re.compile(r"//(?:(?<=\A//)|(?<=[\s;{}]//)|(?<=\*///)|(?=\s))")
_DEPTHS = {"{": 1, "}": -1}
_END_OF_STRING = {
    quote: re.compile(rf"(?:[^{quote}\\\n]|\\.)*[{quote}\n]?", re.DOTALL) for quote in "\"'"
}
_AFTER_QUOTED_URL = re.compile(rf"/\*|\\|{_NAME_CHARACTER}")

_SPACE = " \t\n\r\f"
_SPACES = re.compile(rf"[{_SPACE}]*")
_STRING_STOPS = {quote: re.compile(rf"[{quote}\\\n\r\f]") for quote in "\"'"}
# A quote, a parenthesis or a control character makes a bad-url token (4.3.6).
_URL_STOP = re.compile(rf"""["'()\\{_SPACE}\x01-\x08\x0b\x0e-\x1f\x7f]""")
_BAD_URL_STOP = re.compile(r"[)\\]")
_BACKSLASHES = re.compile(r"\\+")
_ESCAPE = re.compile(
    rf"\\(?:(?P<hex>[0-9a-fA-F]{{1,6}})(?:\r\n|[{_SPACE}])?|(?P<newline>\r\n|[\n\r\f])|(?s:.))?"
)
# The name of a function or an at-rule with an escape in it.
_ESCAPED_NAME = re.compile(
    rf"\\(?:[0-9a-fA-F]{{1,6}}[{_SPACE}]?|[^0-9a-fA-F\n\r\f]){_NAME_CHARACTER}{{,20}}\("
    rf"|@{_NAME_CHARACTER}{{,20}}\\"
)
_ESCAPED_NEWLINES = ("\\\n", "\\\r", "\\\f", "\\\r\n")


def css_references(text: str) -> list[Reference]:
    """Return the references of a style sheet in order.

    These are ``url()``, ``@import``, the strings of ``image-set()`` and ``src()``, and
    ``sourceMappingURL`` comments. An ``@import`` after a rule, and what ``//`` was meant to comment
    out, has ``is_loaded`` False. Not included are ``@namespace``, which loads nothing, strings and
    comments. Malformed tokens, which browsers drop, and names spelled with escapes are not read:
    each is a reference of `Syntax.UNREAD`.
    """
    references: list[Reference] = []
    lowered = text.lower()
    if "sourceMappingURL=" in text or any(word in lowered for word in _KEYWORDS):
        references = _without_dropped(text, _Scanner(text).scan())
    escaped = _ESCAPED_NAME.search(text) if "\\" in text else None
    if escaped:
        references.append(_unread(text, escaped.start()))
        references.sort(key=lambda reference: reference.start)
    return references


class _Scanner:
    """Walks once over a text, from construct to construct."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._position = 1 if text.startswith("\ufeff") else 0
        self._start = self._position
        self._references: list[Reference] = []
        # One byte for each open parenthesis from the first image-set() or src() on: 1 if strings
        # directly inside it are references.
        self._open = bytearray()
        # True after a bad-string or bad-url token: browsers ignore the declaration.
        self._is_invalid = False
        self._escape_end = -1
        # Up to here the text has only what is allowed before an @import.
        self._end_of_imports = self._position

    def scan(self) -> list[Reference]:
        text = self._text
        while True:
            interesting = _INSIDE if self._open or self._is_invalid else _AT_THE_TOP
            match = interesting.search(text, self._position)
            if match is None:
                return self._references
            start = match.start()
            self._position = start + 1
            character = match[0]
            if character == "(":
                self._parenthesis(start)
            elif character in "\"'":
                self._string(start)
            elif character == "/":
                self._comment(start)
            elif character == "@":
                self._at_keyword(start)
            elif character == "\\":
                self._escape(start)
            elif character == ")":
                del self._open[-1:]
            else:
                self._open.clear()
                self._is_invalid = False

    def _add(
        self, kind: Syntax, token: tuple[int, int], content: tuple[int, int], loaded: bool = True
    ) -> None:
        url = trimmed(_unescaped(self._text[slice(*content)]))
        if url and not self._is_invalid:
            self._references.append(Reference(*token, url, kind, is_loaded=loaded))

    def _skip(self, start: int) -> None:
        self._references.append(_unread(self._text, start))

    def _parenthesis(self, start: int) -> None:
        lowered = self._text[max(0, start - _LONGEST_FUNCTION) : start].lower()
        for name in _FUNCTIONS:
            if lowered.endswith(name) and not self._continues_name(start - len(name)):
                if name == "url":
                    self._url(start - len(name))
                else:
                    self._open.append(True)
                return
        if self._open and self._open[-1] and lowered.endswith("var"):
            self._skip(start - len("var"))
        self._open_other()

    def _open_other(self) -> None:
        if self._open:
            self._open.append(False)

    def _continues_name(self, start: int) -> bool:
        if start <= self._start:
            return False
        # The white space that ends an escape is a part of the name.
        return start == self._escape_end or _IN_A_NAME.match(self._text, start - 1) is not None

    def _string(self, start: int) -> None:
        end = self._string_end(start)
        if end is not None and self._open and self._open[-1]:
            self._add(Syntax.CSS_STRING, (start, end), (start + 1, end - 1))

    def _string_end(self, start: int) -> int | None:
        """Move to the end of the string and return it; None if a line break or the text ends it."""
        text, position = self._text, start + 1
        quote = text[start]
        stop = _STRING_STOPS[quote]
        while match := stop.search(text, position):
            position = match.start()
            if match[0] == "\\":
                position = _escape_end(text, position)
            elif match[0] == quote:
                self._position = position + 1
                return self._position
            else:
                self._is_invalid = True
                self._position = position
                self._skip(start)
                return None
        self._position = len(text)
        self._skip(start)
        return None

    def _comment(self, start: int) -> None:
        end = self._text.find("*/", start + 2) + 2
        if end == 1:
            self._position = len(self._text)
            return
        self._position = end
        source_map = block_source_map(self._text, start, end)
        if source_map:
            self._references.append(source_map)

    def _escape(self, start: int) -> None:
        end = _escape_end(self._text, start)
        if not self._text.endswith(_ESCAPED_NEWLINES, start, end):
            self._position = self._escape_end = end

    def _url(self, start: int) -> None:
        opened = self._position
        inner = self._position = _after_space(self._text, opened)
        if not self._text.startswith(('"', "'"), inner):
            self._unquoted_url(start, inner)
            return
        string_end = self._string_end(inner)
        if string_end is None:
            self._open_other()
            return
        content = (inner + 1, string_end - 1)
        after = _after_space(self._text, string_end)
        if self._text.startswith(")", after):
            self._position = after + 1
            self._add(Syntax.URL, (start, after + 1), content)
            return
        self._open_other()
        if _AFTER_QUOTED_URL.match(self._text, after):  # a modifier or a comment, which is kept
            self._add(Syntax.CSS_STRING, (inner, string_end), content)
        else:
            self._skip(inner)

    def _unquoted_url(self, start: int, inner: int) -> None:
        """CSS Syntax Level 3, 4.3.6."""
        text, position = self._text, inner
        while match := _URL_STOP.search(text, position):
            position = match.start()
            after = _after_space(text, position)
            if text.startswith(")", after):
                self._position = after + 1
                self._add(Syntax.URL, (start, after + 1), (inner, position))
                return
            escape_end = _escape_end(text, position) if match[0] == "\\" else position
            if escape_end == position or text.endswith(_ESCAPED_NEWLINES, position, escape_end):
                self._bad_url(position)
                return
            position = escape_end
        self._position = len(text)
        self._skip(start)

    def _bad_url(self, position: int) -> None:
        """CSS Syntax Level 3, 4.3.14: skip to the next parenthesis."""
        text = self._text
        self._is_invalid = True
        self._skip(position)
        while match := _BAD_URL_STOP.search(text, position):
            if match[0] == ")":
                self._position = match.end()
                return
            position = _escape_end(text, match.start())
        self._position = len(text)

    def _at_keyword(self, start: int) -> None:
        match = _AT_KEYWORD.match(self._text, start)
        if match is None or self._continues_name(start):
            return
        self._position = match.end()
        if match["import"]:
            self._import(start)
        else:
            self._namespace()

    def _import(self, start: int) -> None:
        loaded = self._is_before_rules(start)
        quote = _after_space(self._text, self._position)
        has_comments = self._text.startswith("/*", quote)
        if has_comments:
            quote = self._after_space_and_comments()
        if not self._text.startswith(('"', "'"), quote):
            if not loaded and (function := _URL_FUNCTION.match(self._text, quote)):
                count = len(self._references)
                self._position = function.end()
                self._url(quote)
                self._references[count:] = [
                    replace(reference, is_loaded=False) for reference in self._references[count:]
                ]
            return
        end = self._string_end(quote)
        if end is not None and has_comments:
            self._add(Syntax.CSS_STRING, (quote, end), (quote + 1, end - 1), loaded)
        elif end is not None:
            self._add(Syntax.IMPORT, (start, end), (quote + 1, end - 1), loaded)

    def _is_before_rules(self, start: int) -> bool:
        """Return True if an @import is allowed here (CSS Cascading and Inheritance, 2)."""
        text, position = self._text, self._end_of_imports
        while position < start and (part := _BEFORE_IMPORT.match(text, position)):
            position = part.end()
            if part[0] == "/*":
                position = text.find("*/", position) + 2
                if position == 1:
                    return False
        self._end_of_imports = position
        return position >= start

    def _namespace(self) -> None:
        prefix = self._after_space_and_comments()
        match = _NAMESPACE_PREFIX.match(self._text, prefix)
        if match:
            self._position = match.end()
        url = self._after_space_and_comments()
        function = _URL_FUNCTION.match(self._text, url)
        if function:
            count = len(self._references)
            self._position = function.end()
            self._url(url)
            del self._references[count:]

    def _after_space_and_comments(self) -> int:
        self._position = _after_space(self._text, self._position)
        while self._text.startswith("/*", self._position):
            self._comment(self._position)
            self._position = _after_space(self._text, self._position)
        return self._position


def _unread(text: str, start: int) -> Reference:
    return Reference(start, start, text[start : start + 40], Syntax.UNREAD)


def _after_space(text: str, position: int) -> int:
    match = _SPACES.match(text, position)
    return match.end() if match else position


def _escape_end(text: str, start: int) -> int:
    """Return the end of the escape at ``start``, or of all escapes of consecutive backslashes."""
    run = _BACKSLASHES.match(text, start)
    end = run.end() if run else start
    if (end - start) % 2 == 0:
        return end
    escape = _ESCAPE.match(text, end - 1)
    return escape.end() if escape else end


def _unescaped(raw: str) -> str:
    """CSS Syntax Level 3, 3.3 and 4.3.7."""
    if "\\" in raw:
        raw = _ESCAPE.sub(_escaped_character, raw)
    return raw.replace("\0", "\ufffd")


def _escaped_character(match: re.Match[str]) -> str:
    if match["newline"]:
        return ""
    if not match["hex"]:
        return match[0][1:]
    code_point = int(match["hex"], 16)
    is_character = 0 < code_point < 0xD800 or 0xDFFF < code_point < 0x110000
    return chr(code_point) if is_character else "\ufffd"


def _without_dropped(text: str, references: list[Reference]) -> list[Reference]:
    """Mark the references in what browsers drop because of ``//`` as not loaded."""
    if not references or not _SLASHES.search(text):
        return references
    dropped = list(_dropped(text))
    starts = [start for start, _ in dropped]

    def is_dropped(reference: Reference) -> bool:
        index = bisect_right(starts, reference.start) - 1
        return index >= 0 and reference.start < dropped[index][1]

    return [
        replace(reference, is_loaded=False) if is_dropped(reference) else reference
        for reference in references
    ]


def _dropped(text: str) -> Iterator[tuple[int, int]]:
    """Yield the declarations and rules that browsers drop because they have ``//`` in them.

    CSS Syntax Level 3, 5.4: a declaration ends at a semicolon, a rule at the end of its block. A
    semicolon between rules is a part of the next rule, except after an at-rule.
    """
    depth = begin = 0
    # True while only white space and comments of a declaration or rule have been read.
    at_begin, in_at_rule = True, False
    dropped: tuple[int, int] | None = None
    for start, mark, code in _marks(text):
        if at_begin and code:
            at_begin, in_at_rule = False, code[0] == "@"
        if mark == "//" and dropped is None:
            dropped = (begin, depth)
        depth = max(0, depth + _DEPTHS.get(mark, 0))
        is_end = mark == "}" or (mark == ";" and (depth > 0 or in_at_rule))
        if dropped and is_end and depth <= dropped[1]:
            yield dropped[0], start
            dropped = None
        at_begin = at_begin and mark == "/*"
        if is_end or mark == "{":
            begin, at_begin, in_at_rule = start + 1, True, False
    if dropped:
        yield dropped[0], len(text)


def _marks(text: str) -> Iterator[tuple[int, str, str]]:
    """Yield each mark of the structure, and the code before it since the last one."""
    position = 0
    while match := _STRUCTURE.search(text, position):
        start, mark = match.start(), match[0]
        code = text[position:start].strip()
        position = match.end()
        if mark == "/*":
            position = _end(text, "*/", position)
        elif mark in _END_OF_STRING:
            end_of_string = _END_OF_STRING[mark].match(text, position)
            position = end_of_string.end() if end_of_string else position
        elif mark not in ("//", "{", "}", ";"):
            position = _end(text, ")", position)
        yield start, mark, code


def _end(text: str, mark: str, position: int) -> int:
    end = text.find(mark, position)
    return len(text) if end < 0 else end + len(mark)
