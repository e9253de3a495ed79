"""Draw a build as one page of HTML, to look for what is large.

It has the largest assets, those that are twice in the build, and those that are not shared. It
needs no other file and no JavaScript: staticbuilds report 2f1c9ab > report.html. With
--against it shows what changed since another build, too. Sizes are those of br, which browsers
download, or of the file itself where it has no br.
"""

from __future__ import annotations

from argparse import ArgumentParser
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from ...build.manifest import Asset, Manifest
from ...build.portability import bound_text
from ...constants import IDENTITY
from ...site import Site
from ...text import bytes_text, count_text
from ..arguments import add_build, build_version
from .diff import Comparison
from .show import Contents

#: How many rectangles a drawing has; the smallest files of a folder are one.
RECTANGLES = 250
#: How many rows a table has.
ROWS = 20
_KINDS = {
    "text/css": "css",
    "text/javascript": "js",
    "image": "image",
    "font": "font",
    "application/json": "data",
}
_STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }
body { margin: 0 auto; max-width: 72rem; padding: 1rem; overflow-wrap: anywhere }
h1 { margin: 0; line-height: 1.2 } h2 { margin: 2.5rem 0 .5rem; font-size: 1.25rem }
.map { position: relative; width: 100%; aspect-ratio: 2; min-height: 26rem; overflow: hidden }
.map span { position: absolute; box-sizing: border-box; overflow: hidden; white-space: nowrap;
  text-overflow: ellipsis; padding-left: 3px; border: 1px solid Canvas;
  font-size: .75rem; line-height: 1.3 }
