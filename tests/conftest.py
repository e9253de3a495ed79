"""What every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

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
