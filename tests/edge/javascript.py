"""The runtimes that an edge function is tried in."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.system_packages import defect, skip

#: njs knows little more than CloudFront's runtime 2.0, so what it runs, that runs; Node is what
#: JavaScript is elsewhere.
RUNTIMES = ("njs", "node")


@dataclass(frozen=True)
class Runtime:
    """An interpreter of JavaScript on this machine."""

    name: str
    scratch: Path

    def run(self, code: str, events: Iterable[Any]) -> list[Any]:
        """What the handler in ``code`` gives for each event."""
        listed = json.dumps(list(events))
        script, answered = self.scratch / "script.js", self.scratch / "answers.json"
        script.write_text(
            f"{code}\nconst answers = JSON.stringify({listed}.map(handler));\n"
            # njs breaks what it logs into lines.
            f"require('fs').writeFileSync({json.dumps(str(answered))}, answers);\n",
            encoding="utf-8",
        )
        completed = subprocess.run(
            [self.name, str(script)], capture_output=True, text=True, timeout=60, check=False
        )
        assert completed.returncode == 0, completed.stdout + completed.stderr
        answers: list[Any] = json.loads(answered.read_text())
        return answers


def runtime(name: str, scratch: Path) -> Runtime:
    """That runtime; skips the test where it is not installed or does not run."""
    skip(filter(None, [defect(name, "-v")]), "njs nodejs")
    return Runtime(name, scratch)
