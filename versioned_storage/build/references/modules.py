"""Where ES modules refer to other files, found in the syntax tree that tree-sitter makes."""

from __future__ import annotations

import re
from array import array
from bisect import bisect_left
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from .tokens import Reference, Syntax, trimmed, well_formed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from tree_sitter import Language, Node

_WORD = re.compile(rb"\b(?:import|export)\b")
# Syntax that the grammar does not know: import attributes after an export, import phases, and line
# breaks after `export` or before `from`.
_BLANKED = re.compile(
    rb"""
    \bfrom\s*(?:"[^"\n]*"|'[^'\n]*')\s*(?P<attributes>(?:with|assert)\s*\{[^{}]*\})
    | \bimport\s+(?P<phase>(?:source\s+(?!from\s*['"])(?=[^\W\d]|\$)|defer\s*(?=\*)))
    | \bexport(?P<line_break>\s+)(?=\{)
    | \}(?P<line_break_too>\s+)(?=from\s*['"])
    """,
    re.VERBOSE,
)
# Matches code that looks like an import but was not parsed. The lookahead and the backreference
# keep the engine from trying each shorter part.
_LIKE_AN_IMPORT = re.compile(
    rb"""(?:import|export)(?![\w$])(?=([^;'"`()=]{,1000}))\1(?:\(\s*)?['"`](?:\.{0,2}/)"""
)
_NO_CODE = frozenset(
    ("comment", "string", "string_fragment", "template_string", "regex_pattern", "jsx_text")
)
# The parser reports its progress after a fixed amount of work. This many reports are enough for
# about 20 MB of minified source.
_MOST_STEPS = 500_000
_GLOBALS = (b"globalThis", b"self", b"window")
_READ = 64 * 1024
# HTML Standard, "resolve a module specifier": import maps resolve all others.
_RESOLVES_ALONE = re.compile(r"\.{0,2}/|[a-zA-Z][a-zA-Z0-9+.-]*:")
_ESCAPE = re.compile(
    r"\\(?:u\{(?P<long>[0-9a-fA-F]+)\}|u(?P<short>[0-9a-fA-F]{4})|x(?P<byte>[0-9a-fA-F]{2})"
    r"|(?P<newline>\r\n|[\n\r\u2028\u2029])|(?P<character>(?s:.)))"
)
_CONTROLS = dict(zip("bfnrtv0", "\b\f\n\r\t\v\0", strict=True))


class _Token(NamedTuple):
    """A reference in UTF-8: ``start`` and ``end`` are bytes."""

    start: int
    end: int
    url: str
    syntax: Syntax


class TooMuchWork(Exception):
    """The parser gave up on a text that needs more work than any normal script."""


def js_module_references(text: str) -> list[Reference]:
    """Return the modules that a module imports and the URLs it makes from ``import.meta.url``.

    These are static imports and re-exports, ``import()`` of a literal, and
    ``new URL("x", import.meta.url)``, but no bare or computed specifiers. What looks like an import
    in code that cannot be parsed is returned as `Syntax.UNPARSED`. Raises ImportError without the
    extra ``modules``, `TooMuchWork` for a text that needs too much work.
    """
    language = _language()
    source = text.encode("utf-8", "surrogatepass")
    words = array("Q", (word.start() for word in _WORD.finditer(source)))
    if not words:
        return []
    root = _parse(language, _BLANKED.sub(_blank, _without_open_comments(source)))
    tokens = sorted(_tokens(root, source, words))
    offsets = _code_points(source, (offset for token in tokens for offset in token[:2]))
    return [Reference(next(offsets), next(offsets), url, kind) for _, _, url, kind in tokens]


def syntax_tree(source: bytes) -> Node:
    """Return the root of the syntax tree of a script or a module in UTF-8.

    Raises ImportError without the extra ``modules``, `TooMuchWork` for a text that needs too much
    work.
    """
    return _parse(_language(), _without_open_comments(source))


def _parse(language: Language, source: bytes) -> Node:
    from tree_sitter import Parser  # of the extra ``modules``

    steps = 0

    def goes_on_too_long(*_progress: object) -> bool:
        nonlocal steps
        steps += 1
        return steps > _MOST_STEPS

    try:
        tree = Parser(language).parse(
            lambda offset, _: source[offset : offset + _READ], progress_callback=goes_on_too_long
        )
    except ValueError:
        if steps > _MOST_STEPS:
            raise TooMuchWork from None
        raise
    return tree.root_node


def _blank(match: re.Match[bytes]) -> bytes:
    """Return the match with its one group replaced by as many spaces."""
    start, end = match.span(str(match.lastgroup))
    before, after = start - match.start(), end - match.start()
    return match[0][:before] + b" " * (end - start) + match[0][after:]


@cache
def _language() -> Language:
    import tree_sitter_javascript  # of the extra ``modules``
    from tree_sitter import Language

    return Language(tree_sitter_javascript.language())


def _without_open_comments(source: bytes) -> bytes:
    """Return the source, of equal length, without comments that are never closed.

    For each of those the parser would search the rest of the text. They are no comments, and in
    literals, where most of them are, the character that is changed does not matter.
    """
    last_end = source.rfind(b"*/") + 2 if b"*/" in source else 0
    if source.find(b"/*", last_end) < 0:
        return source
    return source[:last_end] + source[last_end:].replace(b"/*", b"/+")


