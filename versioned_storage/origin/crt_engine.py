"""PUT and copy through AWS's Common Runtime: `awscrt`, which boto3's extra ``crt`` installs.

It signs and sends in C, outside of the GIL. boto3 still says where the bucket is, for which region
to sign, with which credentials and which certificates, and reads the responses. ``awscrt.http`` is
used and not ``awscrt.s3``, because the S3 client repeats requests by itself, at least once, and
then hides the response of a busy server.

A process that has imported this module must not fork: the threads of the runtime would be missing
in the child.
"""

from __future__ import annotations

import time
from base64 import b64decode
from collections.abc import Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit
from uuid import uuid4
from xml.etree import ElementTree as ET

from awscrt.auth import (
    AwsCredentialsProvider,
    AwsSignatureType,
    AwsSignedBodyHeaderType,
    AwsSigningAlgorithm,
    AwsSigningConfig,
    aws_sign_request,
)
from awscrt.exceptions import AwsCrtError
from awscrt.http import HttpClientConnection, HttpHeaders, HttpRequest
from awscrt.io import (
    ClientBootstrap,
    ClientTlsContext,
    DefaultHostResolver,
    EventLoopGroup,
    SocketOptions,
    TlsContextOptions,
)
from botocore.awsrequest import HeadersDict
from botocore.exceptions import (
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    ParamValidationError,
    ReadTimeoutError,
)
from botocore.httpsession import get_cert_path
from botocore.parsers import ResponseParserError, create_parser
from botocore.utils import get_environ_proxies
from botocore.validate import ParamValidator

from .engine import IncompleteResponse, NotSupported, complete_response

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from .connection import Connection

#: Seconds after which an idle connection is not used again: S3 may be closing it.
STALE = 5.0

_SHA256_OF_NOTHING = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
# Parameters that boto3 changes on their way, or that other credentials sign.
_BOTO_ONLY = ("SSECustomer", "CopySourceSSECustomer")


