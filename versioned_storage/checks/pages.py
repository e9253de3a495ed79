"""Checks of what templates load, without rendering them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core import checks
from django.template import engines
from django.template.utils import get_app_template_dirs

from ..site import middleware, usable_storage
from ..text import lines_text

INTEGRITY = "versioned_storage.integrity.IntegrityMiddleware"

# An element of another site or of a view: no storage gives its URL, and nothing knows its bytes.
_ELSEWHERE = r"[\"']?(?:(?:https?:)?//|\{% *url )"
_NO_STATIC_FILE = re.compile(
    rf"<(?:script\b(?=[^>]*\ssrc={_ELSEWHERE})"
    rf"|link\b(?=[^>]*\shref={_ELSEWHERE})(?=[^>]*\srel=[\"']?stylesheet))"
    r"(?![^>]*\sintegrity=)[^>]*>",
    re.IGNORECASE,
)


def check_integrity_policy(app_configs: Any, **kwargs: Any) -> Sequence[checks.CheckMessage]:
    """Every script and style sheet of a page has what an Integrity-Policy demands."""
    storage = usable_storage()
    if storage is None or storage.options.integrity_policy is None or settings.DEBUG:
        return []
    if not any(entry.is_a(INTEGRITY) for entry in middleware()):
        return [
            checks.Warning(
                f"integrity_policy is set, and {INTEGRITY}, which sends it, is not in MIDDLEWARE.",
                hint=f'MIDDLEWARE = [..., "{INTEGRITY}"]',
                id="versioned_storage.W015",
            )
        ]
    places = [place for path in _templates() for place in _without_integrity(path)]
    if not places:
        return []
    return [
        checks.Warning(
            "Browsers refuse elements without integrity (integrity_policy), and templates have:\n"
            f"{lines_text(places)}",
            hint="Add integrity and crossorigin to them, or make them static files of the site, or "
            "leave their pages out, in policies() of a subclass of IntegrityMiddleware.",
            id="versioned_storage.W015",
        )
    ]


def _templates() -> Iterator[Path]:
    """Every file in the template directories of the site, in a fixed order."""
    directories = {Path(name) for engine in engines.all() for name in engine.template_dirs}
    directories |= {Path(name) for name in get_app_template_dirs("templates")}
    for directory in sorted(directories):
        yield from (path for path in sorted(directory.rglob("*")) if path.is_file())


def _without_integrity(path: Path) -> Iterator[str]:
    """File, line and element of each element of a template that a browser would block."""
    text = path.read_text(errors="replace")
    for match in _NO_STATIC_FILE.finditer(text):
        yield f"{path}:{text.count(chr(10), 0, match.start()) + 1} {' '.join(match[0].split())}"
