"""Show what is in a build: totals by type and encoding, and the largest assets.

The build is read from STATIC_ROOT, or else from its record on the origin.
"""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ...build.manifest import Asset
from ...constants import IDENTITY
from ...origin.record import Totals
from ...site import LocatedBuild, Site
from ...text import NOTHING, bytes_text, count_text, table
from ..arguments import add_build, count


@dataclass(frozen=True)
class Contents:
    """A build, and how many of its largest assets to show."""

    build: LocatedBuild
    limit: int

    ok = True

    def text(self) -> str:
        return "\n\n".join(self._parts())

    def data(self) -> Any:
        manifest, record = self.build.manifest, self.build.record
        totals = Totals.of(manifest)
        return {
            "build": manifest.build,
            "place": self.build.place,
            "state": record.state.value if record else None,
            "since": record.since.isoformat() if record else None,
            "content": manifest.content,
            "assets": totals.assets,
            "objects": totals.objects,
            "bytes": totals.size,
            "shared_objects": totals.shared_objects,
            "shared_bytes": totals.shared_size,
            "types": [
                {"type": media_type, "assets": len(assets), "bytes": sizes(assets)}
                for media_type, assets in self._types()
            ],
            "largest": [
                {
                    "name": asset.name,
                    "hashed_name": asset.hashed_name,
                    "type": asset.content_type,
                    "integrity": asset.integrity,
                    "bytes": sizes([asset]),
                }
                for asset in self._largest()
            ],
        }

    def _parts(self) -> Iterator[str]:
        manifest, record = self.build.manifest, self.build.record
        totals = Totals.of(manifest)
        state = f", {record.state.value} since {record.since:%Y-%m-%d %H:%M} UTC" if record else ""
        yield (
            f"Build {manifest.build} from {self.build.place}{state}\n"
            f"{count_text(totals.assets, 'asset')} in {count_text(totals.objects, 'file')}, "
            f"{bytes_text(totals.size)}; content digest {manifest.content[:12]}{_shared(totals)}"
        )
        encodings = (IDENTITY, *manifest.encoders)
        columns = [name.upper() for name in encodings]
        types = [
            (media_type, f"{len(assets):,}", *_cells(assets, encodings))
            for media_type, assets in self._types()
        ]
        everything = list(manifest.assets.values())
        types.append(("total", f"{len(everything):,}", *_cells(everything, encodings)))
        yield table(["TYPE", "ASSETS", *columns], types, numbers={"ASSETS", *columns})
        if largest := self._largest():
            rows = [(asset.name, *_cells([asset], encodings)) for asset in largest]
            yield table(["LARGEST", *columns], rows, numbers=columns)

    def _types(self) -> list[tuple[str, list[Asset]]]:
        """Return the assets by media type, the type with the most bytes first."""
        types: dict[str, list[Asset]] = {}
        for asset in self.build.manifest.assets.values():
            types.setdefault(asset.content_type.partition(";")[0], []).append(asset)
        return sorted(types.items(), key=lambda item: (-sizes(item[1])[IDENTITY], item[0]))

    def _largest(self) -> list[Asset]:
        assets = self.build.manifest.assets.values()
        return sorted(assets, key=lambda asset: (-asset.size, asset.name))[: self.limit]


def sizes(assets: Iterable[Asset]) -> dict[str, int]:
    """Return the bytes of assets by encoding, identity included, without the original names."""
    totals = {IDENTITY: 0}
    for asset in assets:
        for variant in asset.variants():
            name = variant.encoding or IDENTITY
            totals[name] = totals.get(name, 0) + variant.size
    return totals


def _shared(totals: Totals) -> str:
    """Return a line on what the build has in common with others; empty if nothing."""
    if not totals.shared_objects:
        return ""
    return (
        f"\nShared: {count_text(totals.shared_objects, 'file')}, {bytes_text(totals.shared_size)}; "
        f"its own: {count_text(totals.own_objects, 'file')}, {bytes_text(totals.own_size)}"
    )


def add_arguments(parser: ArgumentParser) -> None:
    add_build(parser)
    parser.add_argument(
        "--limit",
        type=count,
        default=10,
        metavar="N",
        help="how many of the largest assets to show (default: 10)",
    )


def run(site: Site, options: Mapping[str, Any]) -> Contents:
    return Contents(site.find(site.build(options["build"])), options["limit"])


def _cells(assets: Iterable[Asset], encodings: Iterable[str]) -> Iterator[str]:
    totals = sizes(assets)
    yield from (bytes_text(totals[name]) if name in totals else NOTHING for name in encodings)