class CrtEngine:
    """Sends PUT and copy requests of one bucket; `NotSupported` is raised for what boto3 must send.

    Nothing is sent when it is made. Raises what boto3 raises.
    """

    def __init__(self, connection: Connection) -> None:
        client = connection.client
        config: Any = client.meta.config
        if config.client_cert or connection.verify is False or connection.bucket.startswith("arn:"):
            raise NotSupported
        if not (config.s3 or {}).get("payload_signing_enabled"):
            raise NotSupported
        self._model = client.meta.service_model
        self._exceptions = client.exceptions
        self._user_agent: str = config.user_agent or ""
        self._read_timeout = float(config.read_timeout)
        self._validated: set[tuple[str, ...]] = set()
        self._header_names: dict[str, dict[str, str]] = {}
        # S3's protocol, whatever the version of botocore.
        self._parser: Any = create_parser("rest-xml")
        self._url, self._region = _address(client, connection.bucket)
        address = urlsplit(self._url)
        self._host, self._path = address.netloc, address.path
        if config.proxies or get_environ_proxies(self._url):
            raise NotSupported
        self._connections = _Connections(self._url, connection, float(config.connect_timeout))
        self._connection = connection
        self._provider: tuple[object, Any] = (None, None)

    def __call__(self, operation: str, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        """Send a request once. Raises what boto3 raises, and `NotSupported`."""
        metadata = parameters.get("Metadata", {}).values()
        if any(name.startswith(_BOTO_ONLY) for name in parameters) or not all(
            value.isascii() for value in metadata
        ):
            raise NotSupported
        body = parameters.get("Body", b"")
        if not isinstance(body, bytes):
            # boto3 asks S3 whether to send a file that was too large to read at once.
            raise NotSupported
        status, headers, content = self._exchange(self._signed(operation, parameters, body))
        if operation == "PutObject" and status < 300:
            return complete_response(operation, {"ETag": headers.get("etag", "")})
        if status < 300 and b"<Error>" in content[:1000]:
            # S3 starts the response to a copy before it has the object.
            status = 500
        if operation == "CopyObject" and status < 300:
            # boto3's parser takes half of the CPU time of a copy, most of it for a date.
            return complete_response(operation, {"CopyObjectResult": _elements(content)})
        return complete_response(operation, self._parsed(operation, status, headers, content))

    def _signed(self, operation: str, parameters: Mapping[str, Any], body: bytes) -> HttpRequest:
        headers = {
            "Host": self._host,
            "User-Agent": self._user_agent,
            "Content-Length": str(len(body)),
            **self._headers(operation, parameters),
        }
        path = self._path + quote(parameters["Key"], safe="/~")
        request = HttpRequest("PUT", path, HttpHeaders(list(headers.items())), BytesIO(body))
        checksum = parameters.get("ChecksumSHA256")
        sha256 = b64decode(checksum).hex() if checksum else _SHA256_OF_NOTHING
        config = AwsSigningConfig(
            algorithm=AwsSigningAlgorithm.V4,
            signature_type=AwsSignatureType.HTTP_REQUEST_HEADERS,
            credentials_provider=self._current_credentials(),
            region=self._region,
            service="s3",
            use_double_uri_encode=False,
            should_normalize_uri_path=False,
            signed_body_value=sha256,
            signed_body_header_type=AwsSignedBodyHeaderType.X_AMZ_CONTENT_SHA_256,
        )
        signed: HttpRequest = aws_sign_request(request, config).result()
        return signed

    def _headers(self, operation: str, parameters: Mapping[str, Any]) -> dict[str, str]:
        """Return the parameters as boto3's model of S3 says that they are sent."""
        members = {name: value for name, value in parameters.items() if name != "Body"}
        # The parameters of a site are the same for all objects, so they are validated once.
        kind = (operation, *members)
        if kind not in self._validated:
            shape: Any = self._model.operation_model(operation).input_shape
            report = ParamValidator().validate(members, shape)
            if report.has_errors():
                raise ParamValidationError(report=report.generate_report())
            self._header_names[operation] = {
                name: member.serialization["name"]
                for name, member in shape.members.items()
                if member.serialization.get("location") == "header"
            }
            self._validated.add(kind)
        names = self._header_names[operation]
        if "CopySource" in members:
            members["CopySource"] = quote(members["CopySource"], safe="/~")
        metadata = {
            f"x-amz-meta-{name}": value for name, value in members.pop("Metadata", {}).items()
        }
        headers = {names[name]: _text(value) for name, value in members.items() if name in names}
        return {**metadata, **headers}

    def _current_credentials(self) -> AwsCredentialsProvider:
        """The credentials that were checked before this request: those of a role are renewed."""
        credentials = self._connection.frozen_credentials
        if credentials is None:
            raise NoCredentialsError
        previous, provider = self._provider
        if previous != credentials:
            provider = AwsCredentialsProvider.new_static(
                credentials.access_key, credentials.secret_key, credentials.token or None
            )
            self._provider = (credentials, provider)
        return provider

    def _exchange(self, request: HttpRequest) -> tuple[int, dict[str, str], bytes]:
        """Send a request and return the status, the headers and the body of the response."""
        response: list[tuple[int, dict[str, str]]] = []
        content: list[bytes] = []

        def on_response(status_code: int, headers: list[tuple[str, str]], **_: object) -> None:
            response.append((status_code, {name.lower(): value for name, value in headers}))

        def on_body(chunk: bytes, **_: object) -> None:
            content.append(chunk)

        connection = self._connections.take()
        try:
            exchange = connection.request(request, on_response, on_body)
            exchange.activate()
            exchange.completion_future.result(self._read_timeout)
        except FutureTimeoutError:
            connection.close()
            raise ReadTimeoutError(endpoint_url=self._url) from None
        except AwsCrtError as error:
            connection.close()
            # S3 may refuse a body before it has all of it, and close the connection.
            if not response or response[0][0] < 400:
                raise ConnectionClosedError(endpoint_url=self._url) from error
        except BaseException:
            connection.close()
            raise
        else:
            self._connections.give_back(connection)
        return (*response[0], b"".join(content))

    def _parsed(
        self, operation: str, status: int, headers: Mapping[str, str], content: bytes
    ) -> Mapping[str, Any]:
        model = self._model.operation_model(operation)
        raw = {
            "headers": HeadersDict(headers),
            "status_code": status,
            "body": content,
            "context": {"operation_name": operation},
        }
        try:
            parsed: dict[str, Any] = self._parser.parse(raw, model.output_shape)
        except ResponseParserError as error:
            raise IncompleteResponse(operation=operation) from error
        if status < 300:
            return parsed
        code = parsed.setdefault("Error", {}).setdefault("Code", str(status))
        exception: Any = self._exceptions.from_code(code)
        raise exception(parsed, operation)


class _Connections:
    """The idle connections to one server; each is used by one thread at a time."""

    def __init__(self, url: str, connection: Connection, connect_timeout: float) -> None:
        address = urlsplit(url)
        self._url = url
        self._host = address.hostname or ""
        self._port = address.port or (443 if address.scheme == "https" else 80)
        self._tls = _tls_context(connection) if address.scheme == "https" else None
        self._timeout = connect_timeout
        self._options = SocketOptions()
        self._options.connect_timeout_ms = int(connect_timeout * 1000)
        loops = EventLoopGroup(1)
        self._bootstrap = ClientBootstrap(loops, DefaultHostResolver(loops))
        self._idle: list[tuple[float, HttpClientConnection]] = []

    def take(self) -> HttpClientConnection:
        """Return an idle connection, or open one. Raises botocore's errors."""
        while self._idle:
            try:
                since, connection = self._idle.pop()
            except IndexError:  # another thread was faster
                break
            if connection.is_open() and time.monotonic() - since < STALE:
                return connection
            connection.close()
        return self._open()

    def give_back(self, connection: HttpClientConnection) -> None:
        """Keep a connection for the next request."""
        self._idle.append((time.monotonic(), connection))

    def _open(self) -> HttpClientConnection:
        tls = None
        if self._tls is not None:
            tls = self._tls.new_connection_options()
            tls.set_server_name(self._host)
        opening = HttpClientConnection.new(
            self._host, self._port, self._bootstrap, self._options, tls
        )
        try:
            connection: HttpClientConnection = opening.result(self._timeout)
        except FutureTimeoutError:
            opening.add_done_callback(_close)
            if tls is not None:
                # The runtime reports a refused certificate only after 10 to 30 seconds.
                raise NotSupported(always=True) from None
            raise ConnectTimeoutError(endpoint_url=self._url) from None
        except AwsCrtError as error:
            if "TLS" in error.name:
                raise NotSupported(always=True) from error
            if "TIMEOUT" in error.name:
                raise ConnectTimeoutError(endpoint_url=self._url) from error
            raise EndpointConnectionError(endpoint_url=self._url, error=error) from error
        return connection


class _Address(Exception):
    """No error: the URL and the region of a request that boto3 was about to sign."""

    def __init__(self, url: str, region: str) -> None:
        self.url = url
        self.region = region


def _address(client: S3Client, bucket: str) -> tuple[str, str]:
    """Return the URL below which boto3 puts the objects of a bucket, and the region to sign for.

    Nothing is sent. Raises `NotSupported` for another signature than Version 4 for S3, which is
    what access points of several regions and directory buckets need.
    """
    key = uuid4().hex

    def stop(
        request: Any, signing_name: str, region_name: str, signature_version: object, **_: object
    ) -> None:
        if request.url.endswith(key):
            if (signing_name, signature_version) not in (("s3", "s3v4"), ("s3", "v4")):
                raise NotSupported
            raise _Address(request.url.removesuffix(key), region_name)

    client.meta.events.register_first("before-sign.s3.PutObject", stop)
    try:
        client.put_object(Bucket=bucket, Key=key, Body=b"")
    except _Address as address:
        return address.url, address.region
    finally:
        client.meta.events.unregister("before-sign.s3.PutObject", stop)
    raise NotSupported


def _elements(content: bytes) -> dict[str, str]:
    """Return the texts in an XML document of one level, by the names of their elements."""
    try:
        root = ET.fromstring(content)  # noqa: S314  # boto3 parses it with the same
    except ET.ParseError:
        return {}
    return {element.tag.rpartition("}")[2]: element.text or "" for element in root}


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    # Dates and the like have forms of their own.
    raise NotSupported


def _tls_context(connection: Connection) -> ClientTlsContext:
    """Trust the certificates that boto3 trusts."""
    path: Any = connection.ca_bundle or get_cert_path(True)
    options = TlsContextOptions()
    if Path(path).is_dir():
        options.override_default_trust_store_from_path(ca_dirpath=path)
    else:
        options.override_default_trust_store_from_path(ca_filepath=path)
    return ClientTlsContext(options)


def _close(opening: Future[HttpClientConnection]) -> None:
    if opening.exception() is None:
        opening.result().close()
