"""Which assets are portable: nothing in them can compute the URL of a neighbour.

What is not provably portable stays in its build. Texts are judged by their characters, comments
included: an error binds an asset that could be shared, not the other way round.
"""

from __future__ import annotations

import html
import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence

from ..text import bytes_text, count_text
from .manifest import Asset, Bound, Reason
from .recipe import Recipe
from .references import Reference, Syntax, css_references, js_module_references
from .references.scanning import Scanners
from .references.webmanifests import page_urls, webmanifest_references
from .resolver import Resolver, Target

# Types whose files refer to nothing that a browser loads.
_INERT = frozenset(
    (
        *("apng", "avif", "bmp", "cur", "gif", "heic", "ico", "jpeg", "jpg", "jxl", "png", "tif"),
        *("tiff", "webp", "eot", "otf", "pfb", "ttf", "woff", "woff2"),
        *("aac", "flac", "m4a", "mp3", "oga", "ogg", "opus", "wav", "weba"),
        *("avi", "m4v", "mkv", "mov", "mp4", "ogv", "webm"),
        *("7z", "br", "bz2", "gz", "rar", "tar", "tgz", "xz", "zip", "zst"),
        *("csv", "map", "md", "pdf", "rst", "tsv", "txt", "wasm"),
    )
)
_SCRIPTS = ("js", "mjs")
_LONGEST_CULPRIT = 60


class Portability:
    """Decides which assets of a build are shared, each after all that it refers to.

    ``bound`` has the root cause of each asset that is not, by its name. Without shared assets
    nothing is decided.
    """

    def __init__(self, recipe: Recipe, scanners: Scanners, resolver: Resolver) -> None:
        self._recipe = recipe
        self._scanners = scanners
        self._resolver = resolver
        self._causes: dict[str, Bound] = {}
        self._shared: set[str] = set()
        # The assets and the other custom properties in the values of a custom property.
        self._targets: dict[str, set[str]] = defaultdict(set)
        self._used_by: dict[str, set[str]] = defaultdict(set)
        self.bound: dict[str, Bound] = {}

    def needs_text(self, name: str) -> bool:
        """Return True if the decision depends on the text of a file of this name."""
        if not self._recipe.shared_prefix:
            return False
        if self._recipe.prehashed(name):
            # Other style sheets may use custom properties of one that is bound.
            is_judged = self._recipe.vouches_for(name) or _extension(name) == "css"
            return is_judged and self._scanners.is_scanned(name)
        return self._rules_of(name) is not None

    def judge(self, name: str, text: str | None, references: Sequence[Reference] = ()) -> None:
        """Look for what binds an asset in its source; the text is None if it is not UTF-8.

        ``references`` are all that the scanners return for the text.
        """
        rules = self._rules_of(name) if self._recipe.shared_prefix else None
        if rules is None:
            return
        if text is None:
            self.bind_unless_vouched(name, Reason.NOT_UTF8, "its encoding")
            return
        for reason, culprit in rules(name, text, references):
            self.bind_unless_vouched(name, reason, culprit)
            return

    def trace_variables(
        self, name: str, text: str, references: Iterable[tuple[Reference, Target]]
    ) -> frozenset[str]:
        """Return the custom properties that a style sheet uses, and note the URLs in its own.

        Browsers resolve a URL in a custom property against the style sheet that uses the property,
        so that one is bound too where the URL leads to a bound asset.
        """
        if not self._recipe.shared_prefix or _extension(name) != "css" or "--" not in text:
            return frozenset()
        # The last custom property before it in the rule, though another one may be between.
        declared = [(match.start(), match[1]) for match in _DECLARED.finditer(text)]
        starts = [start for start, _ in declared]

        def variable_at(position: int) -> str | None:
            index = bisect_left(starts, position)
            return declared[index - 1][1] if index else None

        for reference, target in references:
            if variable := variable_at(reference.start):
                self._targets[variable].add(target.name)
        variables = set()
        for use in _USED_VARIABLE.finditer(text):
            variables.add(use[1])
            if variable := variable_at(use.start()):
                self._used_by[variable].add(use[1])
        return frozenset(variables)

    def targets_of(self, variables: Iterable[str]) -> frozenset[str]:
        """Return the assets to which those custom properties lead in any style sheet.

        Where the value of one uses another one, it leads where that one leads.
        """
        waiting = list(variables)
        reached: set[str] = set()
        while waiting:
            variable = waiting.pop()
            if variable not in reached:
                reached.add(variable)
                waiting += self._used_by.get(variable, ())
        return frozenset().union(*(self._targets.get(variable, ()) for variable in reached))

    def bind_unless_vouched(self, name: str, reason: Reason, culprit: str) -> None:
        """Note what binds an asset unless the site vouches for it; the first cause counts."""
        self._causes.setdefault(name, _bound(name, reason, culprit))

    def bind_always(self, name: str, reason: Reason, culprit: str) -> None:
        """Bind an asset now, also one that the site vouches for."""
        if self._recipe.shared_prefix:
            self.bound.setdefault(name, _bound(name, reason, culprit))
            self._shared.discard(name)

    def decide(self, names: Iterable[str], targets: Iterable[str] = ()) -> None:
        """Share all of these assets, or bind all for the same cause.

        ``targets`` are assets already decided; one bound target binds all of ``names``.
        """
        if not self._recipe.shared_prefix:
            return
        names = list(names)
        causes = [self._own_cause(name) or self.bound.get(name) for name in names]
        causes += map(self.bound.get, targets)
        cause = next(filter(None, causes), None)
        if cause is None:
            self._shared.update(names)
        else:
            self.bound.update(dict.fromkeys(names, cause))
            self._shared.difference_update(names)

    def prefix_of(self, name: str) -> str:
        """Return the prefix under which the asset is shared, empty if it is not."""
        return self._recipe.shared_prefix if name in self._shared else ""

    def _own_cause(self, name: str) -> Bound | None:
        glob = self._recipe.excluded_by(name)
        if glob is not None:
            return _bound(name, Reason.EXCLUDED, glob)
        if self._recipe.vouches_for(name):
            return None
        if self._recipe.prehashed(name):
            return _bound(name, Reason.PREHASHED, "prehashed")
        if name in self._causes:
            return self._causes[name]
        if _extension(name) in _INERT or self._rules_of(name) is not None:
            return None
        extension = _extension(name)
        return _bound(name, Reason.TYPE, f".{extension}" if extension else "no extension")

    def _rules_of(self, name: str) -> _Rules | None:
        """Return the rules for the text of a file; None where only its type decides."""
        extension = _extension(name)
        if extension in _SCRIPTS:
            return self._script_causes
        if extension == "svg":
            return _svg_causes
        if extension == "css" and self._scanners.scans(name, css_references):
            return _style_sheet_causes
        if self._scanners.scans(name, webmanifest_references):
            return self._web_manifest_causes
        return None

    def _script_causes(self, name: str, text: str, references: Sequence[Reference]) -> _Causes:
        yield from _calls(text, _SCRIPT_RULES)
        if any(_matches(_POST_MESSAGE, "postMessage(", text)):
            yield from _calls(text, _WITH_POST_MESSAGE)
        yield from _unresolved_imports(text, references)
        if not self._scanners.scans(name, js_module_references):
            yield from _static_imports(text)

    def _web_manifest_causes(
        self, name: str, text: str, references: Sequence[Reference]
    ) -> _Causes:
        urls = page_urls(text)
        if urls is None:
            yield Reason.TYPE, f".{_extension(name)}"
            return
        for url in urls:
            if not self._resolver.leads_elsewhere(url):
                yield Reason.PAGES, url


