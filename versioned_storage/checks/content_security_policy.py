"""The check of the Content Security Policy: pages may load the files of a build from the CDN."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core import checks

from ..errors import VersionedStorageError
from ..site import cdn, usable_storage
from .policies import NONCES, Directives, policies
from .source_expressions import is_allowed

if TYPE_CHECKING:
    from ..storage import VersionedStaticFilesStorage


@dataclass(frozen=True)
class Kind:
    """Files of one kind, and the directives for them, of which the first that is there counts."""

    name: str
    extensions: frozenset[str]
    directives: tuple[str, ...]
    #: Whether an element can have a nonce, with which it loads its file from anywhere.
    takes_nonces: bool


KINDS = (
    Kind(
        "style sheets",
        frozenset({".css"}),
        ("style-src-elem", "style-src", "default-src"),
        takes_nonces=True,
    ),
    Kind(
        "scripts",
        frozenset({".js", ".mjs"}),
        ("script-src-elem", "script-src", "default-src"),
        takes_nonces=True,
    ),
    Kind(
        "images",
        frozenset({".avif", ".gif", ".ico", ".jpeg", ".jpg", ".png", ".svg", ".webp"}),
        ("img-src", "default-src"),
        takes_nonces=False,
    ),
    Kind(
        "fonts",
        frozenset({".eot", ".otf", ".ttf", ".woff", ".woff2"}),
        ("font-src", "default-src"),
        takes_nonces=False,
    ),
)


def check_policies(app_configs: Any, **kwargs: Any) -> Sequence[checks.CheckMessage]:
    """Each policy in the settings lets pages load from the CDN what the build has.

    A policy that a proxy or a view sets is not seen here.
    """
    storage = usable_storage()
    if storage is None or storage.static_url is None or (before := cdn(storage)) is None:
        return []
    found: list[checks.CheckMessage] = []
    url, host = before + storage.static_url.path, "/".join(before.split("/")[:3])
    # 'self' is the host of the page. Only a host that is named can be both that and the CDN.
    own_hosts = [name.lower() for name in settings.ALLOWED_HOSTS]
    for policy in policies():
        refused = _refused(policy.directives, _kinds(storage), url, own_hosts)
        for directive, files in refused.items():
            does = "would, if it were enforced, keep" if policy.report_only else "keeps"
            found.append(
                checks.Warning(
                    f"{policy.setting} {does} pages from loading {files} from {host}: {directive} "
                    "does not name it.",
                    hint=f"{policy.setting_of(directive)} = "
                    f"{_line((*policy.directives[directive], host))}",
                    id="versioned_storage.W009",
                )
            )
    return found


def _refused(
    directives: Directives, kinds: Iterable[Kind], url: str, own_hosts: Collection[str]
) -> Mapping[str, str]:
    """The directives that keep pages from files below ``url``, and the kinds that each is for."""
    refused: dict[str, list[str]] = {}
    for kind in kinds:
        directive = next((name for name in kind.directives if name in directives), None)
        if directive is None:
            continue
        sources = directives[directive]
        if not _leaves_open(kind, sources) and not is_allowed(url, sources, own_hosts):
            refused.setdefault(directive, []).append(kind.name)
    return {directive: " and ".join(names) for directive, names in refused.items()}


def _leaves_open(kind: Kind, sources: Sequence[str]) -> bool:
    """Say whether the host is not what counts, so that nothing is wrong for sure."""
    # A page that may load none at all of a kind is not in want of the CDN's.
    if not sources or "'none'" in sources:
        return True
    return kind.takes_nonces and any(
        source == "'strict-dynamic'" or source.startswith(NONCES) for source in sources
    )


def _kinds(storage: VersionedStaticFilesStorage) -> list[Kind]:
    """The kinds of files that the build has; where it cannot be read, what every site has."""
    extensions = {".css", ".js"}
    try:
        names = list(storage.hashed_files)
    except (OSError, VersionedStorageError):
        # The check of the build reports it.
        names = []
    if names:
        extensions = {PurePosixPath(name).suffix.lower() for name in names}
    return [kind for kind in KINDS if not kind.extensions.isdisjoint(extensions)]


def _line(sources: Iterable[str]) -> str:
    """A list as it is written in settings."""
    written = []
    for source in sources:
        if source == NONCES[0]:
            # django-csp 3 has nonces in a setting of their own.
            continue
        # django-csp 4 has an object for them, Django a string.
        written.append(source if source == NONCES[2] else repr(source))
    return f"[{', '.join(written)}]"
