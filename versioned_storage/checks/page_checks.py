"""Checks of what templates and scripts load, without running them."""

from __future__ import annotations

import ast
import re
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core import checks
from django.template import engines
from django.template.utils import get_app_template_dirs

from ..site import cdn, middleware, usable_storage
from ..source_names import is_source
from ..static_root import listed_sources
from ..static_url import split_name
from ..text import lines_text

INTEGRITY = "versioned_storage.integrity.IntegrityMiddleware"

# An element of another site or of a view: no storage gives its URL, and nothing knows its bytes.
_ELSEWHERE = r"[\"']?(?:(?:https?:)?//|\{% *url )"
# Repetitions have a bound, so that no text takes long.
_NO_STATIC_FILE = re.compile(
    rf"<(?:script\b(?=[^>]{{0,500}}\ssrc={_ELSEWHERE})"
    rf"|link\b(?=[^>]{{0,500}}\shref={_ELSEWHERE})(?=[^>]{{0,500}}\srel=[\"']?stylesheet))"
    r"(?![^>]{0,500}\sintegrity=)[^>]{0,500}>",
    re.IGNORECASE,
)
# What a browser takes from the page's origin only, at a URL that {% static %} or the URL of the
# script gives: that is the CDN's. Blobs and paths without a build are other ways to start a worker.
_OTHER_ORIGIN = re.compile(
    r"(?:new\s(?:Shared)?Worker|serviceWorker\.register)\("
    r"[^;,(]{0,100}(?:\{%\s{0,9}static\s|new\sURL\([^;)]{0,200}import\.meta\.url)"
    r"|<use\b[^>]{0,200}href=[\"']?\{%\s{0,9}static\s"
)
_LITERALS = ("Worker(", "serviceWorker", "<use")
# A name that is written out in a tag of Django or of this package.
_NAMED = re.compile(
    r"\{%\s{0,9}(static|static_\w{1,20}|stylesheet|script|preload)\s{1,9}([\"'])([^\"'{}]{1,300})\2"
    r"(?=\s|%\})(?:[^%{}]{0,200}%\})?"
)
# The same in Python, by the modules that they are imported from.
_NAMING = {
    "django.templatetags.static": ("static",),
    "django.forms": ("Script", "Stylesheet"),
    "django.forms.widgets": ("Script", "Stylesheet"),
    "versioned_storage.forms": ("Script", "Stylesheet"),
}
_URLS = ("http://", "https://", "/")
_NOT_OF_THE_SITE = frozenset({"site-packages", "dist-packages", "tests"})
_NOT_RENDERED = re.compile(r"\{#.*?#\}|\{%\s*(comment|verbatim)\b.*?\{%\s*end\1\b", re.DOTALL)


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


def check_same_origin(app_configs: Any, **kwargs: Any) -> Sequence[checks.CheckMessage]:
    """No worker is started from the CDN, and no sprite is drawn from there."""
    storage = usable_storage()
    base = cdn(storage) if storage else None
    if base is None or settings.DEBUG:
        return []
    scripts = (path for path in _static_files() if path.suffix in (".js", ".mjs"))
    places = [place for path in (*_templates(), *scripts) for place in _of_other_origin(path)]
    if not places:
        return []
    return [
        checks.Warning(
            "Browsers load a worker, and an SVG file for <use>, only from the origin of the page, "
            f"and static files are at {base}:\n{lines_text(places)}",
            hint="Write {% static_same_origin %} for {% static %}, and pass the URL to scripts; or "
            "serve static files at the domain of the pages, without cdn_domain.",
            id="versioned_storage.W016",
        )
    ]


def check_names(app_configs: Any, **kwargs: Any) -> Sequence[checks.CheckMessage]:
    """Every file that a template or code names exists; needs no build, and so no deploy."""
    if usable_storage() is None:
        return []
    files = (*_templates(), *_python_files())
    places = [place for path in files for place in _of_missing_file(path)]
    if not places:
        return []
    return [
        checks.Warning(
            "Templates or Python code name static files that collectstatic does not find:\n"
            f"{lines_text(places)}",
            hint="Correct the names: with a build each of them is an error in production.",
            id="versioned_storage.W017",
        )
    ]


def check_written_urls(app_configs: Any, **kwargs: Any) -> Sequence[checks.CheckMessage]:
    """No template, script or Python code has the URL of a static file without a build."""
    storage = usable_storage()
    if storage is None or storage.static_url is None or storage.static_url.path == "/":
        return []
    if storage.build_version is None and not storage.options.wants_build:
        return []
    scripts = (path for path in _static_files() if path.suffix in (".js", ".mjs"))
    url_path = storage.static_url.path
    files = (*_templates(), *_python_files(), *scripts)
    places = [place for path in files for place in _of_written_url(path, url_path)]
    if not places:
        return []
    return [
        checks.Warning(
            "URLs without a build, which S3 does not have and the application redirects:\n"
            f"{lines_text(places)}",
            hint="Write {% static %}, and pass URLs to scripts in data attributes or json_script.",
            id="versioned_storage.W018",
        )
    ]