def _tokens(root: Node, source: bytes, words: Sequence[int]) -> Iterator[_Token]:
    """Walk the part of the tree that contains the ``words``, which is a small part."""
    waiting = [(root, False, root.has_error)]
    while waiting:
        node, in_statements, is_doubtful = waiting.pop()
        word = bisect_left(words, node.start_byte)
        if word == len(words) or words[word] >= node.end_byte:
            continue
        token = None
        if node.type == "call_expression":
            token = _import_call(node, source)
        elif node.type == "new_expression":
            token = _new_url(node, source)
        elif in_statements and node.type in ("import_statement", "export_statement"):
            token = _statement(node, source)
            is_doubtful = node.has_error
        elif not node.children and is_doubtful and words[word] == node.start_byte:
            token = _unparsed(node, source)
        if token:
            yield token
        # Imports are statements of the module, or of a part of it that has errors.
        is_module = node.type in ("program", "ERROR")
        children = node.children
        if token and children:
            # Skip the keyword; go on with the arguments and the body.
            children = children[1:]
        waiting.extend((child, is_module, is_doubtful) for child in children)


def _unparsed(node: Node, source: bytes) -> _Token | None:
    if node.type in _NO_CODE:
        return None
    statement = _LIKE_AN_IMPORT.match(source, node.start_byte)
    if statement is None:
        return None
    return _Token(node.start_byte, node.end_byte, "", Syntax.UNPARSED)


def _statement(node: Node, source: bytes) -> _Token | None:
    literal = node.child_by_field_name("source")
    if literal is None or node.has_error:
        return None
    url = _literal(literal, source)
    if url is None or not _RESOLVES_ALONE.match(url):
        return None
    token = _Token(literal.start_byte, literal.end_byte, trimmed(url), Syntax.JS_STRING)
    keywords = [child for child in node.children if child.type in ("import", "from")]
    keyword = keywords[-1]
    if source[keyword.end_byte : literal.start_byte].strip():
        return token
    if keyword.type == "import":
        return token._replace(start=keyword.start_byte, syntax=Syntax.BARE_IMPORT)
    before = source[node.start_byte : keyword.start_byte]
    # The line break before `from` may end a comment.
    if b"//" in before or b"/*" in before:
        return token
    return token._replace(start=node.start_byte + len(before.rstrip()), syntax=Syntax.FROM)


def _import_call(node: Node, source: bytes) -> _Token | None:
    function = node.child_by_field_name("function")
    arguments = node.child_by_field_name("arguments")
    if function is None or function.type != "import" or arguments is None or arguments.has_error:
        return None
    values = _values(arguments)
    url = _literal(values[0], source) if values else None
    if url is None or not _RESOLVES_ALONE.match(url):
        return None
    start, end = values[0].start_byte, values[0].end_byte
    # Comments, options and commas are kept.
    if [child.type for child in arguments.children] == ["(", values[0].type, ")"] and (
        function.end_byte == arguments.start_byte
        or source[function.end_byte : arguments.start_byte].isspace()
    ):
        return _Token(function.start_byte, arguments.end_byte, trimmed(url), Syntax.IMPORT_CALL)
    return _Token(start, end, trimmed(url), Syntax.JS_STRING)


def _new_url(node: Node, source: bytes) -> _Token | None:
    constructor = node.child_by_field_name("constructor")
    arguments = node.child_by_field_name("arguments")
    if constructor is None or arguments is None or arguments.has_error:
        return None
    values = _values(arguments)
    if not _is_url_class(constructor, source) or len(values) != 2:
        return None
    url = _literal(values[0], source)
    if url is None or not _is_module_url(values[1], source):
        return None
    return _Token(values[0].start_byte, values[0].end_byte, trimmed(url), Syntax.JS_STRING)


def _is_url_class(node: Node, source: bytes) -> bool:
    """Return True for ``URL``, also as a property of the global object."""
    if node.type != "member_expression":
        return _is_name(node, b"URL", source)
    owner, name = node.child_by_field_name("object"), node.child_by_field_name("property")
    return (
        owner is not None
        and name is not None
        and _is_name(name, b"URL", source)
        and any(_is_name(owner, names, source) for names in _GLOBALS)
    )


def _values(arguments: Node) -> list[Node]:
    return [child for child in arguments.named_children if child.type != "comment"]


def _is_module_url(node: Node, source: bytes) -> bool:
    """Return True for ``import.meta.url``, the only meta property with a URL."""
    meta = node.child_by_field_name("object")
    name = node.child_by_field_name("property")
    return (
        meta is not None
        and meta.type == "meta_property"
        and name is not None
        and _is_name(name, b"url", source)
    )


def _is_name(node: Node, name: bytes, source: bytes) -> bool:
    is_identifier = node.type in ("identifier", "property_identifier")
    return is_identifier and source[node.start_byte : node.end_byte] == name


def _literal(node: Node, source: bytes) -> str | None:
    """Return the value of a string or of a template without substitutions."""
    if node.type not in ("string", "template_string"):
        return None
    if any(child.type == "template_substitution" for child in node.children):
        return None
    raw = source[node.start_byte + 1 : node.end_byte - 1].decode("utf-8", "surrogatepass")
    return well_formed(_ESCAPE.sub(_escaped_character, raw))


def _escaped_character(match: re.Match[str]) -> str:
    """ECMA-262, 12.9.4."""
    if match["newline"]:
        return ""
    if match["character"]:
        return _CONTROLS.get(match["character"], match["character"])
    code_point = int(match["long"] or match["short"] or match["byte"], 16)
    return chr(code_point) if code_point < 0x110000 else "\ufffd"


def _code_points(source: bytes, offsets: Iterable[int]) -> Iterator[int]:
    """Convert ascending offsets in bytes to offsets in code points."""
    counted = code_points = 0
    for offset in offsets:
        code_points += len(source[counted:offset].decode("utf-8", "surrogatepass"))
        counted = offset
        yield code_points
