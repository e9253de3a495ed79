"""The programs of system packages that some tests run: do they work, and what installs them."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterable
from functools import cache
from typing import Any

import pytest


@cache
def defect(program: str, *arguments: str) -> str | None:
    """Why a program of this machine cannot be run, in one line; None if it works.

    ``arguments`` make it print its version.
    """
    path = shutil.which(program)
    if path is None:
        return f"{program} is not installed"
    try:
        completed = subprocess.run(
            [path, *arguments], capture_output=True, text=True, timeout=60, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{program} does not run: {error}"
    if completed.returncode == 0:
        return None
    output = (completed.stderr or completed.stdout).strip().splitlines()
    last_line = f": {output[-1]}" if output else ""
    return f"{program} does not run (exit status {completed.returncode}){last_line}"


def everything_runs() -> bool:
    """Return True in `make test-all`, which runs the deep tests and those of system packages."""
    return bool(os.environ.get("TEST_ALL"))


def skip(defects: Iterable[str], packages: str) -> None:
    """Skip the test for ``defects``, and say which packages mend them; go on if there are none.

    Outside `make test-all` the test is skipped without a look at the machine.
    """
    if not everything_runs():
        pytest.skip(f"{packages}: 'make test-all' runs these")
    if reasons := ", ".join(defects):
        pytest.skip(f"{reasons} (apt-get install {packages})")


def summary(skipped: Iterable[Any]) -> list[str]:
    """One line for each reason for which tests were skipped, with the number of tests."""
    # A report of a skip has the path, the line and "Skipped: <reason>".
    counts = Counter(report.longrepr[2].removeprefix("Skipped: ") for report in skipped)
    return [f"{count:,} skipped: {reason}" for reason, count in sorted(counts.items())]
