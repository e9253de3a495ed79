"""How time grows with the number of files: a build, the next one, its first publish, a prune.

The files are small images and style sheets; `draw` makes docs/explain/growth.svg of a JSON file.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from ..harness import Bench, Table
from ..project import OURS, Project
from ..server import Server

#: Up to the number in GROWTH.
COUNTS = (300, 2_400, 11_000, 50_000)
STEPS = ("build", "next build", "publish", "publish again", "next publish", "prune")


def measure(bench: Bench) -> Iterator[Table]:
    most = int(os.environ.get("GROWTH", "11000"))
    with Server.start(bench) as server:
        for count in filter(lambda count: count <= most, COUNTS):
            yield grow(bench, server, count)


def grow(bench: Bench, server: Server, count: int) -> Table:
    table = Table(f"{count:,} files", STEPS[0])
    for _ in range(1 if count > 20_000 else bench.rounds):
        server.empty()
        with bench.directory() as fresh:
            tree = make_tree(fresh / "tree", count)
            first = Project(OURS.with_options(keep_originals=False), tree, fresh / "root")
            following = replace(first, storage=replace(first.storage, build="b2"))
            published, republished = (replace(each, server=server) for each in (first, following))
            taken = [first.collect()]
            (tree / "css-0" / "0.css").write_text(".changed {}")
            taken.append(following.collect())
            taken.append(published.run("staticbuilds", "publish", "b1"))
            taken.append(published.run("staticbuilds", "publish", "b1"))
            taken.append(republished.run("staticbuilds", "publish", "b2"))
            prune = ["staticbuilds", "prune", "--keep", "1", "--older-than", "0d", "--noinput"]
            taken.append(republished.run(*prune))
        for step, each in zip(STEPS, taken, strict=True):
            table.rounds.setdefault(step, []).append({"requests": 0, **each})
    for step, rounds in table.rounds.items():
        table.rounds[step] = [
            {name: each[name] for name in ("s", "CPU s", "MB", "requests")} for each in rounds
        ]
    bench.tables.append(table)
    print(f"\n{table.markdown()}", flush=True)
    return table


def make_tree(directory: Path, count: int) -> Path:
    """Half small images, half style sheets that refer to one of them each."""
    for number in range(count // 2):
        place = directory / f"css-{number // 200}"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{number}.png").write_bytes(b"\x89PNG %d" % number)
        rules = "".join(f".c{number}-{rule} {{ margin: {rule}px }}\n" for rule in range(20))
        (place / f"{number}.css").write_text(f"{rules}.b {{ background: url({number}.png) }}\n")
    return directory
