"""Where style sheets, scripts and web app manifests refer to other files.

Pure functions over text: each finds the references of one sort, in their order, in time linear in
the text, whatever the text. What they find can be rewritten, and all else stays as it is.
"""

from __future__ import annotations

from .modules import js_module_references
from .patterns import pattern_references
from .source_maps import js_source_maps
from .stylesheets import css_references
from .tokens import PatternReference, Reference, Syntax, line_of, rewrite
from .webmanifests import webmanifest_references

__all__ = [
    "PatternReference",
    "Reference",
    "Syntax",
    "css_references",
    "js_module_references",
    "js_source_maps",
    "line_of",
    "pattern_references",
    "rewrite",
    "webmanifest_references",
]
