"""A cache policy that an account has already: what is wrong with it for builds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from ..errors import VersionedStorageError
from .distribution import Kind
from .invalidation import cloudfront

#: Seconds that an answer which says no-store may be kept all the same: as in AWS's own policies.
MAX_MIN_TTL = 1
#: Seconds that a policy has to let the edge keep what is immutable, at least: a day.
MIN_MAX_TTL = 86_400

_FLAGS = "EnableAcceptEncodingGzip and EnableAcceptEncodingBrotli"


def warnings(policy_id: str, kind: Kind, origin: Mapping[str, Any] | None) -> list[str]:
    """What is wrong with that policy for an origin of that kind, as CloudFront describes it.

    ``origin`` is the option of that name, for its credentials.
    """
    try:
        answer = cloudfront(origin).get_cache_policy(Id=policy_id)
    except (BotoCoreError, ClientError, VersionedStorageError) as error:
        return [f"CloudFront did not say what it does, so see to it yourself: {error}"]
    return list(objections(answer["CachePolicy"]["CachePolicyConfig"], kind))


def objections(config: Mapping[str, Any], kind: Kind) -> Iterator[str]:
    """What is wrong with a policy, as GetCachePolicy describes it, for an origin of that kind."""
    key = config["ParametersInCacheKeyAndForwardedToOrigin"]
    if key["QueryStringsConfig"]["QueryStringBehavior"] != "none":
        yield "it sends query strings on, and S3 lets them change the type of an answer"
    if key["CookiesConfig"]["CookieBehavior"] != "none":
        yield "it sends cookies on, and keeps a copy for each of them"
    if key["HeadersConfig"]["HeaderBehavior"] != "none":
        yield "it sends headers on, and keeps a copy for each of their values"
    flags = {key["EnableAcceptEncodingGzip"], key.get("EnableAcceptEncodingBrotli", False)}
    if kind == "pull" and flags != {True}:
        yield f"the application never learns what a viewer can decode: {_FLAGS} have to be on"
    if kind != "pull" and flags != {False}:
        yield f"it keeps the same object for each Accept-Encoding: {_FLAGS} have to be off"
    if config["MinTTL"] > MAX_MIN_TTL:
        yield f"it keeps for {config['MinTTL']} s what says that it must not be kept (MinTTL)"
    # CloudFront's default is a year.
    if config.get("MaxTTL", MIN_MAX_TTL) < MIN_MAX_TTL:
        yield f"it keeps what is immutable for no more than {config['MaxTTL']} s (MaxTTL)"
