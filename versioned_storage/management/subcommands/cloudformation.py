"""Print the CloudFormation template of the CDN, made from these settings.

It is edge/template.yaml with the code of the functions and the defaults that the settings know.
Set all other parameters with --parameter-overrides of 'aws cloudformation deploy', and these too
once the stack exists, because a stack keeps the values that it has. The functions request the
encodings that the settings and all kept builds have: print and deploy it again after a change of
STATIC_URL, encodings, skip_compress_extensions or response_headers.
"""

from __future__ import annotations

import re
from argparse import ArgumentParser
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from ...edge import template
from ...edge.functions import CompressionRules, Constants, in_common
from ...errors import ConfigurationError
from ...origin import record
from ...origin.s3_errors import OriginError
from ...progress import log_summary, logger
from ...site import Site
from ...text import count_text

_HOST = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,}", re.IGNORECASE)


class UnfitDomain(ConfigurationError):
    """A distribution cannot answer at the CDN's URL in the settings."""

    def __init__(self, url: str) -> None:
        self.url = url
        super().__init__(
            f"The CDN of the settings is {url!r}. A distribution answers at a domain, over HTTPS, "
            "without a port or a path. Set cdn_domain to a domain of yours, "
            "'static.example.com', or leave it out until CloudFront has assigned one."
        )


@dataclass(frozen=True)
class Printed:
    """A template as YAML; ``--json`` has it as one string."""

    template: str
    ok: bool = True

    def text(self) -> str:
        return self.template

    def data(self) -> Mapping[str, str]:
        return {"template": self.template}


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--monitoring",
        action="store_true",
        help="print the template of the alarms and the logs instead, for us-east-1",
    )


def run(site: Site, options: Mapping[str, Any]) -> Printed:
    """Return the template. Raises `ConfigurationError` for settings that no stack can serve."""
    if options["monitoring"]:
        return Printed(template.monitoring())
    # The template makes everything below the path public.
    site.static_url.check_holds_builds(site.options.cdn_domain)
    return Printed(template.template(_constants(site), _defaults(site)))


def _defaults(site: Site) -> dict[str, str]:
    """Return the defaults of the parameters that the settings know."""
    has_cdn = site.options.cdn_domain or site.static_url.host
    defaults = {"Mode": "own" if has_cdn else "site", "Domain": _domain(site), "Origin": "pull"}
    if site.options.origin is not None:
        location = f"/{site.origin.location}" if site.origin.location else ""
        defaults |= {"Origin": "s3", "BucketName": site.origin.bucket, "Location": location}
    return defaults


def _domain(site: Site) -> str:
    """Return the domain of the CDN in the settings; empty for one that CloudFront assigns."""
    url = site.options.cdn_domain or site.static_url.host
    parts = urlsplit(url)
    if url and (parts.scheme == "http" or parts.path or not _HOST.fullmatch(parts.netloc)):
        raise UnfitDomain(url)
    name = parts.netloc.lower()
    return "" if name.endswith(".cloudfront.net") else name


def _constants(site: Site) -> Constants:
    settings = CompressionRules(
        tuple(site.options.encodings), site.options.skip_compress_extensions
    )
    builds = {**_on_s3(site), **_on_disk(site)}
    for build, rules in sorted(builds.items()):
        if missing := rules.missing_text(settings):
            log_summary(f"While build {build} is kept, the functions do not request {missing}")
    number = count_text(len(builds), "build")
    log_summary(f"The functions request what the settings and {number} have in common")
    compression = in_common(settings, builds.values())
    return Constants(
        prefix=site.static_url.path,
        manifest=site.storage.manifest_name,
        compression=compression,
        headers=site.options.response_headers,
    )


def _on_disk(site: Site) -> dict[str, CompressionRules]:
    """Return the rules of each build in STATIC_ROOT that the middleware would serve."""
    manifests = {build: site.readable_manifest(build) for build in site.builds_on_disk()}
    return {
        build: CompressionRules.of(manifest)
        for build, manifest in manifests.items()
        if manifest is not None
    }


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
