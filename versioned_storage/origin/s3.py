"""All requests to the S3 bucket of a site.

Every write has a condition, so that no writer overwrites what it has not seen.
"""

from __future__ import annotations

import hashlib
import sys
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from functools import cached_property, partial
from itertools import islice
from operator import itemgetter
from threading import Lock
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

from botocore import xform_name
from botocore.exceptions import BotoCoreError, ClientError
from urllib3.exceptions import HTTPError

from .connection import Connection
from .engine import Engine, Retries, best_engine, boto_engine, code_of
from .objects import CopyResult, ListedObject, ObjectContent, StoredObject, UploadBody
from .s3_errors import DENIED, CredentialsError, NotDeleted, OriginError, is_of_credentials

if TYPE_CHECKING:
    from botocore.response import StreamingBody
    from mypy_boto3_s3 import S3Client

    from ..conf import Options
    from ..static_url import StaticURL

Result = TypeVar("Result")

# The most objects that S3 deletes in one request.
_DELETED_AT_ONCE = 1000

# The operations of S3's cheaper price class.
_READS = frozenset({"GetObject", "HeadObject"})

# The parameters that we give to an object and a HEAD gives back.
_HEADERS = ("ContentType", "ContentEncoding", "CacheControl")
_MISSING = ("404", "NoSuchKey")
# 412: the object is another one. 409: another process is writing it at the same time.
_CONDITION_FAILED = (409, 412)
# What stores answer to a condition that they do not have.
_UNKNOWN_PARAMETER = ("NotImplemented", "MalformedXML")


