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
from ...text import bytes_text, count_text, names_text
from ..arguments import add_build, build_version
from .diff import Comparison, signed
from .show import Contents

#: How many rectangles a drawing has; the smallest files of a folder are one.
RECTANGLES = 250
#: How many rows a table has.
ROWS = 20
#: How much wider than high the drawing is: between a screen, 2, and a telephone, 0.7.
_ASPECT = 1.4
_KINDS = {
    "text/css": "css",
    "text/javascript": "js",
    "image": "image",
    "font": "font",
    "application/json": "data",
}
_OTHER = "other"
_STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif;
  --line: color-mix(in srgb, CanvasText 18%, Canvas);
  --bar: color-mix(in srgb, #6b7cff 22%, Canvas) }
body { margin: 0 auto; max-width: 78rem; padding: 1.25rem 1rem 4rem; overflow-wrap: anywhere }
h1 { margin: 0; line-height: 1.2 } h2 { margin: 2.5rem 0 .5rem; font-size: 1.2rem }
p { max-width: 44rem } small { display: block; opacity: .7 }
.facts { display: flex; flex-wrap: wrap; gap: .6rem 2rem; margin: 1rem 0 }
.facts dt { opacity: .7; font-size: .875rem } .facts dd { margin: 0; font: 600 1.3rem system-ui }
.key { display: flex; flex-wrap: wrap; gap: .35rem 1.1rem; max-width: none; font-size: .875rem }
.key span::before { content: ""; display: inline-block; width: .8em; aspect-ratio: 1;
  margin-right: .4em; border-radius: 2px; background: var(--kind, #b9c0cb) }
.css { --kind: #7db8ff } .js { --kind: #ffd166 } .image { --kind: #8fdcaa }
.font { --kind: #d9a8ff } .data { --kind: #ffa99f }
.map { position: relative; aspect-ratio: 2; width: 100%; min-height: 34rem; font-size: .75rem }
.map div, .map span { position: absolute; box-sizing: border-box; overflow: hidden }
.folder { container-type: size; border: 1px solid Canvas }
.folder em { display: block; height: 1.2rem; padding: 0 .3rem; font: 600 .75rem/1.2rem system-ui;
  white-space: nowrap; overflow: hidden; text-overflow: ellipsis; background: var(--line) }
.folder div { inset: 1.2rem 0 0 }
.map span { container-type: size; border: 1px solid Canvas; background: var(--kind, #b9c0cb) }
.map i, .map small { display: none; padding-left: .25rem; color: #111; font-style: normal;
  line-height: 1.25; white-space: nowrap; overflow: hidden; text-overflow: ellipsis }
@container (width < 4.5rem) or (height < 3.5rem) {
  .folder em { display: none } .folder div { inset: 0 } }
@container (width > 3.4rem) and (height > 1rem) { .map i { display: block } }
@container (width > 3.4rem) and (height > 2.1rem) { .map small { display: block } }
.tables { display: grid; gap: 0 3rem; grid-template-columns: repeat(auto-fit,
  minmax(min(100%, 30rem), 1fr)) }
table { border-collapse: collapse; width: 100%; font-size: .875rem }
th, td { padding: .25rem 0 .25rem .75rem; text-align: right; white-space: nowrap;
  vertical-align: top; border-bottom: 1px solid var(--line); font-variant-numeric: tabular-nums }
th { font-weight: 500; opacity: .7 }
th:first-child, td:first-child { padding-left: .25rem; text-align: left; white-space: normal;
  background: linear-gradient(var(--bar) 0 0) 0 0 / var(--part, 0) 100% no-repeat }
summary { margin-top: .75rem; cursor: pointer } pre { white-space: pre-wrap; font-size: .8rem }
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
            _joined(self._sections()),
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
        comparison = Comparison(self.other, self.manifest) if self.other else None
        yield self._facts(assets, comparison)
        yield _drawing(assets)
        if comparison is not None:
            yield _changes(comparison)
        yield format_html('<div class="tables">{}</div>', _joined(self._tables(assets)))
        if bound := [asset for asset in assets if asset.bound is not None]:
            reasons = _grouped(bound, lambda asset: asset.bound.reason if asset.bound else "")
            yield self._table("Not shared, because of", reasons)
            yield format_html(
                "<details><summary>Every cause</summary><pre>{}</pre></details>", bound_text(bound)
            )

    def _facts(self, assets: Sequence[Asset], comparison: Comparison | None) -> SafeString:
        sizes = map(bytes_text, _totals(assets, self._encodings()))
        facts = [("assets", f"{len(assets):,}"), *zip(self._encodings(), sizes, strict=True)]
        if any(asset.is_shared for asset in assets):
            shared = [asset for asset in assets if asset.is_shared]
            facts.append(("can be shared with other builds", bytes_text(sum(map(_size, shared)))))
        if comparison is not None:
            facts.append(("a returning visitor loads", bytes_text(comparison.download_bytes)))
        items = format_html_join("", "<div><dt>{}<dd>{}</div>", facts)
        return format_html('<dl class="facts">{}</dl>', items)

    def _tables(self, assets: Sequence[Asset]) -> Iterator[SafeString]:
        yield self._table("By type", _grouped(assets, lambda a: a.content_type.partition(";")[0]))
        yield self._table("By folder", _grouped(assets, _folder))
        largest = sorted(assets, key=lambda asset: (-_size(asset), asset.name))
        yield self._table("Largest", [(asset.name, [asset]) for asset in largest])
        if duplicates := self._duplicates():
            rows = [(_copies(same), same[1:]) for same in duplicates]
            yield self._table("More than once, by content", rows)

    def _duplicates(self) -> list[list[Asset]]:
        """The assets with the same content, the largest first, without empty files."""
        assets = (asset for asset in self.manifest.assets.values() if asset.size)
        same = [group for _, group in _grouped(assets, lambda asset: asset.integrity)]
        return [group for group in same if len(group) > 1]

    def _table(self, title: str, groups: Sequence[tuple[str, Sequence[Asset]]]) -> SafeString:
        encodings = self._encodings()
        largest = max((sum(map(_size, assets)) for _, assets in groups), default=0) or 1
        rows = (
            (
                f"{sum(map(_size, assets)) / largest:.1%}",
                name,
                format_html_join(
                    "", "<td>{}", ((bytes_text(t),) for t in _totals(assets, encodings))
                ),
            )
            for name, assets in groups[:ROWS]
        )
        left_out = len(groups) - ROWS
        return format_html(
            "<section><h2>{}</h2><table><tr><th>{}{}</table>{}</section>",
            title,
            format_html_join("", "<th>{}", ((name,) for name in encodings)),
            format_html_join("", '<tr><td style="--part:{}">{}{}', rows),
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
            name = f"{folder}/ {count_text(len(rest), 'smaller file')}"
            tiles.append(_Tile(name, _OTHER, sum(map(_size, rest))))
        folders.append((folder, sorted(tiles, key=lambda tile: (-tile.size, tile.name))))
    drawn = format_html_join(
        "",
        '<div class="folder" style="{}"><em>{} {}</em><div>{}</div></div>',
        (
            (_position(area), name, bytes_text(_weight(tiles)), _tiles(tiles, area))
            for (name, tiles), area in _cut(folders, lambda item: _weight(item[1]), _ASPECT)
        ),
    )
    kinds = _grouped(assets, _kind)
    key = format_html_join(
        "",
        '<span class="{}">{} {}</span>',
        ((kind, kind, bytes_text(sum(map(_size, members)))) for kind, members in kinds),
    )
    label = "The largest files, folder by folder; the tables have their sizes"
    return format_html(
        '<p class="key">{}</p><div class="map" role="img" aria-label="{}">{}</div>',
        key,
        label,
        drawn,
    )


def _tiles(tiles: Sequence[_Tile], area: _Box) -> SafeString:
    aspect = _ASPECT * area[2] / area[3]
    return format_html_join(
        "",
        '<span class="{}" title="{}, {}" style="{}"><i>{}</i><small>{}</small></span>',
        (
            (tile.kind, tile.name, size, _position(box), tile.name.rpartition("/")[2], size)
            for tile, box in _cut(tiles, lambda tile: tile.size, aspect)
            for size in (bytes_text(tile.size),)
        ),
    )


def _weight(tiles: Iterable[_Tile]) -> int:
    return sum(tile.size for tile in tiles)


def _changes(comparison: Comparison) -> SafeString:
    grown = sorted(comparison.changes, key=lambda change: (-abs(change.delta), change.name))
    largest = abs(grown[0].delta) or 1 if grown else 1
    rows = (
        (f"{abs(c.delta) / largest:.1%}", c.kind, c.name, signed(c.delta), signed(c.br_delta))
        for c in grown[:ROWS]
    )
    left_out = len(grown) - ROWS
    return format_html(
        "<h2>Since build {}</h2><p>{}</p><table><tr><th><th>identity<th>br{}</table>{}",
        comparison.old.build,
        comparison.text().rpartition("\n")[2],
        format_html_join("", '<tr><td style="--part:{}">{} {}<td>{}<td>{}', rows),
        f"and {left_out:,} more" if left_out > 0 else "",
    )


def _copies(same: Sequence[Asset]) -> SafeString:
    names = [asset.name for asset in same]
    return format_html("{}<small>= {}</small>", names[0], names_text(names[1:], shown=2))


def _joined(parts: Iterable[SafeString]) -> SafeString:
    return format_html_join("\n", "{}", ((part,) for part in parts))


def _position(box: _Box) -> str:
    sides = zip(("left", "top", "width", "height"), box, strict=True)
    return ";".join(f"{side}:{percent:.3f}%" for side, percent in sides)


def _kind(asset: Asset) -> str:
    media_type = asset.content_type.partition(";")[0]
    return _KINDS.get(media_type) or _KINDS.get(media_type.partition("/")[0], _OTHER)


_Box = tuple[float, float, float, float]


def _cut(
    items: Sequence[Any],
    weight: Callable[[Any], int],
    aspect: float,
    area: _Box = (0, 0, 100, 100),
) -> Iterator[tuple[Any, _Box]]:
    """Divide an area among items by weight: in two halves along its longer side, and so on.

    The area is in percent of a whole that is ``aspect`` times as wide as it is high.
    """
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
    if aspect * width >= height:
        halves = (
            (left, top, width * part, height),
            (left + width * part, top, width * (1 - part), height),
        )
    else:
        halves = (
            (left, top, width, height * part),
            (left, top + height * part, width, height * (1 - part)),
        )
    yield from _cut(items[:count], weight, aspect, halves[0])
    yield from _cut(items[count:], weight, aspect, halves[1])
