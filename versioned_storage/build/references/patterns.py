"""Where a site's own regular expressions say that a file refers to others."""

from __future__ import annotations

import re

from .tokens import PatternReference, Reference, Syntax, trimmed


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
        references.append(PatternReference(start, end, url, Syntax.PATTERN, template, groups))
    return references