def _of_missing_file(path: Path) -> Iterator[str]:
    if path.suffix == ".py":
        for call, name in _named_in_python(_nodes(path, *_NAMING)):
            if not is_source(name):
                yield f"{path}:{call.lineno} {ast.unparse(call)[:120]}"
        return
    text = _text(path)
    ignored = [match.span() for match in _NOT_RENDERED.finditer(text)]
    for match in _NAMED.finditer(text):
        # Other apps have tags called script too.
        is_ours = match[1] == "static" or "versioned_static" in text
        is_rendered = not any(start <= match.start() < end for start, end in ignored)
        if is_ours and is_rendered and not _is_directory(match[3]) and not is_source(match[3]):
            yield _place(path, text, match)


def _named_in_python(nodes: Sequence[ast.AST]) -> Iterator[tuple[ast.Call, str]]:
    """Calls of what was imported, with a name that is written out."""
    naming = {
        alias.asname or alias.name: alias.name
        for node in nodes
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.name in _NAMING.get(node.module or "", ())
    }
    for node in nodes:
        match node:
            case ast.Call(func=ast.Name(id=function), args=[ast.Constant(value=str(name)), *_]):
                is_url = naming.get(function) != "static" and name.startswith(_URLS)
                if function in naming and name and not is_url and not _is_directory(name):
                    yield node, name


def _of_written_url(path: Path, url_path: str) -> Iterator[str]:
    written = re.compile(rf"[\"'`(=]{re.escape(url_path)}([^\"'`()<>\s{{}}?#]{{1,300}})")
    is_python = path.suffix == ".py"
    for line, text in _strings(_nodes(path, url_path)) if is_python else [(1, _text(path))]:
        for match in written.finditer(text):
            if is_source(match[1]) and not _is_of_worker(text, match):
                yield _place(path, text, match, line)


def _strings(nodes: Sequence[ast.AST]) -> Iterator[tuple[int, str]]:
    """The strings of Python code, in quotes, with their lines; a docstring is a comment."""
    comments = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    for node in nodes:
        match node:
            case ast.Constant(value=str(value)) if id(node) not in comments:
                yield node.lineno, f'"{value}"'


def _nodes(path: Path, *literals: str) -> Sequence[ast.AST]:
    """Return the syntax tree of Python code that has a literal, in the order of its lines."""
    text = _text(path)
    if not any(literal in text for literal in literals):
        return []
    # Code that is not for this Python is no finding, and neither are its warnings.
    with suppress(SyntaxError, ValueError, RecursionError), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        nodes = ast.walk(ast.parse(text))
        return sorted(nodes, key=lambda node: getattr(node, "lineno", 0))
    return []


def _is_directory(name: str) -> bool:
    return split_name(name)[0].endswith("/")


def _is_of_worker(text: str, match: re.Match[str]) -> bool:
    # docs/same-origin.md: a worker may have such a URL, of the page's origin.
    before = text[max(0, match.start() - 40) : match.start()]
    return "Worker(" in before or "register(" in before


def _static_files() -> Iterator[Path]:
    for _, source, path in listed_sources():
        yield Path(source.path(path))


def _python_files() -> Sequence[Path]:
    """The site's own modules, of its apps and beside ROOT_URLCONF, without those of its tests."""
    files = {path for app in apps.get_app_configs() for path in Path(app.path).rglob("*.py")}
    urlconf = sys.modules.get(str(settings.ROOT_URLCONF))
    if urlconf is not None and urlconf.__file__ is not None:
        files.update(Path(urlconf.__file__).parent.glob("*.py"))
    return sorted(
        path
        for path in files
        if _NOT_OF_THE_SITE.isdisjoint(path.parts) and not path.name.startswith("test")
    )


def _of_other_origin(path: Path) -> Iterator[str]:
    text = _text(path)
    if any(literal in text for literal in _LITERALS):
        for match in _OTHER_ORIGIN.finditer(text):
            yield _place(path, text, match)


def _templates() -> Iterator[Path]:
    """Every file in the template directories of the site, in a fixed order."""
    directories = {Path(name) for engine in engines.all() for name in engine.template_dirs}
    directories |= {Path(name) for name in get_app_template_dirs("templates")}
    for directory in sorted(directories):
        yield from (path for path in sorted(directory.rglob("*")) if path.is_file())


def _without_integrity(path: Path) -> Iterator[str]:
    """File, line and element of each element of a template that a browser would block."""
    text = _text(path)
    for match in _NO_STATIC_FILE.finditer(text):
        yield _place(path, text, match)


def _text(path: Path) -> str:
    # A file that cannot be read is an error where it is used; a check does not stop commands.
    with suppress(OSError):
        return path.read_text(errors="replace")
    return ""


def _place(path: Path, text: str, match: re.Match[str], line: int = 1) -> str:
    """File, line and the beginning of what is there, for a text that begins in this line."""
    line += text.count("\n", 0, match.start())
    return f"{path}:{line} {' '.join(match[0].split())[:120]}"
