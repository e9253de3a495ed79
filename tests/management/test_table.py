"""Tables and times for people."""

from datetime import datetime, timedelta, timezone

import pytest

from versioned_storage.management.table import age_text, table, time_text

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
