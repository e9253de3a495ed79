"""The reference names every argument of the command and every tag of the template library.

tests/test_readme.py does so for options, tests/checks for checks, test_formats for formats.
"""

from __future__ import annotations

import re
from argparse import SUPPRESS

import pytest
from django.core.management import load_command_class

from tests.docs.reader import DOCS
from versioned_storage.management.commands.staticbuilds import SUBCOMMANDS
from versioned_storage.templatetags.versioned_static import register

#: Another name of --noinput, as Django has it.
ALIASES = {"--no-input"}


def text(page: str) -> str:
    return (DOCS / page).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", SUBCOMMANDS)
def test_each_argument_of_a_subcommand_is_named(name: str) -> None:
    parser = load_command_class("versioned_storage", "staticbuilds").create_parser("manage.py", "")
    (subparsers,) = (action for action in parser._actions if action.dest == "subcommand")
    options = {
        option
        for action in subparsers.choices[name]._actions
        for option in action.option_strings
        if option.startswith("--") and action.help != SUPPRESS
    }
    page = text("staticbuilds.md")
    section = re.search(rf"^## {name}\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    described = page.partition("## version")[0] + (
        section[1] if section else text(f"{'cloudfront' if name == 'cloudformation' else name}.md")
    )
    assert not {option for option in options - ALIASES if not re.search(rf"{option}\b", described)}


def test_each_template_tag_is_named() -> None:
    table = re.findall(r"^\| `\{% (\w+)", text("templates.md"), re.MULTILINE)
    assert sorted(table) == sorted(register.tags)
