"""WhiteNoise's own tests, with our middleware, and then our storage too, in the place of theirs.

    python -m tests.conformance.whitenoise_suite [--cache DIRECTORY]

Takes the test modules from the sdist of the WhiteNoise that is installed, as pip has it or as the
cache directory (``.cache/whitenoise-<version>``) has it; an archive of its repository at that
version will do there as well. What they import beside themselves is in `whitenoise_frame`.

Exits as `django_suite` does: with 0 when every test passes that is not in `MAY_FAIL`, and each of
those fails; with 1 when not; with 3 when the tests cannot be had.
"""

# ruff: noqa: T201 - a command speaks to whoever runs it

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tarfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

from .django_suite import (
    NO_SDIST,
    PROJECT,
    WRONG,
    NoResultsError,
    Run,
    Verdict,
    environment,
    finish,
)

VERSION = version("whitenoise")
SUBSTITUTED = Path(__file__).with_name("whitenoise_substituted.py")
FRAME = Path(__file__).with_name("whitenoise_frame")

_HELPFUL = "test_storage.py::test_make_helpful_exception"

#: The tests that fail with our storage, and why that is right.
MAY_FAIL = {
    _HELPFUL: (
        "it calls WhiteNoise's make_helpful_exception, which words Django's error anew; our errors "
        "say by themselves which file refers to what"
    ),
}

RUNS = {
    "middleware": Run("with our middleware", {}, {}),
    "both": Run("with our middleware and our storage", {}, MAY_FAIL),
}


class NoTestsError(Exception):
    """The tests of WhiteNoise cannot be had."""

    def __init__(self, cache: Path, reason: str) -> None:
        super().__init__(
            f"No tests to run: those of WhiteNoise {VERSION} cannot be had from its sdist "
            f"({reason}). Put an archive of its repository at that version, "
            f"whitenoise-{VERSION}.tar.gz, into {cache}."
        )


def archive_of_whitenoise(cache: Path) -> Path:
    """The sdist in ``cache``, downloaded where it is missing. Raises `NoTestsError`."""
    archive = cache / f"whitenoise-{VERSION}.tar.gz"
    if not archive.exists():
        print(f"Downloading the sdist of WhiteNoise {VERSION} ...", flush=True)
        cache.mkdir(parents=True, exist_ok=True)
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--no-deps"]
        with TemporaryDirectory(dir=cache) as temporary:
            requirement = f"whitenoise=={VERSION}"
            process = finish([*pip, "--no-binary", ":all:", "--dest", temporary, requirement])
            downloaded = Path(temporary, archive.name)
            if process.returncode != 0 or not downloaded.exists():
                last = process.stdout.strip().splitlines()[-1:] or ["pip says nothing"]
                raise NoTestsError(cache, last[0].strip())
            shutil.move(downloaded, archive)
    return archive


def unpack_tests(archive: Path, directory: Path) -> None:
    """Put the test modules and what they import into ``directory / "tests"``."""
    tests = directory / "tests"
    shutil.copytree(FRAME, tests, ignore=shutil.ignore_patterns("__pycache__"))
    with tarfile.open(archive) as opened:
        for member in opened:
            name = Path(member.name)
            if name.parts[1:2] == ("tests",) and name.match("test_*.py") and member.isfile():
                module = opened.extractfile(member)
                assert module is not None  # a file
                (tests / name.name).write_bytes(module.read())
    if not any(tests.glob("test_*.py")):
        raise NoTestsError(archive.parent, f"there are none in {archive.name}")


def run_suite(archive: Path, what: str) -> Verdict:
    """Run the tests in a process of its own. Raises `NoTestsError` and `NoResultsError`."""
    with TemporaryDirectory() as temporary:
        results = Path(temporary, "results.json")
        unpack_tests(archive, Path(temporary))
        process = finish(
            [sys.executable, str(SUBSTITUTED), temporary, str(results), what], env=environment()
        )
        if not results.exists():
            raise NoResultsError(f"exit code {process.returncode}", process.stdout)
        outcomes = json.loads(results.read_text())
    if not outcomes:
        raise NoResultsError("no test was found", process.stdout)
    verdict = Verdict(RUNS[what], outcomes, f"WhiteNoise {VERSION}")
    if verdict.faults:
        print(process.stdout)
    return verdict


def main(arguments: list[str] | None = None) -> int:
    default = PROJECT / ".cache" / f"whitenoise-{VERSION}"
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cache", type=Path, default=default, help="where the sdist is kept")
    cache = parser.parse_args(arguments).cache.resolve()
    try:
        archive = archive_of_whitenoise(cache)
        with ThreadPoolExecutor() as pool:
            verdicts = list(pool.map(partial(run_suite, archive), RUNS))
    except NoTestsError as error:
        print(error, file=sys.stderr)
        return NO_SDIST
    except NoResultsError as error:
        print(error, file=sys.stderr)
        return WRONG
    print(*verdicts, sep="\n", flush=True)
    return WRONG if any(verdict.faults for verdict in verdicts) else 0


if __name__ == "__main__":
    sys.exit(main())
