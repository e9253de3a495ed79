"""References that a site's own regular expressions find."""

from __future__ import annotations

import re

from .tokens import PatternReference, Reference, Syntax, trimmed


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
