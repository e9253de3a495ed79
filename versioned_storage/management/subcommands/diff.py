"""Compare two builds: assets added, removed and changed, and what visitors have to download.

Each build is read from STATIC_ROOT, or else from its record on the origin. The exit code is 0 also
if they differ.
"""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ...build.manifest import Asset, Manifest, differences
from ...site import Site
from ...text import NOTHING, bytes_text, table
from ..arguments import build_version

_BR = "br"


@dataclass(frozen=True)
class Change:
    """An asset that differs in two builds; ``old`` is None if added, ``new`` if removed."""

    kind: str
    name: str
    old: Asset | None
    new: Asset | None

    @property
    def delta(self) -> int:
        """The difference in bytes of the identity encoding."""
        return (self.new.size if self.new else 0) - (self.old.size if self.old else 0)

    @property
    def br_delta(self) -> int | None:
        """The difference in br; None if neither build has it."""
        old, new = _br(self.old), _br(self.new)
        return None if old is None and new is None else (new or 0) - (old or 0)

    def data(self) -> dict[str, Any]:
        return {
            "change": self.kind,
            "name": self.name,
            "bytes": [self.old and self.old.size, self.new and self.new.size],
            "br_bytes": [_br(self.old), _br(self.new)],
            "delta": self.delta,
            "br_delta": self.br_delta,
        }


@dataclass(frozen=True)
class Comparison:
    """The changes from one build to another."""

    old: Manifest
    new: Manifest

    ok = True

    @cached_property
    def changes(self) -> list[Change]:
        """The added, then the removed, then the changed assets, each sorted by name."""
        names = differences(self.old, self.new)
        return [
            Change(kind, name, self.old.asset(name), self.new.asset(name))
            for kind in ("added", "removed", "changed")
            for name in getattr(names, kind)
        ]

    @property
    def new_bytes(self) -> int:
        """The bytes of added and changed assets, in br if they have it."""
        return _transferred(change.new for change in self.changes if change.new)

    @cached_property
    def download_bytes(self) -> int:
        """The bytes at URLs that are not in ``old``, so in no visitor's cache."""
        return _transferred(
            asset for asset in self.new.assets.values() if not self._is_cached(asset)
        )

    @cached_property
    def cached_bytes(self) -> int:
        """The bytes at URLs that ``old`` has too: of shared assets that did not change."""
        return _transferred(asset for asset in self.new.assets.values() if self._is_cached(asset))

    def _is_cached(self, asset: Asset) -> bool:
        return asset.path in self._old_paths

    @cached_property
    def _old_paths(self) -> frozenset[str]:
        return frozenset(asset.path for asset in self.old.assets.values())

    def text(self) -> str:
        count = self._count()
        summary = (
            f"From build {self.old.build} to {self.new.build}: "
            f"{', '.join(f'{number:,} {kind}' for kind, number in count.items())}"
        )
        return "\n\n".join([summary, *([self._table()] if self.changes else []), self._downloads()])

    def data(self) -> Any:
        return {
            "from": self.old.build,
            "to": self.new.build,
            **self._count(),
            "changes": [change.data() for change in self.changes],
            "new_bytes": self.new_bytes,
            "download_bytes": self.download_bytes,
            "cached_bytes": self.cached_bytes,
        }

    def _count(self) -> dict[str, int]:
        count = {
            kind: sum(change.kind == kind for change in self.changes)
            for kind in ("added", "removed", "changed")
        }
        unchanged = len(self.new.assets) - count["added"] - count["changed"]
        return {**count, "unchanged": unchanged}

    def _table(self) -> str:
        rows = [
            (change.kind, change.name, signed(change.delta), signed(change.br_delta))
            for change in self.changes
        ]
        deltas = [change.br_delta or 0 for change in self.changes]
        total = sum(change.delta for change in self.changes)
        rows.append(("total", "", signed(total), signed(sum(deltas))))
        return table(["CHANGE", "ASSET", "SIZE", "BR"], rows, numbers={"SIZE", "BR"})

    def _downloads(self) -> str:
        return (
            f"Added and changed assets have {bytes_text(self.new_bytes)}, in br if they have it. "
            "A returning visitor who loads every asset downloads "
            f"{bytes_text(self.download_bytes)}, {self._reason()}."
        )

    def _reason(self) -> str:
        if not self.new.shared_prefix:
            return "because each build has URLs of its own"
        unchanged = bytes_text(self.download_bytes - self.new_bytes)
        return (
            f"{unchanged} of it for unchanged assets with another URL, and has "
            f"{bytes_text(self.cached_bytes)} in the cache; 'staticbuilds show --shared' lists "
            "what is not shared"
        )


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("old", type=build_version, metavar="A", help="the build to compare with")
    parser.add_argument("new", type=build_version, metavar="B", help="the build that came later")


def run(site: Site, options: Mapping[str, Any]) -> Comparison:
    return Comparison(site.find(options["old"]).manifest, site.find(options["new"]).manifest)


def _br(asset: Asset | None) -> int | None:
    return asset.encodings.get(_BR) if asset else None


def _transferred(assets: Iterable[Asset]) -> int:
    return sum(asset.encodings.get(_BR, asset.size) for asset in assets)


def signed(delta: int | None) -> str:
    """Return a difference in bytes with its sign; `NOTHING` for None."""
    if delta is None:
        return NOTHING
    return f"{'-' if delta < 0 else '+'}{bytes_text(abs(delta))}"
