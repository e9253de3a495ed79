"""Who may read a bucket and what is in it, as far as S3 says it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from .finding import NOT_AVAILABLE, Finding, Level, is_denied
from .problems import PERMISSIONS, OriginError
from .s3 import S3Origin

# What stores say that know a bucket, and not what AWS has to say of one.
_UNKNOWN_TO_STORE = ("NotImplemented", "MethodNotAllowed", "InvalidRequest", "ResponseParserError")
_NOT_SET = ("NoSuchPublicAccessBlockConfiguration", "OwnershipControlsNotFoundError")


def privacy(origin: S3Origin) -> Iterator[Finding]:
    """Look at the block of public access and at the ownership of objects; nothing is changed."""
    yield _of_bucket(origin, "public access", "GetPublicAccessBlock", _public_access)
    yield _of_bucket(origin, "ownership", "GetBucketOwnershipControls", _ownership)


def _of_bucket(
    origin: S3Origin,
    check: str,
    operation: str,
    judge: Callable[[Mapping[str, Any]], Finding],
) -> Finding:
    try:
        return judge(origin.of_bucket(operation))
    except OriginError as error:
        if is_denied(error):
            remedy = f"To have it looked at, grant {PERMISSIONS[operation]}."
            return Finding(check, Level.UNKNOWN, "could not look: access denied", remedy)
        if error.code in _NOT_SET:
            return judge({})
        if error.code in _UNKNOWN_TO_STORE or error.status in (405, 501):
            return Finding(check, Level.UNKNOWN, NOT_AVAILABLE)
        return Finding(check, Level.WARNING, str(error))


def _public_access(answer: Mapping[str, Any]) -> Finding:
    said = answer.get("PublicAccessBlockConfiguration", {})
    names = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
    missing = [name for name in names if not said.get(name)]
    if not missing:
        return Finding("public access", Level.OK, "blocked: only the CDN needs to read it")
    return Finding(
        "public access",
        Level.WARNING,
        f"not blocked: {', '.join(missing)} not set",
        "Let only the CDN read the bucket, and turn on 'Block all public access': records are in "
        "it too.",
    )


def _ownership(answer: Mapping[str, Any]) -> Finding:
    rules = answer.get("OwnershipControls", {}).get("Rules", ())
    found = next((rule.get("ObjectOwnership") for rule in rules), None)
    if found == "BucketOwnerEnforced":
        return Finding("ownership", Level.OK, "BucketOwnerEnforced: ACLs are off")
    if found is None and answer:
        # Ceph answers, with something else: S3 says by an error that there are none.
        return Finding("ownership", Level.UNKNOWN, NOT_AVAILABLE)
    return Finding(
        "ownership",
        Level.WARNING,
        f"{found or 'not set'}: ACLs are on",
        "Set ObjectOwnership to BucketOwnerEnforced: an ACL can make an object public, and one of "
        "another account's is not the bucket's to serve.",
    )
