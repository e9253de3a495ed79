"""What people and programs read of a verification."""

import json

from versioned_storage.edge.questions import Fault
from versioned_storage.edge.report import EdgeReport


def fault(number, remedy="Mend it."):
    url = f"https://cdn.example/{number}.css"
    return Fault(url, {"Accept-Encoding": "br"}, "status", "403", "200", remedy)


def test_a_report_that_all_is_well_is_one_line_and_who_answered():
    report = EdgeReport("Build b1", 1234, (), {"AmazonS3, Hit": 1000, "nginx": 1, "x": 233}, 0, 2.5)
    assert report.ok
    assert report.text().splitlines() == [
        "Build b1: 1,234 questions, all well, 2.5 s",
        "  1,000 answers from AmazonS3, Hit",
        "  233 answers from x",
        "  1 answer from nginx",
    ]


def test_faults_that_one_thing_mends_are_told_together():
    report = EdgeReport("Build b1", 9, (fault(1), fault(2), fault(3, "Mend that.")), {}, 0, 1)
    assert not report.ok
    assert report.text().splitlines() == [
        "https://cdn.example/1.css (Accept-Encoding: br): status is 403, expected 200",
        "https://cdn.example/2.css (Accept-Encoding: br): status is 403, expected 200",
        "  -> Mend it.",
        "https://cdn.example/3.css (Accept-Encoding: br): status is 403, expected 200",
        "  -> Mend that.",
        "",
        "Build b1: 9 questions, 3 faults, 1.0 s",
    ]


def test_the_first_ten_faults_are_told_and_all_are_data():
    report = EdgeReport("Build b1", 20, tuple(fault(number) for number in range(12)), {}, 7, 1)
    lines = report.text().splitlines()
    assert lines[-3:] == [
        "and 2 more; --json has them all",
        "",
        "Build b1: 20 questions, 12 faults, 7 not asked, 1.0 s",
    ]
    assert "https://cdn.example/10.css" not in report.text()
    data = json.loads(json.dumps(report.data()))
    assert len(data["faults"]) == 12
    assert data["faults"][11] == {
        "url": "https://cdn.example/11.css",
        "asked": {"Accept-Encoding": "br"},
        "what": "status",
        "found": "403",
        "expected": "200",
        "remedy": "Mend it.",
    }
    assert (data["ok"], data["asked"], data["not_asked"]) == (False, 20, 7)


def test_what_was_not_asked_is_not_well():
    assert not EdgeReport("Build b1", 1, (), {}, 3, 1).ok