_DECLARED = re.compile(r"(?<![\w-])(--[\w-]+)\s*(?::|/\*)|[{}]")
# The first argument of any function: var() in any case of letters.
_USED_VARIABLE = re.compile(r"\(\s*(--[\w-]+)")
_Causes = Iterator[tuple[Reason, str]]
_Rules = Callable[[str, str, Sequence[Reference]], Iterator[tuple[Reason, str]]]


def bound_text(assets: Iterable[Asset]) -> str:
    """Return the bound assets of a build by reason and root cause, the most bytes first."""
    sizes: dict[str, dict[Bound, list[int]]] = defaultdict(lambda: defaultdict(list))
    for asset in assets:
        if asset.bound is not None:
            sizes[asset.bound.reason][asset.bound].append(asset.size)
    lines = []
    for reason, causes in sorted(sizes.items(), key=lambda item: (-_sum(item[1]), item[0])):
        number = sum(map(len, causes.values()))
        lines.append(f"{reason}: {count_text(number, 'asset')}, {bytes_text(_sum(causes))}")
        for cause, of_cause in sorted(causes.items(), key=lambda item: (-sum(item[1]), str(item))):
            number = len(of_cause)
            also = f", {count_text(number, 'asset')}" if number > 1 else ""
            lines.append(f"  {cause} ({bytes_text(sum(of_cause))}{also})")
    return "\n".join(lines)


def _sum(causes: dict[Bound, list[int]]) -> int:
    return sum(map(sum, causes.values()))


