from datetime import datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from versioned_storage.origin.retention import Activation, decide, superseded

NOW = datetime(2026, 6, 30, tzinfo=timezone.utc)


def ago(**how_long):
    return NOW - timedelta(**how_long)


def builds(**activated):
    """Builds by their name, each activated so many days ago."""
    return [Activation(build, ago(days=days)) for build, days in activated.items()]


def kept(given_builds, *, keep=1, days=30, protected=()):
    verdicts = decide(
        given_builds,
        keep=keep,
        older_than=timedelta(days=days),
        now=NOW,
        protected=dict.fromkeys(protected, "is protected"),
    )
    return [verdict.build for verdict in verdicts if verdict.keep]


def test_the_newest_are_kept():
    assert kept(builds(a=400, b=300, c=200, d=100), keep=3) == ["d", "c", "b"]


def test_what_was_superseded_lately_is_kept_however_old_it_is():
    """Published a year ago and in use until yesterday: pages of yesterday refer to it."""
    assert kept(builds(old=365, new=1)) == ["new", "old"]


def test_what_was_superseded_long_ago_goes():
    assert kept(builds(older=100, old=90, new=31)) == ["new"]


def test_a_build_that_was_rolled_back_to_is_the_current_one():
    assert kept(builds(good=0, bad=50), days=0) == ["good"]


def test_a_protected_build_is_kept():
    assert kept(builds(a=400, b=300, c=200), protected=["a"]) == ["c", "a"]


def test_the_current_build_is_kept_whatever_its_age():
    assert kept(builds(a=4000)) == ["a"]


def test_no_builds_need_no_verdict():
    assert kept([]) == []


def test_each_verdict_says_why():
    verdicts = decide(
        builds(a=90, b=80, c=20, d=10, e=5),
        keep=2,
        older_than=timedelta(days=15),
        now=NOW,
        protected={"b": "is the BUILD_VERSION of these settings"},
    )
    assert [(item.build, item.keep, item.reason) for item in verdicts] == [
        ("e", True, "is the current build"),
        ("d", True, "is among the 2 newest"),
        ("c", True, "was superseded less than 15 days ago"),
        ("b", True, "is the BUILD_VERSION of these settings"),
        ("a", False, "was superseded more than 15 days ago"),
    ]


def test_a_build_is_superseded_by_the_next_activation():
    assert superseded(builds(a=3, b=2, c=1)) == {"a": ago(days=2), "b": ago(days=1), "c": None}


@given(
    days=st.lists(st.integers(0, 500), max_size=20),
    keep=st.integers(1, 8),
    older=st.integers(0, 400),
)
def test_more_patience_never_deletes_more(days, keep, older):
    given_builds = [Activation(f"b{n}", ago(days=day)) for n, day in enumerate(days)]
    fewer = set(kept(given_builds, keep=keep, days=older))
    assert fewer <= set(kept(given_builds, keep=keep + 1, days=older))
    assert fewer <= set(kept(given_builds, keep=keep, days=older + 1))
    assert len(fewer) >= min(keep, len(days))
