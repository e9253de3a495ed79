"""Where the demo's S3 and its CDN come from.

Both are moto's S3 server here: in path style its URL for a bucket stands in for a CDN domain. It
keeps br and gzip beside each asset but does not choose between them, as an edge would.
"""

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import boto3
from botocore.client import BaseClient
from moto.server import ThreadedMotoServer

from versioned_storage.build.encodings import ENCODINGS

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
    """An S3 endpoint with a bucket, and the URL that the site takes for its CDN."""

    endpoint_url: str
    cdn_domain: str

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
        return {found["Key"] for page in pages for found in page.get("Contents", ())}


def by_suffix(url: str, encoding: str) -> Request:
    """Ask a bucket for an encoding: it is an object of its own."""
    return Request(url + ENCODINGS[encoding].suffix)


def by_negotiation(url: str, encoding: str) -> Request:
    """Ask who negotiates for an encoding: the URL stays the same."""
    return Request(url, {"Accept-Encoding": encoding})


@contextmanager
def local_edge(cdn_domain: str | None = None) -> Iterator[Edge]:
    """An S3 server on a free port of this machine, with a bucket; ``cdn_domain`` overrides its URL.

    To look at builds through another edge, replace this function.
    """
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        endpoint_url = f"http://{host}:{port}"
        _make_bucket(_client(endpoint_url))
        yield Edge(endpoint_url, cdn_domain or f"{endpoint_url}/{BUCKET}")
    finally:
        server.stop()


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
