"""List the builds on the origin and in STATIC_ROOT, the current one first.

A build was superseded when the next one was activated. Pruned and abandoned builds are shown with
--all: they have no objects, or only what an interrupted publish left.
"""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Any

from django.core.management.color import Style

from ...build.manifest import Manifest
from ...origin import lease, record, retention
from ...origin.record import Record, State, Totals
from ...origin.retention import Activation
from ...site import Site
from ...text import NOTHING, bytes_text, short_age_text, table, time_text
from ..terminal import PLAIN, Terminal

# States in which the origin has no object of the build, or leftovers only.
_GONE = (State.RETIRED, State.ABANDONED)

_UNREADABLE = "unreadable"
_PULLED = "pulled"

_COLUMNS = (
    *("BUILD", "STATE", "ACTIVATED (UTC)", "SUPERSEDED (UTC)"),
    *("ASSETS", "OBJECTS", "SIZE", "WHERE"),
)
# What 80 columns have room for: ages in place of times.
_FEWER_COLUMNS = ("BUILD", "STATE", "ACTIVATED", "SUPERSEDED", "ASSETS", "SIZE", "WHERE")
# In the place of SIZE, where builds have shared assets.
_SIZES = ("OWN", "SHARED")
_NUMBERS = ("ASSETS", "OBJECTS", "SIZE", *_SIZES)


@dataclass(frozen=True)
class Row:
    """A build, as the origin and the disk have it.

    ``state`` is that of its record. A build that is only on disk is "complete", "pulled" if its
    manifest is all that is there, or "unreadable" if that cannot be read. ``dead`` is True for a
    publish or a prune that nobody continues. ``activated`` is None for a build that is not
    published, ``superseded`` for the current build too.
    """

    build: str
    state: str
    dead: bool = False
    on_origin: bool = False
    on_disk: bool = False
    activated: datetime | None = None
    superseded: datetime | None = None
    totals: Totals | None = None

    @property
    def current(self) -> bool:
        return self.activated is not None and self.superseded is None

    @property
    def where(self) -> str | None:
        if self.on_origin and self.on_disk:
            return "both"
        return "origin" if self.on_origin else "disk" if self.on_disk else None

    def cells(self, now: datetime) -> Mapping[str, str]:
        """Return the texts of all columns, by their headers."""
        state = f"{self.state} (dead)" if self.dead else self.state
        cells = {"BUILD": self.build, "STATE": state, "WHERE": self.where or NOTHING}
        for column, at in (("ACTIVATED", self.activated), ("SUPERSEDED", self.superseded)):
            cells[column] = short_age_text(at, now) if at else NOTHING
            cells[f"{column} (UTC)"] = time_text(at, now) if at else NOTHING
        if self.current:
            cells |= dict.fromkeys(("SUPERSEDED", "SUPERSEDED (UTC)"), "current")
        if self.totals is None:
            return cells | dict.fromkeys(_NUMBERS, NOTHING)
        cells["ASSETS"] = f"{self.totals.assets:,}"
        cells["OBJECTS"] = f"{self.totals.objects:,}"
        cells["OWN"] = bytes_text(self.totals.own_size)
        cells["SHARED"] = bytes_text(self.totals.shared_size)
        return {**cells, "SIZE": bytes_text(self.totals.size)}

    def paint(self, line: str, style: Style) -> str:
        """Return the row's line in the colour of its state."""
        if self.current:
            return style.SUCCESS(line)
        if self.state == _UNREADABLE:
            return style.ERROR(line)
        return style.WARNING(line) if self.dead else line

    def data(self) -> dict[str, Any]:
        return {
            "build": self.build,
            "state": self.state,
            "dead": self.dead,
            "current": self.current,
            "activated": self.activated.isoformat() if self.activated else None,
            "superseded": self.superseded.isoformat() if self.superseded else None,
            "assets": self.totals.assets if self.totals else None,
            "objects": self.totals.objects if self.totals else None,
            "bytes": self.totals.size if self.totals else None,
            "shared_objects": self.totals.shared_objects if self.totals else None,
            "shared_bytes": self.totals.shared_size if self.totals else None,
            "where": self.where,
        }


