"""What every test may use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from .helpers import Site, site
from .pulled import FILES, MIDDLEWARE

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")


@pytest.fixture(autouse=True)
def no_environment_of_a_deploy(monkeypatch: pytest.MonkeyPatch) -> None:
    """What this machine is told about AWS or a build is not what a test is about."""
    for name in list(os.environ):
        if name.startswith("AWS_") or name == "BUILD_VERSION":
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """An empty directory of static files."""
    directory = tmp_path / "sources"
    directory.mkdir()
    return directory


@pytest.fixture
def deployed(tmp_path: Path) -> Iterator[Site]:
    """A site with one build, served by the middleware."""
    with site(tmp_path, FILES, BUILD_VERSION="b1", MIDDLEWARE=MIDDLEWARE) as one:
        one.collect()
        yield one
