"""Serve the site with the standard library's WSGI server, on a free port of this machine.

The first line that it prints is the URL.
"""

from contextlib import suppress
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from config.wsgi import application


class ThreadingWSGIServer(ThreadingMixIn, WSGIServer):
    """One thread for each request, because browsers ask for many files at once."""

    daemon_threads = True


class QuietHandler(WSGIRequestHandler):
    """Keeps the terminal for what matters."""

    def log_message(self, *args: object) -> None:
        pass


if __name__ == "__main__":
    with make_server("127.0.0.1", 0, application, ThreadingWSGIServer, QuietHandler) as server:
        print(f"http://127.0.0.1:{server.server_port}/", flush=True)
        with suppress(KeyboardInterrupt):
            server.serve_forever()
