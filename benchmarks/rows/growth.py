"""How time grows with the number of files: a build, the next one, its first publish, a prune.

The files are small images and style sheets. What `--json` wrote becomes the plot of the docs with
`python -m benchmarks.rows.growth NUMBERS.json docs/explain/growth.svg`.
"""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from benchmarks.harness import Bench, Table
from benchmarks.project import OURS, Project
from benchmarks.server import Server

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


def draw(tables: list[dict]) -> str:
    """Return an SVG of the CPU seconds of each step, both axes logarithmic."""
    counts = [int(table["title"].partition(" ")[0].replace(",", "")) for table in tables]
    lines = {step: [table["medians"][step]["CPU s"] for table in tables] for step in STEPS}
    width, height, left, bottom = 560, 320, 60, 280
    low = math.floor(math.log10(min(map(min, lines.values()))))
    high = math.ceil(math.log10(max(map(max, lines.values()))))

    def x(count: float) -> float:
        return left + 330 * math.log(count / counts[0]) / math.log(counts[-1] / counts[0])

    def y(seconds: float) -> float:
        return bottom - 250 * (math.log10(seconds) - low) / (high - low)

    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        'aria-label="CPU seconds by number of files" font-family="sans-serif" font-size="12" '
        'fill="#808080"><text x="10" y="16">CPU seconds</text>'
        f'<text x="{left}" y="{height - 6}">files</text>'
    )
    grid = [
        f'<path d="M{left} {y(power):.0f}h330" stroke="#80808060"/>'
        f'<text x="{left - 8}" y="{y(power) + 4:.0f}" text-anchor="end">{power:g}</text>'
        for power in (10.0**exponent for exponent in range(low, high + 1))
    ]
    parts = [head, *grid]
    parts += [
        f'<text x="{x(count):.0f}" y="{bottom + 18}" text-anchor="middle">{count:,}</text>'
        for count in counts
    ]
    # The labels of lines that end beside each other are kept apart.
    label = bottom + 20.0
    for number, step in enumerate(sorted(STEPS, key=lambda step: lines[step][-1])):
        color = f"hsl({number * 60} 60% 50%)"
        points = " ".join(
            f"{x(count):.0f},{y(seconds):.0f}"
            for count, seconds in zip(counts, lines[step], strict=True)
        )
        label = min(label - 15, y(lines[step][-1]) + 4)
        parts.append(
            f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="2"/>'
            f'<text x="{x(counts[-1]) + 8:.0f}" y="{label:.0f}" fill="{color}">{step}, '
            f"{lines[step][-1]:.1f} s</text>"
        )
    return "\n".join([*parts, "</svg>\n"])


if __name__ == "__main__":
    numbers, target = map(Path, sys.argv[1:])
    target.write_text(draw(json.loads(numbers.read_text())["tables"]))
