"""Servers that run in a thread of the test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from socketserver import BaseServer
from threading import Thread
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server


@contextmanager
def running(server: BaseServer) -> Iterator[None]:
    """Serve requests until the block ends; the caller closes the server."""
    thread = Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()


class _Quiet(WSGIRequestHandler):
    def log_message(self, *args: Any) -> None:
        pass


@contextmanager
def wsgi_server(application: Any) -> Iterator[str]:
    """The URL of a server of this application."""
    server = make_server("127.0.0.1", 0, application, handler_class=_Quiet)
    with server, running(server):
        yield f"http://127.0.0.1:{server.server_port}"
