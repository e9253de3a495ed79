"""Answers as Django's responses, for either kind of server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextvars import copy_context
from functools import lru_cache, partial
from io import BytesIO

from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase, ResponseHeaders
from whitenoise.middleware import WhiteNoiseFileResponse

from .answers import Answer
from .files import Body

#: Bytes of a file that are read at a time; one that is no larger goes out in one piece.
BLOCK = 64 * 1024

# Without one Django works out a type that is then replaced.
_UNUSED = "-"


class FileResponse(WhiteNoiseFileResponse):  # type: ignore[misc]  # ships no types
    """For WSGI, where Django hands the file to ``wsgi.file_wrapper`` if the server has one."""

    block_size = BLOCK


class FileBlocks:
    """The ``size`` bytes of an open file for ASGI, block by block; ``first`` was read before.

    What the kernel does not have in memory is read in a thread, so that the event loop never waits.
    Django closes the file with the response, when that was sent and when the client left before.
    """

    def __init__(self, file: Body, size: int, first: bytes) -> None:
        self._file = file
        self._left = size
        self._first = first

    async def __aiter__(self) -> AsyncIterator[bytes]:
        block: bytes | None = self._first
        while True:
            if not block:
                block = await asyncio.to_thread(self._file.read, min(BLOCK, self._left))
            if not block:
                # The file has become shorter: the server sees that bytes are missing.
                return
            yield block
            self._left -= len(block)
            if self._left == 0:
                return
            block = self._file.read_cached(min(BLOCK, self._left))

    def close(self) -> None:
        self._file.close()


def respond(answer: Answer, request: HttpRequest) -> HttpResponseBase:
    """The response to ``request``."""
    response: HttpResponseBase
    status = int(answer.status)
    if answer.file is None and not answer.body and not isinstance(request, ASGIRequest):
        # An empty body of Django's is one empty piece, which WSGI servers take a system call for.
        response = FileResponse((), status=status, content_type=_UNUSED)
    elif answer.file is None:
        response = HttpResponse(answer.body, _UNUSED, status)
    elif isinstance(request, ASGIRequest):
        response = _for_asgi(answer.file, answer.size, status)
    else:
        response = _for_wsgi(answer.file, answer.size, status)
    response.headers = _Copied(_checked(answer.headers))
    return response


def _for_wsgi(file: Body, size: int, status: int) -> HttpResponseBase:
    wrapped: Body | BytesIO = file
    if size <= BLOCK:
        # Python's socket.sendfile makes a selector for each file, which costs more than a small
        # one takes to read.
        try:
            wrapped = BytesIO(file.read(size) or b"")
        finally:
            file.close()
    return FileResponse(wrapped, status=status, content_type=_UNUSED)


def _for_asgi(file: Body, size: int, status: int) -> HttpResponseBase:
    try:
        first = file.read_cached(min(size, BLOCK))
    except OSError:
        file.close()
        raise
    if len(first) == size:
        file.close()
        return HttpResponse(first, _UNUSED, status)
    blocks = FileBlocks(file, size, first)
    return StreamingHttpResponse(blocks, content_type=_UNUSED, status=status)


class _Copied(ResponseHeaders):
    """Headers that were checked before: a dozen of them cost as much as all else of a response."""

    def __init__(self, checked: ResponseHeaders) -> None:
        self._store = dict(checked._store)


@lru_cache(maxsize=1024)
def _checked(headers: tuple[tuple[str, str], ...]) -> ResponseHeaders:
    """Django's form of the headers, which refuses those that would inject others."""
    return ResponseHeaders(dict(headers))


async def in_thread(
    function: Callable[..., HttpResponseBase | None], *args: object
) -> HttpResponseBase | None:
    """A response that takes a look at the disk, made in a thread.

    Where the client leaves meanwhile nobody takes it: it is closed then, and its file with it.
    """
    loop = asyncio.get_running_loop()
    made = loop.run_in_executor(None, partial(copy_context().run, function, *args))
    try:
        return await asyncio.shield(made)
    except asyncio.CancelledError:
        made.add_done_callback(_close)
        raise


def _close(made: asyncio.Future[HttpResponseBase | None]) -> None:
    # A failure has nobody left to hear of it but the log, where asyncio puts it.
    response = made.result()
    if response is not None:
        response.close()
