"""Fingerprinting without compression, which Django's storage does not have."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ..harness import Bench, Table, Taken
from ..project import DJANGO, ENHANCED, NEUTRAL, OURS, Project, Storage

STORAGES = {
    "Django": DJANGO,
    "enhanced": ENHANCED,
    "ours": OURS.with_options(encodings=[]),
    "ours, no build version": NEUTRAL.with_options(encodings=[]),
}


def measure(bench: Bench) -> Iterator[Table]:
    def collect(storage: Storage, times: int, fresh: Path) -> Taken:
        project = Project(storage, bench.tree, fresh / "root")
        return [project.collect() for _ in range(times)][-1]

    for title, times in (("without compression, cold", 1), ("nothing changed", 2)):
        yield bench.compare(
            title,
            {
                name: lambda fresh, storage=storage, times=times: collect(storage, times, fresh)
                for name, storage in STORAGES.items()
            },
        )