.map span, .key i { color: #111; background: var(--kind, #c9ced6) }
.css { --kind: #8ec5ff } .js { --kind: #ffd166 } .image { --kind: #9be3b0 }
.font { --kind: #e2b4ff } .data { --kind: #ffb3ab }
.key i { padding: 0 .5rem; margin-right: .5rem; font-style: normal }
table { border-collapse: collapse; width: 100% }
th, td { padding: .2rem .75rem .2rem 0; text-align: left; border-bottom: 1px solid #8884 }
td:not(:first-child), th:not(:first-child) { text-align: right; white-space: nowrap }
pre { white-space: pre-wrap }
"""


@dataclass(frozen=True)
class Report:
    """A page about a build, and about what changed since ``other`` if that is given."""

    contents: Contents
    other: Manifest | None

    ok = True

    @property
    def manifest(self) -> Manifest:
        return self.contents.build.manifest

    def text(self) -> str:
        title = f"Build {self.manifest.build}"
        return format_html(
            '<!doctype html><html lang="en"><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width"><title>{}</title>'
            "<style>{}</style><h1>{}</h1>{}</html>",
            title,
            mark_safe(_STYLE),  # noqa: S308 - a constant
            title,
            format_html_join("\n", "{}", ((section,) for section in self._sections())),
        )

    def data(self) -> Any:
        comparison = Comparison(self.other, self.manifest).data() if self.other else None
        return {
            **self.contents.data(),
            "duplicates": [[asset.name for asset in same] for same in self._duplicates()],
            "against": comparison,
        }

    def _sections(self) -> Iterator[SafeString]:
        assets = list(self.manifest.assets.values())
        sizes = {name: sum(_size(asset, name) for asset in assets) for name in self._encodings()}
        listed = ", ".join(f"{name} {bytes_text(size)}" for name, size in sizes.items())
        yield format_html("<p>{}: {}.</p>", count_text(len(assets), "asset"), listed)
        yield _drawing(assets)
        if self.other is not None:
            yield self._changes(Comparison(self.other, self.manifest))
        yield self._table("By type", _grouped(assets, lambda a: a.content_type.partition(";")[0]))
        yield self._table("By folder", _grouped(assets, _folder))
        largest = sorted(assets, key=lambda asset: (-_size(asset), asset.name))
        yield self._table("Largest", [(asset.name, [asset]) for asset in largest])
        if duplicates := self._duplicates():
            rows = [(" = ".join(asset.name for asset in same), same[1:]) for same in duplicates]
            yield self._table("More than once, by content", rows)
        if bound := bound_text(assets):
            yield format_html("<h2>Not shared, because of</h2><pre>{}</pre>", bound)

    def _duplicates(self) -> list[list[Asset]]:
        """The assets with the same content, those that cost the most first."""
        same = [
            group for _, group in _grouped(self.manifest.assets.values(), lambda a: a.integrity)
        ]
        return [group for group in same if len(group) > 1]

    def _changes(self, comparison: Comparison) -> SafeString:
        grown = sorted(comparison.changes, key=lambda change: (-abs(change.delta), change.name))
        rows = ((c.kind, c.name, f"{c.delta:+,} B") for c in grown[:ROWS])
        body = format_html_join("", "<tr><td>{} {}<td>{}", rows)
        return format_html(
            "<h2>Since build {}</h2><p>{}</p><table>{}</table>",
            comparison.old.build,
            comparison.text().rpartition("\n")[2],
            body,
        )

    def _table(self, title: str, groups: Sequence[tuple[str, Sequence[Asset]]]) -> SafeString:
        encodings = self._encodings()
        rows = (
            (
                name,
                format_html_join(
                    "", "<td>{}", ((bytes_text(t),) for t in _totals(assets, encodings))
                ),
            )
            for name, assets in groups[:ROWS]
        )
        left_out = len(groups) - ROWS
        return format_html(
            "<h2>{}</h2><table><tr><th>{}{}</table>{}",
            title,
            format_html_join("", "<th>{}", ((name,) for name in encodings)),
            format_html_join("", "<tr><td>{}{}", rows),
            f"and {left_out:,} more" if left_out > 0 else "",
        )

    def _encodings(self) -> tuple[str, ...]:
        return (IDENTITY, *self.manifest.encoders)


def add_arguments(parser: ArgumentParser) -> None:
    add_build(parser)
    parser.add_argument("--against", type=build_version, metavar="OTHER", help="an earlier build")


def run(site: Site, options: Mapping[str, Any]) -> Report:
    other = options["against"]
    build = site.find(site.build(options["build"]))
    return Report(Contents(build, ROWS), site.find(other).manifest if other else None)


def _size(asset: Asset, encoding: str = "br") -> int:
    return asset.encodings.get(encoding, asset.size)


def _totals(assets: Iterable[Asset], encodings: Iterable[str]) -> list[int]:
    assets = list(assets)
    return [sum(_size(asset, name) for asset in assets) for name in encodings]


def _folder(asset: Asset) -> str:
    return "/".join(asset.name.split("/")[:-1][:2]) or "."


def _grouped(assets: Iterable[Asset], key: Callable[[Asset], str]) -> list[tuple[str, list[Asset]]]:
    """The assets by a key, the group with the most bytes first."""
    groups: dict[str, list[Asset]] = defaultdict(list)
    for asset in assets:
        groups[key(asset)].append(asset)
    return sorted(groups.items(), key=lambda item: (-sum(map(_size, item[1])), item[0]))


@dataclass(frozen=True)
class _Tile:
    """What a rectangle is for."""

    name: str
    kind: str
    size: int


def _drawing(assets: Sequence[Asset]) -> SafeString:
    """A treemap: each rectangle has the area of what a browser downloads, folder by folder."""
    limit = sorted(map(_size, assets), reverse=True)[:RECTANGLES][-1:] or [0]
    folders = []
    for folder, members in _grouped(assets, _folder):
        tiles = [_Tile(a.name, _kind(a), _size(a)) for a in members if _size(a) >= limit[0]]
        rest = [asset for asset in members if _size(asset) < limit[0]]
        if rest:
            name = f"{folder}/: {count_text(len(rest), 'smaller file')}"
            tiles.append(_Tile(name, "", sum(map(_size, rest))))
        folders.append(sorted(tiles, key=lambda tile: (-tile.size, tile.name)))
    spans = format_html_join(
        "",
        '<span class="{}" title="{}, {}" style="{}">{}<br>{}</span>',
        (
            (tile.kind, tile.name, size, _position(box), tile.name.rpartition("/")[2], size)
            for tiles, area in _cut(folders, lambda tiles: sum(tile.size for tile in tiles))
            for tile, box in _cut(tiles, lambda tile: tile.size, area)
            for size in (bytes_text(tile.size),)
        ),
    )
    kinds = dict.fromkeys(_KINDS.values())
    key = format_html_join("", '<i class="{}">{}</i>', ((kind, kind) for kind in kinds))
    return format_html('<p class="key">{}</p><div class="map">{}</div>', key, spans)


def _position(box: _Box) -> str:
    sides = zip(("left", "top", "width", "height"), box, strict=True)
    return ";".join(f"{side}:{percent:.3f}%" for side, percent in sides)


def _kind(asset: Asset) -> str:
    media_type = asset.content_type.partition(";")[0]
    return _KINDS.get(media_type) or _KINDS.get(media_type.partition("/")[0], "")


_Box = tuple[float, float, float, float]


def _cut(
    items: Sequence[Any], weight: Callable[[Any], int], area: _Box = (0, 0, 100, 100)
) -> Iterator[tuple[Any, _Box]]:
    """Divide an area among items by weight: in two halves along its longer side, and so on."""
    items = [item for item in items if weight(item)]
    if len(items) < 2:
        yield from ((item, area) for item in items)
        return
    total, first, count = sum(map(weight, items)), 0, 0
    while count < len(items) - 1 and (count == 0 or first + weight(items[count]) / 2 <= total / 2):
        first += weight(items[count])
        count += 1
    left, top, width, height = area
    part = first / total
    # The drawing is twice as wide as high.
    if 2 * width >= height:
        halves = (
            (left, top, width * part, height),
            (left + width * part, top, width * (1 - part), height),
        )
    else:
        halves = (
            (left, top, width, height * part),
            (left, top + height * part, width, height * (1 - part)),
        )
    yield from _cut(items[:count], weight, halves[0])
    yield from _cut(items[count:], weight, halves[1])