@dataclass(frozen=True)
class Listing:
    """The builds in ``places``; ages are relative to ``now``."""

    rows: tuple[Row, ...]
    now: datetime
    places: tuple[str, ...] = ()

    ok = True

    def text(self) -> str:
        return self.styled(PLAIN)

    def styled(self, terminal: Terminal) -> str:
        if not self.rows:
            places = " and ".join(self.places) or "nothing, because STATIC_ROOT is not set"
            return f"There are no builds: looked at {places}"
        header, *lines = self._lines(terminal.width)
        painted = [
            row.paint(line, terminal.style) for row, line in zip(self.rows, lines, strict=True)
        ]
        return "\n".join([terminal.style.MIGRATE_HEADING(header), *painted])

    def _lines(self, width: int | None) -> list[str]:
        """Return the lines of the widest table that fits."""
        lines: list[str] = []
        shares = any(row.totals and row.totals.shared_objects for row in self.rows)
        for layout in (_COLUMNS, _FEWER_COLUMNS):
            columns: list[str] = []
            for column in layout:
                columns += _SIZES if shares and column == "SIZE" else [column]
            rows = [[row.cells(self.now)[column] for column in columns] for row in self.rows]
            lines = table(columns, rows, numbers=_NUMBERS).splitlines()
            if width is None or max(map(len, lines)) <= width:
                break
        return lines

    def data(self) -> Any:
        return {"builds": [row.data() for row in self.rows]}


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "-a", "--all", action="store_true", help="show retired and abandoned builds too"
    )


def run(site: Site, options: Mapping[str, Any]) -> Listing:
    records: dict[str, Record] = {}
    now, places = datetime.now(timezone.utc), []
    if site.options.origin is not None:
        heads = record.heads(site.origin)
        records = {head.record.build: head.record for head in heads}
        now = site.origin.now()
        places.append(site.origin.url(record.PREFIX))
    if site.storage.root is not None:
        places.append(str(site.root))
    on_disk = {build: site.readable_manifest(build) for build in site.builds_on_disk()}
    rows = {build: _row(record, now) for build, record in records.items()}
    for build, manifest in on_disk.items():
        rows[build] = _also_on_disk(site, rows.get(build), build, manifest)
    shown = [
        row
        for row in _in_order(rows, _activated(site, records, on_disk))
        if row.where is not None or row.state == _PULLED or options["all"]
    ]
    return Listing(tuple(shown), now, tuple(places))


def _in_order(rows: Mapping[str, Row], activated: Iterable[Activation]) -> Iterator[Row]:
    """Yield the builds by activation, the current one first, then those without activation."""
    remaining, activations = dict(rows), list(activated)
    superseded = retention.superseded(activations)
    for activation in retention.newest_first(activations):
        row = remaining.pop(activation.build)
        yield replace(row, activated=activation.at, superseded=superseded[activation.build])
    yield from (remaining[build] for build in sorted(remaining))


def _activated(
    site: Site, records: Mapping[str, Record], on_disk: Mapping[str, Manifest | None]
) -> list[Activation]:
    """Return the activations: of published builds, or on a site without S3 of those on disk."""
    if site.options.origin is not None:
        return [
            Activation(record.build, record.since)
            for record in records.values()
            if record.is_published
        ]
    return [
        Activation(build, site.completed_at(build))
        for build, manifest in on_disk.items()
        if manifest is not None and _has_files(site, build, manifest)
    ]


def _row(record: Record, now: datetime) -> Row:
    is_running = record.state in (State.PUBLISHING, State.PRUNING)
    has_objects = record.state not in _GONE
    return Row(
        record.build,
        record.state.value,
        dead=is_running and lease.is_expired(record, now),
        on_origin=has_objects,
        totals=record.totals if has_objects else None,
    )


def _also_on_disk(site: Site, row: Row | None, build: str, manifest: Manifest | None) -> Row:
    if manifest is None:
        return replace(row or Row(build, _UNREADABLE), on_disk=True)
    has_files = _has_files(site, build, manifest)
    row = row or Row(build, "complete" if has_files else _PULLED)
    return replace(row, on_disk=has_files, totals=row.totals or Totals.of(manifest))


def _has_files(site: Site, build: str, manifest: Manifest) -> bool:
    """Return False for a build of which ``staticbuilds pull`` wrote the manifest only."""
    first = next(iter(manifest.assets), None)
    return first is None or site.directory(build).path(first).is_file()
