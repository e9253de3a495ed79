"""The site, run as a deploy runs it: its commands and its server in processes of their own."""

import os
import re
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

HOME = Path(__file__).resolve().parent.parent

# What the visitor's own shell may say about AWS, Django or a build has no part in the demo.
OVERRULED = ("AWS_", "BUILD_VERSION", "CDN_DOMAIN", "DEMO_", "DJANGO_", "STATIC_")


@dataclass(frozen=True)
class Built:
    """What one collectstatic made, and how long it took."""

    version: str
    manifest: Manifest
    seconds: float
    said: list[str]

    def count(self, of: str) -> str:
        """How many of something its summary lines name: ``"12"`` of "12 objects uploaded"."""
        found = re.search(rf"([\d,]+) {of}\b", "\n".join(self.said))
        return found[1] if found else "0"


@dataclass(frozen=True)
class Site:
    """The example site with one configuration: a build version, and where its files are."""

    version: str
    static_root: Path
    edge: Mapping[str, str] = field(default_factory=dict)
    overlay: Path | None = None

    def environment(self) -> dict[str, str]:
        """The environment of its processes: of this one, what concerns none of it."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith(OVERRULED)}
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
        }

    def collectstatic(self) -> Built:
        """Make the build and publish it. Raises `CommandFailedError`."""
        started = time.monotonic()
        done = subprocess.run(
            [sys.executable, "manage.py", "collectstatic", "--noinput"],
            cwd=HOME,
            env=self.environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        seconds = time.monotonic() - started
        if done.returncode:
            raise CommandFailedError("manage.py collectstatic", done.stderr or done.stdout)
        said = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        return Built(self.version, self._manifest(), seconds, said)

    @contextmanager
    def served(self) -> Iterator[str]:
        """Serve the site and give its URL; the server ends with the block."""
        server = subprocess.Popen(
            [sys.executable, "serve.py"],
            cwd=HOME,
            env=self.environment(),
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            url = server.stdout.readline().strip()
            if not url:
                raise DemoError("the site did not start: what it said is above")
            yield url
        finally:
            server.terminate()
            try:
                server.wait(timeout=5)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()
            server.stdout.close()

    def _manifest(self) -> Manifest:
        file = self.static_root / self.version / "staticfiles.json"
        try:
            return Manifest.from_json(file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise DemoError(
                f"collectstatic left no {file.name} in {file.parent.name}/ below STATIC_ROOT"
            ) from None
