"""Print the CloudFormation template of the CDN, made from these settings.

The functions in it ask for what the settings say and every build that is kept has. Print and deploy
it again after a change of encodings or skip_compress_extensions.
"""

from __future__ import annotations

import re
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from ...build.manifest import Manifest, UnreadableManifest
from ...edge import cloudfront
from ...edge.cache_policy import objections
from ...edge.cloudformation import Stack, Template, alarms
from ...edge.distribution import Distribution, Domain, OriginKind
from ...edge.functions import CompressionRules, Constants, shared
from ...edge.yaml import dump
from ...errors import ConfigurationError, VersionedStorageError
from ...origin import record
from ...origin.problems import OriginError
from ...origin.record import State
from ...progress import log_summary, logger
from ...site import Site
from ...text import count_text
from .invalidate import cloudfront_of

_HOST = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,}", re.IGNORECASE)
_PRINCIPAL = re.compile(r"arn:[a-z-]+:(?:iam|sts)::\d{12}:\S+")
# CloudFront takes a certificate from that region alone.
_CERTIFICATE = re.compile(r"arn:[a-z-]+:acm:us-east-1:\d{12}:certificate/\S+")


class UnfitDomain(ConfigurationError):
    """The CDN's URL of the settings is none that CloudFront can answer at."""

    def __init__(self, found: str) -> None:
        self.found = found
        super().__init__(
            f"The CDN of the settings is {found!r}, and a distribution answers at a domain, over "
            "HTTPS and without a port or a path. Set cdn_domain to a domain of yours, "
            "'static.example.com', or leave it out until CloudFront has assigned one."
        )


class NoCertificate(ConfigurationError):
    """CloudFront answers at a domain of the site's own only with a certificate for it."""

    def __init__(self, domain: str) -> None:
        self.domain = domain
        super().__init__(
            f"The CDN of the settings is {domain}, and CloudFront answers there only with a "
            "certificate for it: add --certificate ARN, or leave cdn_domain out and take the "
            "domain that CloudFront assigns."
        )


class NoDomain(ConfigurationError):
    """A certificate or a hosted zone is given, and the settings have no domain for it."""

    def __init__(self) -> None:
        super().__init__(
            "--certificate and --hosted-zone are for a domain of yours, and the settings name "
            "none. Set cdn_domain to it, for example 'static.example.com'."
        )


class NoApplication(ConfigurationError):
    """The edge is to ask the application, and does not know where that is."""

    def __init__(self, kind: OriginKind) -> None:
        self.kind = kind
        super().__init__(
            f"With --origin {kind} CloudFront asks the application: add --app-domain HOST, for "
            "example www.example.com. It has to answer there over HTTPS."
        )


@dataclass(frozen=True)
class Printed:
    """A template as YAML, or with ``--json`` as JSON; CloudFormation takes either."""

    template: Template
    ok: bool = True

    def text(self) -> str:
        return dump(self.template)

    def data(self) -> Template:
        return self.template


def add_arguments(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--origin",
        choices=("s3", "pull", "both"),
        help="the bucket, the application, or the bucket and the application where S3 fails; "
        "the bucket if the option origin is set, else the application",
    )
    host = _matching(_HOST, "a host name")
    add("--app-domain", metavar="HOST", type=host, help="of the application, for pull and both")
    certificate = _matching(_CERTIFICATE, "the ARN of a certificate in us-east-1")
    add("--certificate", metavar="ARN", type=certificate, help="of cdn_domain, in us-east-1")
    add("--hosted-zone", metavar="ID", help="in Route 53, to have the records of cdn_domain made")
    add("--cache-policy", metavar="ID", help="use that one instead of making one")
    for flag, does in (
        ("--uploader", "publishes and prunes builds"),
        ("--reader", "reads the records of builds: an application server without a build"),
        ("--media-writer", "writes media uploads"),
    ):
        principal = _matching(_PRINCIPAL, "the ARN of an IAM principal")
        does = f"the IAM principal that {does}; can be repeated"
        add(flag, metavar="ARN", type=principal, action="append", default=[], help=does)
    add("--media-bucket", metavar="NAME", help="a second bucket and distribution, for uploads")
    add("--versioning", action="store_true", help="keep what is deleted for 30 days")
    add("--logs", action="store_true", help="a bucket for CloudFront's logs, kept for 90 days")
    add("--alarms", action="store_true", help="print the stack of the alarms, for us-east-1")


