"""Static files over HTTP with our middleware, WhiteNoise's and ServeStatic's, side by side.

    python benchmarks/serving.py [--files 24000] [--seconds 3] [--rounds 3]

Needs wrk in the PATH, and what the extra `bench` installs. Each peer has its own storage's build
of the same tree. The peers take turns, and what is compared is the best of each: on a noisy machine
the best is the one that was disturbed least.

start    the time to make the middleware, and the memory that it takes, in a process of its own
small    a style sheet of 2 kB, Accept-Encoding: br, gzip
large    a script of 300 kB, identity
304      the style sheet with its ETag in If-None-Match
page     a view below the middleware; "none" is the site without any

Each of these twice: requests per second, and the server's CPU time for one request, which hardly
depends on what else the machine does.
"""

from __future__ import annotations

import argparse
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
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

PEERS = {
    "versioned": (
        "versioned_storage.middleware.VersionedWhiteNoiseMiddleware",
        "versioned_storage.storage.VersionedStaticFilesStorage",
    ),
    "whitenoise": (
        "whitenoise.middleware.WhiteNoiseMiddleware",
        "whitenoise.storage.CompressedManifestStaticFilesStorage",
    ),
    "servestatic": (
        "servestatic.middleware.ServeStaticMiddleware",
        "servestatic.storage.CompressedManifestStaticFilesStorage",
    ),
    "none": ("", "django.contrib.staticfiles.storage.StaticFilesStorage"),
}
SERVERS = {
    "WSGI, gunicorn gthread": (
        "gunicorn", "bench_site:wsgi", "--worker-class=gthread", "--threads=2", "--keep-alive=60",
        "--log-level=warning", "--bind=127.0.0.1:{port}",
    ),
    "ASGI, uvicorn": (
        "uvicorn", "bench_site:asgi", "--log-level=warning", "--no-access-log", "--port={port}",
    ),
}  # fmt: skip
CASES = ("small", "large", "304", "page")
#: Names and encodings of one asset on disk: original and hashed, each as identity, br and gzip.
FILES_OF_AN_ASSET = 6

