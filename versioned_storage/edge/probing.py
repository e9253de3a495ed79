"""Runs the probes of a build, retries failing ones while there is time, and reports."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from ..errors import Fault
from ..progress import log_summary, track
from ..text import SHOWN, count_text
from .client import EdgeClient
from .probes import Probe, ProbeResult

#: The number of probes without a response after which the others are skipped.
GIVE_UP_AFTER = 20
#: Seconds before the second round of a wait; each further pause is twice as long.
FIRST_PAUSE = 2.0
LONGEST_PAUSE = 30.0


@dataclass(frozen=True)
class EdgeReport:
    """The results of a verification of the edge.

    ``probes`` were run, ``skipped`` more were not. ``failures`` are the results with faults.
    ``served_by`` counts the responses by server; ``seconds`` includes the pauses.
    """

    subject: str
    probes: int
    failures: tuple[ProbeResult, ...]
    served_by: Mapping[str, int] = field(default_factory=dict)
    skipped: int = 0
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """True if all probes were run and passed."""
        return not self.failures and not self.skipped

    @property
    def faults(self) -> list[Fault]:
        """All faults, in the order of the probes."""
        return [fault for result in self.failures for fault in result.faults]

    def text(self) -> str:
        """Return one line if all passed, else the first ten faults with their remedies."""
        lines = [] if self.ok else [*self._fault_lines(), ""]
        verdict = "all passed" if self.ok else count_text(len(self.faults), "fault")
        skipped = f", {self.skipped:,} skipped" if self.skipped else ""
        lines.append(
            f"{self.subject}: {count_text(self.probes, 'probe')}, {verdict}{skipped}, "
            f"{self.seconds:.1f} s"
        )
        ranked = sorted(self.served_by.items(), key=lambda item: (-item[1], item[0]))
        lines += [f"  {count_text(count, 'response')} from {name}" for name, count in ranked]
        return "\n".join(lines)

    def data(self) -> dict[str, Any]:
        """Return everything for ``--json``."""
        return {
            "ok": self.ok,
            "subject": self.subject,
            "asked": self.probes,
            "not_asked": self.skipped,
            "seconds": round(self.seconds, 3),
            "served_by": dict(self.served_by),
            "faults": [
                {
                    "url": result.url,
                    "asked": dict(result.headers),
                    "what": fault.what,
                    "found": fault.found,
                    "expected": fault.expected,
                    "remedy": fault.remedy,
                }
                for result in self.failures
                for fault in result.faults
            ],
        }

    def _fault_lines(self) -> list[str]:
        faults = [
            (fault.remedy, line)
            for result in self.failures
            for fault, line in zip(result.faults, result.lines(), strict=True)
        ]
        lines = []
        for remedy, group in groupby(faults[:SHOWN], key=lambda pair: pair[0]):
            lines += [line for _, line in group]
            lines.append(f"  -> {remedy}")
        if len(faults) > SHOWN:
            lines.append(f"and {len(faults) - SHOWN:,} more; --json has all of them")
        return lines


def verify_edge(
    subject: str,
    probes: Sequence[Probe],
    client: EdgeClient,
    *,
    wait: float = 0.0,
    clock: Callable[[], float] = time.monotonic,
) -> EdgeReport:
    """Run ``probes``, and retry failing ones for up to ``wait`` seconds.

    ``subject`` is the title of the report. The first probe runs alone: if nobody responds
    to it, the others are skipped. Raises nothing for what the edge does.
    """
    started = clock()
    served_by: Counter[str] = Counter()
    pause = FIRST_PAUSE
    pending = dict(enumerate(probes))
    while True:
        results = dict(
            track(_run(pending, client), total=len(pending), doing="Asking the edge", unit="probes")
        )
        served_by.update(
            result.served_by for group in results.values() for result in group if result.served_by
        )
        failing = {
            number: probe
            for number, probe in pending.items()
            if any(result.faults for result in results.get(number, _NOT_RUN))
        }
        elapsed = clock() - started
        if not failing or elapsed >= wait:
            break
        pause = min(pause, wait - elapsed)
        log_summary(
            f"{subject}: {count_text(len(failing), 'probe')} of {len(probes):,} failing, next "
            f"attempt in {pause:.0f} s, {wait - elapsed:.0f} s left"
        )
        client.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)
        pending = failing
    skipped = len(pending) - len(results)
    return EdgeReport(
        subject=subject,
        probes=len(probes) - skipped,
        failures=tuple(
            result for number in sorted(results) for result in results[number] if result.faults
        ),
        served_by=served_by,
        skipped=skipped,
        seconds=elapsed,
    )


# A skipped probe counts as failing, so that it is run in the next round.
_NOT_RUN = (ProbeResult("", {}, (Fault("the probe", "skipped", "run"),)),)


def _run(
    probes: Mapping[int, Probe], client: EdgeClient
) -> Iterator[tuple[int, Sequence[ProbeResult]]]:
    """Yield each probe's number and results; stop early where nobody responds."""
    pending = list(probes.items())
    if not pending:
        return
    number, probe = pending[0]
    first = _results(probe, client)
    yield number, first
    if _is_unanswered(first):
        return
    unanswered = 0
    with ThreadPoolExecutor(client.connections) as pool:
        futures: dict[Future[tuple[ProbeResult, ...]], int] = {
            pool.submit(_results, probe, client): number for number, probe in pending[1:]
        }
        try:
            for future in as_completed(futures):
                if future.cancelled():
                    continue
                results = future.result()
                yield futures[future], results
                unanswered += _is_unanswered(results)
                if unanswered == GIVE_UP_AFTER:
                    _cancel(futures)
        finally:
            # Ctrl-C leads here too: requests that are under way are waited for.
            _cancel(futures)


def _results(probe: Probe, client: EdgeClient) -> tuple[ProbeResult, ...]:
    return tuple(probe.run(client))


def _is_unanswered(results: Sequence[ProbeResult]) -> bool:
    return bool(results) and all(result.served_by is None for result in results)


def _cancel(futures: Mapping[Future[tuple[ProbeResult, ...]], int]) -> None:
    for future in futures:
        future.cancel()