def run(site: Site, options: Mapping[str, Any]) -> Printed:
    """The template. Raises `ConfigurationError` for what does not go together."""
    return Printed(alarms() if options["alarms"] else _stack(site, options).template())


def _matching(pattern: re.Pattern[str], what: str) -> Callable[[str], str]:
    def checked(text: str) -> str:
        if pattern.fullmatch(text):
            return text
        message = f"{text!r} is not {what}"
        raise ArgumentTypeError(message)

    return checked


def _stack(site: Site, options: Mapping[str, Any]) -> Stack:
    kind: OriginKind = options["origin"] or ("pull" if site.options.origin is None else "s3")
    if kind != "s3" and options["app_domain"] is None:
        raise NoApplication(kind)
    origin = None if kind == "pull" else site.origin
    # Everything below the path is made public.
    site.static_url.check_holds_builds(site.options.cdn_domain)
    if policy := options["cache_policy"]:
        _check_cache_policy(site, policy, kind)
    return Stack(
        distribution=Distribution(
            kind=kind,
            domain=_domain(site, options),
            constants=_constants(site),
            location=origin.location if origin else "",
            app=options["app_domain"],
            cache_policy=policy,
            logs=options["logs"],
        ),
        bucket=origin.bucket if origin else None,
        uploaders=options["uploader"],
        readers=options["reader"],
        versioning=options["versioning"],
        media_bucket=options["media_bucket"],
        media_writers=options["media_writer"],
    )


def _check_cache_policy(site: Site, policy: str, kind: OriginKind) -> None:
    try:
        config = cloudfront.cache_policy(cloudfront_of(site), policy)
    except VersionedStorageError as error:
        logger.warning("Cache policy %s was not checked: %s", policy, error)
        return
    for objection in objections(config, kind):
        logger.warning("Cache policy %s: %s", policy, objection)


def _domain(site: Site, options: Mapping[str, Any]) -> Domain | None:
    """The domain of the settings, unless CloudFront assigned it."""
    url = site.options.cdn_domain or site.static_url.origin
    parts = urlsplit(url)
    if url and (parts.scheme == "http" or parts.path or not _HOST.fullmatch(parts.netloc)):
        raise UnfitDomain(url)
    name = parts.netloc.lower()
    if not name or name.endswith(".cloudfront.net"):
        if options["certificate"] or options["hosted_zone"]:
            raise NoDomain
        return None
    if options["certificate"] is None:
        raise NoCertificate(name)
    return Domain(name, options["certificate"], options["hosted_zone"])


def _constants(site: Site) -> Constants:
    settings = CompressionRules(site.options.encodings, site.options.skip_compress_extensions)
    builds = {**_on_s3(site), **_on_disk(site)}
    for build, found in sorted(builds.items()):
        if less := found.less_than(settings):
            log_summary(f"As long as build {build} is kept, the functions do not ask for {less}")
    log_summary(
        f"The functions ask for what the settings and {count_text(len(builds), 'build')} share"
    )
    compression = shared(settings, builds.values())
    return Constants(
        prefix=site.static_url.path,
        manifest=site.storage.manifest_name,
        compression=compression,
        headers=site.options.response_headers,
    )


def _on_disk(site: Site) -> dict[str, CompressionRules]:
    """What each build in STATIC_ROOT has that the middleware would serve."""
    name, found = site.storage.manifest_name, {}
    for build in site.builds_on_disk():
        text = (site.root / build / name).read_text(encoding="utf-8")
        try:
            manifest = Manifest.from_json(text, name=f"{build}/{name}")
        except UnreadableManifest as error:
            logger.warning("What %s has is not considered: %s", build, error)
            continue
        found[build] = CompressionRules.of(manifest)
    return found


def _on_s3(site: Site) -> dict[str, CompressionRules]:
    """What each published build has; none before there is a bucket."""
    if site.options.origin is None:
        return {}
    try:
        held = record.heads(site.origin, site.options.connections)
    except OriginError as error:
        if error.code != "NoSuchBucket":
            logger.warning("What the builds on S3 have is not considered: %s", error)
        return {}
    records = [stored.record for stored in held]
    return {
        record.build: CompressionRules(record.encodings, record.skip_compress_extensions)
        for record in records
        if record.state is State.PUBLISHED
    }
