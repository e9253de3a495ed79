"""Django's own tests of static files, with our storage in the place of Django's.

    python -m tests.conformance.django_suite [--cache DIRECTORY]

Takes the tests from the sdist of the Django that is installed, puts VersionedStaticFilesStorage
where they expect ManifestStaticFilesStorage, without a build version, and runs
``staticfiles_tests``: once without encodings, once with all of them. The hashes that they expect
are literal, so a single byte that is rewritten in another way fails. The tests of JavaScript
modules need the extra ``modules``.

Exits with 0 when every test passes that is not in `MAY_FAIL`, and each of those fails; with 1 when
not; with 3 when the sdist cannot be had, which says nothing about the package. The sdist comes
from pip, or from the cache directory (``.cache/django-<version>``) where somebody has put it.
"""

# ruff: noqa: T201 - a command speaks to whoever runs it

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import django

from .substituted import LABEL

PROJECT = Path(__file__).resolve().parents[2]
SUBSTITUTED = Path(__file__).with_name("substituted.py")
#: Seconds; a download builds the metadata of Django, in an environment that pip makes for it.
TIMEOUT = 900

WRONG = 1
NO_SDIST = 3

_LOOP = f"{LABEL}.test_storage.TestCollectionManifestStorage.test_import_loop"
_NOT_UTF8 = f"{LABEL}.test_storage.TestCollectionManifestStorage.test_post_processing_nonutf8"
_FILES = f"{LABEL}.test_storage.TestCollectionManifestStorage.test_intermediate_files"

#: The tests that fail, and why that is right.
MAY_FAIL = {
    _LOOP: (
        "it demands that style sheets which import each other fail; browsers load them, and so do "
        "we: the files of a cycle share one hash"
    ),
}
if django.VERSION >= (5, 0):  # Django 4.2 has no such test.
    MAY_FAIL[_NOT_UTF8] = (
        "it demands that a style sheet that is not UTF-8 fails; that one refers to nothing, and "
        "passes unchanged, with a warning"
    )
#: Those that fail beside them when files are compressed.
MAY_FAIL_ENCODED = {
    _FILES: (
        "it counts the files named relative.*, which are to be two, the original and the hashed "
        "one; each has its .br and its .gz beside it"
    ),
}


@dataclass(frozen=True)
class Run:
    """One way through the suite: the VERSIONED_STORAGE setting and what may fail under it."""

    title: str
    versioned_storage: Mapping[str, object]
    may_fail: Mapping[str, str]


RUNS = (
    Run("without encodings", {"encodings": []}, MAY_FAIL),
    Run("with br and gzip", {"encodings": ["br", "gzip"]}, MAY_FAIL | MAY_FAIL_ENCODED),
)


@dataclass(frozen=True)
class Verdict:
    """The outcome of each test of one run, held against what may fail."""

    run: Run
    outcomes: Mapping[str, str]
    suite: str = f"Django {django.__version__}"

    @property
    def faults(self) -> list[str]:
        """What is not as it should be, in a sentence each."""
        failed = [name for name in self.named("failed") if name not in self.run.may_fail]
        wrong = [name for name in self.run.may_fail if self.outcomes.get(name) != "failed"]
        return [
            *(f"FAILED {name}" for name in failed),
            *(
                f"{name} may fail, and {self.outcomes.get(name, 'is not there')}: "
                "take it out of the table"
                for name in wrong
            ),
        ]

    def named(self, outcome: str) -> list[str]:
        return sorted(name for name, result in self.outcomes.items() if result == outcome)

    def __str__(self) -> str:
        failed = self.named("failed")
        allowed = [name for name in failed if name in self.run.may_fail]
        lines = [f"{name} fails: {self.run.may_fail[name]}" for name in allowed]
        lines.extend(self.faults)
        lines.append(
            f"{self.suite}, Python {platform.python_version()}, {self.run.title}: "
            f"{len(self.named('passed'))} passed, {len(failed)} failed ({len(allowed)} as they "
            f"should), {len(self.named('skipped'))} skipped"
        )
        return "\n".join(lines)


class NoSdistError(Exception):
    """The sdist of Django, and with it its tests, cannot be had."""

    def __init__(self, cache: Path, reason: str) -> None:
        super().__init__(
            f"No tests to run: the sdist of Django {django.__version__} cannot be had from pip "
            f"({reason}). Put django-{django.__version__}.tar.gz into {cache}, or run this again "
            "where the package index can be reached."
        )


