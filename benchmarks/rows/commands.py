"""What it takes to start: a worker of a site, and a command."""

from __future__ import annotations

from collections.abc import Iterator

from ..harness import Bench, Table
from ..project import NONE, OURS, SERVESTATIC, WHITENOISE, Project


def measure(bench: Bench) -> Iterator[Table]:
    storages = {
        "WhiteNoise": WHITENOISE,
        "ServeStatic": SERVESTATIC,
        "ours": OURS.with_options(encodings=[]),
    }
    tree = bench.scratch / "small"
    (tree / "admin" / "css").mkdir(parents=True, exist_ok=True)
    (tree / "admin" / "css" / "base.css").write_text("a {}")
    projects = {
        name: Project(storage, tree, bench.scratch / f"started-{number}")
        for number, (name, storage) in enumerate(storages.items())
    }
    for project in projects.values():
        project.collect()
    rounds = max(bench.rounds, 5)
    bare = Project(NONE, tree, bench.scratch / "bare")
    yield bench.compare(
        "start of a worker, one file",
        {
            "Django alone": lambda _: bare.run(":worker"),
            **{
                name: lambda _, project=project: project.run(":worker")
                for name, project in projects.items()
            },
        },
        rounds=rounds,
    )
    ours = projects["ours"]

    def command(*arguments: str):
        return lambda _: ours.run(*arguments)

    yield bench.compare(
        "start of a command",
        {
            "manage.py check": command("check"),
            "staticbuilds --help": command("staticbuilds", "--help"),
            "staticbuilds list": command("staticbuilds", "list"),
        },
        rounds=rounds,
    )
