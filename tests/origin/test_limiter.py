from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event, Thread

import pytest

from versioned_storage.origin.engine import Limiter


def throttle(limiter):
    with limiter.slot() as begun:
        limiter.throttled(begun)


def test_all_places_can_be_taken_at_once_and_no_more():
    limiter, all_there, more = Limiter(4), Barrier(4, timeout=10), Event()

    def work(_):
        with limiter.slot():
            all_there.wait()

    def one_more():
        with limiter.slot():
            more.set()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(12)))
    taken = [limiter.slot() for _ in range(4)]
    for place in taken:
        place.__enter__()
    thread = Thread(target=one_more)
    thread.start()
    assert not more.wait(0.05)
    taken.pop().__exit__(None, None, None)
    assert more.wait(10)
    thread.join()


def test_a_busy_server_halves_the_places():
    limiter = Limiter(64)
    throttle(limiter)
    assert limiter.slots == 32
    throttle(limiter)
    assert limiter.slots == 16


def test_requests_of_the_same_moment_halve_them_once():
    limiter = Limiter(64)
    with limiter.slot() as first, limiter.slot() as second:
        limiter.throttled(first)
        limiter.throttled(second)
    assert limiter.slots == 32


def test_one_place_is_always_left():
    limiter = Limiter(3)
    for _ in range(10):
        throttle(limiter)
    assert limiter.slots == 1
    with limiter.slot():
        pass


@pytest.mark.parametrize("most", [1, 3, 64, 1000])
def test_success_gives_all_places_back_and_no_more_than_all(most):
    limiter = Limiter(most)
    for _ in range(20):
        throttle(limiter)
    for _ in range(17 * most):
        limiter.succeeded()
    assert limiter.slots == most


def test_a_place_is_given_back_after_an_error():
    limiter = Limiter(1)
    with pytest.raises(OSError, match="disk"), limiter.slot():
        raise OSError("disk")
    with limiter.slot():
        pass


def test_who_waits_goes_on_when_places_come_back():
    limiter = Limiter(2)
    throttle(limiter)
    through = Event()

    def work():
        with limiter.slot():
            through.set()

    with limiter.slot():
        thread = Thread(target=work)
        thread.start()
        assert not through.wait(0.05)
        for _ in range(20):
            limiter.succeeded()
        assert through.wait(10)
    thread.join()
