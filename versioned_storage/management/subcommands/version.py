"""Print a build version derived from the content: BUILD_VERSION=$(manage.py staticbuilds version).

It is a digest of every static file's name and bytes and of the options that shape a build, so it
stays the same until one of them changes. A deploy that changes no static file then keeps its URLs,
uploads nothing and leaves every cache warm. Nothing is built, and no BUILD_VERSION is needed.
"""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ... import content_version
from ...site import Site


@dataclass(frozen=True)
class Version:
    """A build version, and the number of files it is derived from."""

    build_version: str
    files: int

    ok = True

    def text(self) -> str:
        return self.build_version

    def data(self) -> Any:
        return {"build_version": self.build_version, "files": self.files}


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "-i",
        "--ignore",
        action="append",
        default=[],
        dest="ignore_patterns",
        metavar="PATTERN",
        help="ignore files that match this glob; give collectstatic the same --ignore",
    )
    parser.add_argument(
        "--no-default-ignore",
        action="store_false",
        dest="use_default_ignore_patterns",
        help="do not ignore 'CVS', '.*' and '*~', as collectstatic --no-default-ignore",
    )


def run(site: Site, options: Mapping[str, Any]) -> Version:
    sources = content_version.find_sources(
        options["ignore_patterns"], default_ignore=options["use_default_ignore_patterns"]
    )
    return Version(content_version.derive_build_version(sources, site.storage), len(sources))
