"""Checks whether an existing cache policy of the account suits builds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .distribution import OriginKind

#: Seconds that a no-store response may be cached all the same, as in AWS's own policies.
MAX_MIN_TTL = 1
#: Seconds that the policy must let the edge cache immutable files, at least: a day.
MIN_MAX_TTL = 86_400

_FLAGS = "EnableAcceptEncodingGzip and EnableAcceptEncodingBrotli"


def objections(config: Mapping[str, Any], kind: OriginKind) -> Iterator[str]:
    """Yield what is wrong with a policy, as GetCachePolicy describes it, for a kind of origin."""
    key = config["ParametersInCacheKeyAndForwardedToOrigin"]
    if key["QueryStringsConfig"]["QueryStringBehavior"] != "none":
        yield "it forwards query strings, which let anybody change the type of S3's responses"
    if key["CookiesConfig"]["CookieBehavior"] != "none":
        yield "it forwards cookies and caches a copy for each of them"
    if key["HeadersConfig"]["HeaderBehavior"] != "none":
        yield "it forwards headers and caches a copy for each of their values"
    flags = {key["EnableAcceptEncodingGzip"], key.get("EnableAcceptEncodingBrotli", False)}
    if kind == "pull" and flags != {True}:
        yield f"the application never learns what a viewer can decode: {_FLAGS} must be on"
    if kind != "pull" and flags != {False}:
        yield f"it caches the same object for each Accept-Encoding: {_FLAGS} must be off"
    if config["MinTTL"] > MAX_MIN_TTL:
        yield f"it caches no-store responses for {config['MinTTL']} s (MinTTL)"
    # CloudFront's default is a year.
    if config.get("MaxTTL", MIN_MAX_TTL) < MIN_MAX_TTL:
        yield f"it caches immutable files for only {config['MaxTTL']} s (MaxTTL)"
