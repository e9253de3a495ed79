"""Which files are scanned for references, and how.

`HashedFilesMixin.patterns` decides. Django's own patterns are replaced by the scanners of
this package, which find more exactly what they mean; patterns that a subclass adds are used as they
are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from fnmatch import translate
from functools import partial
from typing import Any

from django.contrib.staticfiles.storage import HashedFilesMixin

from ...errors import ConfigurationError
from . import (
    Reference,
    css_references,
    js_module_references,
    js_source_maps,
    webmanifest_references,
)
from .tokens import PatternReference, Syntax, trimmed


class MissingParser(ConfigurationError):
    """``js_modules`` is on and the parser of ES modules is not installed."""

    def __init__(self, error: ImportError) -> None:
        self.missing = error.name
        super().__init__(
            f"js_modules is on, and {error.name} is not installed: ES modules are read by a real "
            'parser. Run pip install "django-versioned-storage[modules]", or set js_modules=False.'
        )


Scanner = Callable[[str], Sequence[Reference]]

_CSS_COMMENT = re.compile(r"/\*.*?(?:\*/|\Z)", re.DOTALL)
_WEB_MANIFESTS = ("*.webmanifest", "manifest.json", "*/manifest.json")

# Private, and in Django since 4.2; the stubs do not have it.
_MODULE_PATTERNS: Sequence[Any] = vars(HashedFilesMixin)["_js_module_import_aggregation_patterns"][
    1
]

# Django's patterns, and the scanner for each.
_BUILT_IN: tuple[tuple[Sequence[Any], Scanner], ...] = (
    (dict(HashedFilesMixin.patterns)["*.css"], css_references),
    (dict(HashedFilesMixin.patterns)["*.js"], js_source_maps),
    (_MODULE_PATTERNS, js_module_references),
)


class Scanners:
    """Finds the references in a file; its name decides how."""

    def __init__(self, patterns: Iterable[tuple[str, Iterable[Any]]]) -> None:
        self._by_name: list[tuple[Callable[[str], object], Scanner]] = []
        for glob in _WEB_MANIFESTS:
            self._scan(glob, webmanifest_references)
        for glob, patterns_of_glob in patterns:
            self._add(glob, list(patterns_of_glob))

    def is_scanned(self, name: str) -> bool:
        """Return True if a file of that name is scanned."""
        return any(matches(name) for matches, _ in self._by_name)

    def scans(self, name: str, scanner: Scanner) -> bool:
        """Return True if that scanner reads a file of that name."""
        return any(other is scanner and matches(name) for matches, other in self._by_name)

    def references(self, name: str, text: str) -> list[Reference]:
        """Return the references in ``text`` in order; of two that overlap, the first."""
        references: list[Reference] = []
        for scanner in dict.fromkeys(s for matches, s in self._by_name if matches(name)):
            references.extend(scanner(text))
        references.sort(key=lambda reference: reference.start)
        apart: list[Reference] = []
        for reference in references:
            if not apart or reference.start >= apart[-1].end:
                apart.append(reference)
        return apart

    def _add(self, glob: str, patterns: list[Any]) -> None:
        for built_in, scanner in _BUILT_IN:
            if any(pattern in built_in for pattern in patterns):
                if scanner is js_module_references:
                    _require_parser()
                self._scan(glob, scanner)
                if glob == "*.js":
                    self._scan("*.mjs", scanner)
        built_in = [
            pattern for patterns_of_django, _ in _BUILT_IN for pattern in patterns_of_django
        ]
        for pattern in patterns:
            if pattern not in built_in:
                self._scan(glob, _scanner_of(pattern))

    def _scan(self, glob: str, scanner: Scanner) -> None:
        # fnmatchcase would look up the compiled glob for each name.
        self._by_name.append((re.compile(translate(glob)).match, scanner))


def with_modules(patterns: Iterable[tuple[str, Iterable[Any]]]) -> list[tuple[str, Iterable[Any]]]:
    """Return the patterns, and those of ES modules if their parser is installed."""
    try:
        _require_parser()
    except MissingParser:
        return list(patterns)
    return [*patterns, ("*.js", _MODULE_PATTERNS)]


def _require_parser() -> None:
    """Raise `MissingParser` before any file is written."""
    try:
        import tree_sitter
        import tree_sitter_javascript
    except ImportError as error:
        raise MissingParser(error) from error
    _ = tree_sitter, tree_sitter_javascript


def _scanner_of(pattern: str | Sequence[Any]) -> Scanner:
    """Return a scanner for a pattern, or for a tuple of pattern, template and what to ignore."""
    template: str = HashedFilesMixin.default_template
    ignored: re.Pattern[str] = _CSS_COMMENT
    if not isinstance(pattern, str):
        parts = list(pattern)
        pattern, template = parts[:2]
        if len(parts) > 2:
            ignored = re.compile(parts[2])
    compiled = re.compile(str(pattern), re.IGNORECASE)
    return partial(pattern_references, pattern=compiled, template=template, ignored=ignored)


def pattern_references(
    text: str, pattern: re.Pattern[str], template: str, ignored: re.Pattern[str] | None
) -> list[Reference]:
    """Return what a pattern as in Django's ``HashedFilesMixin.patterns`` matches.

    The pattern has a group ``url``; ``template`` takes all of its named groups. Matches that start
    inside a match of ``ignored`` do not count. Raises IndexError if there is no group ``url``.
    """
    references: list[Reference] = []
    blocks = ignored.finditer(text) if ignored else iter(())
    block = next(blocks, None)
    for match in pattern.finditer(text):
        start, end = match.span()
        # Both are in the order of the text, so a block that one match has passed can be dropped.
        while block and block.end() <= start:
            block = next(blocks, None)
        if match["url"] is None or (block and block.start() < start):
            continue
        url, groups = trimmed(match["url"]), match.groupdict()
        references.append(PatternReference(start, end, url, Syntax.PATTERN, template, groups))
    return references
