"""The site as a deploy runs it: its commands and its server are separate processes."""

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from versioned_storage.build.manifest import Manifest

from .edge import CREDENTIALS
from .errors import CommandFailedError, DemoError
from .progress import run_showing_progress

HOME = Path(__file__).resolve().parent.parent

# Variables about AWS, Django and builds in the visitor's shell must not change the demo.
OVERRULED = ("AWS_", "BUILD_VERSION", "CDN_DOMAIN", "DEMO_", "DJANGO_", "STATIC_")
KEPT = ("DEMO_ENCODINGS",)


@dataclass(frozen=True)
class Built:
    """The build of one collectstatic, and the lines that it printed."""

    version: str
    manifest: Manifest
    seconds: float
    lines: list[str]

    def count(self, of: str) -> str:
        """Return the number before ``of`` in the lines: ``"12"`` of "12 objects uploaded"."""
        match = re.search(rf"([\d,]+) {of}\b", "\n".join(self.lines))
        return match[1] if match else "0"


@dataclass(frozen=True)
class Site:
    """The example site with one configuration: a build version, and where its files are."""

    version: str
    static_root: Path
    edge: Mapping[str, str] = field(default_factory=dict)
    overlay: Path | None = None
    more: Mapping[str, str] = field(default_factory=dict)

    def environment(self) -> dict[str, str]:
        """Return the environment of its processes: ours without what the demo sets itself."""
        kept = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(OVERRULED) or key in KEPT
        }
        return {
            **kept,
            **CREDENTIALS,
            **self.edge,
            "AWS_EC2_METADATA_DISABLED": "true",
            "BUILD_VERSION": self.version,
            "DEMO_STATIC_ROOT": str(self.static_root),
            "DEMO_STATICFILES_DIRS": str(self.overlay or ""),
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "NO_PROXY": "127.0.0.1",
            "PYTHONUNBUFFERED": "1",
            **self.more,
        }

    def collectstatic(self) -> Built:
        """Make the build and publish it. Raises `CommandFailedError`."""
        started = time.monotonic()
        lines = [
            line
            for line in self.manage("collectstatic", "--noinput")
            # That is how the second deploy changes a file.
            if not line.startswith("Found another file")
        ]
        return Built(self.version, self._manifest(), time.monotonic() - started, lines)

    def manage(self, *arguments: str, **environment: str) -> list[str]:
        """Run manage.py and return the lines that it wrote; progress bars go to our terminal.

        Raises `CommandFailedError`.
        """
        completed = run_showing_progress(
            [sys.executable, "manage.py", *arguments],
            cwd=HOME,
            env={**self.environment(), **environment},
        )
        if completed.returncode:
            command = f"manage.py {arguments[0]}"
            raise CommandFailedError(command, completed.stderr or completed.stdout)
        output = completed.stderr + completed.stdout
        return [line for line in output.splitlines() if line.strip()]

    @contextmanager
    def served(self) -> Iterator[str]:
        """Serve the site and give its URL; the server ends with the block."""
        with Server() as server:
            server.switch_to(self)
            yield server.url

    def _manifest(self) -> Manifest:
        file = self.static_root / self.version / "staticfiles.json"
        try:
            return Manifest.from_json(file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise DemoError(
                f"collectstatic left no {file.name} in {file.parent.name}/ below STATIC_ROOT"
            ) from None


class Server:
    """An address on this machine where the process of the newest deploy answers."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._process: subprocess.Popen[str] | None = None
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/"

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None:
        _stop(self._process)
        self._socket.close()

    def switch_to(self, site: Site) -> None:
        """Start a process of ``site``, then end the previous one, so that no request is refused.

        Raises `DemoError` where it does not start.
        """
        process = subprocess.Popen(
            [sys.executable, "serve.py", str(self._socket.fileno())],
            cwd=HOME,
            env=site.environment(),
            stdout=subprocess.PIPE,
            text=True,
            pass_fds=[self._socket.fileno()],
        )
        if process.stdout.readline().strip() != "ready":
            _stop(process)
            raise DemoError("the site did not start: its error is above")
        before, self._process = self._process, process
        _stop(before)


def _stop(process: "subprocess.Popen[str] | None") -> None:
    if process is None:
        return
    process.terminate()
    try:
        process.wait(timeout=5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    process.stdout.close()