class S3Origin:
    """One bucket, and the keys of one site below its location.

    ``options`` are S3Storage's. ``prefix`` is the STATIC_URL path without its first slash, where
    builds are below the location. ``connections`` is how many requests are made at a time, if the
    process may have that many open files. ``timeout`` is that of connecting and of reading, in
    seconds; with it a request is not retried. ``conditional`` is False for a store without
    conditional writes. Making an origin sends no request. Every method raises `OriginError`.
    """

    def __init__(
        self,
        options: Mapping[str, Any],
        *,
        prefix: str = "",
        connections: int = 128,
        timeout: float | None = None,
        conditional: bool = True,
    ) -> None:
        connections = min(connections, _most_connections())
        self._connection = Connection(options, connections=connections, timeout=timeout)
        self.bucket = self._connection.bucket
        self.location = self._connection.location
        self.prefix = prefix
        self.connections = connections
        self.conditional = conditional
        self._retries = Retries(self._connection.attempts, connections)
        self._engine: Engine | None = None
        # How far S3's clock is ahead of this machine's.
        self._clock_offset = timedelta(0)
        self._adds_md5 = False
        # False once the store has refused one.
        self._store_deletes_by_etag = True
        self._store_copies_conditionally = True
        #: How many requests were made; a request and its retries count once. ``reads`` are those
        #: that were GET or HEAD, which cost less than the others.
        self.requests = self.reads = 0
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
        """boto3's client, one for all threads, made when it is first needed."""
        return self._connection.client

    @property
    def engine(self) -> Engine:
        """The engine of `put_file` and `copy`, one for all threads, made when first needed."""
        with self._lock:
            if self._engine is None:
                self._engine = best_engine(self._connection)
        return self._engine

    def key(self, path: str) -> str:
        """The key of ``path``, which is below the location."""
        return f"{self.location}/{path}" if self.location else path

    def _path(self, key: str) -> str:
        return key.removeprefix(self.key(""))

    def url(self, path: str) -> str:
        """``s3://bucket/key`` of a path, for people."""
        return f"s3://{self.bucket}/{self.key(path)}"

    def now(self) -> datetime:
        """The time of S3's clock, as of the last `get`: the one clock that all machines share."""
        return datetime.now(timezone.utc) + self._clock_offset

    def get(self, path: str, *, first: int | None = None) -> ObjectContent | None:
        """Return an object, or its ``first`` bytes; None if it does not exist.

        Without permission to list the bucket, S3 answers 403 for a key that does not exist: that
        is an `OriginError` with ``status`` 403.
        """
        part = {} if first is None else {"Range": f"bytes=0-{first - 1}"}

        def content(response: Any) -> ObjectContent:
            with closing(response["Body"]) as body:
                return ObjectContent(body.read(), response["ETag"])

        return self._read("GetObject", path, content, **part)

    @contextmanager
    def open(self, path: str) -> Iterator[StreamingBody | None]:
        """Yield an object to read in pieces; None if it does not exist."""
        body = self._read("GetObject", path, itemgetter("Body"))
        if body is None:
            yield None
            return
        with closing(body), self._errors("GetObject", path):
            yield body

    def find(self, path: str) -> StoredObject | None:
        """Return what S3 says of an object without sending it; None if it does not exist."""
        return self._read("HeadObject", path, _stored_object, ChecksumMode="ENABLED")

    def ask_of_bucket(self, operation: str) -> Mapping[str, Any]:
        """Return the response to an operation of S3's API that has only the bucket to name."""
        call = partial(getattr(self.client, xform_name(operation)), Bucket=self.bucket)
        response: Mapping[str, Any] = self._request(operation, "", call)
        return response

    def list(self, prefix: str) -> Iterator[ListedObject]:
        """Yield every object whose path begins with ``prefix``, in order; 1,000 per request."""
        for page in self._pages("ListObjectsV2", prefix, "ContinuationToken"):
            for item in page.get("Contents", ()):
                path = self._path(item["Key"])
                yield ListedObject(path, item["Size"], item["ETag"], item["LastModified"])

    def list_versions(self, prefix: str) -> Iterator[ListedObject]:
        """Yield every version of every object, as `list`; in a bucket without versions each object.

        Raises `OriginError` also for a store that has no versions at all.
        """
        for page in self._pages("ListObjectVersions", prefix, "KeyMarker", "VersionIdMarker"):
            for item in page.get("Versions", ()):
                is_current, version = item["IsLatest"], item["VersionId"]
                yield ListedObject(
                    self._path(item["Key"]),
                    item["Size"],
                    item["ETag"],
                    item["LastModified"],
                    # Without versions each object has the version "null".
                    None if is_current and version == "null" else version,
                    is_current,
                )

    def _pages(self, operation: str, prefix: str, *markers: str) -> Iterator[Any]:
        """Yield the pages of a listing; ``markers`` are the parameters that continue it."""
        call = partial(
            getattr(self.client, xform_name(operation)),
            Bucket=self.bucket,
            Prefix=self.key(prefix),
        )
        following: dict[str, str] = {}
        while True:
            page = self._request(operation, prefix, partial(call, **following))
            yield page
            if not page.get("IsTruncated"):
                return
            following = {marker: page[f"Next{marker}"] for marker in markers}

    def put(
        self, path: str, data: bytes, *, replacing: str | None = None, **headers: str
    ) -> str | None:
        """Store bytes where no object is, or in the place of the one with the ETag ``replacing``.

        Returns the ETag of the new object; None if another object is there. After a response that
        was lost, that can be an object of these bytes.
        """
        sha256 = hashlib.sha256(data).hexdigest()
        engine = boto_engine(self.client)
        return self._put(engine, path, data, sha256, {**headers, **self._condition(replacing)})

    def put_file(
        self,
        path: str,
        body: UploadBody,
        *,
        replacing: str | None = None,
        metadata: Mapping[str, str] | None = None,
        before_attempt: Callable[[], None] = lambda: None,
        **headers: str,
    ) -> str | None:
        """Store a file of up to 5 GB; as `put`.

        S3 refuses other bytes than those of the body's sha256, which becomes metadata of the
        object, beside ``metadata``. ``before_attempt`` is called before each attempt of the
        request, and may raise.
        """
        rest = ({**headers, **self._condition(replacing)}, metadata, before_attempt)
        with body.open() as content:
            return self._put(self.engine, path, content, body.sha256, *rest)

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
    ) -> CopyResult | None:
        """Copy an object inside S3, with these headers in place of its own; otherwise as `put`.

        Returns None when the source is missing or has another ETag than ``etag``, or when the
        object to replace is another one; stores other than AWS may ignore the latter condition.
        """
        within = f"{self.bucket}/object" if self.bucket.startswith("arn:") else self.bucket
        parameters = {
            **self._parameters(sha256, metadata),
            "CopySource": f"{within}/{self.key(source)}",
            "CopySourceIfMatch": etag,
            "MetadataDirective": "REPLACE",
            # Copying the tags would take the permission to read them.
            "TaggingDirective": "REPLACE",
            "ChecksumAlgorithm": "SHA256",
            **headers,
        }
        condition = self._condition_of_copy(replacing)
        send = partial(self._write, self.engine, "CopyObject", path)
        try:
            response = send({**parameters, **condition}, before_attempt)
        except OriginError as error:
            if not condition or error.code not in _UNKNOWN_PARAMETER:
                raise
            # The store has copies and no conditions on them.
            self._store_copies_conditionally = False
            response = send(parameters, before_attempt)
        return CopyResult(response["ETag"], _sha256(response)) if response is not None else None

    def delete(
        self,
        objects: Iterable[ListedObject | str],
        before_attempt: Callable[[], None] = lambda: None,
        before_retry: Callable[[], None] = lambda: None,
    ) -> Iterator[int]:
        """Delete objects, 1,000 per request; yields how many each request deleted.

        Of a listed object, the listed version is deleted, or the object if it still has the listed
        ETag. For a path, and on a store that does not compare ETags, any object there is deleted. A
        missing object is not an error in S3. ``before_attempt`` is called before each request that
        is sent; ``before_retry`` before one that S3 did not answer, or only with an error, is sent
        again: the first may still be under way. Raises `NotDeleted`.
        """
        remaining = map(self._identifier, objects)
        while batch := list(islice(remaining, _DELETED_AT_ONCE)):
            call = partial(self._delete_batch, batch, before_attempt)
            path = self._path(batch[0]["Key"])
            errors = self._request("DeleteObjects", path, call, before_retry=before_retry)
            if errors:
                raise NotDeleted(
                    [
                        (
                            f"s3://{self.bucket}/{error['Key']}",
                            error["Code"],
                            error.get("Message", ""),
                        )
                        for error in errors
                    ],
                    by_version=any("VersionId" in error for error in errors),
                )
            yield len(batch)

    def _identifier(self, item: ListedObject | str) -> dict[str, str]:
        if isinstance(item, str):
            return {"Key": self.key(item)}
        identifier = {"Key": self.key(item.path)}
        if item.version is not None:
            # S3 compares ETags with that of the current version, whichever is to be deleted.
            return {**identifier, "VersionId": item.version}
        return {**identifier, "ETag": item.etag.strip('"')}

    def _read(
        self, operation: str, path: str, result: Callable[[Any], Result], **parameters: str
    ) -> Result | None:
        """Return ``result`` of the response; None if the object does not exist."""
        call = getattr(self.client, xform_name(operation))

        def read() -> Result | None:
            try:
                response = call(**self._at(path), **parameters)
            except ClientError as error:
                self._set_clock(error.response)
                if code_of(error) in _MISSING:
                    return None
                raise
            self._set_clock(response)
            return result(response)

        return self._request(operation, path, read)

    def _delete_batch(
        self, batch: Sequence[dict[str, str]], before_attempt: Callable[[], None]
    ) -> Sequence[Any]:
        """Delete objects and return the errors, in as many requests as the store needs."""

        def send() -> Mapping[str, Any]:
            names = ("Key", "VersionId", *(["ETag"] if self._deletes_by_etag else []))
            objects: Any = [
                {name: identifier[name] for name in names if name in identifier}
                for identifier in batch
            ]
            before_attempt()
            return self.client.delete_objects(
                Bucket=self.bucket, Delete={"Objects": objects, "Quiet": True}
            )

        while True:
            has_etags = self._deletes_by_etag and any("ETag" in identifier for identifier in batch)
            try:
                errors = send().get("Errors", ())
            except ClientError as error:
                message = error.response.get("Error", {}).get("Message", "")
                if "MD5" in f"{code_of(error)} {message}" and not self._adds_md5:
                    # boto3 has sent another checksum since 1.36, which some stores do not take
                    # for one.
                    self._adds_md5 = True
                    self.client.meta.events.register("before-call.s3.DeleteObjects", _add_md5)
                elif has_etags and code_of(error) in _UNKNOWN_PARAMETER:
                    self._store_deletes_by_etag = False
                else:
                    raise
            else:
                # A first attempt whose response was lost has deleted what is missing now.
                errors = [error for error in errors if error["Code"] not in _MISSING]
                if not has_etags or not any(error["Code"] in DENIED for error in errors):
                    return errors
                # To compare ETags, S3 wants the permission to read the object.
                self._store_deletes_by_etag = False

    @property
    def _deletes_by_etag(self) -> bool:
        # S3 has them since September 2025, and older versions of boto3 do not know them.
        return self._store_deletes_by_etag and self._boto3_deletes_by_etag

    @cached_property
    def _boto3_deletes_by_etag(self) -> bool:
        shape: Any = self.client.meta.service_model.shape_for("ObjectIdentifier")
        return "ETag" in shape.members

    def _put(
        self,
        engine: Engine,
        path: str,
        body: bytes | BinaryIO,
        sha256: str,
        headers: Mapping[str, str],
        metadata: Mapping[str, str] | None = None,
        before_attempt: Callable[[], None] = lambda: None,
    ) -> str | None:
        parameters = {
            **self._parameters(sha256, metadata),
            **headers,
            "ChecksumSHA256": b64encode(bytes.fromhex(sha256)).decode(),
            "Body": body,
        }
        response = self._write(engine, "PutObject", path, parameters, before_attempt)
        return response["ETag"] if response is not None else None

    def _write(
        self,
        engine: Engine,
        operation: str,
        path: str,
        parameters: Mapping[str, Any],
        before_attempt: Callable[[], None],
    ) -> Mapping[str, Any] | None:
        """Return the response to a write; None if its condition did not hold."""
        request = partial(engine, operation, {**parameters, **self._at(path)})
        try:
            return self._request(operation, path, request, before_attempt)
        except OriginError as error:
            # S3 answers 404 if there is no object to replace, or to copy.
            if error.status in _CONDITION_FAILED or error.code in _MISSING:
                return None
            raise

    def _set_clock(self, response: Any) -> None:
        date = response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
        try:
            time = parsedate_to_datetime(date)
        except (TypeError, ValueError):
            # It is missing, or no date (RFC 9110, 5.6.7).
            return
        if time.tzinfo is None:
            time = time.replace(tzinfo=timezone.utc)
        offset = time - datetime.now(timezone.utc)
        # The header has whole seconds, and most clocks are better than that.
        self._clock_offset = offset if abs(offset) > timedelta(seconds=2) else timedelta(0)

    def _condition(self, replacing: str | None) -> dict[str, str]:
        if not self.conditional:
            return {}
        if replacing is None:
            return {"IfNoneMatch": "*"}
        # S3's own guide sends the ETag without quotes, the only form that Ceph knows.
        return {"IfMatch": replacing.strip('"')}

    def _condition_of_copy(self, replacing: str | None) -> dict[str, str]:
        if not self._store_copies_conditionally or not self._boto3_copies_conditionally:
            return {}
        return self._condition(replacing)

    @cached_property
    def _boto3_copies_conditionally(self) -> bool:
        # S3 has them since October 2025; older versions of boto3 do not know them.
        shape = self.client.meta.service_model.operation_model("CopyObject").input_shape
        return shape is not None and "IfNoneMatch" in shape.members

    def _parameters(self, sha256: str, metadata: Mapping[str, str] | None) -> dict[str, Any]:
        parameters = self._connection.parameters
        merged = {**parameters.get("Metadata", {}), **(metadata or {}), "sha256": sha256}
        return {**parameters, "Metadata": merged}

    def _at(self, path: str) -> Any:
        return {"Bucket": self.bucket, "Key": self.key(path)}

    def _request(
        self,
        operation: str,
        path: str,
        request: Callable[[], Result],
        before_attempt: Callable[[], None] = lambda: None,
        before_retry: Callable[[], None] = lambda: None,
    ) -> Result:
        with self._lock:
            self.requests += 1
            self.reads += operation in _READS
        self._connection.check_credentials()
        with self._errors(operation, path):
            return self._retries.send(request, before_attempt, before_retry)

    @contextmanager
    def _errors(self, operation: str, path: str) -> Iterator[None]:
        try:
            yield
        except (BotoCoreError, ClientError, HTTPError) as error:
            if is_of_credentials(error):
                raise CredentialsError(error) from error
            raise OriginError(operation, self.url(path), error) from error


def _most_connections() -> int:
    """Return how many connections the limit of open files allows.

    boto3 and AWS's Common Runtime each keep as many, and each thread reads a file.
    """
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return sys.maxsize
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if soft == resource.RLIM_INFINITY else max(1, soft // 4)


def _stored_object(response: Mapping[str, Any]) -> StoredObject:
    metadata = response.get("Metadata", {})
    computed = _sha256(response)
    return StoredObject(
        size=response["ContentLength"],
        etag=response["ETag"],
        sha256=computed or metadata.get("sha256"),
        has_checksum=computed is not None,
        headers={name: str(response[name]) for name in _HEADERS if name in response},
        metadata=metadata,
    )


def _add_md5(params: Any, **_: object) -> None:
    digest = hashlib.md5(params["body"], usedforsecurity=False).digest()
    params["headers"]["Content-MD5"] = b64encode(digest).decode()


def _sha256(response: Mapping[str, Any]) -> str | None:
    """Return the sha256 that S3 computed, in hex; None where the store computes none."""
    checksum = response.get("ChecksumSHA256")
    # "...-2" is the checksum of the checksums of two parts, which no file has.
    return None if not checksum or "-" in checksum else b64decode(checksum).hex()
