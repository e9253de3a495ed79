"""Print the CloudFormation template of the CDN, made from these settings.

Its functions request the encodings that the settings and all kept builds have. Print and deploy it
again after a change of encodings or skip_compress_extensions.
"""

from __future__ import annotations

import re
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from ...build.manifest import UnreadableManifest
from ...edge import cloudfront
from ...edge.cloudformation import Stack, Template, alarms
from ...edge.distribution import Distribution, Domain, OriginKind
from ...edge.functions import CompressionRules, Constants, shared
from ...edge.yaml import dump
from ...errors import ConfigurationError, VersionedStorageError
from ...origin import record
from ...origin.s3_errors import OriginError
from ...progress import log_summary, logger
from ...site import Site
from ...static_root import read_manifest
from ...text import count_text
from .invalidate import cloudfront_of

_HOST = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,}", re.IGNORECASE)
_PRINCIPAL = re.compile(r"arn:[a-z-]+:(?:iam|sts)::\d{12}:\S+")
# CloudFront accepts certificates of that region only.
_CERTIFICATE = re.compile(r"arn:[a-z-]+:acm:us-east-1:\d{12}:certificate/\S+")


class UnfitDomain(ConfigurationError):
    """A distribution cannot answer at the CDN's URL in the settings."""

    def __init__(self, url: str) -> None:
        self.url = url
        super().__init__(
            f"The CDN of the settings is {url!r}. A distribution answers at a domain, over HTTPS, "
            "without a port or a path. Set cdn_domain to a domain of yours, "
            "'static.example.com', or leave it out until CloudFront has assigned one."
        )


class NoCertificate(ConfigurationError):
    """CloudFront answers at a domain of the site's own only with a certificate for it."""

    def __init__(self, domain: str) -> None:
        self.domain = domain
        super().__init__(
            f"The CDN of the settings is {domain}, and CloudFront answers there only with a "
            "certificate for it: add --certificate ARN, or leave cdn_domain out and use the "
            "domain that CloudFront assigns."
        )


class NoDomain(ConfigurationError):
    """A certificate or a hosted zone was given without a domain in the settings."""

    def __init__(self) -> None:
        super().__init__(
            "--certificate and --hosted-zone need a domain of yours, and cdn_domain has none. "
            "Set it, for example to 'static.example.com'."
        )


class NoApplication(ConfigurationError):
    """CloudFront would fetch from the application, whose host is not given."""

    def __init__(self, kind: OriginKind) -> None:
        self.kind = kind
        super().__init__(
            f"With --origin {kind} CloudFront fetches from the application over HTTPS: add "
            "--app-domain HOST, for example www.example.com."
        )


@dataclass(frozen=True)
class Printed:
    """A template as YAML, or with ``--json`` as JSON; CloudFormation accepts both."""

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
        help="fetch from the bucket, from the application, or from the application when S3 fails "
        "(default: s3 if the option origin is set, else pull)",
    )
    host = _matching(_HOST, "a host name")
    add("--app-domain", metavar="HOST", type=host, help="of the application, for pull and both")
    certificate = _matching(_CERTIFICATE, "the ARN of a certificate in us-east-1")
    add("--certificate", metavar="ARN", type=certificate, help="of cdn_domain, in us-east-1")
    add("--hosted-zone", metavar="ID", help="in Route 53, to make the records of cdn_domain")
    add("--cache-policy", metavar="ID", help="use an existing cache policy")
    for flag, does in (
        ("--uploader", "publishes and prunes builds"),
        ("--reader", "reads the records of builds: an application server without builds"),
        ("--media-writer", "writes media uploads"),
    ):
        principal = _matching(_PRINCIPAL, "the ARN of an IAM principal")
        does = f"an IAM principal that {does}; can be repeated"
        add(flag, metavar="ARN", type=principal, action="append", default=[], help=does)
    add("--media-bucket", metavar="NAME", help="a second bucket and distribution, for uploads")
    add("--versioning", action="store_true", help="keep deleted objects for 30 days")
    add("--logs", action="store_true", help="a bucket for CloudFront's logs, kept for 90 days")
    add("--alarms", action="store_true", help="print the stack of the alarms, for us-east-1")


def run(site: Site, options: Mapping[str, Any]) -> Printed:
    """Return the template. Raises `ConfigurationError` for arguments that exclude each other."""
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
    # The template makes everything below the path public.
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
    for objection in cloudfront.cache_policy_objections(config, kind):
        logger.warning("Cache policy %s: %s", policy, objection)


def _domain(site: Site, options: Mapping[str, Any]) -> Domain | None:
    """Return the domain of the settings; None if CloudFront assigned it."""
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
    for build, rules in sorted(builds.items()):
        if missing := rules.less_than(settings):
            log_summary(f"While build {build} is kept, the functions do not request {missing}")
    number = count_text(len(builds), "build")
    log_summary(f"The functions request what the settings and {number} have in common")
    compression = shared(settings, builds.values())
    return Constants(
        prefix=site.static_url.path,
        manifest=site.storage.manifest_name,
        compression=compression,
        headers=site.options.response_headers,
    )


def _on_disk(site: Site) -> dict[str, CompressionRules]:
    """Return the rules of each build in STATIC_ROOT that the middleware would serve."""
    name, rules = site.storage.manifest_name, {}
    for build in site.builds_on_disk():
        try:
            manifest = read_manifest(site.root / build / name)
        except (OSError, UnreadableManifest) as error:
            logger.warning("Build %s is not considered: %s", build, error)
            continue
        rules[build] = CompressionRules.of(manifest)
    return rules


def _on_s3(site: Site) -> dict[str, CompressionRules]:
    """Return the rules of each published build; none before there is a bucket."""
    if site.options.origin is None:
        return {}
    try:
        heads = record.heads(site.origin)
    except OriginError as error:
        if error.code != "NoSuchBucket":
            logger.warning("The builds on S3 are not considered: %s", error)
        return {}
    records = [head.record for head in heads]
    return {
        record.build: CompressionRules(record.encodings, record.skip_compress_extensions)
        for record in records
        if record.is_published
    }
