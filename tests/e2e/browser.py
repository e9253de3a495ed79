"""The Chromium of this machine, driven by Playwright."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.system_packages import defect, skip

playwright = pytest.importorskip(
    "playwright.sync_api", reason="Playwright is not installed: pip install playwright"
)

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@contextmanager
def chromium() -> Iterator[Any]:
    """A running browser; skips the test where it is not installed or does not start."""
    skip(filter(None, [defect("chromium", "--version")]), "chromium")
    with playwright.sync_playwright() as started:
        try:
            browser = started.chromium.launch(
                executable_path=shutil.which("chromium"), args=[*FLAGS]
            )
        except playwright.Error as error:
            reason = next(iter(error.message.splitlines()), "it says nothing")
            pytest.skip(f"chromium does not start: {reason}")
        try:
            yield browser
        finally:
            browser.close()
