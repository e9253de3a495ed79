import logging
import sys
from io import StringIO

import pytest

from versioned_storage.progress import log_summary, track


class Terminal(StringIO):
    def isatty(self):
        return True


@pytest.fixture
def terminal(monkeypatch):
    """Makes stderr a terminal; called in the test, because pytest sets stderr before it."""

    def make():
        monkeypatch.setattr(sys, "stderr", Terminal())
        return sys.stderr

    return make


@pytest.fixture
def site_logs(monkeypatch):
    """Sets the logger as a site's LOGGING does; called in the test, as pytest has handlers too."""

    def configure(level, *handlers):
        logger = logging.getLogger("versioned_storage")
        monkeypatch.setattr(logger, "propagate", False)
        monkeypatch.setattr(logger, "handlers", list(handlers))
        before.append((logger, logger.level))
        logger.setLevel(level)

    before = []
    yield configure
    for logger, level in before:
        logger.setLevel(level)


def tracked(items):
    return track(items, total=3, doing="Compressing", unit="files")


def failing():
    yield 1
    raise ValueError("broken off")


def test_what_is_tracked_comes_through_in_order(capsys):
    assert list(tracked("abc")) == ["a", "b", "c"]
    assert capsys.readouterr() == ("", "")


def test_on_a_terminal_a_bar_says_what_is_done_and_goes_away(terminal):
    stderr = terminal()
    assert list(tracked("abc")) == ["a", "b", "c"]
    output = stderr.getvalue()
    assert "Compressing:   0%" in output
    assert "0/3" in output
    assert "files" in output
    *_, last, end = output.split("\r")
    assert last.strip() == end == ""


def test_items_are_passed_on_one_by_one(terminal):
    terminal()
    taken = []

    def items():
        for number in range(3):
            taken.append(number)
            yield number

    passing = tracked(items())
    assert taken == []
    assert next(passing) == 0
    assert taken == [0]
    passing.close()


def test_an_error_comes_through_and_takes_the_bar_away(terminal):
    stderr = terminal()
    with pytest.raises(ValueError, match="broken off"):
        list(tracked(failing()))
    assert stderr.getvalue().endswith("\r")


def test_who_stops_early_leaves_no_bar_and_no_open_source(terminal):
    stderr, closed = terminal(), []

    def items():
        try:
            yield from "abc"
        finally:
            closed.append(True)

    passing = tracked(items())
    next(passing)
    passing.close()
    del passing
    assert closed == [True]
    assert stderr.getvalue().endswith("\r")


def test_a_summary_goes_to_stderr_where_no_log_takes_it(site_logs, capsys):
    site_logs(logging.INFO)
    log_summary("2 files written")
    assert capsys.readouterr() == ("", "2 files written\n")


def test_a_summary_goes_to_stderr_where_the_log_is_for_warnings(site_logs, capsys):
    log = StringIO()
    site_logs(logging.WARNING, logging.StreamHandler(log))
    log_summary("2 files written")
    assert capsys.readouterr() == ("", "2 files written\n")
    assert log.getvalue() == ""


def test_a_summary_goes_to_the_log_where_that_shows_it(site_logs, capsys):
    log = StringIO()
    site_logs(logging.INFO, logging.StreamHandler(log))
    log_summary("2 files written: 100 %s")
    assert capsys.readouterr() == ("", "")
    assert log.getvalue() == "2 files written: 100 %s\n"
