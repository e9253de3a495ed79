"""django-compressor: what it writes to STATIC_ROOT/CACHE is served beside the builds."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from django.apps import apps

from .helpers import Site, write
from .pulled import served


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if django-compressor was in INSTALLED_APPS, which changes the settings for good."""
    is_installed = apps.is_installed
    monkeypatch.setattr(
        apps, "is_installed", lambda name: name == "compressor" or is_installed(name)
    )


def test_a_page_of_a_build_gets_the_file_that_compressor_made(tmp_path: Path) -> None:
    pytest.importorskip("compressor", reason="needs django-compressor")
    program = Path(__file__).with_name("compressed_site.py")
    completed = subprocess.run(
        [sys.executable, "-W", "ignore", program, tmp_path],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        cwd=Path(__file__).parents[1],
        env={"PYTHONPATH": str(Path(__file__).parents[1])},
    )
    assert completed.returncode == 0, completed.stderr
    outcome = json.loads(completed.stdout)
    assert outcome["url"].startswith("/static/CACHE/css/")
    assert (outcome["status"], outcome["image"], outcome["stale"]) == (200, 200, 404)
    assert "/static/b1/css/dot." in outcome["style sheet"]


def test_only_the_directory_of_compressor_is_served_beside_a_build(
    deployed: Site, installed: None
) -> None:
    write(deployed.root, {"CACHE/js/out.1.js": "1", "left-over.js": "", "CACHE/.secret": ""})
    status, headers, body = served("/static/CACHE/js/out.1.js")
    assert (status, body) == (200, b"1")
    assert headers["Cache-Control"] == "max-age=60, public"
    for name in ("left-over.js", "CACHE/.secret", "CACHE/missing.js"):
        assert served(f"/static/{name}")[0] == 404


def test_without_compressor_a_directory_called_cache_is_not_served(deployed: Site) -> None:
    write(deployed.root, {"CACHE/js/out.1.js": "1"})
    assert served("/static/CACHE/js/out.1.js")[0] == 404
