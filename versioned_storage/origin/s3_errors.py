"""The errors of S3 and of the credentials for it: what was refused, and what to do."""

from __future__ import annotations

import os
from collections.abc import Sequence

from botocore.exceptions import BotoCoreError, ClientError, SSOError, TokenRetrievalError
from urllib3.exceptions import HTTPError

from ..errors import VersionedStorageError
from ..text import lines_text

#: The IAM actions that each operation needs; the operations on a bucket need them on the bucket.
PERMISSIONS = {
    "CopyObject": "s3:GetObject and s3:PutObject",
    "DeleteObjects": "s3:DeleteObject",
    "GetBucketOwnershipControls": "s3:GetBucketOwnershipControls",
    "GetObject": "s3:GetObject",
    "GetPublicAccessBlock": "s3:GetBucketPublicAccessBlock",
    "HeadObject": "s3:GetObject",
    "ListObjectsV2": "s3:ListBucket",
    "ListObjectVersions": "s3:ListBucketVersions",
    "PutObject": "s3:PutObject",
}
#: What S3 calls a lack of permission; a HEAD has a status and no code.
DENIED = ("AccessDenied", "403", "Forbidden")

_READING = ("GetObject", "HeadObject")
_OTHER_REGION = "Correct region_name in the origin option."
# Codes of a 400 or a 429 after which another attempt may succeed.
_TRANSIENT = ("RequestTimeout", "RequestTimeoutException", "TooManyRequests", "429", "408")
_ADVICE = {
    "AuthorizationHeaderMalformed": _OTHER_REGION,
    "ExpiredToken": "The credentials have expired: get new ones.",
    "InvalidAccessKeyId": "S3 does not know these credentials: correct access_key, or "
    "AWS_ACCESS_KEY_ID.",
    "InvalidHeader": "Look for it in the credentials and in object_parameters.",
    "InvalidAccessPoint": "Correct bucket_name.",
    "NoSuchBucket": "Correct bucket_name in the origin option, or create the bucket: "
    "'python manage.py staticbuilds cloudformation' prints a stack that has it, beside the CDN.",
    "EntityTooLarge": "S3 takes up to 5 GB in one request: serve this file from elsewhere.",
    "NotImplemented": "This store does not have this operation: see docs/s3.md.",
    "PermanentRedirect": _OTHER_REGION,
    "ParamValidationError": "Correct bucket_name or object_parameters in the origin option.",
    "RequestTimeTooSkewed": "Set the clock of this machine: S3 refuses a request whose time is 15 "
    "minutes off.",
    "SignatureDoesNotMatch": "Correct secret_key, or AWS_SECRET_ACCESS_KEY.",
    "NoCredentialsError": "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or access_key and "
    "secret_key in the origin option, or give the machine a role.",
}
_SSO_CALLS = ("CreateToken", "GetRoleCredentials")
_CREDENTIALS_ADVICE = "Correct the AWS configuration and run the same command again."
_STS_ADVICE = {
    "AccessDenied": "Allow it in the trust policy of the role.",
    "ExpiredToken": "Get new credentials.",
    "ExpiredTokenException": "Get a new token.",
    "InvalidClientTokenId": "Correct access_key, or AWS_ACCESS_KEY_ID.",
    "InvalidIdentityToken": "Get a new token, and see the identity provider in IAM.",
    "SignatureDoesNotMatch": "Correct secret_key, or AWS_SECRET_ACCESS_KEY.",
}
_REFUSED = (
    "A retry would be refused too: mend what the message names. docs/s3.md has what differs in "
    "stores other than AWS."
)
_UNREACHABLE = (
    "Nothing is lost: check that the server can be reached (endpoint_url, network, proxy) and run "
    "the same command again."
)


