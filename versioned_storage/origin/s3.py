"""The bucket: what is asked of S3, and what S3 says.

Whatever is written is written on a condition, so that no writer undoes what it has not seen.
"""

from __future__ import annotations

import hashlib
import os
from base64 import b64decode
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from functools import cached_property
from itertools import islice
from threading import Lock
from typing import TYPE_CHECKING, Any, BinaryIO

from botocore import xform_name
from botocore.exceptions import BotoCoreError, ClientError
from urllib3.exceptions import HTTPError

from .body import Body
from .connection import Connection
from .problems import NotDeleted, OriginError
from .transport import Transport

if TYPE_CHECKING:
    from botocore.response import StreamingBody
    from mypy_boto3_s3 import S3Client

    from ..conf import Options
    from ..static_url import StaticURL

#: What S3 copies in one request, in bytes.
LARGEST_COPY = 5 * 1024**3
#: What S3 deletes in one request.
_DELETED_AT_ONCE = 1000

_GONE = ("404", "NoSuchKey")
# 412: it is not as expected. 409: somebody else is writing it in this very moment.
_CONDITION_FAILED = (409, 412)


@dataclass(frozen=True)
class Stored:
    """The beginning or all of an object."""

    data: bytes
    etag: str


@dataclass(frozen=True)
class Listed:
    """An object as a listing has it; ``path`` is below the location, ``size`` in bytes."""

    path: str
    size: int
    etag: str
    modified: datetime


@dataclass(frozen=True)
class Found:
    """What S3 says of an object without sending it.

    ``sha256``, in hex, is what S3 itself computed where ``checked``, else what was said of the
    object when it was stored. ``headers`` are the parameters that we give to an object.
    """

    size: int
    etag: str
    sha256: str | None
    checked: bool
    headers: Mapping[str, str]
    metadata: Mapping[str, str]


@dataclass(frozen=True)
class Copied:
    """A copy inside S3; ``sha256``, in hex, is what S3 computed of it, None where it says none."""

    etag: str
    sha256: str | None


