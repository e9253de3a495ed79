"""A small edge in Python, for a machine without nginx: it negotiates, and caches nothing."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import unquote, urlsplit

from versioned_storage.constants import ENCODINGS, RESPONSE_HEADERS, is_eligible

_PASSED_ON = ("Cache-Control", "Content-Encoding", "Content-Type", "ETag", "Last-Modified")


@contextmanager
def plain_edge(bucket: str) -> Iterator[str]:
    """An edge on a free port in front of the bucket with that URL; it ends with the block."""

    class Handler(_Handler):
        upstream = urlsplit(bucket)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    upstream = urlsplit("")

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        names = unquote(path).split("/")
        if names[1] != "static" or any(name.startswith(".") for name in names):
            self.send_error(404)
            return
        if negotiated := is_eligible(names[-1]):
            path += self._suffix()
        connection = HTTPConnection(self.upstream.netloc, timeout=20)
        try:
            connection.request("GET", self.upstream.path + path)
            answer = connection.getresponse()
            body = answer.read()
        finally:
            connection.close()
        self.send_response(answer.status)
        for name in _PASSED_ON:
            if value := answer.headers[name]:
                self.send_header(name, value)
        self.send_header("Access-Control-Allow-Origin", "*")
        for name, value in RESPONSE_HEADERS.items():
            self.send_header(name, value)
        if negotiated:
            self.send_header("Vary", "Accept-Encoding")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _suffix(self) -> str:
        # Browsers and the demo send no weights; the function that is shipped knows them.
        accepted = self.headers.get("Accept-Encoding", "").replace(" ", "").split(",")
        return next(
            (encoding.suffix for encoding in ENCODINGS.values() if encoding.name in accepted), ""
        )

    def log_message(self, *args: object) -> None:
        pass
