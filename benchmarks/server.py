"""The stand-in for S3 of `latent_s3.py` as a process, and the other tools that upload to it."""

from __future__ import annotations

import json
import os
import shutil
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from .harness import Bench, run

HERE = Path(__file__).parent
BUCKET, REGION, ACCESS, SECRET = "bench", "eu-west-1", "AKIDOFBENCH", "the-secret-of-a-benchmark"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": ACCESS,
    "AWS_SECRET_ACCESS_KEY": SECRET,
    "AWS_REGION": REGION,
    "AWS_DEFAULT_REGION": REGION,
    "AWS_EC2_METADATA_DISABLED": "true",
}


@dataclass(frozen=True)
class Server:
    """``ca`` is "" for plain http."""

    url: str
    ca: str = ""

    @classmethod
    @contextmanager
    def start(cls, bench: Bench, *, tls: bool = False) -> Iterator[Server]:
        command = [sys.executable, str(HERE / "latent_s3.py")]
        command += ["--ms", str(bench.latency), "--connect-ms", str(bench.connect_latency)]
        ca = ""
        if tls:
            ca, *pair = _certificate(bench.scratch)
            command += ["--tls", *pair]
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        try:
            port = process.stdout.readline().strip()
            yield cls(f"http{'s' if tls else ''}://127.0.0.1:{port}", ca)
        finally:
            process.communicate()

    def options(self) -> dict[str, Any]:
        """Return django-storages' options for this server."""
        return {
            "bucket_name": BUCKET,
            "region_name": REGION,
            "endpoint_url": self.url,
            "access_key": ACCESS,
            "secret_key": SECRET,
            "addressing_style": "path",
            "verify": self.ca or None,
        }

    def empty(self) -> None:
        self._get("/empty")

    def counts(self) -> dict[str, float]:
        """Return what was asked since the last time."""
        return json.loads(self._get("/counts"))

    def run(
        self, command: list[str], *, cwd: Path | None = None, **environment: str
    ) -> dict[str, float]:
        """Run a process to its end, and count its requests."""
        self.counts()
        taken = run(command, cwd=cwd, **CREDENTIALS, **environment)
        return {**taken, "requests": self.counts().get("requests", 0)}

    def s5cmd(self, workers: int, verb: str, root: Path) -> dict[str, float]:
        """Upload ``root``: "cp" uploads everything, "sync" what is newer or has another size."""
        command = [program("s5cmd"), "--endpoint-url", self.url, "--numworkers", str(workers)]
        if self.ca:
            command.append("--no-verify-ssl")
        return self.run([*command, "--log", "error", verb, f"{root}/", f"s3://{BUCKET}/static/"])

    def rclone(self, root: Path) -> dict[str, float]:
        remote = f":s3,provider=Other,endpoint='{self.url}',env_auth:{BUCKET}/static"
        command = [program("rclone"), "copy", "--config", os.devnull, "--transfers", "64"]
        # The ETags of this server are no digests.
        command += ["--ignore-checksum", "--no-check-certificate", str(root), remote]
        # rclone cannot load one.
        return self.run(command, AWS_CA_BUNDLE="")

    def _get(self, path: str) -> str:
        context = ssl.create_default_context(cafile=self.ca) if self.ca else None
        with urlopen(self.url + path, context=context) as answer:
            return answer.read().decode()


def program(name: str) -> str:
    """Return the path of a program beside this Python or on the PATH; "" if it is missing."""
    beside = Path(sys.executable).with_name(name)
    return str(beside) if beside.exists() else shutil.which(name) or ""


def _certificate(directory: Path) -> tuple[str, str, str]:
    import trustme

    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1", "localhost")
    authority.cert_pem.write_to_path(directory / "ca.pem")
    issued.private_key_and_cert_chain_pem.write_to_path(directory / "server.pem")
    pem = str(directory / "server.pem")
    return str(directory / "ca.pem"), pem, pem
