"""The matrix: the test suite, Django's and WhiteNoise's, on each Django and Python."""

from __future__ import annotations

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

# Ceph, nginx and Chromium see the same of each Django: `make test` has them, once.
WITHOUT_SYSTEM_PACKAGES = ("-m", "not radosgw", "--ignore=tests/e2e")


@nox.session
@nox.parametrize(
    ("python", "django"),
    [nox.param(python, django, id=f"django{django}") for python, django in MATRIX],
)
def tests(session: nox.Session, django: str) -> None:
    """The test suite; then Django's own and WhiteNoise's, with our classes in their places."""
    session.install("-e", ".[test]", f"django=={django}.*")
    chosen = session.posargs or WITHOUT_SYSTEM_PACKAGES
    session.run("python", "-m", "pytest", "-n", "auto", "--dist", "loadfile", *chosen)
    session.run("python", "-m", "tests.conformance.django_suite")
    session.run("python", "-m", "tests.conformance.whitenoise_suite")