def _bound(name: str, reason: Reason, culprit: str) -> Bound:
    return Bound(name, reason.value, " ".join(culprit.split())[:_LONGEST_CULPRIT])


def _extension(name: str) -> str:
    stem, dot, extension = name.rpartition("/")[2].rpartition(".")
    return extension.lower() if dot and stem else ""


def _calls(text: str, rules: Iterable[tuple[Reason, str, re.Pattern[str]]]) -> _Causes:
    for reason, literal, pattern in rules:
        for match in _matches(pattern, literal, text):
            yield reason, match[0]


def _matches(pattern: re.Pattern[str], literal: str, text: str) -> Iterator[re.Match[str]]:
    """Yield the matches of a pattern that begins with a literal, several times as fast as `re`."""
    position = text.find(literal)
    while position >= 0:
        if match := pattern.match(text, position):
            yield match
        position = text.find(literal, position + len(literal))


def _rules(*rules: tuple[Reason, str, str]) -> tuple[tuple[Reason, str, re.Pattern[str]], ...]:
    return tuple((reason, literal, re.compile(pattern)) for reason, literal, pattern in rules)


def _of_self(name: str) -> str:
    return rf"{name}(?:(?<=self\.{name})|(?<=globalThis\.{name}))"


def _global(name: str) -> str:
    return rf"(?:{_of_self(name)}|{name}(?<![\w$.]{name}))"


# Each pattern begins with its literal; what has to be before it is checked after it.
_SCRIPT_RULES = _rules(
    (
        Reason.LOCATION,
        "currentScript",
        # However the document is named; but for what is no URL, and for minified DOMPurify, which
        # reads an attribute of its own.
        (
            r"currentScript(?<![\w$]currentScript)(?![\w$]|(?:,\{|;\w\.)DocumentFragment[:;]"
            r"|\s*\??\.\s*(?:(?:dataset|nonce|hasAttribute)(?![\w$])"
            r"""|getAttribute\(\s*["'](?!(?i:src|href)["'])[\w-]+["']))"""
        ),
    ),
    (Reason.LOCATION, "document.scripts", r"document\.scripts(?![\w$])"),
    (
        Reason.LOCATION,
        "getElementsByTagName",
        r"""getElementsByTagName\(\s*["'`](?i:script)["'`]""",
    ),
    (
        Reason.LOCATION,
        "querySelector",
        (
            r"""querySelector(?:All)?\(\s*(?:"[^"\n]*?|'[^'\n]*?|`[^`]*?)"""
            r"""(?<![\w.#\[-])(?i:script)(?![\w-])"""
        ),
    ),
    # As jQuery selects, also under a minified name.
    (Reason.LOCATION, "script[src", r"script\[src"),
    (Reason.LOCATION, '$("script', r'\$\("script(?![\w-])'),
    (Reason.LOCATION, "$('script", r"\$\('script(?![\w-])"),
    (Reason.WORKER, "onmessage", rf"{_global('onmessage')}\s*=(?!=)"),
    (Reason.WORKER, "onconnect", rf"{_global('onconnect')}\s*=(?!=)"),
    # No page has these events.
    (
        Reason.WORKER,
        "addEventListener",
        rf"""{_global("addEventListener")}\(\s*["'`](?:activate|connect|fetch|install)["'`]""",
    ),
    (
        Reason.WORKER,
        "addEventListener",
        rf"""{_of_self("addEventListener")}\(\s*["'`]message["'`]""",
    ),
    (Reason.IMPORT, "System.register", r"System\.register\s*\("),
)
# Some libraries post messages to their own page: one of these has to be in the same script.
_POST_MESSAGE = re.compile(rf"{_global('postMessage')}\(")
_WITH_POST_MESSAGE = _rules(
    (
        Reason.WORKER,
        "addEventListener",
        rf"""{_global("addEventListener")}\(\s*["'`]message["'`]""",
    ),
    (Reason.WORKER, "location", rf"{_global('location')}(?![\w$:])"),
)

