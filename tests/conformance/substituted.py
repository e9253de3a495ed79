"""Django's runtests.py, with our storage in the place of ManifestStaticFilesStorage.

``python substituted.py <Django's tests directory> <results file> <VERSIONED_STORAGE as JSON>``,
started by `django_suite` in a process of its own, because the class must be in its place before any
of Django's tests imports it. Writes each test's outcome to the results file as JSON.
"""

from __future__ import annotations

import json
import os
import runpy
import sys
import unittest
from importlib import import_module
from pathlib import Path

from django.contrib.staticfiles import storage

#: The label of the tests that run.
LABEL = "staticfiles_tests"
#: Django's own settings for its tests.
SETTINGS = "test_sqlite"


class RecordingResult(unittest.TextTestResult):
    """unittest's own, which remembers how each test went."""

    outcomes: dict[str, str] = {}  # noqa: RUF012 - of the one run of this process

    def _note(self, test, outcome):
        if self.outcomes.get(test.id()) != "failed":
            self.outcomes[test.id()] = outcome

    def addSuccess(self, test):  # noqa: N802 - unittest's names
        super().addSuccess(test)
        self._note(test, "passed")

    def addFailure(self, test, err):  # noqa: N802
        super().addFailure(test, err)
        self._note(test, "failed")

    def addError(self, test, err):  # noqa: N802
        super().addError(test, err)
        self._note(test, "failed")

    def addSubTest(self, test, subtest, err):  # noqa: N802
        super().addSubTest(test, subtest, err)
        if err is not None:
            self._note(test, "failed")

    def addSkip(self, test, reason):  # noqa: N802
        super().addSkip(test, reason)
        self._note(test, "skipped")

    def addExpectedFailure(self, test, err):  # noqa: N802
        super().addExpectedFailure(test, err)
        self._note(test, "passed")

    def addUnexpectedSuccess(self, test):  # noqa: N802
        super().addUnexpectedSuccess(test)
        self._note(test, "failed")


def main(tests: Path, results: Path, versioned_storage: dict[str, object]) -> None:
    sys.path[0] = str(tests)
    os.chdir(tests)
    settings = import_module(SETTINGS)
    settings.VERSIONED_STORAGE = versioned_storage
    from versioned_storage.storage import VersionedStaticFilesStorage

    storage.ManifestStaticFilesStorage = VersionedStaticFilesStorage
    unittest.TextTestRunner.resultclass = RecordingResult
    sys.argv = ["runtests.py", LABEL, "--parallel=1", f"--settings={SETTINGS}"]
    try:
        runpy.run_path("runtests.py", run_name="__main__")
    finally:
        theirs = sys.modules.get(f"{LABEL}.storage")
        used = theirs and issubclass(theirs.SimpleStorage, VersionedStaticFilesStorage)
        outcomes_json = {"substituted": bool(used), "outcomes": RecordingResult.outcomes}
        results.write_text(json.dumps(outcomes_json, indent=1, sort_keys=True))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3]))
