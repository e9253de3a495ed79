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


on_each_django = nox.parametrize(
    ("python", "django"),
    [nox.param(python, django, id=f"django{django}") for python, django in MATRIX],
)
nox.options.sessions = ["tests"]


@nox.session
@on_each_django
def tests(session: nox.Session, django: str) -> None:
    """The test suite, and then what the other session runs."""
    install(session, django)
    chosen = session.posargs or WITHOUT_SYSTEM_PACKAGES
    session.run("python", "-m", "pytest", "-n", WORKERS, "--dist", "loadfile", *chosen)
    if django == "6.1":
        # Its nonces and the media of a form are new there.
        session.run("python", "-m", "pytest", "tests/e2e/test_pages.py", env={"TEST_ALL": "1"})
    run_others_tests(session)


@nox.session
@on_each_django
def conformance(session: nox.Session, django: str) -> None:
    """Django's own tests of staticfiles and WhiteNoise's own, with our classes in their places."""
    install(session, django)
    run_others_tests(session)


def install(session: nox.Session, django: str) -> None:
    """This package and what its tests need, with one Django."""
    session.install("-e", ".[test]", f"django=={django}.*")


def run_others_tests(session: nox.Session) -> None:
    """Django's and WhiteNoise's suites."""
    session.run("python", "-m", "tests.conformance.django_suite")
    session.run("python", "-m", "tests.conformance.whitenoise_suite")