class NoResultsError(Exception):
    """The process that runs the tests ended before it had any results."""

    def __init__(self, reason: str, output: str) -> None:
        super().__init__(f"The suite did not run ({reason}):\n{output}")


def djangos_tests(cache: Path) -> Path:
    """The directory of Django's tests in ``cache``; downloaded and unpacked where it is missing.

    Raises `NoSdistError`.
    """
    tests = cache / "tests"
    if not tests.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        sdist = _sdist_in(cache) or _download(cache)
        # Whole or not at all: the directory is only there once everything is in it.
        with TemporaryDirectory(dir=cache) as temporary:
            unpacked = _unpack(sdist, Path(temporary))
            try:
                unpacked.rename(tests)
            except OSError:
                # Another interpreter of the matrix may have been first.
                if not tests.is_dir():
                    raise
    return tests


def run_suite(tests: Path, run: Run) -> Verdict:
    """Run ``staticfiles_tests`` in a process of its own. Raises `NoResultsError`."""
    with TemporaryDirectory() as temporary:
        results = Path(temporary, "results.json")
        options = json.dumps(run.versioned_storage)
        command = [sys.executable, str(SUBSTITUTED), str(tests), str(results), options]
        try:
            process = finish(command, env=environment())
        except subprocess.TimeoutExpired as error:
            raise NoResultsError(f"still running after {TIMEOUT} seconds", "") from error
        if not results.exists():
            raise NoResultsError(f"exit code {process.returncode}", process.stdout)
        results_json = json.loads(results.read_text())
    if not results_json["substituted"] or not results_json["outcomes"]:
        raise NoResultsError("our storage was not in its place", process.stdout)
    verdict = Verdict(run, results_json["outcomes"])
    if verdict.faults:
        print(process.stdout)
    return verdict


def environment() -> dict[str, str]:
    """What a suite's process gets of this one's environment."""
    # Nothing of the machine's may get in: not a build version, not settings of another project.
    settings = {"BUILD_VERSION", "DJANGO_SETTINGS_MODULE", "PYTHONWARNINGS"}
    environment = {name: value for name, value in os.environ.items() if name not in settings}
    paths = [str(PROJECT), environment.get("PYTHONPATH", "")]
    return environment | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}


def _sdist_in(directory: Path) -> Path | None:
    name = f"django-{django.__version__}.tar.gz"
    return next((path for path in directory.iterdir() if path.name.lower() == name), None)


def _download(cache: Path) -> Path:
    print(f"Downloading the sdist of Django {django.__version__} ...", flush=True)
    name = f"django=={django.__version__}"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--no-deps"]
    with TemporaryDirectory(dir=cache) as temporary:
        try:
            process = finish([*pip, "--no-binary", ":all:", "--dest", temporary, name])
        except subprocess.TimeoutExpired as error:
            raise NoSdistError(cache, f"still busy after {TIMEOUT} seconds") from error
        sdist = _sdist_in(Path(temporary))
        if process.returncode != 0 or sdist is None:
            last = process.stdout.strip().splitlines()[-1:] or ["pip says nothing"]
            raise NoSdistError(cache, last[0].strip())
        return Path(shutil.move(sdist, cache))


def _unpack(sdist: Path, directory: Path) -> Path:
    """The tests in ``sdist``, unpacked below ``directory``."""
    with tarfile.open(sdist) as archive:
        members = [member for member in archive if member.name.split("/")[1:2] == ["tests"]]
        if hasattr(tarfile, "data_filter"):
            archive.extractall(directory, members, filter="data")
        else:
            archive.extractall(directory, members)
    (unpacked,) = directory.iterdir()
    return unpacked / "tests"


def finish(
    command: list[str], env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, within `TIMEOUT`; what it says is in ``stdout``."""
    return subprocess.run(
        command,
        check=False,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        timeout=TIMEOUT,
    )


def main(arguments: list[str] | None = None) -> int:
    default = PROJECT / ".cache" / f"django-{django.__version__}"
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cache", type=Path, default=default, help="where the sdist is kept")
    cache = parser.parse_args(arguments).cache.resolve()
    try:
        tests = djangos_tests(cache)
        with ThreadPoolExecutor() as pool:
            verdicts = list(pool.map(partial(run_suite, tests), RUNS))
    except NoSdistError as error:
        print(error, file=sys.stderr)
        return NO_SDIST
    except NoResultsError as error:
        print(error, file=sys.stderr)
        return WRONG
    print(*verdicts, sep="\n", flush=True)
    return WRONG if any(verdict.faults for verdict in verdicts) else 0


if __name__ == "__main__":
    sys.exit(main())
