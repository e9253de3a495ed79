"""What Django is told of the checks, and what the documentation says of them."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.checks import Tags, registry

import versioned_storage.checks

ROOT = Path(__file__).parent.parent.parent
IN_CODE = re.compile(r'id="versioned_storage\.([EW]\d{3})"')
IN_TABLE = re.compile(r"^\| `versioned_storage\.([EW]\d{3})` \|([^|]+)\|", re.MULTILINE)


def registered(*, deployed: bool) -> dict[str, Callable[..., Any]]:
    registered_checks = registry.registry.get_checks(include_deployment_checks=deployed)
    return {
        check.__name__: check
        for check in registered_checks
        if check.__module__.startswith("versioned_storage.checks.")
    }


def numbers(module: str) -> set[str]:
    return set(IN_CODE.findall((ROOT / "versioned_storage/checks" / module).read_text()))


def test_the_documentation_lists_every_finding_of_the_code() -> None:
    modules = (ROOT / "versioned_storage" / "checks").glob("*.py")
    in_code = [number for module in modules for number in IN_CODE.findall(module.read_text())]
    in_table = IN_TABLE.findall((ROOT / "docs" / "checks.md").read_text())
    assert sorted(number for number, _ in in_table) == sorted(set(in_code))


def test_the_documentation_says_what_runs_only_with_deploy() -> None:
    rows = dict(IN_TABLE.findall((ROOT / "docs" / "checks.md").read_text()))
    always = {number for number, when in rows.items() if when.strip() == "always"}
    assert always == {"E001", "E002", "W012", "W025"} | numbers("middleware_order.py")
    assert {when.strip() for when in rows.values()} == {"always", "`--deploy`"}


def test_everyday_commands_judge_no_deployment() -> None:
    assert registered(deployed=False).keys() == {
        "check_cdn_domain",
        "check_command",
        "check_options",
        "check_order",
        "check_static_root_outside_sources",
        "check_whitenoise",
    }


def test_a_deployment_is_judged_by_every_check() -> None:
    defined = {
        name
        for module in (ROOT / "versioned_storage" / "checks").glob("*.py")
        for name in re.findall(r"^def (check_\w+)", module.read_text(), re.MULTILINE)
    }
    assert registered(deployed=True).keys() == defined


def test_collectstatic_asks_for_the_options_static_root_and_the_sources_alone() -> None:
    """It runs where an image is built, where not every middleware can be imported."""
    checks = registered(deployed=True).values()
    tagged = {check.__name__ for check in checks if Tags.staticfiles in check.tags}  # type: ignore[attr-defined]
    assert tagged == {
        "check_options",
        "check_static_root_outside_sources",
        "check_command",
    }


@pytest.mark.parametrize("name", ["check_policies", "check_ssl_redirect", "check_allowed_hosts"])
def test_what_is_about_security_runs_with_its_tag(name: str) -> None:
    assert Tags.security in registered(deployed=True)[name].tags  # type: ignore[attr-defined]


def test_registering_again_adds_nothing() -> None:
    before = len(registry.registry.deployment_checks), len(registry.registry.registered_checks)
    versioned_storage.checks.register()
    after = len(registry.registry.deployment_checks), len(registry.registry.registered_checks)
    assert before == after
