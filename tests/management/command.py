"""Running manage.py staticbuilds in a test."""

from __future__ import annotations

import json
from dataclasses import dataclass
from io import StringIO
from typing import Any

from django.core.management import call_command


@dataclass(frozen=True)
class Answer:
    """What the command wrote to stdout, and its exit code."""

    output: str
    code: int

    @property
    def data(self) -> Any:
        return json.loads(self.output)


def staticbuilds(*arguments: str, stdout: StringIO | None = None) -> Answer:
    """Run the command in this process; its errors are raised."""
    output = stdout or StringIO()
    try:
        call_command("staticbuilds", *arguments, stdout=output)
    except SystemExit as end:
        return Answer(output.getvalue(), int(end.code or 0))
    return Answer(output.getvalue(), 0)
