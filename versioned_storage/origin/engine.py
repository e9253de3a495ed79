"""Requests to S3: retries, how many at a time, and the engine that sends them.

An engine sends a PUT or a copy once and returns S3's response, or raises what boto3 raises. The
retries are here, because a publish checks its lease before each attempt.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from threading import Condition, Event
from typing import TYPE_CHECKING, Any, TypeVar

from botocore import xform_name
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as BotoConnectionError
from urllib3.exceptions import HTTPError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from .connection import Connection

Result = TypeVar("Result")
#: Sends a request of an operation with boto3's parameters, once.
Engine = Callable[[str, Mapping[str, Any]], Mapping[str, Any]]

#: Seconds: the longest wait before the second attempt, which doubles with each, and its limit.
FIRST_WAIT, LONGEST_WAIT = 0.5, 20.0

_BUSY = {"SlowDown", "ServiceUnavailable", "Throttling", "ThrottlingException", "TooManyRequests"}
# Responses from another region than that of the bucket.
_REDIRECTS = (301, 302, 307)
_ELSEWHERE = {
    "AuthorizationHeaderMalformed",
    "IllegalLocationConstraintException",
    "PermanentRedirect",
    "TemporaryRedirect",
}
_FAILED = {"InternalError", "RequestTimeout", "RequestTimeoutException"}
_NO_RESPONSE = (BotoConnectionError, HTTPClientError, HTTPError)


class IncompleteResponse(HTTPClientError):
    """S3 said 200 without the ETag that each stored object has."""

    fmt = "The response ended too early: {operation} without an ETag"


class Retries:
    """Makes requests with up to ``attempts`` attempts each, from any number of threads.

    A request is repeated when S3 is busy, when S3 fails, and when there is no complete response.
    After the last attempt the error is raised, with the number of attempts where `OriginError`
    reads it. ``connections`` is how many requests run at a time.
    """

    def __init__(self, attempts: int, connections: int) -> None:
        self.attempts = attempts
        self.limiter = Limiter(connections)

    def send(
        self,
        request: Callable[[], Result],
        before_attempt: Callable[[], None] = lambda: None,
        before_retry: Callable[[], None] = lambda: None,
    ) -> Result:
        """Return what ``request`` returns. ``before_attempt`` may raise to end the attempts.

        ``before_retry`` is called before each attempt but the first.
        """
        attempt = 0
        while True:
            attempt += 1
            with self.limiter.slot() as started:
                before_attempt()
                try:
                    result = request()
                except (ClientError, BotoCoreError, HTTPError) as error:
                    if isinstance(error, ClientError) and _is_throttled(error):
                        self.limiter.throttled(started)
                    _count_attempts(error, attempt)
                    if attempt >= self.attempts or not is_transient(error):
                        raise
                    seconds = max(_retry_after(error), _backoff(attempt))
                else:
                    self.limiter.succeeded()
                    return result
            time.sleep(seconds)
            before_retry()


class Limiter:
    """A number of slots for requests, lowered by half and raised step by step.

    There are ``most`` slots at first and never less than one. `throttled` halves them once for
    all requests that ran at the same time. Each `succeeded` raises them a little, so that all are
    back after about sixteen round trips.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._slots = float(most)
        self._taken = 0
        self._lowered = float("-inf")
        self._changed = Condition()

    @property
    def slots(self) -> int:
        """How many requests may run at this moment."""
        return int(self._slots)

    @contextmanager
    def slot(self) -> Iterator[float]:
        """Wait for a slot and keep it; yields the time at which it was taken."""
        with self._changed:
            self._changed.wait_for(lambda: self._taken < self.slots)
            self._taken += 1
        try:
            yield time.monotonic()
        finally:
            with self._changed:
                self._taken -= 1
                self._changed.notify()

    def throttled(self, started: float) -> None:
        """Lower the slots for a request that took its slot at ``started``."""
        with self._changed:
            if started < self._lowered:
                return
            self._slots = max(1.0, self._slots / 2)
            self._lowered = time.monotonic()

    def succeeded(self) -> None:
        """Raise the slots a little, up to ``most``."""
        if self._slots == self.most:
            return
        with self._changed:
            step = max(1.0, self.most / 16) / self._slots
            self._slots = min(float(self.most), self._slots + step)
            self._changed.notify_all()


class NotSupported(Exception):
    """No error: only boto3 can send this request, or all requests where ``always``."""

    def __init__(self, *, always: bool = False) -> None:
        super().__init__()
        self.always = always


def best_engine(connection: Connection) -> Engine:
    """Return AWS's Common Runtime if it is installed and can connect as boto3 would, else boto3.

    boto3 sends what only it can send. It also sends all further requests once S3 has said that the
    bucket is in another region, because it follows the bucket there, and once TLS has failed,
    because it says why.
    """
    boto3 = boto_engine(connection.client)
    try:
        from .crt_engine import CrtEngine
    except ImportError:
        return boto3
    try:
        runtime = CrtEngine(connection)
    except NotSupported:
        return boto3
    boto3_only = Event()

    def send(operation: str, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        if not boto3_only.is_set():
            try:
                return runtime(operation, parameters)
            except NotSupported as reason:
                if reason.always:
                    boto3_only.set()
            except ClientError as error:
                if _status(error) not in _REDIRECTS and code_of(error) not in _ELSEWHERE:
                    raise
                boto3_only.set()
        return boto3(operation, parameters)

    return send


def boto_engine(client: S3Client) -> Engine:
    """Return the engine that is boto3's client, for whatever parameters and network."""

    def send(operation: str, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        body = parameters.get("Body")
        if body is not None and not isinstance(body, bytes):
            body.seek(0)
        call = getattr(client, xform_name(operation))
        return complete_response(operation, call(**parameters))

    return send


def is_transient(error: Exception) -> bool:
    """Return True if another attempt may succeed."""
    if not isinstance(error, ClientError):
        return isinstance(error, _NO_RESPONSE)
    return _is_throttled(error) or _status(error) >= 500 or code_of(error) in _FAILED


def complete_response(operation: str, response: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the response to a PUT or a copy. Raises `IncompleteResponse` for one without ETag."""
    response = {**response, **response.get("CopyObjectResult", {})}
    etag = response.get("ETag", "")
    if operation == "CopyObject" and etag and '"' not in etag:
        # Ceph's server leaves out the quotes, in this response only.
        etag = f'"{etag}"'
    if len(etag) < 2 or not etag[0] == etag[-1] == '"':
        raise IncompleteResponse(operation=operation)
    return {**response, "ETag": etag}


def _is_throttled(error: ClientError) -> bool:
    return _status(error) in (429, 503) or code_of(error) in _BUSY


def _status(error: ClientError) -> int:
    return error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)


def code_of(error: ClientError) -> str:
    return error.response.get("Error", {}).get("Code", "")


def _retry_after(error: Exception) -> float:
    if not isinstance(error, ClientError):
        return 0.0
    headers = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    seconds = headers.get("retry-after", "")
    return float(seconds) if seconds.isdecimal() else 0.0


def _count_attempts(error: Any, attempts: int) -> None:
    if isinstance(error, ClientError):
        error.response.setdefault("ResponseMetadata", {})["RetryAttempts"] = attempts - 1  # type: ignore[typeddict-item]
    else:
        vars(error).setdefault("kwargs", {})["attempts"] = attempts


def _backoff(attempt: int) -> float:
    # Full jitter: many requests that failed in the same moment are not repeated in the same moment.
    longest = min(LONGEST_WAIT, FIRST_WAIT * 2 ** (attempt - 1))
    return random.uniform(0, longest)  # noqa: S311  # not a secret
