"""Static files over HTTP with the middlewares, and their start with many files. Needs wrk.

small    a style sheet of 2 kB, Accept-Encoding: br, gzip
large    a script of 300 kB, identity
304      the style sheet with its ETag in If-None-Match
page     a view below the middleware; "none" is the site without any

The server's CPU time for one request hardly depends on what else the machine does.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from ..harness import Bench, Table, Taken
from ..project import NONE, OURS, SERVESTATIC, WHITENOISE, Project

STORAGES = {"WhiteNoise": WHITENOISE, "ServeStatic": SERVESTATIC, "ours": OURS, "none": NONE}
SERVERS = {
    "WSGI, gunicorn gthread": (
        "gunicorn", "project:wsgi", "--worker-class=gthread", "--threads=2", "--keep-alive=60",
        "--log-level=warning", "--bind=127.0.0.1:{port}",
    ),
    "ASGI, uvicorn": (
        "uvicorn", "project:asgi", "--log-level=warning", "--no-access-log", "--port={port}",
    ),
}  # fmt: skip
CASES = ("small", "large", "304", "page")
#: Names and encodings of one asset on disk: original and hashed, each as identity, br and gzip.
FILES_OF_AN_ASSET = 6
FILES = {"small": 2_400, "medium": 24_000, "large": 24_000}
SECONDS = 3


def measure(bench: Bench) -> Iterator[Table]:
    if shutil.which("wrk") is None:
        sys.exit("This needs wrk: apt install wrk, or brew install wrk.")
    sources = bench.scratch / "sources"
    make_tree(sources, FILES[bench.size] // FILES_OF_AN_ASSET)
    projects = {
        name: Project(storage, sources, bench.scratch / f"served-{number}")
        for number, (name, storage) in enumerate(STORAGES.items())
    }
    for project in projects.values():
        project.collect()
    yield bench.compare(
        f"start with {FILES[bench.size]:,} files",
        {
            name: lambda _, project=project: json.loads(said(project, ":start")[-1])
            for name, project in projects.items()
            if project.storage is not NONE
        },
        rounds=max(bench.rounds, 5),
    )
    urls = {name: said(project, ":urls") for name, project in projects.items()}
    for server in SERVERS:
        for case in CASES:
            yield bench.compare(
                f"{server}: {case}",
                {
                    name: lambda _, case=case, server=server, project=project, name=name: asked(
                        project, server, case, urls[name]
                    )
                    for name, project in projects.items()
                    # Its responses to a 304 fail in Django's handler.
                    if (case == "page" or name != "none")
                    and (case, name, server[:4]) != ("304", "WhiteNoise", "ASGI")
                },
            )


def said(project: Project, function: str) -> list[str]:
    environment = {
        **os.environ,
        **project.environment(),
        "BENCH_NAMES": "css/small.css js/large.js",
    }
    command = [sys.executable, str(Path(__file__).parents[1] / "project.py"), function]
    completed = subprocess.run(
        command, check=True, env=environment, stdout=subprocess.PIPE, text=True
    )
    return completed.stdout.splitlines()


def asked(project: Project, server: str, case: str, urls: list[str]) -> Taken:
    with served(project, server) as (origin, group):
        url, headers = request_of(origin, case, urls)
        rate, cost = load(url, headers, SECONDS, group)
    return {"CPU µs a request": cost, "ms a request": 1000 / rate}


def make_tree(sources: Path, assets: int) -> None:
    """As many style sheets of some 600 bytes, and the two files that are asked for."""
    words = random.Random(0)
    (sources / "css").mkdir(parents=True)
    (sources / "js").mkdir()
    for number in range(assets - 2):
        directory = sources / f"app{number % 40}" / "css"
        directory.mkdir(parents=True, exist_ok=True)
        (directory / f"part-{number}.css").write_text(rules(words, 600))
    (sources / "css" / "small.css").write_text(rules(words, 2_000))
    (sources / "js" / "large.js").write_text(rules(words, 300_000))


def rules(words: random.Random, size: int) -> str:
    text = ""
    while len(text) < size:
        text += f".c{words.randrange(10**6)} {{ margin: {words.randrange(99)}px }}\n"
    return text


def request_of(origin: str, case: str, urls: list[str]) -> tuple[str, dict[str, str]]:
    small, large = urls
    if case == "page":
        return f"{origin}/page/", {}
    if case == "large":
        return origin + large, {}
    headers = {"Accept-Encoding": "gzip, deflate, br"}
    if case == "304":
        with urllib.request.urlopen(
            urllib.request.Request(origin + small, headers=headers)
        ) as response:
            headers["If-None-Match"] = response.headers["ETag"]
    return origin + small, headers


def load(url: str, headers: dict[str, str], seconds: float, group: int) -> tuple[float, float]:
    """Requests per second over eight connections, and microseconds of CPU for one of them.

    After a warm-up that does not count; ``group`` is the process group of the server.
    """
    command = ["wrk", "--threads=1", "--connections=8"]
    command += [f"--header={name}: {value}" for name, value in headers.items()]
    subprocess.run([*command, "--duration=1s", url], check=True, stdout=subprocess.DEVNULL)
    before = cpu_seconds(group)
    completed = subprocess.run(
        [*command, f"--duration={seconds:g}s", url], check=True, stdout=subprocess.PIPE, text=True
    )
    used = cpu_seconds(group) - before
    if "Non-2xx" in completed.stdout or "Socket errors" in completed.stdout:
        sys.exit(f"{url} failed under load:\n{completed.stdout}")
    rate = re.search(r"Requests/sec:\s+([\d.]+)", completed.stdout)
    count = re.search(r"(\d+) requests in", completed.stdout)
    assert rate is not None, completed.stdout
    assert count is not None, completed.stdout
    answered = int(count[1])
    return float(rate[1]), used / answered * 1e6 if answered else float("inf")


def cpu_seconds(group: int) -> float:
    """Of all processes of a group, as Linux counts it; nothing elsewhere."""
    ticks = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            fields = path.read_text().rpartition(")")[2].split()
            if int(fields[2]) == group:
                ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def served(project: Project, server: str) -> Iterator[tuple[str, int]]:
    """A server in a process group of its own: where it listens, and the number of the group."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    module, *arguments = (part.format(port=port) for part in SERVERS[server])
    process = subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        env={**os.environ, **project.environment(), "BENCH_SERVES": "1"},
        cwd=project.root,
        start_new_session=True,
    )
    try:
        wait_for(port, process)
        yield f"http://127.0.0.1:{port}", process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    sys.exit("the server did not start")
