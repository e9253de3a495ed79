"""Work in daemon threads: its order, its errors, and an end that waits for nobody."""

import subprocess
import sys
import time
from threading import current_thread

import pytest

from versioned_storage.origin.threads import in_background, map_in_threads


def test_results_come_in_the_order_of_the_items():
    def work(number):
        time.sleep(0.01 * (3 - number))
        return number * 2

    assert list(map_in_threads(work, [1, 2, 3], 3)) == [2, 4, 6]


def test_no_items_need_no_thread():
    assert list(map_in_threads(lambda item: item, [], 4)) == []


def test_no_more_threads_work_than_were_allowed():
    names = list(map_in_threads(lambda _: current_thread().name, range(40), 2))
    assert len(set(names)) <= 2


def test_the_first_error_is_raised_and_no_item_is_started_after_it():
    started = []

    def work(number):
        started.append(number)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(map_in_threads(work, range(100), 1))
    assert started == [0]


def test_work_in_the_background_has_a_result_or_an_error():
    assert in_background(lambda: 1).result() == 1
    with pytest.raises(ZeroDivisionError):
        in_background(lambda: 1 / 0).result()


@pytest.mark.parametrize(
    "work", ["in_background(Event().wait)", "map_in_threads(lambda _: Event().wait(), [1, 2], 2)"]
)
def test_a_process_ends_without_waiting_for_it(work):
    """A build that failed, or Ctrl-C, while S3 does not answer."""
    code = (
        "from threading import Event, Timer; "
        "from versioned_storage.origin.threads import in_background, map_in_threads; "
        f"results = {work}; "
        "hasattr(results, '__next__') and in_background(lambda: next(results))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)


def test_an_item_before_the_error_has_its_result_all_the_same():
    def work(number):
        if number == 1:
            raise ZeroDivisionError
        time.sleep(0.02)
        return number

    results = map_in_threads(work, range(50), 8)
    assert next(results) == 0
    with pytest.raises(ZeroDivisionError):
        next(results)
