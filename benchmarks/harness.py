"""Candidates that run in turns, each in a fresh directory, and tables of what they took."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

#: What a candidate took, by the name of the measure: seconds, CPU seconds, MB, requests ...
Taken = Mapping[str, float]


def machine() -> str:
    """Return one line about the machine; what another line says cannot be compared."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, {memory:.0f} GB, "
        f"Python {platform.python_version()}, Django {version('django')}, "
        f"load {os.getloadavg()[0]:.1f}"
    )


def run(command: list[str], *, cwd: Path | None = None, **environment: str) -> dict[str, float]:
    """Run a process to its end. Exits with what it said if it fails."""
    # What is installed has its bytecode; a checkout has it from the second round on.
    inherited = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    with tempfile.TemporaryFile() as output:
        started = time.monotonic()
        process = subprocess.Popen(
            command,
            cwd=cwd,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**inherited, **environment},
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            output.seek(0)
            raise SystemExit(f"{' '.join(command)} failed:\n{output.read().decode()[-3000:]}")
    cpu = usage.ru_utime + usage.ru_stime
    return {"s": seconds, "CPU s": cpu, "MB": usage.ru_maxrss / 1000}


def plus(first: Taken, second: Taken) -> dict[str, float]:
    """Return what two steps took, one after the other."""
    return {
        name: max(first[name], second[name]) if name == "MB" else first[name] + second[name]
        for name in first
        if name in second
    }


@dataclass
class Table:
    """What each candidate took in each round; ratios are to the candidate ``reference``."""

    title: str
    reference: str
    rounds: dict[str, list[Taken]] = field(default_factory=dict)

    def medians(self, name: str) -> dict[str, float]:
        rounds = self.rounds[name]
        return {key: statistics.median(taken[key] for taken in rounds) for key in rounds[0]}

    def ratio(self, name: str, measure: str) -> float:
        return self.medians(name)[measure] / (self.medians(self.reference)[measure] or 1e-9)

    def markdown(self) -> str:
        """Return medians, the least and the most of seconds, and ratios of time and CPU."""
        measures = list(next(iter(self.rounds.values()))[0])
        compared = [name for name in measures if name not in ("MB", "requests")]
        heads = [
            head for name in measures for head in ([name, "×"] if name in compared else [name])
        ]
        lines = [
            f"| {self.title} | {' | '.join(heads)} | least to most |",
            f"|---|{'---|' * len(heads)}---|",
        ]
        for name, rounds in self.rounds.items():
            cells = []
            for measure, value in self.medians(name).items():
                cells.append(_number(value))
                if measure in compared:
                    cells.append(f"{self.ratio(name, measure):.2f}")
            values = [taken[measures[0]] for taken in rounds]
            spread = f"{_number(min(values))} to {_number(max(values))}"
            lines.append(f"| {name} | {' | '.join(cells)} | {spread} |")
        return "\n".join(lines)

    def to_json(self) -> dict[str, object]:
        return {
            "title": self.title,
            "reference": self.reference,
            "medians": {name: self.medians(name) for name in self.rounds},
            "rounds": self.rounds,
        }


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


@dataclass
class Bench:
    """What the rows share: sizes, rounds, the trees, and where scratch files go."""

    size: str
    rounds: int
    scratch: Path
    tree: Path
    latency: float = 25
    connect_latency: float = 50
    tables: list[Table] = field(default_factory=list)

    def compare(
        self,
        title: str,
        candidates: Mapping[str, Callable[[Path], Taken]],
        *,
        reference: str | None = None,
        rounds: int | None = None,
    ) -> Table:
        """Run the candidates in turns, each round in another order, and print their table."""
        names = list(candidates)
        table = Table(title, reference or names[0], {name: [] for name in names})
        for number in range(rounds or self.rounds):
            turn = number % len(names)
            for name in names[turn:] + names[:turn]:
                with self.directory() as fresh:
                    table.rounds[name].append(candidates[name](fresh))
        self.tables.append(table)
        print(f"\n{table.markdown()}", flush=True)
        return table

    @contextmanager
    def directory(self) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(dir=self.scratch) as directory:
            yield Path(directory)

    def changed_tree(self) -> Path:
        """Return a copy of the tree in which one style sheet is another one."""
        changed = self.scratch / "changed"
        if not changed.exists():
            copy_tree(self.tree, changed)
            path = changed / "admin" / "css" / "base.css"
            path = path if path.exists() else min(changed.rglob("*.css"))
            path.write_text(path.read_text() + "\n.changed { order: 1 }\n")
        return changed


def copy_tree(source: Path, target: Path) -> None:
    """Copy a tree with its times and its hard links."""
    subprocess.run(["cp", "-a", str(source), str(target)], check=True)


def count_of(paths: Iterable[Path]) -> tuple[int, int]:
    """Return how many files there are and their bytes."""
    sizes = [path.stat().st_size for path in paths if path.is_file()]
    return len(sizes), sum(sizes)


def write_json(path: Path, header: str, tables: list[Table]) -> None:
    path.write_text(
        json.dumps({"machine": header, "tables": [table.to_json() for table in tables]}, indent=1)
    )
