"""What must stay cheap: files that are opened and written, and loose ratios of CPU times.

No time is asserted: machines differ, and so do the hours of one machine. `make bench` measures.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import project
from benchmarks.project import DJANGO, OURS, Project
from benchmarks.rows.growth import make_tree
from tests.helpers import write

WITHOUT_ENCODINGS = OURS.with_options(encodings=[])
COLLECT = ("collectstatic", "--noinput", "-v0")
COUNT_CALLS = """
import json, os, runpy, sys
from collections import Counter
calls = Counter()
prefix = sys.argv.pop(1)

def count(event, arguments):
    if event in ("open", "os.rename", "os.link", "os.remove"):
        if isinstance(arguments[0], str) and arguments[0].startswith(prefix):
            calls[event] += 1
            calls["create"] += event == "open" and bool(arguments[2] & os.O_CREAT)

sys.addaudithook(count)
sys.argv = sys.argv[1:]
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
finally:
    print(json.dumps(calls))
"""


def next_build(first: Project, tree: Path) -> Project:
    write(tree, {"css-0/0.css": ".changed {}"})
    return replace(first, storage=replace(first.storage, build="b2"))


def calls_of(site: Project, prefix: Path) -> dict[str, int]:
    completed = subprocess.run(
        [sys.executable, "-c", COUNT_CALLS, str(prefix), project.__file__, *COLLECT],
        env={**os.environ, **site.environment()},
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    calls: dict[str, int] = json.loads(completed.stdout.splitlines()[-1])
    return calls


def test_an_unchanged_file_of_the_next_build_is_linked_and_read_a_few_times(tmp_path: Path) -> None:
    tree, files = tmp_path / "tree", 20
    for number in range(files):
        write(tree, {f"{number}.png": f"png {number}", f"css-0/{number}.css": f".a{number} {{}}"})
    first = Project(OURS, tree, tmp_path / "root")
    first.collect()
    calls = calls_of(next_build(first, tree), tmp_path)
    # An image has two names, a style sheet with its encodings six.
    assert calls["os.link"] <= files * 2 + files * 6
    # Of what changed: the file, its two encodings; and the manifest.
    assert calls["create"] <= 4
    assert calls["os.rename"] <= 4
    assert calls["open"] <= files * 3 + files * 8 + 20


@pytest.mark.deep
def test_the_next_build_takes_a_fraction_of_the_first(tmp_path: Path) -> None:
    tree = make_tree(tmp_path / "tree", 200)
    for number in range(40):
        rules = (f".c{number}-{rule} {{ margin: {rule * 7919 % 997}px }}\n" for rule in range(800))
        (tree / f"{number}.css").write_text("".join(rules))
    first = Project(OURS, tree, tmp_path / "root")
    taken = first.collect()["CPU s"]
    assert next_build(first, tree).collect()["CPU s"] < taken / 2


@pytest.mark.deep
def test_a_build_takes_no_longer_than_django_s(tmp_path: Path) -> None:
    tree = make_tree(tmp_path / "tree", 400)
    ours, django = (
        Project(storage, tree, tmp_path / storage.backend).collect()["CPU s"]
        for storage in (WITHOUT_ENCODINGS, DJANGO)
    )
    assert ours < 1.5 * django


@pytest.mark.deep
def test_a_build_of_more_files_takes_no_more_for_each(tmp_path: Path) -> None:
    few, many = 200, 1000

    def taken(files: int) -> float:
        tree = make_tree(tmp_path / f"tree-{files}", files)
        return Project(WITHOUT_ENCODINGS, tree, tmp_path / f"root-{files}").collect()["CPU s"]

    assert taken(many) < 1.5 * many / few * taken(few)
