"""Each block of the docs in a language that can be parsed here can be parsed."""

from __future__ import annotations

import ast
import json
import re
import shlex
import sys
from pathlib import Path

import pytest
import yaml
from django.core.management import load_command_class

from tests.docs.reader import DOCS, Block, blocks

PAGES = sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md"))


def parse(block: Block) -> None:
    """Raise what the parser of the block's language raises."""
    if block.language == "json":
        json.loads(block.text)
    elif block.language == "yaml":
        list(yaml.safe_load_all(block.text))
    elif block.language == "toml":
        if sys.version_info >= (3, 11):
            import tomllib

            tomllib.loads(block.text)
    elif block.language == "python":
        # An excerpt of a dict is an entry of it.
        entry = block.text.lstrip().startswith('"')
        ast.parse(f"{{\n{block.text}\n}}" if entry else block.text)


@pytest.mark.parametrize("page", PAGES)
def test_every_block_of_a_page_can_be_parsed(page: str) -> None:
    for block in blocks(page):
        parse(block)


@pytest.mark.parametrize("page", PAGES)
def test_every_fence_of_a_page_is_closed_and_says_its_language(page: str) -> None:
    fences = [line for line in Path(DOCS, page).read_text().splitlines() if "```" in line]
    openings, closings = fences[::2], fences[1::2]
    assert len(openings) == len(closings)
    assert not [line for line in openings if line.strip() == "```"]
    # In a list, GitHub takes two spaces and the site takes four.
    assert not [line for line in openings if (len(line) - len(line.lstrip())) % 4]


CALLS = sorted(
    {
        call.partition("#")[0].strip()
        for page in PAGES
        for block in blocks(page)
        if block.language in {"", "shell", "sh", "console", "yaml", "dockerfile", "toml"}
        for call in re.findall(
            r"manage\.py staticbuilds ([a-z][^\n\"|>&)]*)", block.text.replace("\\\n", " ")
        )
    }
)


@pytest.mark.parametrize("call", CALLS)
def test_every_call_of_staticbuilds_in_a_block_is_understood(call: str) -> None:
    parser = load_command_class("versioned_storage", "staticbuilds").create_parser(
        "manage.py", "staticbuilds"
    )
    arguments = [word for word in shlex.split(call) if word not in {"...", "||", "exit", "1"}]
    assert parser.parse_args(arguments)


#: The pages whose shell commands a test runs; of a new command either it does too, or it needs
#: what is not here.
RUN = {
    "help/runbook.md": "tests/docs/test_howto.py",
    "howto/ci.md": "tests/docs/test_howto.py",
    "howto/platforms.md": "tests/docs/test_howto.py",
    "howto/rollback.md": "tests/docs/test_howto.py",
    "howto/tests.md": "tests/docs/test_howto.py",
    "index.md": "tests/docs/test_howto.py",
    "move/whitenoise.md": "tests/docs/test_move.py",
    "shared-assets.md": "tests/docs/test_howto.py",
    "start/tutorial.md": "tests/docs/test_tutorial.py",
    "staticbuilds.md": "tests/management/test_docs.py",
}
#: Programs that need an account, a cluster or a second machine.
OUTSIDE = r"^\s*(aws|docker|fly|heroku|kubectl|rsync|ssh)\b"


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_a_page_are_run_by_a_test_unless_they_need_the_world(page: str) -> None:
    here = [
        block.text
        for block in blocks(page)
        if block.language in {"console", "sh", "shell"}
        and not re.search(OUTSIDE, block.text, re.MULTILINE)
    ]
    if here:
        assert page in RUN, here
        assert page in Path(DOCS.parent, RUN[page]).read_text()
