"""Static responses as Django's, under WSGI and under ASGI."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextvars import copy_context
from functools import partial
from io import BytesIO

from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase, ResponseHeaders
from whitenoise.middleware import WhiteNoiseFileResponse

from .regular_files import FileBody
from .static_response import StaticResponse

#: Bytes of a file that are read at a time; a smaller one goes out in one piece.
BLOCK_SIZE = 64 * 1024

# Without a content type, Django works out one that is then replaced.
_UNUSED = "-"


class StaticFileResponse(WhiteNoiseFileResponse):  # type: ignore[misc]  # ships no types
    """For WSGI, where Django passes the file to ``wsgi.file_wrapper`` if the server has one."""

    block_size = BLOCK_SIZE


class FileBlocks:
    """The ``size`` bytes of an open file for ASGI, block by block; ``first`` was read before.

    What the kernel does not have in memory is read in a thread, so that the event loop never waits.
    Django closes the file with the response: when it was sent, or when the client left.
    """

    def __init__(self, file: FileBody, size: int, first: bytes) -> None:
        self._file = file
        self._remaining = size
        self._first = first

    async def __aiter__(self) -> AsyncIterator[bytes]:
        block: bytes | None = self._first
        while True:
            if not block:
                size = min(BLOCK_SIZE, self._remaining)
                block = await asyncio.to_thread(self._file.read, size)
            if not block:
                # The file has become shorter: the server notices that bytes are missing.
                return
            yield block
            self._remaining -= len(block)
            if self._remaining == 0:
                return
            block = self._file.read_cached(min(BLOCK_SIZE, self._remaining))

    def close(self) -> None:
        self._file.close()


def django_response(response: StaticResponse, request: HttpRequest) -> HttpResponseBase:
    """Return Django's form of a response to ``request``."""
    converted: HttpResponseBase
    status = int(response.status)
    under_asgi = isinstance(request, ASGIRequest)
    if response.file is None and not response.content and not under_asgi:
        # Django sends an empty body as one empty piece, which costs WSGI servers a system call.
        converted = StaticFileResponse((), status=status, content_type=_UNUSED)
    elif response.file is None:
        converted = HttpResponse(response.content, _UNUSED, status)
    elif under_asgi:
        converted = _asgi_response(response.file, response.size, status)
    else:
        converted = _wsgi_response(response.file, response.size, status)
    converted.headers = ResponseHeaders(dict(response.headers))
    return converted


async def in_thread(
    function: Callable[..., HttpResponseBase | None], *args: object
) -> HttpResponseBase | None:
    """Make a response that needs the disk in a thread.

    If the client leaves meanwhile, nobody takes the response: it is closed, and its file with it.
    """
    loop = asyncio.get_running_loop()
    future = loop.run_in_executor(None, partial(copy_context().run, function, *args))
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        future.add_done_callback(_close)
        raise


def _wsgi_response(file: FileBody, size: int, status: int) -> HttpResponseBase:
    wrapped: FileBody | BytesIO = file
    if size <= BLOCK_SIZE:
        # Python's socket.sendfile makes a selector for each file, which costs more than reading a
        # small one.
        try:
            wrapped = BytesIO(file.read(size) or b"")
        finally:
            file.close()
    return StaticFileResponse(wrapped, status=status, content_type=_UNUSED)


def _asgi_response(file: FileBody, size: int, status: int) -> HttpResponseBase:
    try:
        first = file.read_cached(min(size, BLOCK_SIZE))
    except OSError:
        file.close()
        raise
    if len(first) == size:
        file.close()
        return HttpResponse(first, _UNUSED, status)
    blocks = FileBlocks(file, size, first)
    return StreamingHttpResponse(blocks, content_type=_UNUSED, status=status)


def _close(future: asyncio.Future[HttpResponseBase | None]) -> None:
    # Nobody waits for an exception any more; asyncio logs it.
    response = future.result()
    if response is not None:
        response.close()
