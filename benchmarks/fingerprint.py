"""collectstatic with our storage and with Django's, side by side on the same tree.

    python benchmarks/fingerprint.py TREE [--rounds 3]

TREE is any directory of static files; a few thousand of them say most. Compression is off, because
Django's storage has none. Each run is a process of its own, the two take turns, and what is
compared is the best of each: on a noisy machine the best is the one that was disturbed least.

cold       into an empty STATIC_ROOT
unchanged  the same once more
peak       the largest resident memory of the cold run

The processor time of all threads is told beside the time that passed: it depends less on who else
is at work, and does not show what a second core saves.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

STORAGES = {
    "django": "django.contrib.staticfiles.storage.ManifestStaticFilesStorage",
    "versioned": "versioned_storage.storage.VersionedStaticFilesStorage",
    "neutral": "versioned_storage.storage.VersionedStaticFilesStorage",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tree", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--child", nargs=2, metavar=("NAME", "ROOT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        collect(options.tree, *options.child)
        return
    files = [path for path in options.tree.rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files)
    print(f"{len(files):,} files, {size / 1e6:.1f} MB, best of {options.rounds}")
    best: dict[str, dict[str, float]] = {name: {} for name in STORAGES}
    for _ in range(options.rounds):
        for name in STORAGES:
            with tempfile.TemporaryDirectory() as scratch:
                for state in ("cold", "unchanged"):
                    said = child(options.tree, name, scratch)
                    keep(best[name], state, said["seconds"])
                    keep(best[name], f"{state} cpu", said["cpu"])
                    if state == "cold":
                        keep(best[name], "peak", said["peak"])
    for measure in ("cold", "cold cpu", "unchanged", "unchanged cpu", "peak"):
        unit = "MB" if measure == "peak" else "s"
        row = [f"{measure:<13}"]
        for name in STORAGES:
            ratio = best[name][measure] / best["django"][measure]
            row.append(f"{name} {best[name][measure]:7.2f} {unit} ({ratio:.2f})")
        print("   ".join(row))


def keep(best: dict[str, float], measure: str, value: float) -> None:
    best[measure] = min(value, best.get(measure, value))


def child(tree: Path, name: str, root: str) -> dict[str, float]:
    command = [sys.executable, __file__, str(tree), "--child", name, root]
    # What is installed has its bytecode, as Django has; a checkout is to have it from the second
    # round on.
    env = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=env)
    said: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return said


def collect(tree: Path, name: str, root: str) -> None:
    """One collectstatic, in this process."""
    import django
    from django.conf import settings
    from django.core.management import call_command

    ours = name != "django"
    settings.configure(
        SECRET_KEY="for a benchmark",
        INSTALLED_APPS=[*(["versioned_storage"] if ours else []), "django.contrib.staticfiles"],
        STATIC_URL="/static/",
        STATIC_ROOT=root,
        STATICFILES_DIRS=[str(tree.resolve())],
        STATICFILES_FINDERS=["django.contrib.staticfiles.finders.FileSystemFinder"],
        BUILD_VERSION="bench" if name == "versioned" else None,
        STORAGES={
            "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"},
            "staticfiles": {
                "BACKEND": STORAGES[name],
                "OPTIONS": {"encodings": []} if ours else {},
            },
        },
    )
    django.setup()
    started, started_cpu = time.monotonic(), time.process_time()
    call_command("collectstatic", interactive=False, verbosity=0)
    seconds, cpu = time.monotonic() - started, time.process_time() - started_cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    print(json.dumps({"seconds": seconds, "cpu": cpu, "peak": peak}))


if __name__ == "__main__":
    main()
