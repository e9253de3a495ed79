"""Style sheets and scripts whose content is put into a page."""

from __future__ import annotations

import re
from base64 import b64encode
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from urllib.parse import urljoin, urlsplit

from django.contrib.staticfiles import finders
from django.contrib.staticfiles.storage import HashedFilesMixin, staticfiles_storage

from .build.directory import digest_of
from .build.manifest import content_type
from .errors import MissingEntry, VersionedStorageError
from .integrity import current_manifest, destination
from .manifest_loader import ORIGIN_TIMEOUT
from .storage import VersionedStaticFilesStorage

# Text that would end the element early, or would make the browser ignore its end tag.
_ENDS = {
    "style": re.compile(r"</style", re.IGNORECASE),
    "script": re.compile(r"</script|<!--(?=.*<script)", re.IGNORECASE | re.DOTALL),
}

_LINE_ENDS = re.compile(r"\r\n?")


class CannotInline(VersionedStorageError, ValueError):
    """The content of a static file cannot be put into a page."""

    def __init__(self, name: str, reason: str) -> None:
        self.name = name
        self.reason = reason
        super().__init__(f"'{name}' cannot be put into a page: {reason}.")


def inlined(name: str) -> tuple[str, str]:
    """Return the element, "style" or "script", and its content, with every URL in it absolute.

    The content is that of the build, on disk or on S3; without a build, with DEBUG for example,
    that of the source. Raises `CannotInline`, `MissingEntry` and what `{% static %}` raises.
    """
    element = destination(content_type(name))
    if element is None:
        raise CannotInline(name, "it is neither a style sheet nor a script")
    manifest, url = current_manifest(), staticfiles_storage.url(name)
    if manifest is None:
        path = finders.find(name)
        if not isinstance(path, str):
            raise CannotInline(name, "it is in no directory that collectstatic collects from")
        return element, _absolute(name, url, element, Path(path).read_bytes())
    asset = manifest.asset(name)
    if asset is None:
        raise MissingEntry(name, manifest.paths)
    return element, _of_build(name, url, element, asset.path, asset.hashed_name, asset.integrity)


def csp_hash(name: str) -> str:
    """Return the source for a Content Security Policy that allows the inlined content of a file."""
    _, content = inlined(name)
    return f"'sha256-{b64encode(sha256(content.encode()).digest()).decode()}'"


@lru_cache(maxsize=64)
def _of_build(
    name: str, url: str, element: str, path: str, hashed_name: str, integrity: str
) -> str:
    storage = staticfiles_storage
    assert isinstance(storage, VersionedStaticFilesStorage)
    data, places = None, []
    if storage.location:
        on_disk = Path(storage.location, hashed_name)
        places.append(str(on_disk))
        data = on_disk.read_bytes() if on_disk.is_file() else None
    if data is None and (origin := storage.s3_origin(timeout=ORIGIN_TIMEOUT)) is not None:
        places.append(origin.url(origin.prefix + path))
        stored = origin.get(origin.prefix + path)
        data = stored.data if stored is not None else None
    if data is None:
        raise CannotInline(name, f"its file is not at {' nor at '.join(places)}")
    if digest_of((data,)).integrity != integrity:
        raise CannotInline(name, f"the bytes at {places[-1]} are not those of the manifest")
    return _absolute(name, url, element, data)


def _absolute(name: str, url: str, element: str, data: bytes) -> str:
    """Return the text of a file, with references that do not depend on where it is.

    Imports stay as they are where the parser of ES modules is not installed.
    """
    # What reads references makes builds; a process that inlines nothing starts without it.
    from .build.references import Syntax, rewrite
    from .build.references.modules import TooMuchWork
    from .build.references.scanning import Scanners, with_modules

    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CannotInline(name, f"it is not UTF-8 (byte {error.start})") from error
    is_script = element == "script"
    # Only scripts may need the parser of modules.
    patterns = getattr(staticfiles_storage, "patterns", None) if is_script else None
    patterns = patterns or HashedFilesMixin.patterns
    try:
        scanners = Scanners(with_modules(patterns) if is_script else patterns)
        references = scanners.references(name, text)
    except TooMuchWork as error:
        raise CannotInline(name, "it takes the parser of ES modules too long") from error
    text = rewrite(
        text,
        (
            (part, urljoin(url, part.url))
            for part in references
            if part.syntax not in (Syntax.UNREAD, Syntax.UNPARSED) and _is_relative(part.url)
        ),
    )
    # As the HTML parser does it: the hash of a policy is that of the text that it made.
    text = _LINE_ENDS.sub("\n", text)
    if end := _ENDS[element].search(text):
        raise CannotInline(name, f"it contains {end[0]!r}, which changes where a <{element}> ends")
    return text


def _is_relative(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    # A fragment alone is one of the page.
    return not parts.scheme and not parts.netloc and bool(parts.path)
