"""What a verification of the edge found: for people, and for programs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from ..text import count_text
from .questions import Fault

#: How many faults people get to read; ``--json`` has all of them.
SHOWN = 10


@dataclass(frozen=True)
class EdgeReport:
    """The end of it. ``put_off`` counts the questions that were not asked any more.

    ``served_by`` says how many answers came from whom, ``seconds`` how long it took, waiting
    included.
    """

    subject: str
    asked: int
    faults: tuple[Fault, ...]
    served_by: Mapping[str, int] = field(default_factory=dict)
    put_off: int = 0
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """All is well, and nothing was left out."""
        return not self.faults and not self.put_off

    def text(self) -> str:
        """One line when all is well, else the first ten faults with what mends them."""
        lines = [] if self.ok else [*self._fault_lines(), ""]
        verdict = "all well" if self.ok else count_text(len(self.faults), "fault")
        put_off = f", {self.put_off:,} not asked" if self.put_off else ""
        lines.append(
            f"{self.subject}: {count_text(self.asked, 'question')}, {verdict}{put_off}, "
            f"{self.seconds:.1f} s"
        )
        ranked = sorted(self.served_by.items(), key=lambda item: (-item[1], item[0]))
        lines += [f"  {count_text(count, 'answer')} from {name}" for name, count in ranked]
        return "\n".join(lines)

    def data(self) -> dict[str, Any]:
        """Everything."""
        return {
            "ok": self.ok,
            "subject": self.subject,
            "asked": self.asked,
            "not_asked": self.put_off,
            "seconds": round(self.seconds, 3),
            "served_by": dict(self.served_by),
            "faults": [
                {
                    "url": fault.url,
                    "asked": dict(fault.asked),
                    "what": fault.what,
                    "found": fault.found,
                    "expected": fault.expected,
                    "remedy": fault.remedy,
                }
                for fault in self.faults
            ],
        }

    def _fault_lines(self) -> list[str]:
        lines = []
        for remedy, faults in groupby(self.faults[:SHOWN], key=lambda fault: fault.remedy):
            lines += [str(fault) for fault in faults]
            lines.append(f"  -> {remedy}")
        if len(self.faults) > SHOWN:
            lines.append(f"and {len(self.faults) - SHOWN:,} more; --json has them all")
        return lines
