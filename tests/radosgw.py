"""Ceph's radosgw: a real S3 server, with conditional writes, signatures and policies.

One monitor, one OSD that keeps everything in memory, and one gateway, on free ports of loopback and
in a directory of their own.
"""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from uuid import uuid4

from tests.system_packages import defect

#: What has to be installed (Debian: radosgw ceph-mon ceph-osd, and ceph-common with them).
PROGRAMS = (
    *("ceph", "ceph-authtool", "ceph-mon", "ceph-osd", "monmaptool"),
    *("radosgw", "radosgw-admin", "setpriv"),
)

_GATEWAY = "client.rgw.test"
_CONFIGURATION = """\
[global]
fsid = {fsid}
mon host = {monitor}
public addr = 127.0.0.1
cluster addr = 127.0.0.1
ms bind ipv6 = false
auth cluster required = cephx
auth service required = cephx
auth client required = cephx
keyring = {directory}/keyring
run dir = {directory}
admin socket = {directory}/$name.asok
log file = {directory}/$name.log
mon data = {directory}/mon
mon data avail crit = 1
mon allow pool size one = true
# Each pool is a proposal, and the gateway makes several when it first starts.
paxos propose interval = 0.01
paxos min wait = 0
osd data = {directory}/osd
osd objectstore = memstore
memstore device bytes = 2147483648
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
rgw data = {directory}/rgw
rgw frontends = beast endpoint=127.0.0.1:{port} tcp_nodelay=1
rgw thread pool size = 64
# A request that came before the OSD was up is sent again at the next tick, of 5 s by default.
objecter tick interval = 0.2
# A bucket may say where it wants to be, as on S3.
rgw relaxed region enforcement = true
"""


class DidNotStart(Exception):
    """A part of Ceph ended, or was not there in time; the end of its log says why."""

    def __init__(self, program: str, log: str) -> None:
        super().__init__(f"{program} did not start:\n{log}")


def defects() -> list[str]:
    """Why Ceph cannot be run here, one reason a program; empty if it can."""
    reasons = (defect(program, "--version") for program in PROGRAMS)
    return [reason for reason in reasons if reason]


@dataclass(frozen=True)
class Radosgw:
    """A running gateway; ``url`` is its endpoint."""

    directory: Path
    url: str

    def add_user(self, access_key: str, secret_key: str) -> None:
        """Make a user of its own for a pair of keys."""
        _run(
            *("radosgw-admin", "--conf", self.directory / "ceph.conf", "--name", _GATEWAY),
            *("user", "create", "--uid", access_key, "--display-name", access_key),
            *("--access-key", access_key, "--secret", secret_key),
        )


def arn(access_key: str) -> str:
    """What a policy calls the user with that key."""
    return f"arn:aws:iam:::user/{access_key}"


@contextmanager
def radosgw(directory: Path) -> Iterator[Radosgw]:
    """Start a gateway with nothing in it, in an empty directory; end it afterwards."""
    port, configuration = _free_port(), directory / "ceph.conf"
    monitor = f"[v2:127.0.0.1:{_free_port()}]"
    fsid = str(uuid4())
    configuration.write_text(
        _CONFIGURATION.format(fsid=fsid, monitor=monitor, directory=directory, port=port)
    )
    ceph = ("--conf", configuration)
    _make_keys(directory / "keyring")
    for name in ("mon", "osd", "rgw"):
        (directory / name).mkdir()
    _run("monmaptool", "--create", "--fsid", fsid, "--addv", "a", monitor, directory / "monmap")
    _run("ceph-mon", *ceph, "--id", "a", "--mkfs", "--monmap", directory / "monmap")
    with ExitStack() as running:
        running.enter_context(_process("ceph-mon", *ceph, "--id", "a", "--foreground"))
        osd = str(uuid4())
        _run("ceph", *ceph, "--connect-timeout", "30", "osd", "new", osd)
        _run("ceph-osd", *ceph, "--id", "0", "--mkfs", "--osd-uuid", osd)
        running.enter_context(_process("ceph-osd", *ceph, "--id", "0", "--foreground"))
        _add_storage_class(*ceph)
        gateway = running.enter_context(
            _process("radosgw", *ceph, "--name", _GATEWAY, "--foreground")
        )
        _wait_for(gateway, port, directory / f"{_GATEWAY}.log")
        yield Radosgw(directory, f"http://127.0.0.1:{port}")


def _make_keys(keyring: Path) -> None:
    everything = "allow *"
    for name, capable_of in (
        ("mon.", ("mon",)),
        ("client.admin", ("mon", "osd")),
        ("osd.0", ("mon", "osd")),
        (_GATEWAY, ("mon", "osd")),
    ):
        capabilities = [part for one in capable_of for part in ("--cap", one, everything)]
        create = () if keyring.exists() else ("--create-keyring",)
        _run("ceph-authtool", keyring, *create, "--gen-key", "--name", name, *capabilities)


def _add_storage_class(*ceph: str | Path) -> None:
    """Have a second storage class, which the gateway sees when it starts."""
    admin = ("radosgw-admin", *ceph, "--name", _GATEWAY)
    _run(*admin, "user", "list")  # any command on users makes the default zone
    of = ("--placement-id", "default-placement", "--storage-class", "STANDARD_IA")
    _run(*admin, "zonegroup", "placement", "add", "--rgw-zonegroup", "default", *of)
    pool = ("--data-pool", "default.rgw.buckets.data")
    _run(*admin, "zone", "placement", "add", "--rgw-zone", "default", *of, *pool)


def _run(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        raise DidNotStart(str(command[0]), done.stdout + done.stderr)


@contextmanager
def _process(*command: str | Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that ends with the block, and with this process if that is killed."""
    with subprocess.Popen(
        ("setpriv", "--pdeathsig", "KILL", *command),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # so that a Ctrl-C is for the tests, and they end it in order
    ) as process:
        try:
            yield process
        finally:
            # Nothing of it has to be written down anywhere: there is no need to be gentle.
            process.kill()


def _wait_for(gateway: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and gateway.poll() is None:
        connection = HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/")
            if connection.getresponse().status == 200:
                return
        except OSError:
            time.sleep(0.05)
        finally:
            connection.close()
    raise DidNotStart("radosgw", log.read_text()[-2000:] if log.exists() else "there is no log")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
