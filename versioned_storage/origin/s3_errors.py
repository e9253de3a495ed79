"""What S3 refused, or did not answer, and what mends it."""

from __future__ import annotations

from collections.abc import Sequence

from botocore.exceptions import BotoCoreError, ClientError
from urllib3.exceptions import HTTPError

from ..errors import VersionedStorageError
from ..text import lines_text
from .connection import sentence

#: The IAM actions that each operation needs; the operations on a bucket need them on the bucket.
PERMISSIONS = {
    "AbortMultipartUpload": "s3:AbortMultipartUpload",
    "CompleteMultipartUpload": "s3:PutObject",
    "CopyObject": "s3:GetObject and s3:PutObject",
    "CreateMultipartUpload": "s3:PutObject",
    "DeleteObjects": "s3:DeleteObject",
    "GetBucketOwnershipControls": "s3:GetBucketOwnershipControls",
    "GetObject": "s3:GetObject",
    "GetPublicAccessBlock": "s3:GetBucketPublicAccessBlock",
    "HeadObject": "s3:GetObject",
    "ListObjectsV2": "s3:ListBucket",
    "PutObject": "s3:PutObject",
    "UploadPart": "s3:PutObject",
}
#: What S3 calls a lack of permission; a HEAD has a status and no code.
DENIED = ("AccessDenied", "403", "Forbidden")

_READING = ("GetObject", "HeadObject")
_OTHER_REGION = "Correct region_name in the origin option."
# S3 says these with a 400 or a 429, and another attempt may succeed.
_PASSING = ("RequestTimeout", "RequestTimeoutException", "TooManyRequests", "429", "408")
_ADVICE = {
    "AuthorizationHeaderMalformed": _OTHER_REGION,
    "ExpiredToken": "The credentials have expired: get new ones.",
    "InvalidAccessKeyId": "S3 does not know these credentials: correct access_key, or "
    "AWS_ACCESS_KEY_ID.",
    "InvalidHeader": "Look for it in the credentials and in object_parameters.",
    "InvalidAccessPoint": "Correct bucket_name.",
    "NoSuchBucket": "Create the bucket, or correct bucket_name in the origin option.",
    "NotImplemented": "This store lacks what that takes: see the docs on other stores than AWS.",
    "PermanentRedirect": _OTHER_REGION,
    "ParamValidationError": "Correct bucket_name or object_parameters in the origin option.",
    "RequestTimeTooSkewed": "Set the clock of this machine: S3 refuses a request whose time is 15 "
    "minutes off.",
    "SignatureDoesNotMatch": "Correct secret_key, or AWS_SECRET_ACCESS_KEY.",
    "NoCredentialsError": "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or access_key and "
    "secret_key in the origin option, or give the machine a role.",
}
_REFUSED = (
    "The same again would be refused too: see what it says, and the docs on other stores than AWS "
    "where it is none of AWS."
)
_UNREACHABLE = (
    "Nothing was lost: see that the server can be reached (endpoint_url, network, proxy) and run "
    "the same command again."
)


class OriginError(VersionedStorageError):
    """S3 refused a request, or could not be reached.

    ``code`` is S3's own error code, or the name of botocore's exception where there was no
    answer (urllib3's where it broke off: botocore lets that one through; "InvalidHeader" where a
    request could not be made of the values that it was to have); ``status`` is the HTTP
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
        else:
            if "Invalid header value" in reason:
                # It says which, and that can be a token.
                self.code, reason = "InvalidHeader", "A value has a line break or the like in it."
            # The transport counts them there; urllib3's own errors have no such place.
            self.attempts = getattr(error, "kwargs", {}).get("attempts", 1)
        status = f" {self.status}" if self.status else ""
        tried = f" after {self.attempts} attempts" if self.attempts > 1 else ""
        refused = self.status in range(400, 500) and self.code not in _PASSING
        advice = _ADVICE.get(self.code, _REFUSED if refused else _UNREACHABLE)
        if self.code in DENIED:
            advice = permission_text(operation)
        # Not every S3 server has words for its codes; radosgw has none, and a HEAD no codes.
        codes = [self.code] if self.code != str(self.status) else []
        said = sentence(", ".join([*codes, reason] if reason else [self.code]))
        super().__init__(f"{operation} {url} failed{tried}:{status} {said} {advice}")


class NotDeleted(VersionedStorageError):
    """S3 answered a deletion and did not delete some of the objects.

    ``errors`` has the URL, S3's code and S3's message of each.
    """

    def __init__(self, errors: Sequence[tuple[str, str, str]]) -> None:
        self.errors = tuple(errors)
        listed = lines_text([f"{url}: {code}, {said}" for url, code, said in self.errors])
        denied = any(code in DENIED for _, code, _ in self.errors)
        remedy = f"{permission_text('DeleteObjects')} Then run" if denied else "Run"
        super().__init__(
            f"S3 did not delete {len(self.errors):,} objects:\n{listed}\n{remedy} the same command "
            "again: it goes on with what is left."
        )


def permission_text(operation: str) -> str:
    """Return the sentence that names the permission which an operation needs."""
    actions = PERMISSIONS.get(operation, f"s3:{operation}")
    missing = (
        ", and s3:ListBucket on the bucket: without it S3 also denies keys that do not exist"
        if operation in _READING
        else ""
    )
    return f"Grant {actions} on it to these credentials{missing}."
