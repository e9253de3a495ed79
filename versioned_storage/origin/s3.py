"""The bucket: the only module that talks to S3.

How to reach it is said in the words of django-storages' S3Storage, which is also what connects.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from django.core.exceptions import ImproperlyConfigured
from storages.backends.s3 import S3Storage
from urllib3.exceptions import HTTPError

from ..errors import ConfigurationError, VersionedStorageError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

#: What the AWS_* settings of a site's media storage lend to the origin: how to connect, and
#: nothing of what or where.
LENT = frozenset(
    {
        "access_key",
        "secret_key",
        "security_token",
        "session_profile",
        "region_name",
        "endpoint_url",
        "addressing_style",
        "signature_version",
        "proxies",
        "use_ssl",
        "verify",
        "client_config",
        "transfer_config",
    }
)
# All the rest, whatever the AWS_* settings say of it.
_NOT_LENT: Mapping[str, Any] = {
    "file_name_charset": "utf-8",
    "file_overwrite": True,
    "gzip": False,
    "gzip_content_types": (),
    "location": "",
    "max_memory_size": 0,
    "object_parameters": {},
    "querystring_auth": False,
    "querystring_expire": 3600,
    "url_protocol": "https:",
    "use_threads": True,
}
_KEYS = ("access_key", "secret_key", "security_token")

_GET, _PUT = "GetObject", "PutObject"

_ADVICE = {
    "AccessDenied": "These credentials lack the permission for it.",
    "ExpiredToken": "The credentials have expired: get new ones.",
    "InvalidAccessKeyId": "S3 does not know these credentials: correct access_key, or "
    "AWS_ACCESS_KEY_ID.",
    "InvalidAccessPoint": "Correct bucket_name.",
    "NoSuchBucket": "Create the bucket, or correct bucket_name in the origin option.",
    "ParamValidationError": "Correct bucket_name or object_parameters in the origin option.",
    "SignatureDoesNotMatch": "Correct secret_key, or AWS_SECRET_ACCESS_KEY.",
    "NoCredentialsError": "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or access_key and "
    "secret_key in the origin option, or give the machine a role.",
}
_UNREACHABLE = (
    "Nothing was lost: see that the server can be reached (endpoint_url, network, proxy) and run "
    "the same command again."
)


class OriginError(VersionedStorageError):
    """S3 refused a request, or could not be reached.

    ``code`` is S3's own error code, or the name of botocore's exception where there was no
    answer (urllib3's where it broke off: botocore lets that one through); ``status`` is the HTTP
    status, None without an answer; ``attempts`` counts the requests that were made for it.
    """

    def __init__(
        self, operation: str, url: str, error: ClientError | BotoCoreError | HTTPError
    ) -> None:
        self.operation = operation
        self.url = url
        self.status: int | None = None
        self.code = type(error).__name__
        self.attempts = 1
        reason = str(error)
        if isinstance(error, ClientError):
            answer = error.response
            self.code = answer.get("Error", {}).get("Code", "Unknown")
            reason = answer.get("Error", {}).get("Message", "")
            metadata = answer.get("ResponseMetadata", {})
            self.status = metadata.get("HTTPStatusCode")
            self.attempts = metadata.get("RetryAttempts", 0) + 1
        status = f" {self.status}" if self.status else ""
        tried = f" after {self.attempts} attempts" if self.attempts > 1 else ""
        advice = _ADVICE.get(self.code, _UNREACHABLE)
        # Not every S3 server has words for its codes; radosgw has none.
        said = _sentence(f"{self.code}, {reason}" if reason else self.code)
        super().__init__(f"{operation} {url} failed{tried}:{status} {said} {advice}")


class _Connection(S3Storage):  # type: ignore[misc]  # django-storages ships no types
    """django-storages' own connection, with only `LENT` taken from the site's AWS_* settings."""

    def __init__(self, **given: Any) -> None:
        self._given = given
        known = {*self.get_default_settings(), "cloudfront_signer"}
        for name in sorted(given.keys() - known):
            raise UnknownOriginOption(name, known)
        super().__init__(**given)

    def get_default_settings(self) -> dict[str, Any]:
        defaults: dict[str, Any] = {
            name: value if name in LENT else _NOT_LENT.get(name)
            for name, value in super().get_default_settings().items()
        }
        # Keys and a profile exclude each other, and what origin names itself is what was meant.
        if self._given.get("session_profile"):
            defaults.update(dict.fromkeys(_KEYS))
        elif any(self._given.get(key) for key in _KEYS):
            defaults.update(dict.fromkeys((*_KEYS, "session_profile")))
        return defaults


class S3Origin:
    """One bucket, and below its location the keys of one site.

    ``options`` are S3Storage's, ``connections`` how many are kept open. ``timeout`` is in
    seconds, for whoever cannot wait: it then limits the connection and the answer, and a failed
    request is not repeated. Making it talks to nobody.
    """

    def __init__(
        self, options: Mapping[str, Any], *, connections: int = 64, timeout: float | None = None
    ) -> None:
        try:
            self._storage = _Connection(**options)
        except UnusableOrigin:
            raise
        except ImproperlyConfigured as error:
            raise UnusableOrigin(str(error)) from error
        if bool(self._storage.access_key) != bool(self._storage.secret_key):
            missing = "secret_key" if self._storage.access_key else "access_key"
            reason = f"it has one half of a pair of keys, {missing} is missing"
            raise UnusableOrigin(reason)
        self.bucket: str = self._storage.bucket_name
        self.location: str = self._storage.location.strip("/")
        self._parameters: dict[str, Any] = dict(self._storage.object_parameters)
        if self._storage.default_acl:
            self._parameters.setdefault("ACL", self._storage.default_acl)
        self._storage.client_config = _client_config(
            self._storage.client_config, connections, timeout
        )
        self._client: S3Client | None = None

    @property
    def client(self) -> S3Client:
        """One client for all threads, made when it is first needed."""
        if self._client is None:
            try:
                self._client = self._storage.connection.meta.client
            except (BotoCoreError, ValueError) as error:
                raise UnusableOrigin(str(error)) from error
        return self._client

    def key(self, path: str) -> str:
        """The key of ``path``, which is below the location."""
        return f"{self.location}/{path}" if self.location else path

    def url(self, path: str) -> str:
        """``s3://bucket/key`` of a path, for people."""
        return f"s3://{self.bucket}/{self.key(path)}"

    def get(self, path: str) -> bytes | None:
        """The bytes of an object; None when S3 says that there is none.

        Without permission to list the bucket S3 says 403 for a key that is not there: that is an
        `OriginError` with ``status`` 403, like every other failure.
        """
        try:
            answer = self.client.get_object(Bucket=self.bucket, Key=self.key(path))
            with answer["Body"] as body:
                return body.read()
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") in ("NoSuchKey", "404"):
                return None
            raise OriginError(_GET, self.url(path), error) from error
        except (BotoCoreError, HTTPError) as error:
            raise OriginError(_GET, self.url(path), error) from error

    def put_file(self, path: str, file: Path, **headers: str) -> int:
        """Upload a file and return its size in bytes.

        S3 refuses a body that does not have the sha256 sent along, which stays with the object as
        metadata too.
        """
        with file.open("rb") as body:
            sha256 = hashlib.sha256()
            while chunk := body.read(1 << 20):
                sha256.update(chunk)
            size = body.tell()
            body.seek(0)
            self._put(path, body, sha256.hexdigest(), headers)
        return size

    def create(self, path: str, data: bytes, **headers: str) -> bool:
        """Put an object where there is none; False when there is one already."""
        try:
            self._put(
                path,
                data,
                hashlib.sha256(data).hexdigest(),
                {**headers, "IfNoneMatch": "*"},
            )
        except OriginError as error:
            # 409: somebody else is creating it in this very moment.
            if error.status in (409, 412):
                return False
            raise
        return True

    def _put(self, path: str, body: Any, sha256: str, headers: Mapping[str, str]) -> None:
        try:
            self.client.put_object(
                **{
                    **self._parameters,
                    "Bucket": self.bucket,
                    "Key": self.key(path),
                    "Body": body,
                    "ChecksumSHA256": b64encode(bytes.fromhex(sha256)).decode(),
                    "Metadata": {**self._parameters.get("Metadata", {}), "sha256": sha256},
                    **headers,
                }
            )
        except (BotoCoreError, ClientError, HTTPError) as error:
            raise OriginError(_PUT, self.url(path), error) from error


class UnusableOrigin(ConfigurationError):
    """The origin option does not describe a connection to S3."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(
            f"The origin option cannot be used: {_sentence(reason)} It takes django-storages' "
            "S3Storage options, for example {'bucket_name': 'my-site-static', 'region_name': "
            "'eu-west-1'}."
        )


class UnknownOriginOption(UnusableOrigin):
    """S3Storage has no option of that name."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        self.name = name
        self.known = tuple(sorted(known))
        super().__init__(f"{name!r} is none of {', '.join(self.known)}.")


def _sentence(text: str) -> str:
    # S3 ends most of what it says with a full stop, botocore little.
    return text if text.endswith((".", "!")) else f"{text}."


def _client_config(given: Config, connections: int, timeout: float | None) -> Config:
    """``given`` over our own defaults: what a site has set itself stays."""
    defaults = Config(
        max_pool_connections=connections,
        retries={"mode": "standard", "total_max_attempts": 5},
        connect_timeout=10,
        read_timeout=60,
        # We send a sha256 with every body. The CRC that boto3 would add comes as a trailer, which
        # not every S3 server takes.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    # Signed, so that a server which does not know the checksum header checks the body all the same.
    s3: Any = {"payload_signing_enabled": True, **(getattr(given, "s3", None) or {})}
    config = defaults.merge(given).merge(Config(s3=s3))
    if timeout is None:
        return config
    # A page waits for it, so here ours are the last word.
    return config.merge(
        Config(
            connect_timeout=timeout,
            read_timeout=timeout,
            retries={"mode": "standard", "total_max_attempts": 1},
        )
    )
