"""CloudFront's API: invalidations and distributions.

Only paths that are not versioned need an invalidation.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
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
    from mypy_boto3_cloudfront.type_defs import InvalidationBatchTypeDef, WaiterConfigTypeDef

#: Seconds between two requests for the state of an invalidation, which takes a minute or two.
POLL = 5

# What RFC 3986 allows in a path and a query, and what is encoded already.
_SAFE = "/%?*~!$&'()+,;=:@-._"

_ADVICE = {
    "AccessDenied": "Grant cloudfront:CreateInvalidation and cloudfront:GetInvalidation on the "
    "distribution, and cloudfront:ListDistributions to find it.",
    "NoCredentialsError": "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the machine a "
    "role.",
    "NoSuchDistribution": "Correct --distribution, or leave it out: cdn_domain finds it.",
    "TooManyInvalidationsInProgress": "Run it again in a few minutes, when others are done.",
    "WaiterError": "The invalidation continues without this command.",
}


class InvalidPath(VersionedStorageError):
    """A path that cannot be invalidated."""

    def __init__(self, path: str, reason: str, remedy: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(f"{path!r} cannot be invalidated: {reason}. {remedy}")


class UnknownDistribution(VersionedStorageError):
    """No distribution of this account has the host; ``domains`` are those that it has."""

    def __init__(self, host: str, domains: Sequence[str]) -> None:
        self.host = host
        self.domains = tuple(domains)
        super().__init__(
            f"No CloudFront distribution of this account has the domain or the alias {host!r}; "
            f"its distributions are {names_text(self.domains) or 'none'}. Name one with "
            "--distribution, or use the credentials of the account that has it."
        )


class CloudFrontError(VersionedStorageError):
    """CloudFront refused a request, or did not answer. ``code`` is its own, or botocore's."""

    def __init__(self, operation: str, error: ClientError | BotoCoreError) -> None:
        # A waiter has the refusal that ended it in its last response.
        response = getattr(error, "response", None) or getattr(error, "last_response", {})
        details = response.get("Error", {})
        self.operation = operation
        self.code = details.get("Code", type(error).__name__)
        reason = details.get("Message") or str(error)
        advice = _ADVICE.get(self.code, "Running the same command again is safe.")
        super().__init__(f"{operation} failed: {self.code}, {reason.rstrip('.')}. {advice}")


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

    With ``wait``, wait up to that many seconds until it is done. Raises `CloudFrontError`.
    """
    batch: InvalidationBatchTypeDef = {
        "Paths": {"Quantity": len(paths), "Items": list(paths)},
        # CloudFront answers a repeated reference with the same invalidation: retries are safe.
        "CallerReference": f"versioned-storage-{uuid4()}",
    }
    with _errors("CreateInvalidation"):
        response = client.create_invalidation(DistributionId=distribution, InvalidationBatch=batch)
    invalidation = response["Invalidation"]["Id"]
    if wait is not None:
        config: WaiterConfigTypeDef = {"Delay": POLL, "MaxAttempts": max(1, math.ceil(wait / POLL))}
        waiter = client.get_waiter("invalidation_completed")
        with _errors("GetInvalidation"):
            waiter.wait(DistributionId=distribution, Id=invalidation, WaiterConfig=config)
    return invalidation


def find_distribution(client: CloudFrontClient, host: str) -> str:
    """Return the id of the distribution with the domain or the alias ``host``.

    Raises `UnknownDistribution` and `CloudFrontError`.
    """
    host = host.lower()
    domains = []
    with _errors("ListDistributions"):
        for page in client.get_paginator("list_distributions").paginate():
            for distribution in page["DistributionList"].get("Items", ()):
                domains.append(distribution["DomainName"])
                names = [distribution["DomainName"], *distribution["Aliases"].get("Items", ())]
                if any(_matches(name.lower(), host) for name in names):
                    return distribution["Id"]
    raise UnknownDistribution(host, domains)


def encoded(path: str, *, static_path: str | None) -> str:
    """Return a path as CloudFront accepts it. Raises `InvalidPath`.

    ``static_path`` is the STATIC_URL path of a site with builds, where nothing needs it.
    """
    if not path.startswith("/"):
        remedy = f"Paths begin with a slash: {'/' + path.lstrip('/')!r}."
        raise InvalidPath(path, "it has no slash at its beginning", remedy)
    if "*" in path[:-1]:
        remedy = f"Shorten it to {path[: path.index('*') + 1]!r}, or name the paths."
        raise InvalidPath(path, "a * is a wildcard only at the end of a path", remedy)
    if static_path is not None and f"{path.removesuffix('*')}/".startswith(static_path):
        remedy = (
            "A new deploy has new URLs, and the old ones never change: leave it out. If a build is "
            "wrong, publish another one under a new BUILD_VERSION, because no invalidation reaches "
            "the browsers that cached it."
        )
        raise InvalidPath(path, f"everything below {static_path} is versioned", remedy)
    return quote(path, safe=_SAFE)


@contextmanager
def _errors(operation: str) -> Iterator[None]:
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise CloudFrontError(operation, error) from error


def _matches(name: str, host: str) -> bool:
    # An alias can be *.example.com, which stands for one label.
    return name == host or (name.startswith("*.") and host.partition(".")[2] == name[2:])