# `import(` and `import.meta`, but no method of that name.
_IMPORT = re.compile(
    r"import(?<![\w$]import)(?:(?<!\.import)|(?<=\.\.\.import))\s*"
    r"(?:\(|(?P<meta>\.\s*meta)(?![\w$])|(?P<comment>/[*/]))|import(?P<scripts>Scripts)\s*\("
)
_GAP = re.compile(r"(?:\s|/\*(?:[^*]|\*(?!/))*\*/|//[^\n\r\u2028\u2029]*)*")
_BARE_SPECIFIER = re.compile(r"""\s*(["'])[\w@][^"'\\:\n]*\1\s*[,)]""")
# A static import at the start of a statement, as far as characters tell.
_STATIC_IMPORT = re.compile(
    r"""import(?![\w$])(?=\s*(?:["'{*]|/[*/]|(?:defer|source)\s|[\w$]+\s*(?:,|/[*/]|from(?![\w$]))))"""
)
_STATIC_EXPORT = re.compile(r"export(?![\w$])(?=\s*(?:(?P<all>\*|/[*/])|\{))")
_FROM = re.compile(r"\s*(?:from(?![\w$])|/[*/])")
_BEFORE_STATEMENT = "\n\r\u2028\u2029;}/"
_INDENTATION = 40


def _unresolved_imports(text: str, references: Sequence[Reference]) -> _Causes:
    """Yield each import() and import.meta that is not one of the references of a module."""
    for reference in references:
        if reference.syntax is Syntax.UNPARSED:
            yield Reason.IMPORT, text[reference.start : reference.start + 40]
    starts = sorted(reference.start for reference in references if reference.is_of_module)
    ends = {reference.end for reference in references if reference.is_of_module}
    for match in _matches(_IMPORT, "import", text):
        start, end = match.span()
        if match["scripts"]:
            yield Reason.WORKER, match[0]
        elif match["meta"]:
            # Part of new URL("x", import.meta.url), of which the reference is the string.
            is_resolved = len(text[:start].rstrip(", \t\r\n")) in ends
            if not is_resolved:
                yield Reason.IMPORT, match[0]
        elif match["comment"] or not (
            _is_reference(text, start, end, starts) or _BARE_SPECIFIER.match(text, end)
        ):
            yield Reason.IMPORT, text[start : end + 20]


def _is_reference(text: str, start: int, end: int, starts: Sequence[int]) -> bool:
    """Return True if a reference starts at ``start``, or at ``end`` with comments before it."""
    index = bisect_left(starts, start)
    if index == len(starts):
        return False
    return starts[index] == start or (
        starts[index] >= end and _GAP.fullmatch(text, end, starts[index]) is not None
    )


def _static_imports(text: str) -> _Causes:
    """Yield what looks like a static import or a re-export in a text that was not parsed."""
    for word, pattern in (("import", _STATIC_IMPORT), ("export", _STATIC_EXPORT)):
        for match in _matches(pattern, word, text):
            before = text[max(0, match.start() - _INDENTATION) : match.start()].rstrip(" \t\ufeff")
            if before and before[-1] not in _BEFORE_STATEMENT:
                continue
            if word == "export" and not match["all"]:
                end = text.find("}", match.end()) + 1
                if not end:
                    return
                if not _FROM.match(text, end):
                    continue
            yield Reason.IMPORT, text[match.start() : match.start() + 40]


def _style_sheet_causes(name: str, text: str, references: Sequence[Reference]) -> _Causes:
    for reference in references:
        if reference.syntax is Syntax.UNREAD:
            yield Reason.UNREAD, reference.url


# What may load or compute something: an entity, a style sheet or a base of its own, a script, HTML.
_SVG_WORDS = (
    *("<!entity", "xml-stylesheet", "xml:base", "<script", ":script", "foreignobject"),
    *("1999/xhtml", "@import", "image-set(", "\\"),
)
_INTERNAL_DTD = re.compile(r"<!doctype[^>\[]*\[")
_SVG_ATTRIBUTES = (
    re.compile(r"src(?:set)?\s*="),
    re.compile(r"on(?<![\w-]on)[a-z]+\s*="),
)
# Each href and url() has to be a fragment, or what means the same from each place.
_ELSEWHERE = r"(?:\#|data:|(?:https?:)?//)"
_SVG_URLS = (
    (re.compile("href"), re.compile(rf"""href\s*=\s*["']\s*{_ELSEWHERE}""")),
    (re.compile(r"url\("), re.compile(rf"""url\(\s*["']?\s*{_ELSEWHERE}""")),
)


def _svg_causes(name: str, text: str, references: Sequence[Reference]) -> _Causes:
    if "&" in text:
        text = html.unescape(text)
    text = text.lower()
    for word in _SVG_WORDS:
        if word in text:
            yield Reason.SVG, word
    for pattern in (_INTERNAL_DTD, *_SVG_ATTRIBUTES):
        if match := pattern.search(text):
            yield Reason.SVG, match[0]
    for pattern, harmless in _SVG_URLS:
        for match in pattern.finditer(text):
            if not harmless.match(text, match.start()):
                yield Reason.SVG, text[match.start() : match.start() + 40]