class S3Origin:
    """One bucket, and below its location the keys of one site.

    ``options`` are S3Storage's. ``prefix`` is the STATIC_URL path without its first slash, where
    builds are below the location. ``connections`` is how many connections are kept open.
    ``timeout``, in seconds, limits connecting and reading, and a failed request is not retried
    then. ``conditional`` is False for a store without conditional writes. Making an origin sends
    no request. Every method raises `OriginError`.
    """

    def __init__(
        self,
        options: Mapping[str, Any],
        *,
        prefix: str = "",
        connections: int = 64,
        timeout: float | None = None,
        conditional: bool = True,
    ) -> None:
        self._connection = Connection(options, connections=connections, timeout=timeout)
        self.bucket = self._connection.bucket
        self.location = self._connection.location
        self.prefix = prefix
        self.connections = connections
        self.conditional = conditional
        self._transport: Transport | None = None
        self._ahead = timedelta(0)
        self._asked = 0
        self._lock = Lock()

    @classmethod
    def from_options(
        cls, options: Options, static_url: StaticURL | None, *, timeout: float | None = None
    ) -> S3Origin:
        """Return the origin of a site whose option ``origin`` is set.

        Raises `UnusableOrigin`.
        """
        return cls(
            options.origin or {},
            prefix=static_url.path.removeprefix("/") if static_url is not None else "",
            connections=options.connections,
            timeout=timeout,
            conditional=options.conditional_writes,
        )

    @property
    def client(self) -> S3Client:
        """One client for all threads, made when it is first needed."""
        return self._connection.client

    @property
    def transport(self) -> Transport:
        """What puts and copies objects, one for all threads."""
        with self._lock:
            if self._transport is None:
                self._transport = Transport(self.client, self.bucket, self.connections, self._count)
        return self._transport

    def key(self, path: str) -> str:
        """The key of ``path``, which is below the location."""
        return f"{self.location}/{path}" if self.location else path

    def url(self, path: str) -> str:
        """``s3://bucket/key`` of a path, for people."""
        return f"s3://{self.bucket}/{self.key(path)}"

    @property
    def requests(self) -> int:
        """How many requests were made, those that were repeated counted once."""
        return self._asked

    def now(self) -> datetime:
        """S3's own time, as of the last `get`: the one clock that all machines share."""
        return datetime.now(timezone.utc) + self._ahead

    def get(self, path: str, *, first: int | None = None) -> Stored | None:
        """An object, or its ``first`` bytes; None when S3 says that there is none.

        Without permission to list the bucket S3 says 403 for a key that is not there: that is an
        `OriginError` with ``status`` 403, like every other failure.
        """
        part: Any = {} if first is None else {"Range": f"bytes=0-{first - 1}"}
        with self._answers("GetObject", path):
            try:
                answer = self.client.get_object(**self._at(path), **part)
            except ClientError as error:
                self._set_clock(error.response)
                if _code(error) in _GONE:
                    return None
                raise
            self._set_clock(answer)
            with closing(answer["Body"]) as body:
                return Stored(body.read(), answer["ETag"])

    @contextmanager
    def open(self, path: str) -> Iterator[StreamingBody | None]:
        """An object to read in pieces; None when S3 says that there is none."""
        with self._answers("GetObject", path):
            try:
                answer = self.client.get_object(**self._at(path))
            except ClientError as error:
                if _code(error) not in _GONE:
                    raise
                yield None
                return
            with closing(answer["Body"]) as body:
                yield body

    def find(self, path: str) -> Found | None:
        """What S3 says of an object; None when it says that there is none."""
        with self._answers("HeadObject", path):
            try:
                answer = self.client.head_object(**self._at(path), ChecksumMode="ENABLED")
            except ClientError as error:
                if _code(error) in _GONE:
                    return None
                raise
        names = ("ContentType", "ContentEncoding", "CacheControl")
        headers = {name: str(value) for name, value in answer.items() if name in names}
        metadata = answer.get("Metadata", {})
        sha256, checked = metadata.get("sha256"), False
        # "-2": the checksum of the checksums of two parts, which no file has.
        if "-" not in (computed := answer.get("ChecksumSHA256", "-")):
            sha256, checked = b64decode(computed).hex(), True
        return Found(answer["ContentLength"], answer["ETag"], sha256, checked, headers, metadata)

    def of_bucket(self, operation: str) -> Mapping[str, Any]:
        """What S3 says of the bucket itself, asked by the name of an operation of S3's API."""
        with self._answers(operation, ""):
            answer: Mapping[str, Any] = getattr(self.client, xform_name(operation))(
                Bucket=self.bucket
            )
        return answer

    def list(self, prefix: str) -> Iterator[Listed]:
        """Every object whose path begins with ``prefix``, in order; 1,000 to a request."""
        with self._answers("ListObjectsV2", prefix):
            pages = self.client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=self.key(prefix)
            )
            for number, page in enumerate(pages):
                self._count(number > 0)
                for one in page.get("Contents", ()):
                    path = one["Key"].removeprefix(self.key(""))
                    yield Listed(path, one["Size"], one["ETag"], one["LastModified"])

    def put(
        self, path: str, data: bytes, *, replacing: str | None = None, **headers: str
    ) -> str | None:
        """Store bytes where nothing is, or in the place of the object with the ETag ``replacing``.

        Returns the ETag of what was stored; None when something else is there. After an answer
        that was lost, what is there can be these very bytes.
        """
        sha256 = hashlib.sha256(data).hexdigest()
        return self._put(path, data, len(data), sha256, replacing, headers)

    def put_file(
        self,
        path: str,
        body: Body,
        *,
        replacing: str | None = None,
        metadata: Mapping[str, str] | None = None,
        before_attempt: Callable[[], None] = lambda: None,
        **headers: str,
    ) -> str | None:
        """Store a file; as `put`.

        S3 refuses other bytes than those of the body's sha256, which stays with the object, beside
        ``metadata``. ``before_attempt`` is called before each attempt of the request, and may
        raise.
        """
        known = (body.sha256, replacing, headers, metadata, before_attempt)
        if body.data is not None:
            return self._put(path, body.data, body.size, *known)
        with body.file.open("rb") as stream:
            # As it is now, so that a file that changed meanwhile is refused, and not waited for.
            return self._put(path, stream, os.fstat(stream.fileno()).st_size, *known)

    def copy(
        self,
        source: str,
        path: str,
        *,
        etag: str,
        sha256: str,
        replacing: str | None = None,
        metadata: Mapping[str, str] | None = None,
        before_attempt: Callable[[], None] = lambda: None,
        **headers: str,
    ) -> Copied | None:
        """Copy an object inside S3, with these headers and none of its own; otherwise as `put`.

        Returns None when the source is missing or has another ETag than ``etag``, or when the
        object to replace is another one; stores other than AWS may ignore the latter condition.
        """
        with self._answers("CopyObject", path):
            try:
                copied = self.transport.copy(
                    self.key(path),
                    self.key(source),
                    etag,
                    {
                        **self._parameters(sha256, metadata),
                        "MetadataDirective": "REPLACE",
                        # To copy the tags, it would take the permission to read them.
                        "TaggingDirective": "REPLACE",
                        "ChecksumAlgorithm": "SHA256",
                        **headers,
                        **self._condition_of_copy(replacing),
                    },
                    before_attempt,
                )
            except ClientError as error:
                if _condition_failed(error):
                    return None
                raise
        checksum = copied.checksum
        # "-2": the checksum of the checksums of two parts, which no file has.
        computed = b64decode(checksum).hex() if checksum and "-" not in checksum else None
        return Copied(copied.etag, computed)

    def delete(
        self, paths: Iterable[str], before_attempt: Callable[[], None] = lambda: None
    ) -> Iterator[int]:
        """Delete objects, 1,000 to a request; yields how many each request deleted.

        Deleting what is not there is none of S3's errors. Raises `NotDeleted`.
        """
        remaining = iter(paths)
        while batch := list(islice(remaining, _DELETED_AT_ONCE)):
            before_attempt()
            with self._answers("DeleteObjects", batch[0]):
                answer = self.client.delete_objects(
                    Bucket=self.bucket,
                    Delete={"Objects": [{"Key": self.key(path)} for path in batch], "Quiet": True},
                )
            if errors := answer.get("Errors"):
                raise NotDeleted(
                    [
                        (f"s3://{self.bucket}/{one['Key']}", one["Code"], one.get("Message", ""))
                        for one in errors
                    ]
                )
            yield len(batch)

    def _put(
        self,
        path: str,
        body: bytes | BinaryIO,
        size: int,
        sha256: str,
        replacing: str | None,
        headers: Mapping[str, str],
        metadata: Mapping[str, str] | None = None,
        before_attempt: Callable[[], None] = lambda: None,
    ) -> str | None:
        with self._answers("PutObject", path):
            try:
                return self.transport.put(
                    self.key(path),
                    body,
                    size,
                    sha256,
                    {
                        **self._parameters(sha256, metadata),
                        **headers,
                        **self._condition(replacing),
                    },
                    before_attempt,
                )
            except ClientError as error:
                if _condition_failed(error):
                    return None
                raise

    def _set_clock(self, answer: Any) -> None:
        date = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
        if date is not None:
            ahead = parsedate_to_datetime(date) - datetime.now(timezone.utc)
            # The header has whole seconds, and most clocks are better than that.
            self._ahead = ahead if abs(ahead) > timedelta(seconds=2) else timedelta(0)

    def _condition(self, replacing: str | None) -> dict[str, str]:
        if not self.conditional:
            return {}
        if replacing is None:
            return {"IfNoneMatch": "*"}
        # S3's own guide sends the ETag bare, and Ceph knows it in no other form.
        return {"IfMatch": replacing.strip('"')}

    def _condition_of_copy(self, replacing: str | None) -> dict[str, str]:
        return self._condition(replacing) if self._copies_take_conditions else {}

    @cached_property
    def _copies_take_conditions(self) -> bool:
        # S3 has them since October 2025, and older versions of boto3 do not know them.
        shape = self.client.meta.service_model.operation_model("CopyObject").input_shape
        return shape is not None and "IfNoneMatch" in shape.members

    def _parameters(self, sha256: str, metadata: Mapping[str, str] | None) -> dict[str, Any]:
        given = self._connection.parameters
        kept = {**given.get("Metadata", {}), **(metadata or {}), "sha256": sha256}
        return {**given, "Metadata": kept}

    def _at(self, path: str) -> Any:
        return {"Bucket": self.bucket, "Key": self.key(path)}

    def _count(self, requests: int) -> None:
        with self._lock:
            self._asked += requests

    @contextmanager
    def _answers(self, operation: str, path: str) -> Iterator[None]:
        self._count(1)
        try:
            yield
        except (BotoCoreError, ClientError, HTTPError) as error:
            raise OriginError(operation, self.url(path), error) from error


def _code(error: ClientError) -> str:
    return error.response.get("Error", {}).get("Code", "")


def _condition_failed(error: ClientError) -> bool:
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    # S3 says 404 where there is nothing to be replaced, or to be copied.
    return status in _CONDITION_FAILED or _code(error) in _GONE
