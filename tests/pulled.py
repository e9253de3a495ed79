"""A site that serves its own builds, as the tests of the middleware ask it."""

from __future__ import annotations

from django.test import Client

FILES = {
    "css/app.css": "body { background: url(../img/dot.svg) }" + " " * 500,
    "img/dot.svg": "<svg xmlns='http://www.w3.org/2000/svg'/>",
    ".hidden": "not for anybody",
}
MIDDLEWARE = ["versioned_storage.middleware.VersionedWhiteNoiseMiddleware"]


def served(url: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    """The status, the headers and the body of an answer under WSGI."""
    response = Client().get(url, headers=headers)
    body = b"".join(response.streaming_content) if response.streaming else response.content
    response.close()
    return response.status_code, dict(response.items()), body
