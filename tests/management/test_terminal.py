"""Colours and widths: Django's, and none where they were switched off."""

import os
import re
from io import StringIO

import pytest

from tests.management.command import staticbuilds
from versioned_storage.management.terminal import PLAIN, Terminal

LONG = "s3://my-site-static/static/2f1c9ab/ answers these credentials, " * 3


class TerminalStream(StringIO):
    def isatty(self):
        return True


@pytest.fixture(autouse=True)
def colours_of_django(monkeypatch):
    """A terminal that Django takes for one with colours, whatever pytest runs in."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.delenv("DJANGO_COLORS", raising=False)
    monkeypatch.setattr("django.core.management.color.supports_color", lambda: True)


def is_coloured(terminal):
    return "\033[" in terminal.style.ERROR("failure")


def test_a_terminal_has_django_s_colours():
    assert is_coloured(Terminal.of(TerminalStream(), {}))


def test_a_pipe_gets_plain_text():
    assert not is_coloured(Terminal.of(StringIO(), {}))
    assert PLAIN.wrapped(LONG) == LONG


def test_no_color_switches_colours_off(monkeypatch):
    assert not is_coloured(Terminal.of(TerminalStream(), {"no_color": True}))
    monkeypatch.setenv("NO_COLOR", "1")
    assert not is_coloured(Terminal.of(TerminalStream(), {}))


def test_force_color_colours_a_pipe_too(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    assert is_coloured(Terminal.of(StringIO(), {"force_color": True}))


@pytest.mark.parametrize(("columns", "longest"), [("60", 60), ("80", 80), ("200", 80)])
def test_lines_fit_the_terminal_and_80_columns(monkeypatch, columns, longest):
    monkeypatch.setenv("COLUMNS", columns)
    lines = Terminal.of(TerminalStream(), {}).wrapped(LONG, indent="  ").splitlines()
    assert longest - 40 < max(map(len, lines)) <= longest
    assert all(line.startswith("  ") for line in lines[1:])


def test_a_url_is_not_broken(monkeypatch):
    monkeypatch.setenv("COLUMNS", "20")
    url = "https://d111111abcdef8.cloudfront.net/static/"
    assert url in Terminal.of(TerminalStream(), {}).wrapped(f"See {url} now")


def on_a_terminal(monkeypatch, *arguments, columns="80"):
    """What a subcommand writes to a terminal."""
    monkeypatch.setenv("COLUMNS", columns)
    return staticbuilds(*arguments, stdout=TerminalStream()).output


def without_colours(text):
    return re.sub(r"\033\[[\d;]*m", "", text)


@pytest.fixture
def published(shop):
    with shop("b1") as first:
        first.collect()
    with shop("release-2026-11", {"css/app.css": "body { color: red }"}) as second:
        second.collect()
        yield second


def test_a_list_fits_80_columns_and_shows_the_current_build_in_green(monkeypatch, published):
    output = on_a_terminal(monkeypatch, "list")
    lines = without_colours(output).splitlines()
    assert max(map(len, lines)) <= 80
    headers = "BUILD STATE ACTIVATED SUPERSEDED ASSETS SIZE WHERE"
    assert lines[0].split() == headers.split()
    assert "\033[32;1mrelease-2026-11  published" in output
    assert "\033[" not in next(line for line in output.splitlines() if line.startswith("b1 "))


def test_a_wide_terminal_shows_the_times_too(monkeypatch, published):
    assert "ACTIVATED (UTC)" in on_a_terminal(monkeypatch, "list", columns="160")


def test_doctor_s_findings_fit_80_columns_and_say_in_colour_how_bad_they_are(
    monkeypatch, published
):
    output = on_a_terminal(monkeypatch, "doctor")
    assert max(map(len, without_colours(output).splitlines())) <= 80
    assert "\033[32;1mok     \033[0m  bucket" in output
    assert "\033[33;1mwarning\033[0m" in output


def test_prune_says_in_colour_what_goes_and_what_stays(monkeypatch, published):
    output = on_a_terminal(monkeypatch, "prune", "--keep", "1", "--older-than", "0m", "--dry-run")
    assert "\033[32;1mkeep   \033[0m release-2026-11" in output
    assert "\033[31;1mdelete \033[0m b1" in output


@pytest.mark.parametrize("command", ["list", "doctor"])
def test_no_color_is_honoured_by_each(monkeypatch, published, command):
    assert "\033" not in on_a_terminal(monkeypatch, command, "--no-color")
    monkeypatch.setitem(os.environ, "NO_COLOR", "1")
    assert "\033" not in on_a_terminal(monkeypatch, command)
