"""Sizes, counts, tables and times as people read them."""

from datetime import datetime, timedelta, timezone

import pytest

from versioned_storage.text import age_text, bytes_text, count_text, duration_text, table, time_text

NOW = datetime(2026, 11, 20, 14, 2, 30, tzinfo=timezone.utc)


def test_a_column_is_as_wide_as_its_widest_cell_and_numbers_are_flush_right():
    assert table(["NAME", "SIZE"], [("a", "1"), ("longer", "12345")], numbers={"SIZE"}) == (
        "NAME     SIZE\n"
        "a           1\n"
        "longer  12345"
    )  # fmt: skip


def test_no_line_ends_in_blanks():
    assert table(["A", "LONG"], [("a", "b")]) == "A  LONG\na  b"


@pytest.mark.parametrize(
    ("ago", "said"),
    [
        (timedelta(seconds=-5), "just now"),
        (timedelta(seconds=59), "just now"),
        (timedelta(seconds=60), "1 minute ago"),
        (timedelta(minutes=59, seconds=59), "59 minutes ago"),
        (timedelta(hours=1), "1 hour ago"),
        (timedelta(hours=47), "1 day ago"),
        (timedelta(days=1200), "1,200 days ago"),
    ],
)
def test_an_age_is_told_in_its_largest_whole_unit(ago, said):
    assert age_text(NOW - ago, NOW) == said


def test_a_time_comes_with_its_age():
    assert time_text(NOW - timedelta(hours=18), NOW) == "2026-11-19 20:02, 18 hours ago"


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (1, "1 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (1549, "1.5 kB"),
        (999_949, "999.9 kB"),
        (999_951, "1.0 MB"),
        (1_500_000, "1.5 MB"),
        (999_999_999, "1.0 GB"),
        (70_000_000_000, "70.0 GB"),
        (1_234_000_000_000, "1234.0 GB"),
    ],
)
def test_bytes_are_in_powers_of_a_thousand(size, text):
    assert bytes_text(size) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0 files"), (1, "1 file"), (2, "2 files"), (1234, "1,234 files")],
)
def test_things_are_counted_in_the_right_number(number, text):
    assert count_text(number, "file") == text


@pytest.mark.parametrize(
    ("duration", "text"),
    [
        (timedelta(days=30), "30 days"),
        (timedelta(days=1), "1 day"),
        (timedelta(hours=36), "36 hours"),
        (timedelta(minutes=1), "1 minute"),
        (timedelta(0), "0 seconds"),
    ],
)
def test_a_duration_is_said_in_its_largest_whole_unit(duration, text):
    assert duration_text(duration) == text
