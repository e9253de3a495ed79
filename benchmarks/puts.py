"""Ways to put many small objects into S3, side by side at a fixed latency.

    python benchmarks/puts.py [--objects 6818] [--ms 25] [--connect-ms 50] [--tls] [CANDIDATE ...]

Each candidate is a process of its own that puts the same files to the same server, which answers
every request after --ms and the first of a connection --connect-ms later (benchmarks/latent_s3.py,
a process too). Printed: seconds, CPU milliseconds of the candidate for each object, the ratio of
its seconds to boto3's, connections made, and how busy the server was, so that it can be seen
whether it was the bottleneck. A candidate whose library is not installed is left out.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import resource
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from base64 import b64encode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote, urlsplit
from urllib.request import urlopen

HERE = Path(__file__).parent
BUCKET, REGION, ACCESS, SECRET = "bench", "eu-west-1", "AKIDOFBENCH", "the-secret-of-a-benchmark"
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


def ours_by_boto3(url, ca, files, threads):
    ours(url, ca, files, threads, engine="boto3")


def s5cmd(url, ca, files, threads):
    environment = {
        **os.environ,
        "AWS_ACCESS_KEY_ID": ACCESS,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_REGION": REGION,
    }
    program = shutil.which("s5cmd") or str(Path(sys.executable).with_name("s5cmd"))
    command = [program, "--endpoint-url", url, "--numworkers", str(threads), "--log", "error"]
    if ca:
        command.append("--no-verify-ssl")
    source = str(files[0].parent) + "/"
    subprocess.run(
        [*command, "cp", source, f"s3://{BUCKET}/static/b1/"], env=environment, check=True
    )


#: name -> (what runs it, connections)
CANDIDATES: dict[str, tuple[Callable[..., None], int]] = {
    "boto3-64": (boto3_put, 64),
    "ours-64": (ours, 64),
    "ours-128": (ours, 128),
    "ours-without-awscrt-64": (ours_by_boto3, 64),
    "botocore-signer+its-session-64": (botocore_signer_and_session, 64),
    "botocore-signer+its-session-128": (botocore_signer_and_session, 128),
    "awscrt-s3-64": (awscrt_s3_client, 64),
    "awscrt-s3-128": (awscrt_s3_client, 128),
    "s5cmd-64": (s5cmd, 64),
    "s5cmd-256": (s5cmd, 256),
}


def make_files(directory: Path, objects: int) -> None:
    """Sizes as a site's are after compression: most a few kB, some hundreds of them."""
    sizes = random.Random(4)
    for number in range(objects):
        size = min(int(sizes.lognormvariate(7.8, 1.5)), 4_000_000)
        (directory / f"{number:05}.js").write_bytes(sizes.randbytes(size))


def run_one(name: str, url: str, ca: str | None, directory: Path) -> None:
    run, threads = CANDIDATES[name]
    files = sorted(directory.iterdir(), key=lambda file: -file.stat().st_size)
    began = time.monotonic()
    run(url, ca, files, threads)
    seconds = time.monotonic() - began
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    cpu = sum(one.ru_utime + one.ru_stime for one in usage)
    peak = max(one.ru_maxrss for one in usage) / 1000
    print(json.dumps({"seconds": seconds, "cpu": cpu, "peak": peak}))


def certificate(directory: Path) -> tuple[str, str, str]:
    import trustme

    authority = trustme.CA()
    server = authority.issue_cert("127.0.0.1", "localhost")
    authority.cert_pem.write_to_path(directory / "ca.pem")
    server.private_key_and_cert_chain_pem.write_to_path(directory / "server.pem")
    pem = str(directory / "server.pem")
    return str(directory / "ca.pem"), pem, pem


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("candidates", nargs="*", choices=[[], *CANDIDATES])
    parser.add_argument("--objects", type=int, default=6818)
    parser.add_argument("--ms", type=float, default=25)
    parser.add_argument("--connect-ms", type=float, default=50)
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        name, url, ca, directory = arguments.one
        run_one(name, url, ca or None, Path(directory))
        return
    with tempfile.TemporaryDirectory() as scratch:
        files = Path(scratch, "files")
        files.mkdir()
        make_files(files, arguments.objects)
        ca, serve = "", [sys.executable, str(HERE / "latent_s3.py")]
        serve += ["--ms", str(arguments.ms), "--connect-ms", str(arguments.connect_ms)]
        if arguments.tls:
            ca, *pair = certificate(Path(scratch))
            serve += ["--tls", *pair]
        server = subprocess.Popen(serve, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            port = server.stdout.readline().strip()
            compare(f"{'https' if ca else 'http'}://127.0.0.1:{port}", ca, files, arguments)
        finally:
            server.communicate()


def compare(url: str, ca: str, files: Path, arguments: argparse.Namespace) -> None:
    context = ssl.create_default_context(cafile=ca) if ca else None

    def counts() -> dict[str, float]:
        with urlopen(f"{url}/counts", context=context) as answer:
            return json.load(answer)

    print(f"{'candidate':32}{'s':>7}{'CPU ms':>8}{'x boto3':>9}{'connections':>13}{'server':>8}")
    slowest = None
    for name in arguments.candidates or CANDIDATES:
        before = counts()["cpu"]
        ran = subprocess.run(
            [sys.executable, __file__, "--one", name, url, ca, str(files)],
            capture_output=True,
            text=True,
        )
        found = counts()
        if ran.returncode:
            print(f"{name:32}{(ran.stderr.strip().splitlines() or ['failed'])[-1]}")
            continue
        took = json.loads(ran.stdout.splitlines()[-1])
        slowest = slowest or took["seconds"]
        assert found.get("requests", 0) >= arguments.objects, found
        busy = (found["cpu"] - before) / took["seconds"]
        print(
            f"{name:32}{took['seconds']:7.2f}{took['cpu'] / arguments.objects * 1000:8.2f}"
            f"{slowest / took['seconds']:9.1f}{found['connections'] - 1:13}{busy:8.0%}"
            f"  {took['peak']:.0f} MB",
            flush=True,
        )


if __name__ == "__main__":
    main()
