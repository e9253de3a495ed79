"""Ways to put many small objects into S3: those that were decided between.

Each candidate is a process that puts the same files, over TLS, to a server that answers every
request after the latency of the run and the first of a connection later still. Its CPU time
includes the start of Python and the import of its libraries, which one candidate does alone.
"""

from __future__ import annotations

import hashlib
import random
import socket
import sys
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote, urlsplit

from benchmarks.harness import Bench, Table, Taken
from benchmarks.server import ACCESS, BUCKET, REGION, SECRET, Server

OBJECTS = {"small": 1_000, "medium": 6_818, "large": 20_000}
HEADERS = {
    "CacheControl": "max-age=315360000, public, immutable",
    "ContentType": "text/javascript; charset=utf-8",
    "ContentEncoding": "br",
}


def client_of(url: str, ca: str | None, threads: int):
    import boto3
    from botocore.config import Config

    return boto3.client(
        "s3",
        endpoint_url=url,
        verify=ca,
        region_name=REGION,
        aws_access_key_id=ACCESS,
        aws_secret_access_key=SECRET,
        config=Config(
            max_pool_connections=threads,
            retries={"mode": "standard"},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            s3={"payload_signing_enabled": True, "addressing_style": "path"},
        ),
    )


def in_threads(put: Callable[[Path], None], files: list[Path], threads: int) -> None:
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(put, files):
            pass


def boto3_put(url, ca, files, threads):
    client = client_of(url, ca, threads)

    def put(file):
        data = file.read_bytes()
        digest = hashlib.sha256(data)
        client.put_object(
            Bucket=BUCKET,
            Key=f"static/b1/{file.name}",
            Body=data,
            ChecksumSHA256=b64encode(digest.digest()).decode(),
            Metadata={"sha256": digest.hexdigest()},
            **HEADERS,
        )

    in_threads(put, files, threads)


def lean_headers(data: bytes) -> dict[str, str]:
    digest = hashlib.sha256(data)
    return {
        "Cache-Control": HEADERS["CacheControl"],
        "Content-Type": HEADERS["ContentType"],
        "Content-Encoding": HEADERS["ContentEncoding"],
        "x-amz-checksum-sha256": b64encode(digest.digest()).decode(),
        "x-amz-meta-sha256": digest.hexdigest(),
        "x-amz-sdk-checksum-algorithm": "SHA256",
    }


def botocore_request(url, file, data, session):
    from botocore.auth import S3SigV4Auth
    from botocore.awsrequest import AWSRequest

    request = AWSRequest(
        "PUT",
        f"{url}/{BUCKET}/{quote('static/b1/' + file.name, safe='/~')}",
        lean_headers(data),
        data,
    )
    request.context["payload_signing_enabled"] = True
    S3SigV4Auth(session, "s3", REGION).add_auth(request)
    return request.prepare()


def botocore_signer_and_session(url, ca, files, threads):
    from botocore.credentials import Credentials
    from botocore.httpsession import URLLib3Session

    session = URLLib3Session(
        verify=ca or True,
        max_pool_connections=threads,
        socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
    )
    credentials = Credentials(ACCESS, SECRET).get_frozen_credentials()

    def put(file):
        answer = session.send(botocore_request(url, file, file.read_bytes(), credentials))
        assert answer.status_code == 200

    in_threads(put, files, threads)


