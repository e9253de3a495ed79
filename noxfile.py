"""The matrix: the test suite, Django's and WhiteNoise's, on each Django and Python."""

from __future__ import annotations

import os

import nox

nox.options.default_venv_backend = "venv"
# What is not installed here is skipped and said; .ci/run asks for what it knows to be there.
nox.options.error_on_missing_interpreters = False

MATRIX = [
    ("3.10", "4.2"),
    ("3.11", "5.2"),
    ("3.12", "6.0"),
    ("3.13", "6.1"),
]

# Two workers a core, as in make test.
WORKERS = str(2 * (os.cpu_count() or 1))

# Ceph, nginx and Chromium see the same of each Django: `make test` has them, once.
WITHOUT_SYSTEM_PACKAGES = ("-m", "not radosgw", "--ignore=tests/e2e")


@nox.session
@nox.parametrize(
    ("python", "django"),
    [nox.param(python, django, id=f"django{django}") for python, django in MATRIX],
)
def tests(session: nox.Session, django: str) -> None:
    """The test suite, Django's own tests of staticfiles and WhiteNoise's own, with one Django."""
    # What is imported is compiled then, a third of what was installed.
    session.install("--no-compile", "-e", ".[test]", f"django=={django}.*")
    chosen = session.posargs or WITHOUT_SYSTEM_PACKAGES
    session.run("python", "-m", "pytest", "-n", WORKERS, "--dist", "loadfile", *chosen)
    if django == "6.1":
        # Its nonces and the media of a form are new there.
        session.run("python", "-m", "pytest", "tests/e2e/test_pages.py", env={"TEST_ALL": "1"})
    session.run("python", "-m", "tests.conformance")
