"""Each excerpt of settings, code or a template in the docs does what it is there for.

What a page has as a whole file, with a title, is run by test_tutorial, test_howto and test_move.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from django import forms
from django.http import HttpResponse
from django.template import engines
from storages.backends.s3 import S3Storage

from tests.docs.reader import DOCS, Block, blocks
from versioned_storage.conf import Options
from versioned_storage.integrity import IntegrityMiddleware

SOURCES = {
    "css/app.css": "h1 { color: teal }",
    "css/critical.css": "h1 { color: teal }",
    "css/print.css": "h1 { color: black }",
    "fonts/sans.woff2": "font",
    "img/sprite.svg": "<svg/>",
    "js/app.js": "",
    "js/legacy.js": "",
    "js/open_tab.js": "",
    "js/shop.js": "",
    "js/lib/cart.js": "",
    "js/w.js": "",
}
#: An excerpt with one of these needs another package, and is left out.
OTHERS = ("from aws_cdk", "load django_vite")


def excerpts(language: str) -> list[Any]:
    pages = sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md"))
    return [
        pytest.param(block, id=f"{page}-{number}")
        for page in pages
        for number, block in enumerate(blocks(page))
        if block.language == language
        and (not block.title or "settings.py" in block.title)
        and not any(other in block.text for other in OTHERS)
    ]


@pytest.fixture
def sources(tmp_path: Path, settings: Any) -> None:
    """The static files that the docs name, below a site without a build."""
    for name, text in SOURCES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    settings.STATICFILES_DIRS = [tmp_path]


def namespace() -> dict[str, Any]:
    """What stands above an excerpt in the file that it is from."""
    names: dict[str, Any] = {
        "BASE_DIR": Path("/srv/site"),
        "BUILD_VERSION": "2f1c9ab",
        "DEBUG": False,
        "INSTALLED_APPS": [],
        "MIDDLEWARE": ["django.middleware.security.SecurityMiddleware"],
        "TEMPLATES": [{}],
        "STORAGES": {"staticfiles": {"OPTIONS": {}}},
        "IntegrityMiddleware": IntegrityMiddleware,
        "forms": forms,
        "response": HttpResponse(),
    }
    exec("import os\nfrom pathlib import Path\n", names)
    try:
        exec("from django.utils.csp import CSP\n", names)
    except ImportError:
        names["CSP"] = type("CSP", (), {"SELF": "'self'"})
    return names


def run(block: Block, names: dict[str, Any]) -> None:
    """Run an excerpt; that of a dict is an entry of it."""
    text = block.text.strip().rstrip(",")
    if not text.startswith('"'):
        exec(text, names)
        return
    # A key that is not ours may be read from a file that is not here.
    text = re.sub(r"Path\(.*\)\.read_\w+\(\)", "b''", text)
    names.update(eval(f"{{\n{text}\n}}", names))


@pytest.mark.usefixtures("sources")
@pytest.mark.parametrize("block", excerpts("python"))
def test_an_excerpt_of_settings_or_code_runs_and_its_options_exist(block: Block) -> None:
    names = namespace()
    run(block, names)
    every = [
        names["STORAGES"]["staticfiles"].get("OPTIONS", {}),
        names.get("OPTIONS", {}),
        names.get("VERSIONED_STORAGE", {}),
        {"origin": names["origin"]} if "origin" in names else {},
    ]
    for options in every:
        if "cloudfront_key_id" in options:  # of the media files
            assert options.keys() <= S3Storage().get_default_settings().keys()
            continue
        loaded = Options.load(options)
        assert (loaded.origin or {}).keys() <= S3Storage().get_default_settings().keys()


@pytest.mark.usefixtures("sources")
@pytest.mark.parametrize("block", excerpts("html"))
def test_an_excerpt_of_a_template_can_be_rendered(block: Block) -> None:
    template = engines["django"].from_string("{% load static versioned_static %}" + block.text)
    page = template.render({"csp_nonce": "n0nce"})
    assert "{%" not in page
    for name in re.findall(r"""["']((?:css|js|img|fonts)/[\w/.-]+)["']""", block.text):
        assert name in SOURCES
        assert name in page or "static_inline" in block.text


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed (apt: nodejs)")
@pytest.mark.parametrize("block", excerpts("js"))
def test_an_excerpt_of_javascript_can_be_parsed(block: Block, tmp_path: Path) -> None:
    # That of a configuration has some of the entries of an object.
    is_object = re.match(r"(//.*\n)*\w+:", block.text)
    text = f"export default {{\n{block.text}\n}};" if is_object else block.text
    (tmp_path / "excerpt.mjs").write_text(text)
    subprocess.run(["node", "--check", "excerpt.mjs"], cwd=tmp_path, check=True)


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
@pytest.mark.parametrize("block", [*excerpts("shell"), *excerpts("sh")])
def test_an_excerpt_of_a_shell_can_be_parsed(block: Block) -> None:
    subprocess.run(["bash", "-n", "-c", block.text], check=True)


def test_the_module_for_open_tabs_is_that_of_the_example() -> None:
    example = DOCS.parent / "example_project/showcase/static/js/open_tab.js"
    code = example.read_text().partition("const ")
    assert "".join(code[1:]) in [block.text for block in blocks("howto/open-tabs.md")]


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed (apt: nodejs)")
def test_the_module_for_open_tabs_needs_no_place_for_its_message() -> None:
    program = """
        globalThis.document = {
          querySelector: (selector) => (selector.startsWith("meta") ? { content: "b1" } : null),
          addEventListener() {},
        };
        const { noteBuild } = await import(process.argv[1]);
        noteBuild({ headers: { get: () => "b2" } });
    """
    module = DOCS.parent / "example_project/showcase/static/js/open_tab.js"
    url = f"data:text/javascript,{quote(module.read_text())}"
    subprocess.run(["node", "--input-type=module", "-e", program, url], check=True)
