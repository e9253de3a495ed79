"""The examples of docs/staticbuilds.md, run as a reader would."""

import re
from pathlib import Path

import pytest

from tests.management.command import staticbuilds
from versioned_storage.management.commands.staticbuilds import SUBCOMMANDS

DOCS = (Path(__file__).parents[2] / "docs" / "staticbuilds.md").read_text()
EXAMPLES = re.findall(r"^```console\n(.*?)^```", DOCS, re.DOTALL | re.MULTILINE)
CALL = "$ python manage.py staticbuilds "

FIRST = {
    "css/app.css": "body { background: url(../img/logo.png) }\n" * 55,
    "img/logo.png": b"\x89PNG" * 300,
    "js/old.js": "console.log('hello');\n" * 16,
}
SECOND = {**FIRST, "js/same.js": "console.log('same');\n" * 16}
THIRD = {
    "css/app.css": "body { background: url(../img/logo.png) }\n" * 60,
    "img/logo.png": FIRST["img/logo.png"],
    "js/same.js": SECOND["js/same.js"],
    "js/search.js": "console.log('search');\n" * 15,
}


@pytest.fixture
def told(shop, bucket):
    """The site that the examples are about; makes what it says read as in the docs."""
    for build, files in (("c41d5e7", FIRST), ("2f1c9ab", SECOND)):
        with shop(build, files, machine=build) as another:
            another.collect()
    # S3 tells which one was written last by the second, and both are of this one.
    with shop("8c3d1e0", THIRD, publish=False, base_build="2f1c9ab") as here:
        here.collect()
        yield lambda output: output.replace(bucket.name, "my-site-static").replace(
            str(here.root), "/srv/site/static_root"
        )


def same(text):
    """Without what no two runs have in common: sizes, times, digests, the width of a column."""
    text = re.sub(r"\b(?=\w*\d)[0-9a-f]{12}\b", "DIGEST", text)
    text = re.sub(r"[+-]?[\d.]+ k?B\b", "SIZE", text)
    text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d", "TIME", text)
    text = re.sub(r"TIME, (just now|[\d,]+ \w+ ago)", "TIME, AGE", text)
    text = re.sub(r"\d+ requests, [\d.]+ s(, \$[\d.]+)?", "COST", text)
    return re.sub(" +", " ", text)


def test_each_example_says_what_the_docs_say(told):
    for example in EXAMPLES:
        for call in example.removeprefix(CALL).split(f"\n{CALL}"):
            arguments, _, expected = call.partition("\n")
            output = told(staticbuilds(*arguments.split()).output)
            assert same(output).strip() == same(expected).strip(), arguments


def test_the_table_of_subcommands_has_each_of_them():
    rows = re.findall(r"^\| \[?`(\w+)`", DOCS.partition("## version")[0], re.MULTILINE)
    assert rows == list(SUBCOMMANDS)


def test_each_subcommand_without_a_page_of_its_own_has_a_section():
    sections = re.findall(r"^## (.+)$", DOCS, re.MULTILINE)
    assert set(SUBCOMMANDS) - {"cloudformation"} <= set(sections)
