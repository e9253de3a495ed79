#!/usr/bin/env python
"""Serve the site with the standard library's WSGI server.

The argument is the number of a listening socket that the parent process has opened. It outlives
this process, so the next deploy answers at the same address. "ready" on stdout says that the
application is loaded.
"""

import signal
import socket
import sys
from contextlib import suppress
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from config.wsgi import application


class InheritingServer(ThreadingMixIn, WSGIServer):
    """Answers on a socket that is listening already, in one thread for each request."""

    def __init__(self, listening: socket.socket) -> None:
        super().__init__(listening.getsockname(), QuietHandler, bind_and_activate=False)
        self.socket.close()
        self.socket = listening
        self.server_name, self.server_port = listening.getsockname()
        self.setup_environ()


class QuietHandler(WSGIRequestHandler):
    """Keeps the terminal for what matters."""

    def log_message(self, *args: object) -> None:
        pass


if __name__ == "__main__":
    # Like Ctrl-C: requests that are being answered are answered to the end.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with InheritingServer(socket.socket(fileno=int(sys.argv[1]))) as server:
        server.set_app(application)
        print("ready", flush=True)
        with suppress(KeyboardInterrupt):
            server.serve_forever()