def awscrt_s3_client(url, ca, files, threads):
    from awscrt.auth import AwsCredentialsProvider
    from awscrt.http import HttpHeaders, HttpRequest
    from awscrt.io import (
        ClientBootstrap,
        ClientTlsContext,
        DefaultHostResolver,
        EventLoopGroup,
        TlsContextOptions,
    )
    from awscrt.s3 import (
        S3Client,
        S3RequestTlsMode,
        S3RequestType,
        create_default_s3_signing_config,
    )

    group = EventLoopGroup()
    bootstrap = ClientBootstrap(group, DefaultHostResolver(group))
    provider = AwsCredentialsProvider.new_static(ACCESS, SECRET)
    tls = None
    if ca:
        options = TlsContextOptions()
        options.override_default_trust_store_from_path(None, ca)
        tls = ClientTlsContext(options).new_connection_options()
    client = S3Client(
        bootstrap=bootstrap,
        region=REGION,
        tls_mode=S3RequestTlsMode.ENABLED if ca else S3RequestTlsMode.DISABLED,
        tls_connection_options=tls,
        signing_config=create_default_s3_signing_config(
            region=REGION, credential_provider=provider
        ),
        throughput_target_gbps=threads * 0.4,
        max_active_connections_override=threads,
    )
    host = urlsplit(url).netloc
    gate = threading.Semaphore(threads * 2)
    pending = []
    for file in files:
        gate.acquire()
        data = file.read_bytes()
        headers = {"Host": host, "Content-Length": str(len(data)), **lean_headers(data)}
        request = HttpRequest(
            "PUT",
            f"/{BUCKET}/{quote('static/b1/' + file.name, safe='/~')}",
            HttpHeaders(list(headers.items())),
        )
        made = client.make_request(
            type=S3RequestType.PUT_OBJECT,
            request=request,
            send_filepath=str(file),
            on_done=lambda **_: gate.release(),
        )
        pending.append(made.finished_future)
    for future in pending:
        future.result()


def ours(url, ca, files, threads, engine="awscrt"):
    import django.conf

    django.conf.settings.configure()
    from versioned_storage.origin import s3
    from versioned_storage.origin.objects import UploadBody

    if engine == "boto3":
        s3.best_engine = lambda connection: s3.boto_engine(connection.client)
    origin = s3.S3Origin(
        {
            "bucket_name": BUCKET,
            "endpoint_url": url,
            "region_name": REGION,
            "access_key": ACCESS,
            "secret_key": SECRET,
            "addressing_style": "path",
            "verify": ca,
        },
        connections=threads,
    )
    in_threads(
        lambda file: origin.put_file(f"static/b1/{file.name}", UploadBody.of(file), **HEADERS),
        files,
        threads,
    )


def start_of_ours(url, ca, files, threads):
    ours(url, ca, files[:0], threads)


def ours_by_boto3(url, ca, files, threads):
    ours(url, ca, files, threads, engine="boto3")


#: What runs it, and over how many connections.
CANDIDATES: dict[str, tuple[Callable[..., None], int]] = {
    "boto3's put_object, 64": (boto3_put, 64),
    "botocore's signer and session, 64": (botocore_signer_and_session, 64),
    "ours, 64": (ours, 64),
    "the start of ours, no object": (start_of_ours, 64),
    "ours, 128": (ours, 128),
    "ours without awscrt, 64": (ours_by_boto3, 64),
    "awscrt's S3 client, 64": (awscrt_s3_client, 64),
}


def measure(bench: Bench) -> Iterator[Table]:
    files = bench.scratch / "files"
    make_files(files, OBJECTS[bench.size])
    with Server.start(bench, tls=True) as server:

        def put(name: str) -> Taken:
            server.empty()
            command = [sys.executable, "-m", __name__, name, server.url, server.ca, str(files)]
            return per_object(server.run(command))

        def s5cmd(workers: int) -> Taken:
            server.empty()
            return per_object(server.s5cmd(workers, "cp", files))

        def per_object(taken: Taken) -> Taken:
            return {
                "s": taken["s"],
                "CPU ms an object": taken["CPU s"] / OBJECTS[bench.size] * 1000,
                "MB": taken["MB"],
                "requests": taken["requests"],
            }

        yield bench.compare(
            f"{OBJECTS[bench.size]:,} objects",
            {
                **{name: lambda _, name=name: put(name) for name in CANDIDATES},
                **{
                    f"s5cmd, {workers} workers": lambda _, workers=workers: s5cmd(workers)
                    for workers in (64, 256)
                },
            },
            reference="ours, 64",
        )


def make_files(directory: Path, objects: int) -> None:
    """Sizes as a site's are after compression: most a few kB, some hundreds of them."""
    directory.mkdir()
    sizes = random.Random(4)
    for number in range(objects):
        size = min(int(sizes.lognormvariate(7.8, 1.5)), 4_000_000)
        (directory / f"{number:05}.js").write_bytes(sizes.randbytes(size))


if __name__ == "__main__":
    name, url, ca, directory = sys.argv[1:]
    put_all, threads = CANDIDATES[name]
    put_all(url, ca, sorted(Path(directory).iterdir(), key=lambda f: -f.stat().st_size), threads)
