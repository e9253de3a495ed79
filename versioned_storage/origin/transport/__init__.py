"""The two requests that a build makes thousands of, PUT and copy, without boto3's cost.

They are boto3's own requests (see `rehearsal`), sent by its own HTTP session or as that would send
them (see `direct`), so that credentials, endpoint, proxies, TLS and timeouts are those of the
client. What is not boto3's is when to try again, and how many at once.
"""

from __future__ import annotations

import random
import time
from base64 import b64encode
from collections.abc import Callable, Mapping
from typing import IO, TYPE_CHECKING, Any
from uuid import UUID

from botocore import xform_name
from botocore.exceptions import ClientError

from .answers import NO_ANSWER, Answer, read
from .limiter import Limiter
from .multipart import THRESHOLD, Parts
from .rehearsal import Rehearsals
from .template import Template, split

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

#: The longest wait before the second attempt, in seconds; it doubles with each one, to the longest.
FIRST_WAIT, LONGEST_WAIT = 0.5, 20.0

_SHA256_OF_NOTHING = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


class Transport:
    """Puts and copies objects of one bucket, from up to ``connections`` threads at once.

    A request is repeated as often as the client's configuration says (5 attempts where it says
    nothing) when the server is busy, when it fails, and when there is no whole answer. It raises
    botocore's `ClientError` and `BotoCoreError`, with the number of attempts: the first in its
    ResponseMetadata, the second in its ``kwargs``. ``count`` is told of the requests that a put
    takes beyond one.
    """

    def __init__(
        self,
        client: S3Client,
        bucket: str,
        connections: int,
        count: Callable[[int], None] = lambda _: None,
    ) -> None:
        config: Any = client.meta.config
        self._client = client
        self._bucket = bucket
        self._rehearsals = Rehearsals(client)
        # The client keeps no more connections open than that; others would be new for each request.
        self.limiter = Limiter(min(connections, config.max_pool_connections))
        self._attempts: int = (config.retries or {}).get("total_max_attempts", 5)
        self._parts = Parts(client, self._by_boto3, count)

    def put(
        self,
        key: str,
        body: bytes | IO[bytes],
        size: int,
        sha256: str,
        parameters: Mapping[str, Any],
        before_attempt: Callable[[], None] = lambda: None,
    ) -> str:
        """Put an object and return its ETag.

        ``body`` is bytes, or a file at its beginning, of ``size`` bytes with that ``sha256`` (in
        hex), which S3 checks on arrival. ``parameters`` are those of boto3's ``put_object``.
        ``before_attempt`` is called before each attempt, and may raise.
        """
        given = {**parameters, "Bucket": self._bucket, "Key": key}
        if not isinstance(body, bytes) and size >= THRESHOLD:
            before_attempt()
            return self._parts.put(given, body, size)
        given["ChecksumSHA256"] = b64encode(bytes.fromhex(sha256)).decode()
        return self._done("PutObject", given, body, size, sha256, before_attempt).etag

    def copy(
        self,
        key: str,
        source: str,
        etag: str,
        parameters: Mapping[str, Any],
        before_attempt: Callable[[], None] = lambda: None,
    ) -> Answer:
        """Copy the object ``source`` of the bucket, if its ETag is ``etag``.

        Returns the answer with the ETag of the copy, and its sha256 in base64 where S3 says it.
        ``parameters`` are those of boto3's ``copy_object``.
        """
        given = {
            **parameters,
            "Bucket": self._bucket,
            "Key": key,
            "CopySource": f"{self._bucket}/{source}",
            "CopySourceIfMatch": etag,
        }
        return self._done("CopyObject", given, b"", 0, _SHA256_OF_NOTHING, before_attempt)

    def _done(
        self,
        operation: str,
        given: Mapping[str, Any],
        body: bytes | IO[bytes],
        size: int,
        sha256: str,
        before_attempt: Callable[[], None],
    ) -> Answer:
        template = self._rehearsals.template(operation, given)
        if template is not None:
            values = split(given)[1]
            answer = self._answer(operation, template, values, body, size, sha256, before_attempt)
            if not answer.elsewhere:
                return answer
        if operation == "PutObject":
            given = {**given, "Body": _from_its_beginning(body)}
        before_attempt()
        done = self._by_boto3(operation, given)
        if template is not None:
            # Now boto3 knows where the bucket is.
            self._rehearsals.forget()
        result = {**done, **done.get("CopyObjectResult", {})}
        return Answer(result["ETag"], checksum=result.get("ChecksumSHA256", ""))

    def _answer(
        self,
        operation: str,
        template: Template,
        values: Mapping[str, str],
        body: bytes | IO[bytes],
        size: int,
        sha256: str,
        before_attempt: Callable[[], None],
    ) -> Answer:
        """Ask until there is an answer that stays: done, or elsewhere. Raises all others."""
        # uuid4 asks the system for each, and hands the GIL over meanwhile.
        invocation = str(UUID(int=random.getrandbits(128), version=4))
        attempt = 0
        while True:
            attempt += 1
            request = template.request(
                values,
                _from_its_beginning(body),
                sha256=sha256,
                size=size,
                invocation=invocation,
                attempt=attempt,
            )
            with self.limiter.place() as begun:
                before_attempt()
                try:
                    answer = read(self._client, operation, template.send(request, attempt=attempt))
                except NO_ANSWER as error:
                    answer = Answer(error=error)
            if answer.throttled:
                self.limiter.throttled(begun)
            elif answer.error is None:
                self.limiter.succeeded()
            if answer.error is None or answer.elsewhere:
                return answer
            if not answer.transient or attempt >= self._attempts:
                raise answer.after(attempt)
            time.sleep(max(answer.wait, _backoff(attempt)))

    def _by_boto3(self, operation: str, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        """Let boto3 make a request, which then repeats it by its own rules."""
        with self.limiter.place() as begun:
            try:
                done: Mapping[str, Any] = getattr(self._client, xform_name(operation))(**parameters)
            except ClientError as error:
                if Answer(error=error).throttled:
                    self.limiter.throttled(begun)
                raise
            except NO_ANSWER as error:
                raise Answer(error=error).after(self._attempts) from error
        self.limiter.succeeded()
        return done


def _from_its_beginning(body: bytes | IO[bytes]) -> bytes | IO[bytes]:
    if not isinstance(body, bytes):
        body.seek(0)
    return body


def _backoff(attempt: int) -> float:
    # Full jitter: many that failed in the same moment do not come back in the same moment.
    longest = min(LONGEST_WAIT, FIRST_WAIT * 2 ** (attempt - 1))
    return random.uniform(0, longest)  # noqa: S311  # nobody must not guess it
