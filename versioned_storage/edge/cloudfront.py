"""CloudFront's API: invalidations and distributions."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING
from urllib.parse import quote
from uuid import uuid4

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from ..errors import VersionedStorageError
from ..text import names_text

if TYPE_CHECKING:
    from mypy_boto3_cloudfront import CloudFrontClient

#: Seconds between two requests for the state of an invalidation, which takes a minute or two.
POLL = 5

# What RFC 3986 allows in a path and a query, and what is encoded already.
_SAFE = "/%?*~!$&'()+,;=:@-._"

_REMEDIES = {
    "AccessDenied": "Grant cloudfront:CreateInvalidation and cloudfront:GetInvalidation on the "
    "distribution, and cloudfront:ListDistributions to find it.",
    "WaiterError": "The invalidation continues without this command.",
}


class InvalidPath(VersionedStorageError):
    """A path that cannot be invalidated."""

    def __init__(self, path: str, reason: str) -> None:
        self.path = path
        super().__init__(f"{path!r} cannot be invalidated: {reason}")


class UnknownDistribution(VersionedStorageError):
    """No distribution of this account has the host; ``names`` are their domains and aliases."""

    def __init__(self, host: str, names: Sequence[str]) -> None:
        super().__init__(
            f"No CloudFront distribution of this account has the domain or the alias {host!r}; it "
            f"has {names_text(names) or 'no distribution'}. Name one with --distribution, or use "
            "the credentials of the account that has it."
        )


class CloudFrontError(VersionedStorageError):
    """CloudFront refused a request, or did not answer. ``code`` is its own, or botocore's."""

    def __init__(self, operation: str, error: ClientError | BotoCoreError) -> None:
        # A waiter has the refusal that ended it in its last response.
        response = getattr(error, "response", None) or getattr(error, "last_response", {})
        details = response.get("Error", {})
        self.code = details.get("Code", type(error).__name__)
        reason = details.get("Message") or str(error)
        remedy = _REMEDIES.get(self.code, "Running the same command again is safe.")
        super().__init__(f"{operation} failed: {self.code}, {reason.rstrip('.')}. {remedy}")


def connect(session: boto3.Session | None = None) -> CloudFrontClient:
    """Return a client with the credentials of ``session``, by default those of the machine.

    Raises `CloudFrontError`.
    """
    # CloudFront has one endpoint for all regions.
    config = Config(region_name="us-east-1", retries={"mode": "standard", "total_max_attempts": 5})
    with _errors("Connecting to CloudFront"):
        return (session or boto3.Session()).client("cloudfront", config=config)


def invalidate(
    client: CloudFrontClient, distribution: str, paths: Sequence[str], *, wait: float | None = None
) -> str:
    """Invalidate encoded ``paths`` and return the id of the invalidation.

    With ``wait``, wait up to that many seconds until it is complete. Raises `CloudFrontError`.
    """
    with _errors("CreateInvalidation"):
        response = client.create_invalidation(
            DistributionId=distribution,
            InvalidationBatch={
                "Paths": {"Quantity": len(paths), "Items": list(paths)},
                # A retry repeats the reference, and CloudFront answers with the same invalidation.
                "CallerReference": f"versioned-storage-{uuid4()}",
            },
        )
    invalidation = response["Invalidation"]["Id"]
    if wait is not None:
        with _errors("GetInvalidation"):
            client.get_waiter("invalidation_completed").wait(
                DistributionId=distribution,
                Id=invalidation,
                WaiterConfig={"Delay": POLL, "MaxAttempts": max(1, math.ceil(wait / POLL))},
            )
    return invalidation


def find_distribution(client: CloudFrontClient, host: str) -> str:
    """Return the id of the distribution with the domain ``host``, or with an alias for it.

    Raises `UnknownDistribution` and `CloudFrontError`.
    """
    ids = {}
    with _errors("ListDistributions"):
        for page in client.get_paginator("list_distributions").paginate():
            for distribution in page["DistributionList"].get("Items", ()):
                for name in (distribution["DomainName"], *distribution["Aliases"].get("Items", ())):
                    ids[name.lower()] = distribution["Id"]
    host = host.lower()
    # *.example.com stands for subdomains of any depth, and gives way to a longer alias.
    names = sorted((name for name in ids if fnmatchcase(host, name)), key=len)
    if not names:
        raise UnknownDistribution(host, sorted(ids))
    return ids[host if host in ids else names[-1]]


def encoded(path: str, *, static_path: str | None) -> str:
    """Return a path as CloudFront accepts it. Raises `InvalidPath`.

    ``static_path`` is the STATIC_URL path of a site with builds, where nothing needs it.
    """
    if not path.startswith("/"):
        raise InvalidPath(path, f"it has no slash at its beginning, as '/{path}' has.")
    if "*" in path[:-1]:
        raise InvalidPath(path, "a * is a wildcard only at the end of a path.")
    if static_path is not None and f"{path.removesuffix('*')}/".startswith(static_path):
        reason = (
            f"everything below {static_path} is versioned. A new deploy has new URLs, and the old "
            "ones never change. If a build is wrong, publish another one under a new "
            "BUILD_VERSION: no invalidation reaches the browsers that cached it."
        )
        raise InvalidPath(path, reason)
    return quote(path, safe=_SAFE)


@contextmanager
def _errors(operation: str) -> Iterator[None]:
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise CloudFrontError(operation, error) from error
