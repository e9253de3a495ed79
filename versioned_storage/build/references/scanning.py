"""Which files are scanned for references, and by what.

`HashedFilesMixin.patterns` says it in Django. What Django itself has in there stands for the
scanners of `references`; what a subclass has added is honoured as it is.
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
    pattern_references,
    webmanifest_references,
)


class MissingParser(ConfigurationError):
    """ES modules are to be read, and their parser is not installed."""

    def __init__(self, error: ImportError) -> None:
        self.missing = error.name
        super().__init__(
            f"js_modules is on, and {error.name} is not installed: ES modules are read by a real "
            'parser. Run pip install "django-versioned-storage[modules]", or set js_modules=False.'
        )


Scanner = Callable[[str], Sequence[Reference]]

_CSS_COMMENT = re.compile(r"/\*.*?(?:\*/|\Z)", re.DOTALL)
_WEB_MANIFESTS = ("*.webmanifest", "manifest.json", "*/manifest.json")

# Private, and in Django since 4.2; the stubs leave it out.
_MODULE_PATTERNS: Sequence[Any] = vars(HashedFilesMixin)["_js_module_import_aggregation_patterns"][
    1
]

# Django's own patterns, and what finds more exactly what they mean.
_BUILT_IN: tuple[tuple[Sequence[Any], Scanner], ...] = (
    (dict(HashedFilesMixin.patterns)["*.css"], css_references),
    (dict(HashedFilesMixin.patterns)["*.js"], js_source_maps),
    (_MODULE_PATTERNS, js_module_references),
)


class Scanners:
    """Finds the references in a file, by its name."""

    def __init__(self, patterns: Iterable[tuple[str, Iterable[Any]]]) -> None:
        self._by_name: list[tuple[Callable[[str], object], Scanner]] = []
        for glob in _WEB_MANIFESTS:
            self._scan(glob, webmanifest_references)
        for glob, wanted in patterns:
            self._add(glob, list(wanted))

    def read(self, name: str) -> bool:
        """Say whether files of that name can have references at all."""
        return any(matches(name) for matches, _ in self._by_name)

    def references(self, name: str, text: str) -> list[Reference]:
        """Every reference in ``text``, in order; where two overlap, the first one found."""
        found: list[Reference] = []
        for scanner in dict.fromkeys(s for matches, s in self._by_name if matches(name)):
            found.extend(scanner(text))
        found.sort(key=lambda reference: reference.start)
        apart: list[Reference] = []
        for reference in found:
            if not apart or reference.start >= apart[-1].end:
                apart.append(reference)
        return apart

    def _add(self, glob: str, wanted: list[Any]) -> None:
        for patterns, scanner in _BUILT_IN:
            if any(pattern in patterns for pattern in wanted):
                if scanner is js_module_references:
                    _require_parser()
                self._scan(glob, scanner)
                if glob == "*.js":
                    self._scan("*.mjs", scanner)
        known = [pattern for patterns, _ in _BUILT_IN for pattern in patterns]
        for pattern in wanted:
            if pattern not in known:
                self._scan(glob, _of_pattern(pattern))

    def _scan(self, glob: str, scanner: Scanner) -> None:
        # As fnmatchcase, which looks the compiled glob up again for each name.
        self._by_name.append((re.compile(translate(glob)).match, scanner))


def _require_parser() -> None:
    """Raise `MissingParser` now, not after the first files were written."""
    try:
        import tree_sitter
        import tree_sitter_javascript
    except ImportError as error:
        raise MissingParser(error) from error
    _ = tree_sitter, tree_sitter_javascript


def _of_pattern(pattern: str | Sequence[Any]) -> Scanner:
    """A scanner for a string, or a tuple of pattern, template and what to ignore."""
    template: str = HashedFilesMixin.default_template
    ignored: re.Pattern[str] = _CSS_COMMENT
    if not isinstance(pattern, str):
        parts = list(pattern)
        pattern, template = parts[:2]
        if len(parts) > 2:
            ignored = re.compile(parts[2])
    compiled = re.compile(str(pattern), re.IGNORECASE)
    return partial(pattern_references, pattern=compiled, template=template, ignored=ignored)