SITE = """
import os, time
from django.conf import settings
from django.http import HttpResponse
from django.urls import path
middleware, storage, root, sources = os.environ["BENCH"].split(os.pathsep)
settings.configure(
    SECRET_KEY="for a benchmark",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=["django.contrib.staticfiles"],
    MIDDLEWARE=[middleware] if middleware else [],
    STATIC_URL="/static/",
    STATIC_ROOT=root,
    STATICFILES_DIRS=[sources],
    STATICFILES_FINDERS=["django.contrib.staticfiles.finders.FileSystemFinder"],
    BUILD_VERSION="bench" if "versioned" in middleware else None,
    STORAGES={
        "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"},
        "staticfiles": {"BACKEND": storage},
    },
)
urlpatterns = [path("page/", lambda request: HttpResponse(b"hello"))]
import django
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
django.setup()

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6

def start():
    import gc, json
    from django.core.management import call_command
    from django.utils.module_loading import import_string
    made = import_string(middleware)
    async def get_response(request): ...
    from django.contrib.staticfiles.storage import staticfiles_storage
    staticfiles_storage.url("css/small.css")
    gc.collect()
    before, began = resident(), time.perf_counter()
    kept = made(get_response)
    seconds = time.perf_counter() - began
    gc.collect()
    print(json.dumps({"seconds": seconds, "memory": resident() - before}))

def collect():
    from django.contrib.staticfiles.storage import staticfiles_storage
    from django.core.management import call_command
    call_command("collectstatic", interactive=False, verbosity=0)
    for name in ("css/small.css", "js/large.js"):
        print(staticfiles_storage.url(name))

if os.environ.get("BENCH_SERVES") == "wsgi":
    wsgi = get_wsgi_application()
if os.environ.get("BENCH_SERVES") == "asgi":
    asgi = get_asgi_application()
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=24_000, help="on disk, encodings counted")
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    if shutil.which("wrk") is None:
        sys.exit("This needs wrk: apt install wrk, or brew install wrk.")
    with tempfile.TemporaryDirectory() as scratch:
        directory = Path(scratch)
        (directory / "bench_site.py").write_text(SITE)
        make_tree(directory / "sources", options.files // FILES_OF_AN_ASSET)
        urls = {name: collected(directory, name) for name in PEERS}
        compare_starts(directory, options.rounds)
        for server in SERVERS:
            compare_rates(directory, server, urls, options.seconds, options.rounds)


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


def environment(directory: Path, name: str, **more: str) -> dict[str, str]:
    middleware, storage = PEERS[name]
    parts = (middleware, storage, str(directory / name), str(directory / "sources"))
    paths = [str(directory), str(Path(__file__).resolve().parents[1])]
    return {
        **os.environ,
        "BENCH": os.pathsep.join(parts),
        "PYTHONPATH": os.pathsep.join(paths),
        **more,
    }


def child(directory: Path, name: str, function: str) -> list[str]:
    command = [sys.executable, "-c", f"import bench_site; bench_site.{function}()"]
    completed = subprocess.run(
        command, check=True, env=environment(directory, name), stdout=subprocess.PIPE, text=True
    )
    return completed.stdout.splitlines()


def collected(directory: Path, name: str) -> tuple[str, str]:
    small, large = child(directory, name, "collect")
    files = sum(1 for path in (directory / name).rglob("*") if path.is_file())
    print(f"{name}: {files:,} files in STATIC_ROOT")
    return small, large


def compare_starts(directory: Path, rounds: int) -> None:
    peers = [name for name in PEERS if PEERS[name][0]]
    best: dict[str, dict[str, float]] = {name: {} for name in peers}
    for _ in range(rounds):
        for name in peers:
            for measure, value in json.loads(child(directory, name, "start")[-1]).items():
                best[name][measure] = min(value, best[name].get(measure, value))
    print("\nstart")
    for measure, unit in (("seconds", "s"), ("memory", "MB")):
        show(measure, {name: best[name][measure] for name in peers}, f"7.3f {unit}")


def compare_rates(
    directory: Path, server: str, urls: dict[str, tuple[str, str]], seconds: float, rounds: int
) -> None:
    rates: dict[str, dict[str, float]] = {case: {} for case in CASES}
    costs: dict[str, dict[str, float]] = {case: {} for case in CASES}
    for _ in range(rounds):
        for name in PEERS:
            with served(directory, name, server) as (origin, group):
                for case in CASES:
                    if name == "none" and case != "page":
                        continue
                    url, headers = request_of(origin, case, urls[name])
                    rate, cost = load(url, headers, seconds, group)
                    rates[case][name] = max(rate, rates[case].get(name, 0))
                    costs[case][name] = min(cost, costs[case].get(name, cost))
    print(f"\n{server}, requests per second")
    for case in CASES:
        show(case, rates[case], "6.0f")
    print(f"\n{server}, CPU for a request")
    for case in CASES:
        show(case, costs[case], "6.0f µs")


def show(title: str, values: dict[str, float], form: str) -> None:
    row = [f"{title:<8}"]
    for name, value in values.items():
        ratio = value / values["whitenoise"]
        number, _, unit = form.partition(" ")
        row.append(f"{name} {value:{number}} {unit}({ratio:.2f})")
    print("   ".join(row), flush=True)


def request_of(origin: str, case: str, urls: tuple[str, str]) -> tuple[str, dict[str, str]]:
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
def served(directory: Path, name: str, server: str) -> Iterator[tuple[str, int]]:
    """A server in a process group of its own: where it listens, and the number of the group."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    module, *arguments = (part.format(port=port) for part in SERVERS[server])
    process = subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        env=environment(directory, name, BENCH_SERVES=server[:4].lower()),
        cwd=directory,
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


if __name__ == "__main__":
    main()
