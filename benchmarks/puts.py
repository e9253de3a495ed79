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
import asyncio
import hashlib
import hmac
import http.client
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
from datetime import datetime, timezone
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


def urllib3_pool(url, ca, threads):
    import urllib3

    more = {"ca_certs": ca} if ca else {}
    return urllib3.PoolManager(1, maxsize=threads, block=True, **more).connection_from_url(url)


def botocore_signer_and_urllib3(url, ca, files, threads):
    from botocore.credentials import Credentials

    pool = urllib3_pool(url, ca, threads)
    credentials = Credentials(ACCESS, SECRET).get_frozen_credentials()

    def put(file):
        request = botocore_request(url, file, file.read_bytes(), credentials)
        answer = pool.urlopen(
            "PUT", urlsplit(request.url).path, request.body, request.headers, retries=False
        )
        assert answer.status == 200

    in_threads(put, files, threads)


def own_signer_and_botocore_session(url, ca, files, threads):
    from botocore.awsrequest import AWSPreparedRequest
    from botocore.httpsession import URLLib3Session

    session = URLLib3Session(
        verify=ca or True,
        max_pool_connections=threads,
        socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
    )
    signer = Signer(urlsplit(url).netloc)

    def put(file):
        data = file.read_bytes()
        path, headers = own_request(signer, file, data)
        headers["Content-Length"] = str(len(data))
        answer = session.send(AWSPreparedRequest("PUT", url + path, headers, data, False))
        assert answer.status_code == 200

    in_threads(put, files, threads)


class Signer:
    """AWS Signature Version 4 in as few steps as there can be."""

    def __init__(self, host: str) -> None:
        self.host = host
        self.day, self.key = "", b""

    def sign(self, path: str, headers: dict[str, str], sha256: str) -> dict[str, str]:
        now = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        headers["x-amz-content-sha256"] = sha256
        headers["x-amz-date"] = now
        headers["Host"] = self.host
        signed = sorted((name.lower(), value) for name, value in headers.items())
        names = ";".join([name for name, _ in signed])
        lines = "\n".join([f"{name}:{value}" for name, value in signed])
        canonical = f"PUT\n{path}\n\n{lines}\n\n{names}\n{sha256}"
        day = now[:8]
        if day != self.day:
            key = f"AWS4{SECRET}".encode()
            for part in (day, REGION, "s3", "aws4_request"):
                key = hmac.digest(key, part.encode(), "sha256")
            self.day, self.key = day, key
        scope = f"{day}/{REGION}/s3/aws4_request"
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        text = f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{digest}"
        signature = hmac.digest(self.key, text.encode(), "sha256").hex()
        headers["Authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={ACCESS}/{scope}, SignedHeaders={names}, "
            f"Signature={signature}"
        )
        return headers


def own_request(signer, file, data):
    headers = lean_headers(data)
    path = f"/{BUCKET}/{quote('static/b1/' + file.name, safe='/~')}"
    return path, signer.sign(path, headers, headers["x-amz-meta-sha256"])


def own_signer_and_urllib3(url, ca, files, threads):
    pool = urllib3_pool(url, ca, threads)
    signer = Signer(urlsplit(url).netloc)

    def put(file):
        data = file.read_bytes()
        path, headers = own_request(signer, file, data)
        answer = pool.urlopen("PUT", path, data, headers, retries=False)
        assert answer.status == 200

    in_threads(put, files, threads)


def own_signer_and_http_client(url, ca, files, threads):
    signer = Signer(urlsplit(url).netloc)
    context = ssl.create_default_context(cafile=ca) if ca else None
    local = threading.local()

    def put(file):
        if not hasattr(local, "connection"):
            host = urlsplit(url).netloc
            local.connection = (
                http.client.HTTPSConnection(host, context=context)
                if context
                else http.client.HTTPConnection(host)
            )
        data = file.read_bytes()
        path, headers = own_request(signer, file, data)
        local.connection.request("PUT", path, data, headers)
        answer = local.connection.getresponse()
        answer.read()
        assert answer.status == 200

    in_threads(put, files, threads)


def own_signer_and_aiohttp(url, ca, files, threads):
    import aiohttp
    from yarl import URL

    signer = Signer(urlsplit(url).netloc)

    async def main():
        context = ssl.create_default_context(cafile=ca) if ca else True
        connector = aiohttp.TCPConnector(limit=threads, ssl=context)
        queue = iter(files)
        async with aiohttp.ClientSession(connector=connector) as session:

            async def work():
                for file in queue:
                    data = file.read_bytes()
                    path, headers = own_request(signer, file, data)
                    async with session.put(
                        URL(url + path, encoded=True), data=data, headers=headers
                    ) as answer:
                        await answer.read()
                        assert answer.status == 200

            await asyncio.gather(*(work() for _ in range(threads)))

    asyncio.run(main())


def own_signer_and_httpx(url, ca, files, threads):
    import httpx

    signer = Signer(urlsplit(url).netloc)

    async def main():
        context = ssl.create_default_context(cafile=ca) if ca else True
        limits = httpx.Limits(max_connections=threads, max_keepalive_connections=threads)
        queue = iter(files)
        async with httpx.AsyncClient(verify=context, limits=limits, trust_env=False) as session:

            async def work():
                for file in queue:
                    data = file.read_bytes()
                    path, headers = own_request(signer, file, data)
                    answer = await session.put(url + path, content=data, headers=headers)
                    assert answer.status_code == 200

            await asyncio.gather(*(work() for _ in range(threads)))

    asyncio.run(main())


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


def transport(url, ca, files, threads):
    from versioned_storage.origin.body import Body
    from versioned_storage.origin.transport import Transport

    sending = Transport(client_of(url, ca, threads), BUCKET, threads)

    def put(file):
        body = Body.of(file)
        parameters = {**HEADERS, "Metadata": {"sha256": body.sha256}}
        key, known = f"static/b1/{file.name}", (body.size, body.sha256, parameters)
        if body.data is not None:
            sending.put(key, body.data, *known)
            return
        with file.open("rb") as stream:
            sending.put(key, stream, *known)

    in_threads(put, files, threads)


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
    "boto3-32": (boto3_put, 32),
    "boto3-64": (boto3_put, 64),
    "ours-64": (transport, 64),
    "ours-128": (transport, 128),
    "botocore-signer+its-session-64": (botocore_signer_and_session, 64),
    "botocore-signer+its-session-128": (botocore_signer_and_session, 128),
    "botocore-signer+urllib3-64": (botocore_signer_and_urllib3, 64),
    "own-signer+its-session-64": (own_signer_and_botocore_session, 64),
    "own-signer+its-session-128": (own_signer_and_botocore_session, 128),
    "own-signer+urllib3-128": (own_signer_and_urllib3, 128),
    "own-signer+urllib3-64": (own_signer_and_urllib3, 64),
    "own-signer+http.client-64": (own_signer_and_http_client, 64),
    "own-signer+http.client-128": (own_signer_and_http_client, 128),
    "own-signer+aiohttp-64": (own_signer_and_aiohttp, 64),
    "own-signer+aiohttp-128": (own_signer_and_aiohttp, 128),
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
