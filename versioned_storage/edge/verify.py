"""Asks the edge about a build, and asks again while there is time."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass

from ..progress import log_summary, track
from ..text import count_text
from .client import Client
from .questions import Outcome, Question
from .report import EdgeReport

#: How many questions may stay without an answer before the rest is not asked.
GIVE_UP_AFTER = 20
#: Seconds before the second round of a wait; each further pause is twice as long.
FIRST_PAUSE = 2.0
LONGEST_PAUSE = 30.0


def verify_edge(
    subject: str,
    questions: Sequence[Question],
    client: Client,
    *,
    wait: float = 0.0,
    clock: Callable[[], float] = time.monotonic,
) -> EdgeReport:
    """Put ``questions`` to the edge, and for ``wait`` seconds those again that went wrong.

    ``subject`` is what the report calls it all. The first question is put alone: where nobody
    answers, nobody is asked the rest. Raises nothing for what the edge does.
    """
    started = clock()
    served_by: Counter[str] = Counter()
    pause = FIRST_PAUSE
    pending: Sequence[Question] = questions
    while True:
        done = _round(pending, client)
        for outcome in done.outcomes.values():
            served_by.update(outcome.served_by)
        left = [question for number, question in enumerate(pending) if done.is_open(number)]
        elapsed = clock() - started
        if not left or elapsed >= wait:
            break
        pause = min(pause, wait - elapsed)
        log_summary(
            f"{subject}: {count_text(len(left), 'question')} of {len(questions):,} still open, "
            f"asking again in {pause:.0f} s; {wait - elapsed:.0f} s are left"
        )
        client.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)
        pending = left
    return EdgeReport(
        subject=subject,
        asked=len(questions) - done.put_off,
        faults=tuple(fault for _, one in sorted(done.outcomes.items()) for fault in one.faults),
        served_by=served_by,
        put_off=done.put_off,
        seconds=elapsed,
    )


@dataclass(frozen=True)
class _Round:
    """What came of the questions of a round, by their place; some may not have been put."""

    outcomes: dict[int, Outcome]
    total: int

    @property
    def put_off(self) -> int:
        return self.total - len(self.outcomes)

    def is_open(self, number: int) -> bool:
        outcome = self.outcomes.get(number)
        return outcome is None or bool(outcome.faults)


def _round(questions: Sequence[Question], client: Client) -> _Round:
    put = _put(questions, client)
    total = len(questions)
    return _Round(dict(track(put, total=total, doing="Asking the edge", unit="questions")), total)


def _put(questions: Sequence[Question], client: Client) -> Iterator[tuple[int, Outcome]]:
    """Yield each question's number and outcome; all that was put, but maybe not all there is."""
    if not questions:
        return
    first = questions[0].put(client)
    yield 0, first
    if first.unanswered:
        return
    unanswered = 0
    with ThreadPoolExecutor(client.connections) as pool:
        futures: dict[Future[Outcome], int] = {
            pool.submit(question.put, client): number
            for number, question in enumerate(questions[1:], start=1)
        }
        try:
            for future in as_completed(futures):
                if future.cancelled():
                    continue
                outcome = future.result()
                yield futures[future], outcome
                unanswered += outcome.unanswered
                if unanswered == GIVE_UP_AFTER:
                    _cancel(futures)
        finally:
            # Reached early when somebody presses Ctrl-C: what is under way is waited for.
            _cancel(futures)


def _cancel(futures: dict[Future[Outcome], int]) -> None:
    for future in futures:
        future.cancel()
