"""WhiteNoise's tests in pytest, with our classes in the place of theirs.

``python whitenoise_substituted.py <directory with their tests> <results file> <what is ours>``,
started by `whitenoise_suite` in a process of its own, because the classes must be in their places
before any of the tests imports them. ``middleware`` puts our middleware in, ``both`` our storage
too. Writes each test's outcome to the results file as JSON.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest


class Outcomes:
    """A plugin that remembers how each test went."""

    def __init__(self) -> None:
        self.by_name: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        name = report.nodeid.rpartition("/")[2]
        if report.failed or report.skipped:
            self.by_name[name] = report.outcome
        else:
            self.by_name.setdefault(name, report.outcome)


def substitute(what: str) -> None:
    from whitenoise import middleware, storage

    from versioned_storage.middleware import VersionedWhiteNoiseMiddleware
    from versioned_storage.storage import VersionedStaticFilesStorage

    middleware.WhiteNoiseMiddleware = VersionedWhiteNoiseMiddleware
    if what == "both":
        storage.CompressedManifestStaticFilesStorage = VersionedStaticFilesStorage


def main(directory: Path, results: Path, what: str) -> None:
    # Their package is called tests, as ours is: theirs has to come first.
    sys.path[0] = str(directory)
    os.chdir(directory)
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.django_settings"
    import django

    django.setup()
    substitute(what)
    outcomes = Outcomes()
    options = ["-q", "--tb=short", "-c", os.devnull, "--rootdir=.", "-p", "no:cacheprovider"]
    pytest.main([*options, "-p", "no:django", "tests"], plugins=[outcomes])
    results.write_text(json.dumps(outcomes.by_name, indent=1, sort_keys=True))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
