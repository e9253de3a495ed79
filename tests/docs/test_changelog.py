"""CHANGELOG.md is for people who use the package: by topic, in full sentences."""

from __future__ import annotations

import re

from tests.docs.reader import ROOT

TEXT = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
RELEASE = TEXT.split("\n## ")[1]


def test_each_entry_of_a_release_has_a_topic() -> None:
    preface, *topics = RELEASE.split("\n### ")
    assert "\n- " not in preface
    assert len(topics) > 3


def test_each_entry_is_of_full_sentences() -> None:
    entries = re.split(r"\n(?=- |### |$)", RELEASE)
    entries = [entry for entry in entries if entry.startswith("- ")]
    assert entries
    assert not [entry for entry in entries if not entry.rstrip().endswith(".")]
