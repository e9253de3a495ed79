"""Compressed builds: the first one, and the next one with one style sheet changed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from ..harness import Bench, Table, Taken, copy_tree
from ..project import (
    OURS,
    SERVESTATIC_HASHED_ONLY,
    WHITENOISE,
    WHITENOISE_HASHED_ONLY,
    Project,
    Storage,
)

STORAGES = {
    "ours": OURS,
    "ours, hashed only": OURS.with_options(keep_originals=False),
    "WhiteNoise": WHITENOISE,
    "WhiteNoise, hashed only": WHITENOISE_HASHED_ONLY,
    "ServeStatic, hashed only": SERVESTATIC_HASHED_ONLY,
}


def measure(bench: Bench) -> Iterator[Table]:
    first_roots = {name: bench.scratch / f"first-{number}" for number, name in enumerate(STORAGES)}

    def first(name: str, fresh: Path) -> Taken:
        taken = Project(STORAGES[name], bench.tree, fresh / "root").collect()
        if not first_roots[name].exists():
            (fresh / "root").rename(first_roots[name])
        return taken

    def following(name: str, storage: Storage, fresh: Path) -> Taken:
        copy_tree(first_roots[name], fresh / "root")
        return Project(storage, bench.changed_tree(), fresh / "root").collect()

    # It takes minutes, and its CPU time hardly depends on the round.
    yield bench.compare(
        "first build",
        {name: lambda fresh, name=name: first(name, fresh) for name in STORAGES},
        rounds=min(bench.rounds, 2),
    )
    yield bench.compare(
        "next build, one file changed",
        {
            name: lambda fresh, name=name, storage=storage: following(
                name, replace(storage, build=storage.build and "b2"), fresh
            )
            for name, storage in STORAGES.items()
        },
    )
