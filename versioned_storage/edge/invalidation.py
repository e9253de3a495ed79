"""Invalidations: for what is not versioned. Nothing in a build ever needs one."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote
from uuid import uuid4

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, WaiterError

from ..errors import VersionedStorageError
from ..origin.connection import Connection
from ..text import count_text, names_text

if TYPE_CHECKING:
    from mypy_boto3_cloudfront import CloudFrontClient

#: How many paths CloudFront works on at a time for one distribution, and how many of them may end
#: in ``*``.
MAX_PATHS = 3000
MAX_WILDCARDS = 15
#: Seconds between two questions whether CloudFront is done. It takes a minute or two.
POLL = 5

_GET = "GetInvalidation"

# Left as they are: what RFC 3986 allows in a path and a query, and what is encoded already.
_SAFE = "/%?*~!$&'()+,;=:@-._"
_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")

_ADVICE = {
    "AccessDenied": "These credentials need cloudfront:CreateInvalidation and "
    "cloudfront:GetInvalidation on the distribution, and cloudfront:ListDistributions to find it.",
    "NoCredentialsError": "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the machine a "
    "role.",
    "NoSuchDistribution": "Correct --distribution; without it, it is found by cdn_domain.",
    "TooManyInvalidationsInProgress": "Run it again in a few minutes, when the others are done.",
}


class InvalidPath(VersionedStorageError):
    """A path that cannot be invalidated."""

    def __init__(self, path: str, reason: str, remedy: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(f"{path!r} cannot be invalidated: {reason}. {remedy}")


class UnknownDistribution(VersionedStorageError):
    """No distribution of this account answers for the host."""

    def __init__(self, host: str, found: Sequence[str]) -> None:
        self.host = host
        self.found = tuple(found)
        super().__init__(
            f"No CloudFront distribution of this account has the domain or the alias {host!r}; "
            f"found {names_text(self.found) or 'none'}. Name it with --distribution, or use "
            "the credentials of the account that has it."
        )


class InvalidationFailed(VersionedStorageError):
    """CloudFront refused, or did not answer. ``code`` is its own, or botocore's."""

    def __init__(self, operation: str, error: ClientError | BotoCoreError) -> None:
        self.operation = operation
        self.code = type(error).__name__
        reason = str(error)
        if isinstance(error, ClientError):
            said = error.response.get("Error", {})
            self.code = said.get("Code", "Unknown")
            reason = said.get("Message", "") or self.code
        advice = _ADVICE.get(self.code, "What was invalidated before may be invalidated again.")
        super().__init__(f"{operation} failed: {self.code}, {reason.rstrip('.')}. {advice}")


class StillInProgress(VersionedStorageError):
    """CloudFront is at work longer than we were to wait."""

    def __init__(self, distribution: str, invalidation: str, seconds: float) -> None:
        self.distribution = distribution
        self.invalidation = invalidation
        super().__init__(
            f"Invalidation {invalidation} of {distribution} is still in progress after "
            f"{seconds:g} s. It goes on by itself; what was to come after it was not begun."
        )


@dataclass(frozen=True)
class Invalidated:
    """What CloudFront was told, and whether it is done."""

    distribution: str
    invalidations: tuple[str, ...]
    paths: tuple[str, ...]
    done: bool

    @property
    def ok(self) -> bool:
        return True

    def text(self) -> str:
        state = "done" if self.done else "in progress"
        return (
            f"{count_text(len(self.paths), 'path')} of {self.distribution}: "
            f"{', '.join(self.invalidations)}, {state}"
        )

    def data(self) -> dict[str, object]:
        return {
            "distribution": self.distribution,
            "invalidations": list(self.invalidations),
            "paths": list(self.paths),
            "done": self.done,
        }


