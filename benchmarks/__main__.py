"""Compare this package with its peers: `make bench SIZE=small ROWS="builds deploys"`."""

from __future__ import annotations

import argparse
import tempfile
from importlib import import_module
from pathlib import Path

from .corpus import make_corpus
from .harness import Bench, count_of, machine, write_json

ROWS = ("builds", "hashing", "commands", "deploys", "shared", "serving", "puts", "growth")


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("rows", nargs="*", default=[], help=f"of {', '.join(ROWS)}; all if none")
    parser.add_argument("--size", choices=("small", "medium", "large"), default="small")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cache", type=Path, default=Path(".cache", "bench"))
    parser.add_argument("--json", type=Path, help="where the numbers go too")
    arguments = parser.parse_args()
    unknown = set(arguments.rows) - set(ROWS)
    if unknown:
        parser.error(f"no such rows: {', '.join(sorted(unknown))}; there are {', '.join(ROWS)}")
    tree = make_corpus(arguments.cache.resolve(), arguments.size)
    header = machine()
    files, size = count_of(tree.rglob("*"))
    print(f"{header}\n{arguments.size}: {files:,} files, {size / 1e6:.0f} MB", flush=True)
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        bench = Bench(arguments.size, arguments.rounds, Path(scratch), tree)
        for name in arguments.rows or ROWS:
            for _ in import_module(f"benchmarks.rows.{name}").measure(bench):
                if arguments.json:
                    write_json(arguments.json, header, bench.tables)
    print(f"\n{machine()}")


if __name__ == "__main__":
    main()
