"""The response of one static file to each request, without Django."""

from __future__ import annotations

from http import HTTPStatus
from pathlib import Path
from typing import Any
from wsgiref.headers import Headers

import pytest
from whitenoise.responders import MissingFileError

from versioned_storage.serving.static_file import FileOnDisk, StaticFile
from versioned_storage.serving.static_response import StaticResponse

CONTENT = {"br": b"br", "gzip": b"gzip", "identity": b"0123456789"}
HEADERS = {
    "Content-Type": "text/css; charset=utf-8",
    "Cache-Control": "max-age=60",
    "ETag": '"tag"',
    "Access-Control-Allow-Origin": "*",
    "Last-Modified": "Sun, 06 Nov 1994 08:49:37 GMT",
}


@pytest.fixture
def paths(tmp_path: Path) -> dict[str, Path]:
    """A file on disk for each encoding."""
    for encoding, content in CONTENT.items():
        (tmp_path / encoding).write_bytes(content)
    return {encoding: tmp_path / encoding for encoding in CONTENT}


def static_file(paths: dict[str, Path], **options: Any) -> StaticFile:
    files = [
        (encoding, FileOnDisk(str(path), len(CONTENT[encoding])))
        for encoding, path in paths.items()
    ]
    return StaticFile(files, Headers(list(HEADERS.items())), **options)


def ask(
    file: StaticFile, method: str = "GET", **headers: str
) -> tuple[StaticResponse, dict[str, str], bytes | None]:
    """The response to a request, its headers, and its body."""
    request = {f"HTTP_{name.upper()}": value for name, value in headers.items()}
    response = file.get_response(method, request)
    body = None
    if response.file is not None:
        body = response.file.read()
        response.file.close()
    return response, dict(response.headers), body


@pytest.mark.parametrize("encoding", ["br", "gzip"])
def test_an_encoding_that_is_accepted_is_sent_with_a_tag_of_its_own(
    paths: dict[str, Path], encoding: str
) -> None:
    _, headers, body = ask(static_file(paths), accept_encoding=encoding)
    assert body == CONTENT[encoding]
    assert headers["Content-Encoding"] == encoding
    assert headers["ETag"] == f'"tag-{encoding}-{len(CONTENT[encoding]):x}"'
    assert headers["Vary"] == "Accept-Encoding"


def test_identity_keeps_the_tag(paths: dict[str, Path]) -> None:
    _, headers, body = ask(static_file(paths))
    assert (headers["ETag"], headers["Content-Length"], body) == ('"tag"', "10", b"0123456789")


def test_a_file_without_encodings_does_not_vary(paths: dict[str, Path]) -> None:
    _, headers, _ = ask(static_file({"identity": paths["identity"]}))
    assert "Vary" not in headers


def test_a_forced_encoding_is_sent_whatever_is_accepted(paths: dict[str, Path]) -> None:
    file = static_file(paths, forced="br")
    assert ask(file)[2] == ask(file, accept_encoding="gzip")[2] == b"br"
    paths["br"].unlink()
    assert ask(file)[2] == b"0123456789"


def test_an_encoding_that_is_missing_is_not_asked_for_again(paths: dict[str, Path]) -> None:
    file = static_file(paths)
    paths["br"].unlink()
    assert ask(file, accept_encoding="br, gzip")[2] == b"gzip"
    paths["br"].write_bytes(CONTENT["br"])
    assert ask(file, accept_encoding="br, gzip")[2] == b"gzip"


def test_without_the_identity_file_there_is_no_response(paths: dict[str, Path]) -> None:
    file = static_file(paths)
    paths["identity"].unlink()
    with pytest.raises(MissingFileError):
        ask(file)


def test_a_head_request_opens_nothing_once_the_file_was_opened(paths: dict[str, Path]) -> None:
    file = static_file(paths)
    assert not file.was_opened_for({})
    response, headers, body = ask(file, "HEAD")
    assert (response.status, headers["Content-Length"], body) == (HTTPStatus.OK, "10", None)
    assert file.was_opened_for({})
    paths["identity"].unlink()
    assert ask(file, "HEAD")[0].status is HTTPStatus.OK


def test_what_is_said_of_a_file_is_said_only_if_it_exists(paths: dict[str, Path]) -> None:
    file = static_file(paths)
    paths["identity"].unlink()
    with pytest.raises(MissingFileError):
        ask(file, "HEAD")
    with pytest.raises(MissingFileError):
        ask(file, if_none_match='"tag"')


def test_a_range_is_a_part_of_the_encoding(paths: dict[str, Path]) -> None:
    response, headers, body = ask(static_file(paths), range="bytes=2-4")
    assert (response.status, body) == (HTTPStatus.PARTIAL_CONTENT, b"234")
    assert headers["Content-Range"] == "bytes 2-4/10"
    assert headers["Content-Length"] == "3"


@pytest.mark.parametrize(
    ("request_headers", "status"),
    [
        ({"range": "bytes=10-"}, 416),
        ({"if_match": '"other"'}, 412),
        ({"accept_encoding": "identity;q=0, *;q=0"}, 406),
    ],
)
def test_an_error_has_none_of_the_file_s_headers_but_cors(
    paths: dict[str, Path], request_headers: dict[str, str], status: int
) -> None:
    response, headers, body = ask(static_file(paths), **request_headers)
    assert (response.status, body) == (status, None)
    assert headers["Cache-Control"] == "no-store"
    assert headers["Access-Control-Allow-Origin"] == "*"
    assert headers["Content-Length"] == "0"
    assert {"ETag", "Content-Type", "Last-Modified"}.isdisjoint(headers)


def test_a_304_has_what_caches_need(paths: dict[str, Path]) -> None:
    response, headers, _ = ask(static_file(paths), if_none_match='W/"tag"')
    assert response.status is HTTPStatus.NOT_MODIFIED
    assert headers.keys() == {"Cache-Control", "ETag", "Vary", "Access-Control-Allow-Origin"}


@pytest.mark.parametrize("method", ["POST", "PUT", "OPTIONS"])
def test_other_methods_are_not_allowed(paths: dict[str, Path], method: str) -> None:
    response, headers, _ = ask(static_file(paths), method)
    assert (response.status, headers["Allow"]) == (HTTPStatus.METHOD_NOT_ALLOWED, "GET, HEAD")
