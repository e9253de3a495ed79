"""Answers as Django's responses, for either kind of server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextvars import copy_context
from functools import lru_cache, partial

from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase, ResponseHeaders
from whitenoise.middleware import WhiteNoiseFileResponse

from .files import Readable
from .served import Answer

#: Bytes of a file that are read at a time; one that is no larger goes out in one piece.
BLOCK = 64 * 1024

# Without one Django works out a type that is then replaced.
_UNUSED = "-"


class FileResponse(WhiteNoiseFileResponse):  # type: ignore[misc]  # ships no types
    """For WSGI, where Django hands the file to ``wsgi.file_wrapper`` if the server has one."""

    block_size = BLOCK


class FileBlocks:
    """An open file for ASGI: read block by block in a thread, so that the event loop never waits.

    Django closes it with the response, when that was sent and when the client left before.
    """

    def __init__(self, file: Readable) -> None:
        self._file = file

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while block := await asyncio.to_thread(self._file.read, BLOCK):
            yield block

    def close(self) -> None:
        self._file.close()


def respond(answer: Answer, request: HttpRequest) -> HttpResponseBase:
    """The response to ``request``; reads a file that goes out in one piece to an ASGI server."""
    response: HttpResponseBase
    file, status = answer.file, int(answer.status)
    if file is None:
        response = HttpResponse(answer.body, _UNUSED, status)
    elif not isinstance(request, ASGIRequest):
        response = FileResponse(file, status=status, content_type=_UNUSED)
    elif answer.size <= BLOCK:
        try:
            response = HttpResponse(file.read(answer.size), _UNUSED, status)
        finally:
            file.close()
    else:
        response = StreamingHttpResponse(FileBlocks(file), content_type=_UNUSED, status=status)
    response.headers = _Copied(_checked(answer.headers))
    return response


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
