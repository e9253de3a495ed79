"""Answers as Django's responses, and what becomes of a file that nobody takes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from threading import Event

import pytest
from django.http import BadHeaderError, HttpResponse
from django.http.response import HttpResponseBase
from django.test import AsyncRequestFactory, RequestFactory

from versioned_storage.serving.django_responses import BLOCK_SIZE, django_response, in_thread
from versioned_storage.serving.regular_files import OpenFile, open_file
from versioned_storage.serving.static_response import StaticResponse

SIZE = 3 * BLOCK_SIZE + 1
WSGI = RequestFactory().get("/")
ASGI = AsyncRequestFactory().get("/")


@pytest.fixture
def file(tmp_path: Path) -> OpenFile:
    """An open file of a bit more than three blocks."""
    path = tmp_path / "a.js"
    path.write_bytes(bytes(SIZE))
    return open_file(str(path), SIZE)


def response_with(file: OpenFile | None = None, **headers: str) -> StaticResponse:
    named = tuple(headers.items())
    return StaticResponse(HTTPStatus.OK, named, file, SIZE if file else 0, b"" if file else b"text")


def test_a_response_has_the_headers_of_the_answer_and_no_others() -> None:
    for request in (WSGI, ASGI):
        response = django_response(response_with(Vary="Origin"), request)
        assert dict(response.items()) == {"Vary": "Origin"}
        assert response.content == b"text"


def test_the_headers_of_one_response_are_not_those_of_the_next() -> None:
    django_response(response_with(Vary="Origin"), WSGI)["X-Outer"] = "added by a middleware above"
    assert "X-Outer" not in django_response(response_with(Vary="Origin"), WSGI)


def test_a_header_that_would_inject_another_is_refused() -> None:
    with pytest.raises(BadHeaderError):
        django_response(response_with(Vary="Origin\r\nSet-Cookie: a=b"), WSGI)


def test_either_kind_of_server_gets_the_file_in_blocks_and_closes_it(file: OpenFile) -> None:
    response = django_response(response_with(file), WSGI)
    assert response.file_to_stream is file
    assert [len(block) for block in response.streaming_content] == [
        BLOCK_SIZE,
        BLOCK_SIZE,
        BLOCK_SIZE,
        1,
    ]
    response.close()
    assert file.closed


def test_asgi_gets_the_file_in_blocks_and_closes_it(file: OpenFile) -> None:
    async def sizes() -> list[int]:
        return [len(block) async for block in response.streaming_content]

    response = django_response(response_with(file), ASGI)
    assert sum(asyncio.run(sizes())) == SIZE
    response.close()
    assert file.closed


def test_a_file_that_becomes_shorter_ends(file: OpenFile) -> None:
    async def size() -> int:
        return sum([len(block) async for block in response.streaming_content])

    response = django_response(response_with(file), ASGI)
    Path(f"/proc/self/fd/{file.fileno()}").write_bytes(b"")
    assert asyncio.run(size()) < SIZE
    response.close()


def test_a_fault_of_the_disk_leaves_no_file_open(
    file: OpenFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object) -> bytes:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(OpenFile, "read_cached", fail)
    with pytest.raises(OSError, match="Input/output"):
        django_response(response_with(file), ASGI)
    assert file.closed


def test_a_response_made_in_a_thread_arrives(file: OpenFile) -> None:
    def make(opened: OpenFile) -> HttpResponseBase:
        return django_response(response_with(opened), ASGI)

    response = asyncio.run(in_thread(make, file))
    assert response is not None
    response.close()


def cancelled(make: Callable[[], HttpResponseBase | None], started: Event, go_on: Event) -> None:
    """Leave while a response is being made, and see to it that it gets made."""

    async def leave() -> None:
        task = asyncio.create_task(in_thread(make))
        await asyncio.to_thread(started.wait)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        go_on.set()
        # What closes it is called by this loop once the thread is done.
        await asyncio.get_running_loop().shutdown_default_executor()
        await asyncio.sleep(0)

    asyncio.run(leave())


def test_a_file_that_is_opened_for_a_client_that_left_is_closed(file: OpenFile) -> None:
    started, go_on = Event(), Event()

    def make() -> HttpResponseBase:
        started.set()
        go_on.wait(10)
        return django_response(response_with(file), ASGI)

    cancelled(make, started, go_on)
    assert file.closed


def test_nothing_is_closed_where_there_is_nothing() -> None:
    started, go_on = Event(), Event()

    def make() -> HttpResponse | None:
        started.set()
        go_on.wait(10)
        return None

    cancelled(make, started, go_on)
