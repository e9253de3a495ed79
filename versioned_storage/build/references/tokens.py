"""References as tokens of a text: where they are, what they name, how to replace them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping


class Syntax(Enum):
    """The syntax of a reference, which decides how another URL is written in its place."""

    URL = "url()"
    IMPORT = "@import of a string"
    CSS_STRING = "CSS string"
    BLOCK_SOURCE_MAP = "source map in a block comment"
    LINE_SOURCE_MAP = "source map in a line comment"
    FROM = "from of an import or export"
    BARE_IMPORT = "import of a module for its effects"
    IMPORT_CALL = "import()"
    JS_STRING = "JavaScript string"
    JSON_STRING = "JSON string"
    PATTERN = "match of a pattern"
    UNREAD = "what browsers or this package do not read; of no length"
    UNPARSED = "what looks like an import in code that cannot be parsed"


@dataclass(frozen=True, slots=True)
class Reference:
    """A place in a text that names another file.

    ``start`` and ``end`` are the code points of the token that `spell` replaces. ``url`` is what a
    browser reads: without escapes and surrounding white space, with percent-escapes as written.
    ``is_loaded`` is False in a part of the file that browsers ignore.
    """

    start: int
    end: int
    url: str
    syntax: Syntax
    is_loaded: bool = field(default=True, kw_only=True)

    @property
    def is_source_map(self) -> bool:
        """True if only developer tools follow it."""
        return self.syntax in (Syntax.BLOCK_SOURCE_MAP, Syntax.LINE_SOURCE_MAP)

    @property
    def is_of_module(self) -> bool:
        """True in an ES module, where bundlers complete names."""
        return self.syntax in (
            Syntax.FROM,
            Syntax.BARE_IMPORT,
            Syntax.IMPORT_CALL,
            Syntax.JS_STRING,
        )

    def spell(self, url: str) -> str:
        """Return the token with ``url``, escaped for its syntax."""
        template, escaped = _SPELLINGS[self.syntax]
        return template % escaped(url)


@dataclass(frozen=True, slots=True)
class PatternReference(Reference):
    """A match of a regular expression; ``template`` takes its named ``groups``."""

    template: str
    groups: Mapping[str, str | None] = field(hash=False)

    def spell(self, url: str) -> str:
        """Return the template with ``url`` as it is: only its author knows what to escape."""
        return self.template % {**self.groups, "url": url}


def rewrite(text: str, replacements: Iterable[tuple[Reference, str]]) -> str:
    """Return the text with another URL in some of its references, which must not overlap."""
    parts: list[str] = []
    position = 0
    for reference, url in sorted(replacements, key=lambda replacement: replacement[0].start):
        parts += (text[position : reference.start], reference.spell(url))
        position = reference.end
    parts.append(text[position:])
    return "".join(parts)


def line_of(text: str, position: int) -> int:
    """Return the line, counted from 1, of the code point at ``position``."""
    return text.count("\n", 0, position) + 1


def trimmed(url: str) -> str:
    """Return the URL without what a URL parser removes at its ends (URL Standard, 4.4)."""
    return url.strip(_C0_CONTROLS_AND_SPACE)


def well_formed(string: str) -> str:
    """Return the string with surrogates paired, and U+FFFD for a lone one."""
    return string.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def block_source_map(text: str, start: int, end: int) -> Reference | None:
    """Return the source map of a block comment that contains nothing else.

    ECMA-426, 11.1: ``#``, or the older ``@``, then ``sourceMappingURL=`` and the URL.
    """
    if not text.startswith(("#", "@"), start + 2):
        return None
    match = _BLOCK_SOURCE_MAP.fullmatch(text, start + 2, end - 2)
    return Reference(start, end, match[1], Syntax.BLOCK_SOURCE_MAP) if match else None


def _css_string(url: str) -> str:
    escaped = _UNSAFE_IN_CSS.sub(_css_escape, url)
    return f'"{escaped}"'


def _css_escape(match: re.Match[str]) -> str:
    character = match[0]
    # Control characters by number, because a backslash and a line break continue the string; the
    # space ends the number.
    return f"\\{character}" if character in '"\\' else f"\\{ord(character):x} "


def _js_string(url: str) -> str:
    literal = json.dumps(url, ensure_ascii=False)
    # Line terminators in JavaScript, and before ES2019 in its strings too.
    return literal.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _in_comment(url: str) -> str:
    return _UNSAFE_IN_COMMENT.sub(lambda match: quote(match[0]), url)


_C0_CONTROLS_AND_SPACE = "".join(map(chr, range(0x21)))
_BLOCK_SOURCE_MAP = re.compile(r"[#@]\s*sourceMappingURL=\s*(\S+)\s*")
_UNSAFE_IN_CSS = re.compile(r'["\\\x00-\x1f\x7f]')
# White space ends the URL, "*/" the comment, and with a quote in it V8 takes none of it.
_UNSAFE_IN_COMMENT = re.compile(r"""[\s\x00-\x1f\x7f"']|\*(?=/)""")

# Byte for byte as Django spells them, because a hash is made of it.
_SPELLINGS: dict[Syntax, tuple[str, Callable[[str], str]]] = {
    Syntax.URL: ("url(%s)", _css_string),
    Syntax.IMPORT: ("@import url(%s)", _css_string),
    Syntax.CSS_STRING: ("%s", _css_string),
    Syntax.BLOCK_SOURCE_MAP: ("/*# sourceMappingURL=%s */", _in_comment),
    Syntax.LINE_SOURCE_MAP: ("//# sourceMappingURL=%s", _in_comment),
    Syntax.FROM: (" from %s", _js_string),
    Syntax.BARE_IMPORT: ("import%s", _js_string),
    Syntax.IMPORT_CALL: ("import(%s)", _js_string),
    Syntax.JS_STRING: ("%s", _js_string),
    Syntax.JSON_STRING: ("%s", _js_string),
}
