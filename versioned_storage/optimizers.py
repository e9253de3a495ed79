"""Functions for the option ``transforms`` that make files smaller and leave what they mean.

A minifier's result is taken only if it has the tokens of the source: rcssmin and rjsmin go by
regular expressions, which do not know nested rules and lose blanks of template literals.
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
_RULES = 1

# A text with longer lines on average is minified already.
_MEAN_LINE = 200
_LICENCE = re.compile(rb"@preserve|licen[cs]e|copyright", re.IGNORECASE)
# Line ends of which the parser does not know that a semicolon may be inserted at them, and what
# stands for a literal.
_UNUSUAL = re.compile(rb"\r(?!\n)|\xe2\x80[\xa8\xa9]|\x01")
_STAND_IN = re.compile(rb'"\x01(\d+)"')
# ECMA-262, B.1.1: the second one only at the beginning of a line.
_HTML_COMMENT = re.compile(rb"<!--|(?:^|\*/)\s*-->", re.MULTILINE)


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
    if _stays(name, data):
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
    is_same = all(
        node == other
        for node, other in zip_longest(_js_nodes(root, data), _js_nodes(other_root, minified))
    )
    return minified if is_same and not _has_html_comment(other_root, minified) else data


def _png(name: str, data: bytes) -> bytes:
    from oxipng import PngError, optimize_from_memory

    try:
        optimized: bytes = optimize_from_memory(data)
    except PngError:
        # It only has the name of one.
        return data
    return optimized


def _jpeg(name: str, data: bytes) -> bytes:
    from mozjpeg_lossless_optimization import COPY_MARKERS, optimize

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
        elif node.type in ("regex", "template_string"):
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


def _js_nodes(root: Node, source: bytes) -> Iterator[tuple[int, str, bytes]]:
    """Yield the depth, the type and, of a leaf, the text of each node that is no comment.

    The tree also tells where semicolons are inserted automatically.
    """
    for depth, node in _nodes(root):
        if node.type != "comment":
            yield depth, node.type, b"" if node.child_count else _text(node, source)


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
    | (?P<word>(?:[\w-]|[^\x00-\x7f]|\\[0-9a-f]{1,6}[ \t\n\r\f]?|\\.)+)
    | (?P<mark>.)
    """,
    re.VERBOSE | re.DOTALL | re.IGNORECASE,
)
# Where white space means nothing: after the first ones, before the second ones.
_AFTER = frozenset((b"", *(bytes([mark]) for mark in b"{};,>:([=!")))
_BEFORE = frozenset((b"", *(bytes([mark]) for mark in b"{};,>)]=!")))


def _is_same_style_sheet(source: bytes, minified: bytes) -> bool:
    """Return True if only white space that means nothing was taken away, comments and ``;``."""
    before = b""
    for (text, has_blank), (other_text, other_has_blank) in zip_longest(
        _css_tokens(source), _css_tokens(minified), fillvalue=(b"", False)
    ):
        if text != other_text or (other_has_blank and not has_blank):
            return False
        is_lost = has_blank and not other_has_blank
        if is_lost and before not in _AFTER and text not in _BEFORE:
            # Of a selector with a pseudo-class, for example.
            return False
        if is_lost and before == b":" and text in (b"", b";", b"}"):
            # An empty custom property, of which older browsers want the blank.
            return False
        before = text
    return True


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
