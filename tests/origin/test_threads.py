"""Work in daemon threads: its order, its errors, and the signals that end it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from random import Random
from textwrap import dedent
from threading import Event, Thread, current_thread

import pytest

from tests.builds import FILES, Built, collected, site_origin, state
from tests.helpers import site
from tests.s3 import front
from versioned_storage.build.directory import BuildDirectory
from versioned_storage.build.manifest import Manifest
from versioned_storage.origin.publisher import Publisher
from versioned_storage.origin.threads import (
    Interrupted,
    in_background,
    interruptible,
    map_in_threads,
)


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


def promised() -> float:
    """Seconds that a process may take to end: 3 on a machine that has a core for it."""
    return 3.0 * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


EXIT_CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}

COMMAND = dedent("""
    import json, signal, sys

    import django
    from django.conf import settings
    from django.core.management import execute_from_command_line

    # A shell without job control starts its children with SIGINT ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    settings.configure(**json.loads(sys.argv[1]))
    execute_from_command_line(["manage.py", *sys.argv[2:]])
""")


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    with collected(tmp_path_factory.mktemp("site")) as built_build:
        yield built_build


class Silent:
    """A front that never answers a kind of request, until the test ends."""

    def __init__(self, when):
        self.when = when
        self.reached = Event()
        self.ends = Event()

    def __call__(self, request):
        if self.when(request):
            self.reached.set()
            self.ends.wait(60)
        return


def any_request(request):
    return True


def writes_lease(request):
    return request.method == "PUT" and "/builds/" in request.path


def writes_object(request):
    return request.method == "PUT" and "/static/" in request.path


def reads_object(request):
    return request.method == "GET" and "/static/b1/" in request.path


def commits(request):
    return request.method == "PUT" and b'"state": "published"' in request.body


@contextmanager
def command(bucket, built, silent, *arguments):
    """A process of manage.py whose S3 server falls silent."""
    with front(bucket.endpoint, silent) as s3:
        root = built.directory.parent
        options = {
            key: value
            for key, value in bucket.options(endpoint_url=s3.url).items()
            if key != "client_config"
        }
        site_settings = {
            "INSTALLED_APPS": ["versioned_storage", "django.contrib.staticfiles"],
            "STATIC_URL": "/static/",
            "STATIC_ROOT": str(root),
            "STATICFILES_DIRS": [str(root.parent / "sources")],
            "BUILD_VERSION": "b1",
            "STORAGES": {
                "staticfiles": {
                    "BACKEND": "versioned_storage.storage.VersionedStaticFilesStorage",
                }
            },
            # With settings.configure() Django 4.2 loses the OPTIONS of STORAGES["staticfiles"].
            "VERSIONED_STORAGE": {"origin": options, "connections": 3},
        }
        process = subprocess.Popen(
            [sys.executable, "-c", COMMAND, json.dumps(site_settings), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        try:
            yield process
        finally:
            process.kill()
            process.communicate()
            silent.ends.set()


def ended(process, *signals):
    """The exit code after the signals, the seconds that it took, and what was written."""
    started = time.monotonic()
    for number in signals:
        process.send_signal(number)
        time.sleep(0.2 if len(signals) > 1 else 0)
    stdout, stderr = process.communicate(timeout=30)
    return process.returncode, time.monotonic() - started, stdout + stderr


COMMANDS = [("collectstatic", "--noinput"), ("staticbuilds", "publish")]


@pytest.mark.parametrize(
    ("arguments", "number"),
    [
        (COMMANDS[0], signal.SIGTERM),
        (COMMANDS[1], signal.SIGINT),
        pytest.param(COMMANDS[0], signal.SIGINT, marks=pytest.mark.deep),
        pytest.param(COMMANDS[1], signal.SIGTERM, marks=pytest.mark.deep),
    ],
)
def test_a_signal_ends_a_publish_whose_uploads_get_no_answer(moto_bucket, built, arguments, number):
    silent = Silent(writes_object)
    with command(moto_bucket, built, silent, *arguments) as process:
        assert silent.reached.wait(30)
        code, seconds, output = ended(process, number)
    assert code == EXIT_CODES[number], output
    assert seconds < promised()
    assert "Traceback" not in output
    assert (
        "The publish of build b1 was interrupted. Run the same command again: it goes on with what "
        "is left.\n"
    ) in output
    # The lease is left, and the next run continues.
    assert state(moto_bucket, "b1") == "publishing"
    Publisher(site_origin(moto_bucket.options())).publish(
        built.manifest, BuildDirectory(built.directory)
    )
    assert state(moto_bucket, "b1") == "published"


@pytest.mark.deep
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_the_next_run_finishes_what_a_signal_ended_while_it_compressed(
    moto_bucket, tmp_path, number
):
    files = FILES | {"data.txt": Random(0).randbytes(500_000).hex()}
    silent, build = Silent(writes_object), tmp_path / "static_root/b1"
    with site(tmp_path, files, BUILD_VERSION="b1"):
        with command(moto_bucket, Built(Manifest({}), build), silent, *COMMANDS[0]) as process:
            assert silent.reached.wait(30)
            code, seconds, output = ended(process, number)
        assert code == EXIT_CODES.get(number, -number), output
        assert seconds < promised()
        assert "Traceback" not in output
        assert not (build / "staticfiles.json").exists()
    assert state(moto_bucket, "b1") == "publishing"
    with site(
        tmp_path, files, BUILD_VERSION="b1", options={"origin": moto_bucket.options()}
    ) as shop:
        shop.collect()
        assert Built(shop.storage.manifest, build).wrong(moto_bucket) == []
    assert state(moto_bucket, "b1") == "published"


@pytest.mark.deep
@pytest.mark.parametrize("when", [any_request, writes_lease, commits])
def test_a_signal_ends_a_publish_at_every_other_request(moto_bucket, built, when):
    silent = Silent(when)
    with command(moto_bucket, built, silent, "staticbuilds", "publish") as process:
        assert silent.reached.wait(30)
        code, seconds, output = ended(process, signal.SIGTERM)
    assert code == 143, output
    assert seconds < promised()
    assert "Traceback" not in output


def test_a_signal_ends_a_verification_that_gets_no_answer(moto_bucket, built):
    origin = site_origin(moto_bucket.options())
    Publisher(origin).publish(built.manifest, BuildDirectory(built.directory))
    silent = Silent(reads_object)
    with command(moto_bucket, built, silent, "staticbuilds", "verify", "--deep") as process:
        assert silent.reached.wait(30)
        code, seconds, output = ended(process, signal.SIGTERM)
    assert code == 143, output
    assert seconds < promised()
    assert output == ("Interrupted. No incomplete build is in use: run the same command again.\n")


@pytest.mark.deep
def test_a_second_signal_ends_it_as_well(moto_bucket, built):
    silent = Silent(writes_object)
    with command(moto_bucket, built, silent, "staticbuilds", "publish") as process:
        assert silent.reached.wait(30)
        code, seconds, _ = ended(process, signal.SIGINT, signal.SIGINT)
    assert code in (130, -signal.SIGINT)
    assert seconds < promised()


def test_handlers_are_set_in_the_main_thread_only_and_only_while_it_works():
    handlers = [signal.getsignal(number) for number in EXIT_CODES]
    assert interruptible(lambda _: [signal.getsignal(number) for number in EXIT_CODES]) != handlers
    assert [signal.getsignal(number) for number in EXIT_CODES] == handlers
    in_thread = []
    thread = Thread(
        target=lambda: in_thread.append(interruptible(lambda _: signal.getsignal(signal.SIGTERM)))
    )
    thread.start()
    thread.join()
    assert in_thread == [signal.SIG_DFL]


def test_a_handler_of_the_site_stays(monkeypatch):
    previous = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        assert interruptible(lambda _: signal.getsignal(signal.SIGTERM)) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, previous)


def test_what_the_work_returns_or_raises_is_passed_on():
    assert interruptible(lambda stop: stop.is_set()) is False
    with pytest.raises(ZeroDivisionError):
        interruptible(lambda _: 1 / 0)


def test_an_interrupt_is_both_what_ctrl_c_raises_and_an_exit_code():
    interrupt = Interrupted(signal.SIGTERM)
    assert isinstance(interrupt, KeyboardInterrupt)
    assert (isinstance(interrupt, SystemExit), interrupt.code) == (True, 143)
