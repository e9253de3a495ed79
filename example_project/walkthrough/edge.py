"""Where the demo's S3 and its CDN come from.

S3 is moto's server. The CDN is nginx, which runs the CloudFront functions that the package ships;
on a machine without nginx and njs it is a small server in Python that does the same for the demo.
"""

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import boto3
from botocore.client import BaseClient
from moto.server import ThreadedMotoServer

from .cloudfront import CannotStart, cloudfront
from .plain_edge import plain_edge

BUCKET = "strata-static"
REGION = "eu-west-1"

#: What signs the requests; moto takes any.
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "demo", "AWS_SECRET_ACCESS_KEY": "demo"}


@dataclass(frozen=True)
class Request:
    """A URL and the headers to ask for it with."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Edge:
    """An S3 endpoint with a bucket, and the URL that the site takes for its CDN.

    ``described`` says for people what the CDN is.
    """

    endpoint_url: str
    cdn_domain: str
    described: str

    def environment(self) -> dict[str, str]:
        """What the site's settings have to find."""
        return {
            "CDN_DOMAIN": self.cdn_domain,
            "STATIC_BUCKET": BUCKET,
            "STATIC_REGION": REGION,
            "STATIC_ENDPOINT_URL": self.endpoint_url,
        }

    def objects(self) -> set[str]:
        """The key of every object in the bucket."""
        pages = _client(self.endpoint_url).get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
        return {item["Key"] for page in pages for item in page.get("Contents", ())}


@contextmanager
def local_edge(scratch: Path, cdn_domain: str | None = None) -> Iterator[Edge]:
    """An S3 server with a bucket and an edge in front of it, on free ports of this machine.

    ``cdn_domain`` is the URL of another edge to look at the builds through.
    """
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    with ExitStack() as running:
        running.callback(server.stop)
        host, port = server.get_host_and_port()
        endpoint_url = f"http://{host}:{port}"
        _make_bucket(_client(endpoint_url))
        if cdn_domain is not None:
            yield Edge(endpoint_url, cdn_domain, cdn_domain)
            return
        bucket = f"{endpoint_url}/{BUCKET}"
        try:
            url = running.enter_context(cloudfront(scratch / "nginx", bucket=bucket))
            described = "nginx, running the CloudFront functions that are shipped"
        except CannotStart as reason:
            url = running.enter_context(plain_edge(bucket))
            described = f"a small server in Python, because {reason}"
        yield Edge(endpoint_url, url, described)


def _make_bucket(client: BaseClient) -> None:
    client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    # Builds are for everyone, the records beside them for nobody but the site.
    readable = {
        "Effect": "Allow",
        "Principal": "*",
        "Action": "s3:GetObject",
        "Resource": f"arn:aws:s3:::{BUCKET}/static/*",
    }
    policy = {"Version": "2012-10-17", "Statement": [readable]}
    client.put_bucket_policy(Bucket=BUCKET, Policy=json.dumps(policy))


def _client(endpoint_url: str) -> BaseClient:
    return boto3.client(
        "s3",
        endpoint_url=endpoint_url,
        region_name=REGION,
        aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
    )
