"""Functions for the option ``transforms`` that make files smaller and leave what they mean.

A result is taken only if it certainly means the same. rcssmin and rjsmin go by regular expressions,
which do not know nested rules and lose blanks of template literals, and the parser of scripts is
not that of a browser: so the tokens must stay, and each blank and line end that could matter.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from itertools import zip_longest
from typing import TYPE_CHECKING

from .build.references.modules import TooMuchWork, syntax_tree
from .errors import ConfigurationError

if TYPE_CHECKING:
    from tree_sitter import Node

# Part of each optimizer's version: another number makes builds use it on every file again.
_RULES = 2

# A text with longer lines on average is minified already.
_MEAN_LINE = 200
_LICENCE = re.compile(
    rb"@preserve|licen[cs]e|copyright|\(c\)|\xc2\xa9|rights reserved|released under", re.IGNORECASE
)
# Line ends of which the parser does not know that a semicolon may be inserted at them, and what
# stands for a literal.
_UNUSUAL = re.compile(rb"\r(?!\n)|\xe2\x80[\xa8\xa9]|\x01")
_LITERALS = frozenset(("regex", "template_string"))
_STAND_IN = re.compile(rb'"\x01(\d+)"')
# ECMA-262, B.1.1: the second one only at the beginning of a line.
_HTML_COMMENT = re.compile(rb"<!--|(?:^|\*/)\s*-->", re.MULTILINE)
# ECMA-262, 12.10: no semicolon is inserted at a line end after tokens that cannot end a statement,
# of which the beginning of the file is the empty one, and before those that cannot begin one.
_ENDS_NOTHING = re.compile(rb"(?!\+\+|--)[{(\[,;.?:=+\-*%!~&|^<>]*")
_BEGINS_NOTHING = re.compile(rb"(?!=>)[})\],;.?:=%&|^<>]+")
# After them a slash can be a division or the beginning of a regular expression, and which of both
# it is depends on what the parser does not know: whether a line end has ended an arrow function,
# whether a script is a module.
_BEFORE_UNCERTAIN_SLASH = frozenset((b"}", b"await", b"yield", b"of"))

_PNG_PIXELS = frozenset((b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"fdAT"))
_JPEG_END = b"\xff\xd9"

_Token = tuple[int, str, bytes, bool]


class MissingOptimizer(ConfigurationError):
    """The option ``transforms`` names an optimizer whose packages are not installed."""

    def __init__(self, optimizer: str, package: str, extra: str) -> None:
        self.optimizer = optimizer
        self.package = package
        self.extra = extra
        super().__init__(
            f"The option transforms names {optimizer}, and {package} is not installed. Run pip "
            f'install "django-versioned-storage[{extra}]", or take it out of the option.'
        )


class Optimizer:
    """A function that takes the name and the bytes of a file and returns fewer bytes, or the same.

    ``packages`` are those of ``extra`` that it uses.
    """

    def __init__(
        self, function: Callable[[str, bytes], bytes], extra: str, packages: tuple[str, ...]
    ) -> None:
        self._function = function
        self._extra = extra
        self._packages = packages
        self.__qualname__ = function.__name__.strip("_")

    def __call__(self, name: str, data: bytes) -> bytes:
        optimized = self._function(name, data)
        return optimized if len(optimized) < len(data) else data

    @cached_property
    def version(self) -> str:
        """What the result depends on beside the file. Raises `MissingOptimizer`."""
        path = f"{self.__module__}.{self.__qualname__}"
        try:
            versions = [f"{package} {version(package)}" for package in self._packages]
        except PackageNotFoundError as error:
            raise MissingOptimizer(path, error.name, self._extra) from None
        return ", ".join((f"{path} {_RULES}", *versions))


def _css(name: str, data: bytes) -> bytes:
    if _stays(name, data) or _UNUSUAL_CSS.search(data):
        return data
    from rcssmin import cssmin

    marked = _CSS_TOKEN.sub(lambda token: _marked(token[0]), data)
    minified: bytes = cssmin(marked, keep_bang_comments=True)
    return minified if _is_same_style_sheet(data, minified) else data


def _js(name: str, data: bytes) -> bytes:
    if _stays(name, data) or _UNUSUAL.search(data):
        return data
    from rjsmin import jsmin

    try:
        root = syntax_tree(data)
        if root.has_error:
            return data
        prepared, literals = _prepared(root, data)
        squeezed: bytes = jsmin(prepared, keep_bang_comments=True)
        minified = _STAND_IN.sub(lambda stand_in: literals[int(stand_in[1])], squeezed)
        other_root = syntax_tree(minified)
    except TooMuchWork:
        return data
    if _has_html_comment(other_root, minified):
        return data
    return (
        minified
        if _is_same_script(_js_tokens(root, data), _js_tokens(other_root, minified))
        else data
    )


def _png(name: str, data: bytes) -> bytes:
    from oxipng import PngError, optimize_from_memory

    try:
        optimized: bytes = optimize_from_memory(data)
    except PngError:
        # It only has the name of one.
        return data
    # A background colour and the significant bits go with another type of pixels.
    return optimized if _png_metadata(data) == _png_metadata(optimized) else data


def _png_metadata(image: bytes) -> list[bytes]:
    """Return the chunks that are not the pixels, sorted, and the bytes after the last chunk."""
    chunks = []
    start, kind = len(b"\x89PNG\r\n\x1a\n"), b""
    while kind != b"IEND" and start < len(image):
        # PNG, 5.3: the length of the data, the type, the data, a checksum.
        end = start + 12 + int.from_bytes(image[start : start + 4], "big")
        kind = image[start + 4 : start + 8]
        if kind not in _PNG_PIXELS:
            chunks.append(image[start:end])
        start = end
    return [*sorted(chunks), image[start:]]


def _jpeg(name: str, data: bytes) -> bytes:
    from mozjpeg_lossless_optimization import COPY_MARKERS, optimize

    # Another image or a film can follow the first end of an image. Pixels cannot look like one.
    if b"MPF\0" in data or data.find(_JPEG_END) != len(data) - len(_JPEG_END):
        return data
    try:
        # Without its markers an image could lose its orientation, its colours and its author.
        optimized: bytes = optimize(data, copy=COPY_MARKERS.ALL)
    except ValueError:
        return data
    return optimized


#: Minifies style sheets.
css = Optimizer(_css, "minify", ("rcssmin",))
#: Minifies scripts and modules.
js = Optimizer(_js, "minify", ("rjsmin", "tree-sitter", "tree-sitter-javascript"))
#: Recompresses PNG images; each pixel and all metadata stay.
png = Optimizer(_png, "images", ("pyoxipng",))
#: Recompresses JPEG images; each pixel and all metadata stay.
jpeg = Optimizer(_jpeg, "images", ("mozjpeg-lossless-optimization",))


def _stays(name: str, data: bytes) -> bool:
    """Return True for what is minified, has a source map, or is not UTF-8."""
    # A source map that is not made anew would point to other places.
    if ".min." in name or b"sourceMappingURL=" in data:
        return True
    if len(data) > _MEAN_LINE * (data.count(b"\n") + 1):
        return True
    try:
        data.decode()
    except UnicodeDecodeError:
        return True
    return False


def _marked(token: bytes) -> bytes:
    """Return the comment of a licence with the mark of those that the minifiers keep."""
    is_comment = token.startswith((b"/*", b"//")) and not token.startswith(b"/*!")
    if not is_comment or not _LICENCE.search(token):
        return token
    closed = token if token.startswith(b"/*") else token.replace(b"*/", b"* /") + b" */"
    return b"/*!" + closed[2:]


def _prepared(root: Node, source: bytes) -> tuple[bytes, list[bytes]]:
    """Return the script with marked licences and without what the minifier would not understand.

    Strings stand in for template literals and regular expressions, which are the second value.
    """
    pieces: list[bytes] = []
    literals: list[bytes] = []
    end = 0
    for _, node in _nodes(root):
        text = _text(node, source)
        if node.start_byte < end:
            continue
        if node.type == "comment":
            pieces += source[end : node.start_byte], _marked(text)
            end = node.end_byte
        elif node.type in _LITERALS:
            pieces += source[end : node.start_byte], b'"\x01%d"' % len(literals)
            literals.append(text)
            end = node.end_byte
    return b"".join((*pieces, source[end:])), literals


def _has_html_comment(root: Node, script: bytes) -> bool:
    """Return True for operators that have become a comment of HTML, which scripts may have."""
    for match in _HTML_COMMENT.finditer(script):
        node = root.descendant_for_byte_range(*match.span())
        if node is None or node.child_count:
            return True
    return False


def _is_same_script(tokens: Iterator[_Token], others: Iterator[_Token]) -> bool:
    """Return True if the tokens are the same, and the line ends at which a statement could end."""
    before = b""
    for token, other in zip_longest(tokens, others):
        if token is None or other is None or token[:3] != other[:3]:
            return False
        (_, _, text, has_line_end), other_has_line_end = token, other[3]
        if text.startswith(b"/") and before in _BEFORE_UNCERTAIN_SLASH:
            return False
        if has_line_end != other_has_line_end and not (
            has_line_end and (_ENDS_NOTHING.fullmatch(before) or _BEGINS_NOTHING.fullmatch(text))
        ):
            return False
        before = text
    return True


def _js_tokens(root: Node, source: bytes) -> Iterator[_Token]:
    """Yield the depth, the type and the text of each token, and whether a line ends before it.

    Literals are tokens. A line end inside a comment is like any other.
    """
    end = 0
    for depth, node in _nodes(root):
        is_token = not node.child_count or node.type in _LITERALS
        if is_token and node.start_byte >= end and node.type != "comment":
            yield depth, node.type, _text(node, source), b"\n" in source[end : node.start_byte]
            end = node.end_byte


def _nodes(root: Node) -> Iterator[tuple[int, Node]]:
    """Yield each node and its depth, in the order of the text."""
    cursor = root.walk()
    is_open = True
    while is_open:
        if cursor.node is not None:
            yield cursor.depth, cursor.node
        if cursor.goto_first_child():
            continue
        while not cursor.goto_next_sibling():
            if not cursor.goto_parent():
                is_open = False
                break


def _text(node: Node, source: bytes) -> bytes:
    return source[node.start_byte : node.end_byte]


# CSS Syntax Module Level 3, 4: coarser where it makes no difference for white space.
_CSS_TOKEN = re.compile(
    rb"""
    (?P<comment>/\*.*?(?:\*/|\Z))
    | (?P<blank>[ \t\n\r\f]+)
    | (?P<string>"(?:[^"\\\n]|\\.)*"?|'(?:[^'\\\n]|\\.)*'?)
    | (?P<url>url\([ \t\n\r\f]*(?!["' \t\n\r\f])(?:[^()"'\\]|\\.)*\))
    | (?P<operator>[~|^$*<>]=|<!--|-->)
    | (?P<word>(?:[\w-]|[^\x00-\x7f]|\\[0-9a-f]{1,6}[ \t\n\r\f]?|\\.)+)
    | (?P<mark>.)
    """,
    re.VERBOSE | re.DOTALL | re.IGNORECASE,
)
# The types of a function's arguments, as in "<length >", and what looks like a comment in a URL.
_UNUSUAL_CSS = re.compile(rb"@function|url\([^)\"']*/\*", re.IGNORECASE)
# Where white space means nothing: after the first ones, before the second ones.
_COMPARISONS = (b"=", b"~=", b"|=", b"^=", b"$=", b"*=", b"<=", b">=")
_AFTER = frozenset((b"", *_COMPARISONS, *(bytes([mark]) for mark in b"{};,>:([!")))
_BEFORE = frozenset((b"", *_COMPARISONS, *(bytes([mark]) for mark in b"{};,>)]!")))


def _is_same_style_sheet(source: bytes, minified: bytes) -> bool:
    """Return True if only white space that means nothing was taken away, comments and ``;``."""
    before = b""
    # Whether each open parenthesis is one of a query, as in "(color: red)", and not of a function.
    parentheses: list[bool] = []
    # A blank after a colon means nothing in a declaration. "a: hover {}" is an invalid rule.
    must_be_declaration = False
    for (text, has_blank), (other_text, other_has_blank) in zip_longest(
        _css_tokens(source), _css_tokens(minified), fillvalue=(b"", False)
    ):
        if text != other_text or (other_has_blank and not has_blank):
            return False
        if has_blank and not other_has_blank:
            if not _is_idle_blank(before, text):
                return False
            if before == b":" and parentheses and not parentheses[-1]:
                return False
            must_be_declaration |= before == b":" and not parentheses
        if text == b"(":
            parentheses.append(has_blank or before in _AFTER)
        elif parentheses:
            parentheses = parentheses[:-1] if text == b")" else parentheses
        elif text in (b"{", b"}", b";"):
            if text == b"{" and must_be_declaration:
                return False
            must_be_declaration = False
        before = text
    return True


def _is_idle_blank(before: bytes, after: bytes) -> bool:
    """Return True if white space between these tokens means nothing, a selector's colon apart."""
    # Older browsers want the blank of an empty custom property.
    is_empty_value = before == b":" and after in (b"", b";", b"}")
    # A blank before a colon can be one of a selector with a pseudo-class.
    return (before in _AFTER or after in _BEFORE) and not is_empty_value


def _css_tokens(style_sheet: bytes) -> Iterator[tuple[bytes, bool]]:
    """Yield each token, and whether there is white space before it; no comment, no idle ``;``."""
    has_blank = has_idle_blank = is_idle = False
    for match in _CSS_TOKEN.finditer(style_sheet):
        kind, text = match.lastgroup, match[0]
        if kind == "blank":
            has_blank = True
        elif text == b";":
            has_idle_blank = has_blank if not is_idle else has_idle_blank
            is_idle, has_blank = True, False
        elif kind != "comment":
            if is_idle and text != b"}":
                yield b";", has_idle_blank
            elif is_idle:
                has_blank = has_idle_blank
            if kind == "url":
                text = b"url(" + text[4:-1].strip() + b")"
            yield text, has_blank
            has_blank = is_idle = False
