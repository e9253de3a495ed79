"""Show what is in a build: totals by type and encoding, and the largest assets.

With --shared it shows instead which assets are bound to the build, by reason. The build is read
from STATIC_ROOT, or else from its record on the origin.
"""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ...build.manifest import Asset, Bound
from ...build.portability import bound_text
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
            f"{bytes_text(totals.size)}; content digest {manifest.content[:12]}"
            f"{_shared_text(totals)}"
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


@dataclass(frozen=True)
class Bindings:
    """Which assets of a build are not shared, and why."""

    build: LocatedBuild

    ok = True

    def text(self) -> str:
        manifest = self.build.manifest
        if not manifest.shared_prefix:
            return (
                f"Build {manifest.build} from {self.build.place} was made without shared_assets: "
                "all of it is its own"
            )
        shared, assets = self._shared(), manifest.assets.values()
        summary = (
            f"Build {manifest.build} from {self.build.place}: {len(shared):,} of "
            f"{count_text(len(assets), 'asset')} shared, {bytes_text(_identity_size(shared))} of "
            f"{bytes_text(_identity_size(assets))}"
        )
        reasons = bound_text(assets)
        return f"{summary}\n\nNot shared, because of:\n{reasons}" if reasons else summary

    def data(self) -> Any:
        manifest, shared = self.build.manifest, self._shared()
        causes: dict[Bound, list[Asset]] = {}
        for asset in manifest.assets.values():
            if asset.bound is not None:
                causes.setdefault(asset.bound, []).append(asset)
        ranked = sorted(causes.items(), key=lambda item: (-_identity_size(item[1]), str(item[0])))
        return {
            "build": manifest.build,
            "place": self.build.place,
            "shared_prefix": manifest.shared_prefix or None,
            "assets": len(manifest.assets),
            "bytes": _identity_size(manifest.assets.values()),
            "shared_assets": len(shared),
            "shared_bytes": _identity_size(shared),
            "bound": [
                {
                    "reason": cause.reason,
                    "cause": cause.asset,
                    "culprit": cause.culprit,
                    "bytes": _identity_size(assets),
                    "assets": sorted(asset.name for asset in assets),
                }
                for cause, assets in ranked
            ],
        }

    def _shared(self) -> list[Asset]:
        return [asset for asset in self.build.manifest.assets.values() if asset.is_shared]


def sizes(assets: Iterable[Asset]) -> dict[str, int]:
    """Return the bytes of assets by encoding, identity included, without the original names."""
    totals = {IDENTITY: 0}
    for asset in assets:
        for variant in asset.variants():
            name = variant.encoding or IDENTITY
            totals[name] = totals.get(name, 0) + variant.size
    return totals


def _shared_text(totals: Totals) -> str:
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
    parser.add_argument(
        "--shared", action="store_true", help="show which assets are not shared, and why"
    )


def run(site: Site, options: Mapping[str, Any]) -> Contents | Bindings:
    build = site.find(site.build(options["build"]))
    return Bindings(build) if options["shared"] else Contents(build, options["limit"])


def _identity_size(assets: Iterable[Asset]) -> int:
    return sum(asset.size for asset in assets)


def _cells(assets: Iterable[Asset], encodings: Iterable[str]) -> Iterator[str]:
    totals = sizes(assets)
    yield from (bytes_text(totals[name]) if name in totals else NOTHING for name in encodings)
