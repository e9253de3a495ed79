"""What a server answers to a PUT or a copy: done, refused, or to be tried again."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

from botocore.awsrequest import AWSResponse
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as NoConnection
from botocore.parsers import create_parser

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

#: botocore's errors after which the same request may succeed.
NO_ANSWER = (NoConnection, HTTPClientError)

_BUSY = {"SlowDown", "ServiceUnavailable", "Throttling", "ThrottlingException", "TooManyRequests"}
_FAILED = {"InternalError", "RequestTimeout", "RequestTimeoutException"}
# What boto3 takes for a bucket that is in another region than the client.
_ELSEWHERE = {
    "AuthorizationHeaderMalformed",
    "IllegalLocationConstraintException",
    "PermanentRedirect",
    "TemporaryRedirect",
}


class BrokenOff(HTTPClientError):
    """The answer of a server ended before it was whole."""

    fmt = "The answer ended too early: status {status}, {found}"


@dataclass(frozen=True)
class Answer:
    """How one attempt went; ``error`` is None for success.

    ``wait`` is how many seconds the server asks for before the next attempt. ``checksum`` is the
    sha256 of a copy, in base64, where the server says it.
    """

    etag: str = ""
    error: ClientError | BotoCoreError | None = None
    wait: float = 0.0
    checksum: str = ""

    @property
    def status(self) -> int:
        """The HTTP status of a refusal, 0 for none."""
        metadata: Any = self._response.get("ResponseMetadata", {})
        status: int = metadata.get("HTTPStatusCode", 0)
        return status

    @property
    def code(self) -> str:
        """S3's code of a refusal."""
        code: str = self._response.get("Error", {}).get("Code", "")
        return code

    @property
    def throttled(self) -> bool:
        """Say whether the server wants fewer requests."""
        return self.status in (429, 503) or self.code in _BUSY

    @property
    def transient(self) -> bool:
        """Say whether another attempt may succeed."""
        if isinstance(self.error, NO_ANSWER):
            return True
        return self.throttled or self.status >= 500 or self.code in _FAILED

    @property
    def elsewhere(self) -> bool:
        """Say whether the bucket is in another region, or behind another name."""
        return self.status in (301, 302, 307) or self.code in _ELSEWHERE

    def after(self, attempts: int) -> ClientError | BotoCoreError:
        """The error, with the number of attempts that it took, where `OriginError` finds it."""
        assert self.error is not None, "a success has nothing to raise"
        if isinstance(self.error, ClientError):
            self._response["ResponseMetadata"]["RetryAttempts"] = attempts - 1
        else:
            facts: Any = self.error.kwargs
            facts["attempts"] = attempts
        return self.error

    @property
    def _response(self) -> Any:
        return self.error.response if isinstance(self.error, ClientError) else {}


def read(client: S3Client, operation: str, response: AWSResponse) -> Answer:
    """Understand the answer to a request.

    A copy can fail after S3 has said 200, and says so in the body then. What has no ETag was cut
    off on the way: every success has one.
    """
    wait = response.headers.get("Retry-After", "")
    seconds = float(wait) if wait.isdecimal() else 0.0
    etag, checksum = "", ""
    status = response.status_code
    if status < 300:
        etag = response.headers.get("ETag", "")
        if operation == "CopyObject":
            etag, status, checksum = _copied(response.content)
        if _is_whole(etag):
            return Answer(etag, checksum=checksum)
        if status < 300:
            return Answer(error=BrokenOff(status=status, found=_found(response)))
    parsed = _parsed(client, operation, response, status)
    parsed.setdefault("Error", {}).setdefault("Code", str(status))
    kind: Any = client.exceptions.from_code(parsed["Error"]["Code"])
    return Answer(error=kind(parsed, operation), wait=seconds)


def _copied(content: bytes) -> tuple[str, int, str]:
    """The ETag of a copy, 200 and its checksum; 500 when there is an error in the body."""
    try:
        # As botocore reads it, at a tenth of the cost: a build can have thousands of them.
        root = ET.fromstring(content.lstrip())  # noqa: S314 - S3 is trusted
    except (ET.ParseError, LookupError, ValueError):
        # Not XML, only a part of it, or in no encoding that there is.
        return "", 200, ""
    if root.tag.endswith("Error"):
        return "", 500, ""
    etag = root.findtext("{*}ETag", "")
    # Ceph's server leaves out the quotes, here alone.
    quoted = f'"{etag}"' if etag and '"' not in etag else etag
    return quoted, 200, root.findtext("{*}ChecksumSHA256", "")


def _parsed(client: S3Client, operation: str, response: AWSResponse, status: int) -> dict[str, Any]:
    model = client.meta.service_model.operation_model(operation)
    parsed: dict[str, Any] = _parser().parse(
        {
            "headers": response.headers,
            "status_code": status,
            "body": response.content,
            "context": {"operation_name": operation},
        },
        model.output_shape,
    )
    return parsed


@lru_cache(maxsize=1)
def _parser() -> Any:
    # S3's protocol, whatever the version of botocore.
    return create_parser("rest-xml")


def _is_whole(etag: str) -> bool:
    return len(etag) > 1 and etag[0] == etag[-1] == '"'


def _found(response: AWSResponse) -> str:
    size = len(response.content)
    return f"{size} bytes of a body and no ETag" if size else "no ETag"