class OriginError(VersionedStorageError):
    """S3 refused a request, or could not be reached.

    ``code`` is S3's error code. Without a response it is the name of the exception of botocore or
    urllib3, or "InvalidHeader" for a value that cannot be one. ``status`` is the HTTP status, None
    without a response; ``attempts`` is how often the request was sent.
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
            self.code = error.response.get("Error", {}).get("Code", "Unknown")
            reason = error.response.get("Error", {}).get("Message", "")
            metadata = error.response.get("ResponseMetadata", {})
            self.status = metadata.get("HTTPStatusCode")
            self.attempts = metadata.get("RetryAttempts", 0) + 1
        else:
            if "Invalid header value" in reason:
                # The reason has the value, which can be a token.
                self.code, reason = "InvalidHeader", "A value has a line break or the like in it."
            self.attempts = getattr(error, "kwargs", {}).get("attempts", 1)
        status = f" {self.status}" if self.status else ""
        after = f" after {self.attempts} attempts" if self.attempts > 1 else ""
        # radosgw sends codes without a message, and a HEAD has neither.
        codes = [self.code] if self.code != str(self.status) else []
        text = sentence(", ".join([*codes, reason] if reason else [self.code]))
        super().__init__(f"{operation} {url} failed{after}:{status} {text} {self._advice()}")

    def _advice(self) -> str:
        if self.code in DENIED:
            return permission_text(self.operation)
        refused = self.status in range(400, 500) and self.code not in _TRANSIENT
        return _ADVICE.get(self.code, _REFUSED if refused else _UNREACHABLE)


class CredentialsError(OriginError):
    """The AWS credentials could not be loaded or renewed, so no request was sent to S3.

    ``code`` is the error code of AWS STS or IAM Identity Center, or the name of the exception.
    ``process_profile`` is the AWS profile whose ``credential_process`` prints the credentials.
    """

    def __init__(self, error: Exception, process_profile: str | None = None) -> None:
        self.operation = getattr(error, "operation_name", "GetCredentials")
        self.url = ""
        self.status = None
        self.code = type(error).__name__
        self.attempts = 1
        reason, remedy = f"{self.code}, {error}", _CREDENTIALS_ADVICE
        if isinstance(error, ClientError):
            self.code = error.response.get("Error", {}).get("Code", "Unknown")
            text = error.response.get("Error", {}).get("Message", "")
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", "")
            service = "IAM Identity Center (SSO)" if self.operation in _SSO_CALLS else "AWS STS"
            reason = f"{service}, not S3, refused {self.operation}: {status} {self.code}, {text}"
            remedy = _STS_ADVICE.get(self.code, _CREDENTIALS_ADVICE)
        elif isinstance(error, OSError) and error.filename:
            reason = f"{error.filename}: {error.strerror}"
            remedy = "Correct the file that the AWS configuration names."
            if error.filename == os.environ.get("AWS_WEB_IDENTITY_TOKEN_FILE"):
                remedy = (
                    "AWS_WEB_IDENTITY_TOKEN_FILE names it: mount the token there, or unset the "
                    "variable."
                )
                process_profile = None
        if process_profile is not None and not isinstance(error, ClientError):
            reason = (
                f"the credential_process of the AWS profile {process_profile!r} failed: {reason}"
            )
            remedy = "Correct that line of the AWS configuration, or the program that it names."
        if self.operation in _SSO_CALLS or isinstance(error, (SSOError, TokenRetrievalError)):
            remedy = "Run 'aws sso login' again."
        VersionedStorageError.__init__(
            self, f"The AWS credentials cannot be loaded: {sentence(reason)} {remedy}"
        )


class NotDeleted(VersionedStorageError):
    """S3 answered a deletion and did not delete some of the objects.

    ``errors`` has the URL, S3's code and S3's message of each. ``by_version`` is True if versions
    of them were to be deleted, which takes another permission.
    """

    def __init__(self, errors: Sequence[tuple[str, str, str]], *, by_version: bool = False) -> None:
        self.errors = tuple(errors)
        self.by_version = by_version
        listed = lines_text([f"{url}: {code}, {text}" for url, code, text in self.errors])
        denied = any(code in DENIED for _, code, _ in self.errors)
        operation = "DeleteObjectVersion" if by_version else "DeleteObjects"
        remedy = f"{permission_text(operation)} Then run" if denied else "Run"
        super().__init__(
            f"S3 did not delete {len(self.errors):,} objects:\n{listed}\n{remedy} the same command "
            "again: it goes on with what is left."
        )


def is_of_credentials(error: Exception) -> bool:
    """Return True if AWS STS or IAM Identity Center refused to renew the credentials."""
    if isinstance(error, ClientError):
        return error.operation_name in _SSO_CALLS or error.operation_name.startswith("AssumeRole")
    return isinstance(error, (SSOError, TokenRetrievalError))


def sentence(text: str) -> str:
    """Return the text of another package with a full stop at its end."""
    return text if text.endswith((".", "!")) else f"{text}."


def permission_text(operation: str) -> str:
    """Return the sentence that names the permission which an operation needs."""
    actions = PERMISSIONS.get(operation, f"s3:{operation}")
    missing = (
        ", and s3:ListBucket on the bucket: without it S3 also denies keys that do not exist"
        if operation in _READING
        else ""
    )
    return f"Grant {actions} on it to these credentials{missing}."
