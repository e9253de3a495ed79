"""Where style sheets, scripts and web app manifests refer to other files.

Pure functions over text. Each returns the references of one kind, in order, in time linear in the
length of any text. `rewrite` replaces them and leaves everything else as it is.
"""

from __future__ import annotations

from .modules import js_module_references
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
    "rewrite",
    "webmanifest_references",
]
