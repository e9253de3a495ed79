"""The tutorial, from startproject to a page whose static files come from the demo's CDN."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.reader import Reader, has_programs, normalised

pytestmark = pytest.mark.skipif(not has_programs(), reason="bash, curl or grep is not installed")


@pytest.mark.deep
def test_each_command_of_the_tutorial_prints_what_the_page_says(tmp_path: Path) -> None:
    commands = 0
    with Reader(tmp_path) as reader:
        for command, expected, output in reader.follow("start/tutorial.md"):
            commands += 1
            printed = normalised(output.replace("\r", "")).splitlines()
            for line in filter(None, normalised(expected).splitlines()):
                if line.startswith("# The CDN is"):
                    continue
                assert line in printed, f"{command} printed\n{output}"
    assert commands > 10
