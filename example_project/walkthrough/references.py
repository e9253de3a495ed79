"""What a page, a stylesheet, a script or a web manifest names: text in, references out.

Written for the demo and not shared with the package, so that the two can disagree.
"""

import json
import re
from html.parser import HTMLParser

_CSS_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_CSS_URL = re.compile(r"""url\(\s*(?:"([^"]*)"|'([^']*)'|([^"'()\s]+))\s*\)""", re.IGNORECASE)
_CSS_IMPORT = re.compile(r"""@import\s+(?:"([^"]*)"|'([^']*)')""", re.IGNORECASE)
_MODULE = re.compile(
    r"""(?:^|[;}\n])\s*(?:import|export)\s*(?:[\w$*{},\s]+\sfrom\s*)?["']([^"']+)["']"""
    r"""|\bimport\(\s*["']([^"']+)["']\s*\)"""
)
_SOURCE_MAP = re.compile(r"""[/*][/*][#@]\s*sourceMappingURL=([^\s*'"]+)\s*(?:\*/)?\s*\Z""")

# <link> is for many things; these are files that a browser fetches.
_FETCHED_LINKS = {"stylesheet", "icon", "manifest", "preload", "modulepreload"}


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.references: dict[str, bool] = {}
        self._in_style = False

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attributes}
        self._in_style = tag == "style"
        if tag == "link" and _FETCHED_LINKS & set(values.get("rel", "").lower().split()):
            self._name(values.get("href", ""))
        elif tag == "script":
            self._name(values.get("src", ""), module=values.get("type") == "module")
        elif tag in ("img", "source", "video", "audio", "embed"):
            self._name(values.get("src", ""))
            for candidate in values.get("srcset", "").split(","):
                self._name(*candidate.split()[:1])
        self._name_all(css(values.get("style", "")))

    def handle_data(self, data: str) -> None:
        if self._in_style:
            self._name_all(css(data))

    def _name_all(self, references: set[str]) -> None:
        for reference in references:
            self._name(reference)

    def _name(self, reference: str = "", *, module: bool = False) -> None:
        if is_file(reference):
            self.references[reference] = self.references.get(reference, False) or module


def page(html: str) -> dict[str, bool]:
    """The files that a page names; True where it takes them for ES modules."""
    parser = _Page()
    parser.feed(html)
    return parser.references


def css(text: str) -> set[str]:
    """The files that a stylesheet names, its source map too."""
    bare = _CSS_COMMENT.sub("", text)
    references = {"".join(match) for match in _CSS_URL.findall(bare) + _CSS_IMPORT.findall(bare)}
    return {reference for reference in references if is_file(reference)} | source_map(text)


def module(text: str) -> set[str]:
    """The files that an ES module imports."""
    return {"".join(match) for match in _MODULE.findall(text)}


def source_map(text: str) -> set[str]:
    """The source map that a stylesheet or a script ends with."""
    return {url for url in _SOURCE_MAP.findall(text.rstrip()) if is_file(url)}


def web_manifest(text: str) -> set[str]:
    """The icons of a web app manifest."""
    return {icon["src"] for icon in json.loads(text).get("icons", ())}


def is_file(reference: str) -> bool:
    """Return True if a reference leads to another file."""
    return bool(reference) and not reference.startswith(("#", "data:", "about:", "blob:"))
