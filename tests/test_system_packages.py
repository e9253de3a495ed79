"""Tests that need a system package are skipped where it is missing or half there."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from walkthrough.cloudfront import CannotStart, Nginx

from tests import radosgw, system_packages
from tests.edge.javascript import runtime
from tests.system_packages import defect, skip, summary

#: What the dynamic loader prints of a program whose library is not installed.
LOADER = "error while loading shared libraries: libx.so.1: cannot open shared object file"


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Puts a program, a shell script, before all others in the PATH."""
    system_packages.defect.cache_clear()
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    def put(name: str, script: str = f'echo "{LOADER}" >&2; exit 127') -> None:
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    return put


@pytest.fixture(autouse=True)
def fresh_answers(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What a test does to the PATH is not what the next tests have; and each looks at the PATH."""
    monkeypatch.setenv("TEST_ALL", "1")
    yield
    system_packages.defect.cache_clear()


def test_without_test_all_a_system_package_is_not_even_looked_for(monkeypatch: Any) -> None:
    monkeypatch.delenv("TEST_ALL")
    with pytest.raises(pytest.skip.Exception, match=r"^nginx: 'make test-all' runs these$"):
        skip([], "nginx")


def test_a_program_that_prints_its_version_has_no_defect(program: Any) -> None:
    program("tool", "echo 1.0")
    assert defect("tool", "--version") is None


def test_a_program_that_is_not_installed_is_named() -> None:
    assert defect("no-such-tool") == "no-such-tool is not installed"


def test_a_program_without_its_library_says_which(program: Any) -> None:
    program("tool")
    assert defect("tool") == f"tool does not run (exit status 127): {LOADER}"


def test_a_program_for_another_machine_does_not_run(program: Any, tmp_path: Path) -> None:
    program("tool")
    (tmp_path / "tool").write_bytes(b"\x7fELF of another machine")
    assert str(defect("tool")).startswith("tool does not run: ")


def test_the_reason_of_a_skip_names_the_packages() -> None:
    skip([], "tool")
    with pytest.raises(pytest.skip.Exception) as skipped:
        skip(["tool is not installed"], "tool tool-data")
    assert str(skipped.value) == "tool is not installed (apt-get install tool tool-data)"


def test_the_summary_has_one_line_for_each_reason() -> None:
    reports = [SimpleNamespace(longrepr=("a.py", 1, f"Skipped: {why}")) for why in "aabca"]
    assert summary(reports) == ["3 skipped: a", "1 skipped: b", "1 skipped: c"]


def test_an_nginx_that_does_not_run_cannot_start(program: Any) -> None:
    program("nginx")
    with pytest.raises(CannotStart, match=r"nginx does not run .*libx\.so\.1"):
        Nginx.here()


def test_an_nginx_whose_module_for_javascript_does_not_load_cannot_start(
    program: Any, tmp_path: Path
) -> None:
    (tmp_path / "ngx_http_js_module.so").write_text("not a library")
    program(
        "nginx",
        f'[ "$1" = -V ] && echo "--modules-path={tmp_path}" >&2 && exit 0\n'
        'echo "nginx: [emerg] dlopen() failed" >&2; exit 1',
    )
    with pytest.raises(CannotStart, match=r"does not load .*dlopen\(\) failed"):
        Nginx.here()


@pytest.mark.parametrize("name", ["njs", "node"])
def test_a_javascript_runtime_that_does_not_run_skips(
    program: Any, name: str, tmp_path: Path
) -> None:
    program(name)
    with pytest.raises(pytest.skip.Exception, match=f"{name} does not run"):
        runtime(name, tmp_path)


@pytest.mark.parametrize("name", ["radosgw", "ceph-mon"])
def test_a_ceph_that_does_not_run_is_a_defect(program: Any, name: str) -> None:
    program(name)
    assert any(f"{name} does not run" in reason for reason in radosgw.defects())


def test_a_chromium_that_does_not_start_skips(program: Any, tmp_path: Path) -> None:
    browser = pytest.importorskip("tests.e2e.browser")
    program("chromium")
    with ExitStack() as running, pytest.raises(pytest.skip.Exception, match="does not"):
        running.enter_context(browser.chromium())