@dataclass(frozen=True)
class Invalidator:
    """Invalidates paths of one distribution."""

    client: CloudFrontClient
    distribution: str

    def invalidate(
        self, paths: Sequence[str], *, wait: float | None = None, longest: float = 900.0
    ) -> Invalidated:
        """Invalidate encoded ``paths``, in batches that CloudFront takes.

        ``wait`` are the seconds to wait for the last batch; None does not wait for it. Before each
        further one the one before has to be done, for which there are ``longest`` seconds. Raises
        `InvalidationFailed` and `StillInProgress`.
        """
        begun: list[str] = []
        for batch in batches(paths):
            if begun:
                self._wait(begun[-1], longest)
            begun.append(self._begin(batch))
        if wait is not None and begun:
            self._wait(begun[-1], wait)
        return Invalidated(self.distribution, tuple(begun), tuple(paths), wait is not None)

    def _begin(self, batch: Sequence[str]) -> str:
        with _refusals("CreateInvalidation"):
            answer = self.client.create_invalidation(
                DistributionId=self.distribution,
                InvalidationBatch={
                    "Paths": {"Quantity": len(batch), "Items": list(batch)},
                    # The same one again is the same invalidation: botocore's retries are safe.
                    "CallerReference": f"versioned-storage-{uuid4()}",
                },
            )
        return answer["Invalidation"]["Id"]

    def _wait(self, invalidation: str, seconds: float) -> None:
        attempts = max(1, math.ceil(seconds / POLL))
        with _refusals(_GET):
            try:
                self.client.get_waiter("invalidation_completed").wait(
                    DistributionId=self.distribution,
                    Id=invalidation,
                    WaiterConfig={"Delay": POLL, "MaxAttempts": attempts},
                )
            except WaiterError as error:
                if "Error" in error.last_response:
                    raise ClientError(error.last_response, _GET) from error
                raise StillInProgress(self.distribution, invalidation, seconds) from error


def cloudfront(origin: Mapping[str, Any] | None) -> CloudFrontClient:
    """A client with the credentials of the origin option; without one, with those of the machine.

    Raises `InvalidationFailed` and `UnusableOrigin`.
    """
    session = boto3.Session()
    if origin is not None:
        session = Connection(origin, connections=1, timeout=None).session
    # CloudFront is in one region for all the world.
    config = Config(region_name="us-east-1", retries={"mode": "standard", "total_max_attempts": 5})
    with _refusals("Connecting to CloudFront"):
        return session.client("cloudfront", config=config)


def find_distribution(client: CloudFrontClient, host: str) -> str:
    """The id of the distribution that answers for ``host``, by its domain or by an alias of it.

    Raises `UnknownDistribution` and `InvalidationFailed`.
    """
    host = host.lower()
    found = []
    with _refusals("ListDistributions"):
        for page in client.get_paginator("list_distributions").paginate():
            for one in page["DistributionList"].get("Items", ()):
                names = [one["DomainName"], *one["Aliases"].get("Items", ())]
                if any(_is_name_of(name.lower(), host) for name in names):
                    return one["Id"]
                found.append(one["DomainName"])
    raise UnknownDistribution(host, found)


def encoded(path: str, *, static_path: str | None) -> str:
    """A path as CloudFront takes it. Raises `InvalidPath`.

    ``static_path`` is the STATIC_URL path of a site with builds, below which nothing needs it.
    """
    if not path.startswith("/"):
        remedy = f"Paths begin with a slash: {'/' + path.lstrip('/')!r}."
        raise InvalidPath(path, "it has no slash at its beginning", remedy)
    if "*" in path[:-1]:
        remedy = f"Shorten it to {path[: path.index('*') + 1]!r}, or name the paths."
        raise InvalidPath(path, "a * stands for anything at the end of a path alone", remedy)
    if _BROKEN_ESCAPE.search(path):
        raise InvalidPath(path, "it has a % that escapes nothing", "Write %25 for a percent sign.")
    if static_path is not None and f"{path.removesuffix('*')}/".startswith(static_path):
        remedy = (
            "A new deploy has new URLs, and the old ones never change: leave it out. If a build is "
            "wrong, publish another one under a new BUILD_VERSION, because no invalidation reaches "
            "the browsers that hold it."
        )
        raise InvalidPath(path, f"everything below {static_path} is versioned", remedy)
    return quote(path, safe=_SAFE)


def batches(paths: Iterable[str]) -> Iterator[list[str]]:
    """``paths`` in the order given, as many at once as CloudFront takes."""
    batch: list[str] = []
    wildcards = 0
    for path in paths:
        is_wildcard = path.endswith("*")
        if len(batch) == MAX_PATHS or (is_wildcard and wildcards == MAX_WILDCARDS):
            yield batch
            batch, wildcards = [], 0
        batch.append(path)
        wildcards += is_wildcard
    if batch:
        yield batch


@contextmanager
def _refusals(operation: str) -> Iterator[None]:
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise InvalidationFailed(operation, error) from error


def _is_name_of(name: str, host: str) -> bool:
    # An alias can be *.example.com, which stands for one label.
    return name == host or (name.startswith("*.") and host.partition(".")[2] == name[2:])
