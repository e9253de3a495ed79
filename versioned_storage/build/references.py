"""Where style sheets, scripts and web app manifests refer to other files.

Pure functions over text: each finds the references of one sort, in their order, in time linear in
the text, whatever the text. What they find can be rewritten, and all else stays as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .modules import js_module_references
from .scripts import js_source_maps
from .stylesheets import css_references
from .tokens import Kind, PatternReference, Reference, line_of, rewrite, trimmed
from .webmanifests import webmanifest_references

if TYPE_CHECKING:
    import re

__all__ = [
    "Kind",
    "PatternReference",
    "Reference",
    "css_references",
    "js_module_references",
    "js_source_maps",
    "line_of",
    "pattern_references",
    "rewrite",
    "webmanifest_references",
]


def pattern_references(
    text: str, pattern: re.Pattern[str], template: str, ignored: re.Pattern[str] | None
) -> list[Reference]:
    """What a pattern as in Django's ``HashedFilesMixin.patterns`` finds.

    The pattern has a group ``url``; ``template`` takes all of its named groups. A match that starts
    inside a match of ``ignored`` is none. Raises IndexError where the pattern has no such group.
    """
    references: list[Reference] = []
    blocks = ignored.finditer(text) if ignored else iter(())
    block = next(blocks, None)
    for found in pattern.finditer(text):
        start, end = found.span()
        # Both come in the order of the text, so a block that is behind one match is behind all.
        while block and block.end() <= start:
            block = next(blocks, None)
        if found["url"] is None or (block and block.start() < start):
            continue
        url, groups = trimmed(found["url"]), found.groupdict()
        references.append(PatternReference(start, end, url, Kind.PATTERN, template, groups))
    return references
