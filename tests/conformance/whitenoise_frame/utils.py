"""A server and the files that WhiteNoise's tests ask it for."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterable
from pathlib import Path
from threading import Thread
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import requests

_CSS = "body { color: black; background: white }\n" * 20
_FILES = {
    "assets/compressed.css": _CSS,
    "assets/compressed.css.gz": gzip.compress(_CSS.encode(), mtime=0),
    "assets/custom-mime.foobar": "fizzbuzz\n",
    "assets/subdir/javascript.js": "var answer = 42;\n",
    "assets/with-index/index.html": "<p>An index</p>\n",
    "root/robots.txt": "User-agent: *\nDisallow: /private/\n",
    "static/app.js": "var value = 1;\n" * 40,
    "static/directory/pixel.gif": b"GIF89a\x01\x00\x01\x00\x00\x00\x00;",
    "static/nonascii\u2713.txt": "hi\n",
    "static/styles.css": _CSS,
    "static/with-index/index.html": "<p>An index</p>\n",
}
#: Where they are.
ROOT = Path(__file__).with_name("test_files")


def _write_files() -> None:
    for path, content in _FILES.items():
        on_disk = ROOT / path
        on_disk.parent.mkdir(parents=True, exist_ok=True)
        on_disk.write_bytes(content.encode() if isinstance(content, str) else content)


_write_files()


class Files:
    """The files of one directory; each name that is given has a path, a URL and a content."""

    def __init__(self, directory: str, **names: str) -> None:
        self.directory = str(ROOT / directory)
        for name, path in names.items():
            setattr(self, f"{name}_path", path)
            setattr(self, f"{name}_url", f"/{AppServer.PREFIX}/{path}")
            setattr(self, f"{name}_content", Path(self.directory, path).read_bytes())


class _Quiet(WSGIRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


class AppServer:
    """An application, mounted below a path, asked over real HTTP."""

    PREFIX = "subdir"

    def __init__(self, application: Callable[..., Iterable[bytes]]) -> None:
        self._application = application
        self._server = make_server("127.0.0.1", 0, self._mounted, handler_class=_Quiet)
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def _mounted(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        environ["SCRIPT_NAME"] = f"/{self.PREFIX}"
        environ["PATH_INFO"] = environ["PATH_INFO"].removeprefix(f"/{self.PREFIX}")
        return self._application(environ, start_response)

    def get(self, path: str, **options: Any) -> requests.Response:
        return self.request("get", path, **options)

    def request(self, method: str, path: str, **options: Any) -> requests.Response:
        url = f"http://127.0.0.1:{self._server.server_port}{path}"
        return requests.request(method, url, timeout=20, **options)

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
