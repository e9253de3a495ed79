"""Connections of the standard library's own, where nothing stands between us and S3.

botocore's session looks up the proxy, the certificates and the pool anew for each request, and with
64 threads at it the GIL changes hands some thirty times on the way; this is half of the time
(benchmarks/puts.py). It is for the plain case alone: proxies, client certificates and TLS that is
not verified are botocore's, and so is every request that has to be made again.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import time
import weakref
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.exceptions import (
    BotoCoreError,
    ConnectionClosedError,
    HTTPClientError,
    ReadTimeoutError,
    SSLError,
)
from botocore.httpsession import URLLib3Session, create_urllib3_context, get_cert_path
from urllib3.util.wait import wait_for_read

if TYPE_CHECKING:
    from botocore.config import Config

#: Seconds after which a connection that nobody used is opened anew: S3 may have closed it.
STALE = 5.0

# What botocore sets on each socket, and http.client too.
_OPTIONS = [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)]


@dataclass(frozen=True)
class Content:
    """A body that was read already, for botocore's `AWSResponse`."""

    content: bytes

    def stream(self) -> Iterator[bytes]:
        """All of it."""
        yield self.content


class Direct:
    """The connections to one server, at most one for each thread that sends."""

    def __init__(
        self,
        netloc: str,
        context: ssl.SSLContext | None,
        connect_timeout: float,
        read_timeout: float,
    ) -> None:
        self._server = netloc, context, connect_timeout, read_timeout
        self._idle: list[_Connection] = []
        self._refused = False
        weakref.finalize(self, _close_all, self._idle)

    @classmethod
    def beside(cls, session: URLLib3Session, url: str, config: Config) -> Direct | None:
        """Connections to the server of ``url`` like those of ``session``, a client's.

        None where only botocore knows how to connect. What its session keeps to itself is asked
        for with care: where it is not what is known of it, it sends everything as ever.
        """
        given: Any = config
        proxies = getattr(session, "_proxy_config", None)
        verify = getattr(session, "_verify", None)
        if proxies is None or proxies.proxy_url_for(url) is not None:
            return None
        if not verify or given.client_cert or getattr(session, "_socket_options", None) != _OPTIONS:
            return None
        scheme, netloc, *_ = urlsplit(url)
        context = None
        if scheme == "https":
            # With botocore's versions and ciphers; its pools look at the name of the host later.
            context = create_urllib3_context()
            context.check_hostname = True
            context.set_alpn_protocols(["http/1.1"])
            try:
                context.load_verify_locations(get_cert_path(verify))
            except (OSError, TypeError):
                # Not a file, or none of certificates: botocore has the words for it.
                return None
        return cls(netloc, context, given.connect_timeout, given.read_timeout)

    def send(self, request: AWSPreparedRequest) -> AWSResponse | None:
        """Send a request whose body is bytes; None where no connection could be opened.

        Nothing was sent then, and botocore may still be let in: it takes certificates that OpenSSL
        does not, of ``*.internal`` for example. Raises what botocore's session raises.
        """
        if self._refused:
            return None
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = _connection(*self._server)
        try:
            connection.make_ready()
        except OSError as error:
            connection.close()
            if isinstance(error, ssl.SSLCertVerificationError):
                # It will not be another one the next time.
                self._refused = True
            return None
        answer = connection.exchange(request)
        self._idle.append(connection)
        return answer


class _Connection(http.client.HTTPConnection):
    """A connection that sends each request in one piece."""

    read_timeout: float

    def __init__(self, *given: Any, **more: Any) -> None:
        super().__init__(*given, **more)
        self._unsent: list[bytes] = []
        self._used = 0.0

    def make_ready(self) -> None:
        """Be open, anew where the server has closed it or said what nobody asked. Raises OSError.

        A server may close a connection whenever it likes (RFC 9112, 9.5).
        """
        stale = time.monotonic() - self._used > STALE
        if self.sock is not None and (stale or wait_for_read(self.sock, timeout=0)):
            self.close()
        if self.sock is None:
            self.connect()

    def connect(self) -> None:
        super().connect()
        self.sock.settimeout(self.read_timeout)

    def exchange(self, request: AWSPreparedRequest) -> AWSResponse:
        """Send a request and read the whole answer; after an error it is closed."""
        _, _, path, query, _ = urlsplit(request.url)
        target = f"{path}?{query}" if query else path
        # The stubs' classes are not those that botocore uses.
        body, headers = cast("Any", request.body), cast("Any", request.headers)
        try:
            self.request(request.method, target, body, headers)
            answer = self.getresponse()
            content = Content(answer.read())
        except Exception as error:
            self.close()
            raise _botocores(error)(endpoint_url=request.url, error=error) from error
        if answer.status < HTTPStatus.OK:
            # One that is to be followed by another.
            self.close()
        self._used = time.monotonic()
        return AWSResponse(request.url, answer.status, cast("Any", answer.headers), content)

    def close(self) -> None:
        super().close()
        self._unsent = []

    def send(self, data: Any) -> None:
        # Not yet: each call to the system hands the GIL around, and may make a packet of its own.
        self._unsent.append(data)

    def getresponse(self) -> http.client.HTTPResponse:
        request, self._unsent = b"".join(self._unsent), []
        # A server that refuses a request before it has all of it has answered nevertheless.
        with suppress(BrokenPipeError, ConnectionResetError):
            super().send(request)
        return super().getresponse()


class _SecureConnection(_Connection, http.client.HTTPSConnection):
    """The same over TLS."""


def _connection(
    netloc: str, context: ssl.SSLContext | None, connect_timeout: float, read_timeout: float
) -> _Connection:
    connection = (
        _Connection(netloc, timeout=connect_timeout)
        if context is None
        else _SecureConnection(netloc, timeout=connect_timeout, context=context)
    )
    connection.read_timeout = read_timeout
    return connection


def _botocores(error: Exception) -> type[BotoCoreError]:
    """The class of botocore's that says what went wrong."""
    if isinstance(error, ssl.SSLError):
        return SSLError
    if isinstance(error, TimeoutError):
        return ReadTimeoutError
    if isinstance(error, (OSError, http.client.HTTPException)):
        return ConnectionClosedError
    return HTTPClientError


def _close_all(connections: list[_Connection]) -> None:
    for connection in connections:
        connection.close()
