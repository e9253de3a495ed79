"""Follows a page of the docs as a reader would: writes its files and runs its commands."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"

_FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>\w+)?(?: title=\"(?P<title>[^\"]*)\")?[^\n]*\n"
    r"(?P<text>.*?)^(?P=indent)```$",
    re.DOTALL | re.MULTILINE,
)
_AT_THE_END = " (at the end)"
#: A test of the docs installs nothing: the package and its dependencies are there.
_INSTALLS = ("python3 -m venv", ". .venv/bin/activate", "pip install")
_SERVES = re.compile(r"manage\.py runserver|make edge$")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    language: str
    title: str
    text: str


def blocks(page: str) -> list[Block]:
    """The fenced blocks of a page below docs/, in order and without their indentation."""
    text = (DOCS / page).read_text(encoding="utf-8")
    return [
        Block(match["language"] or "", match["title"] or "", _dedented(match))
        for match in _FENCE.finditer(text)
    ]


def normalised(text: str) -> str:
    """Output without digests, sizes, counts, times, ports and costs, which differ in each run."""
    text = re.sub(r"\b(?=\w*\d)[0-9a-f]{12}\b", "HASH", text)
    text = re.sub(r"http://127\.0\.0\.1:\d+", "http://HOST", text)
    text = re.sub(r"\b\d[\d.,]*\d* [kMG]?B\b", "SIZE", text)
    text = re.sub(r"\b\d[\d,.]* (?=s\b|[a-z])", "N ", text)
    text = re.sub(r"\$\d+\.\d+", "$N", text)
    text = re.sub(r" in \S*/(?=staticfiles/)", " in .../", text)
    return re.sub(r"[ \t]+", " ", text).strip()


@dataclass
class Reader:
    """A reader in an empty directory with one terminal; ends what it started with the block."""

    directory: Path
    port: int = field(default_factory=lambda: free_port())
    _running: ExitStack = field(default_factory=ExitStack)
    _server: subprocess.Popen[str] | None = None
    environment: dict[str, str] = field(default_factory=lambda: dict(_environment()))

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *error: object) -> None:
        self._running.close()

    @property
    def url(self) -> str:
        """The URL of the site that ``serve`` starts on ``port``."""
        return f"http://127.0.0.1:{self.port}"

    def follow(self, page: str) -> Iterator[tuple[str, str, str]]:
        """Do what each block says, and yield each command with its expected and real output."""
        for block in blocks(page):
            if block.language == "console":
                yield from self._run_all(block)
            elif block.title:
                self.write(block.title, block.text)

    def output(self, command: str) -> str:
        """Run a command that has to succeed, and return what it printed."""
        completed = self.run(command)
        assert completed.returncode == 0, f"{command}\n{completed.stdout}{completed.stderr}"
        return completed.stdout + completed.stderr

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run a command and wait for it."""
        return subprocess.run(
            ["bash", "-c", self._here(command)],
            cwd=self.directory,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def write(self, title: str, text: str) -> None:
        """Write a file, or add to the end of it."""
        path = self.directory / title.removesuffix(_AT_THE_END)
        path.parent.mkdir(parents=True, exist_ok=True)
        before = path.read_text() if title.endswith(_AT_THE_END) else ""
        path.write_text(before + text)

    def setting(self, **environment: str) -> None:
        """Set environment variables, as ``export`` does."""
        self.environment.update(environment)

    def _run_all(self, block: Block) -> Iterator[tuple[str, str, str]]:
        for call in block.text.removeprefix("$ ").split("\n$ "):
            command, _, expected = call.partition("\n")
            if command.startswith(_INSTALLS):
                continue
            if exported := re.fullmatch(r"export (\w+)=(\S+)", command):
                self.setting(**{exported[1]: exported[2]})
            elif _SERVES.search(command):
                yield command, expected, self._serve(command)
            else:
                yield command, expected, self.output(command)

    def _serve(self, command: str) -> str:
        if command == "make edge":
            server = self._start([sys.executable, str(ROOT / "example_project" / "edge.py")])
            assert server.stdout is not None
            lines = [server.stdout.readline() for _ in range(7)]
            exports = (line.removeprefix("export ").strip() for line in lines[1:])
            self.setting(**dict(export.split("=", 1) for export in exports))
            return "".join(lines)
        self.serve(f"{command} {self.port}", self.port)
        return ""

    def serve(self, command: str, port: int) -> None:
        """Start a server in the place of the last one, and wait until it listens."""
        if self._server is not None:
            _end(self._server)
        self._server = self._start(shlex.split(command))
        _wait_for(port, self._server)

    def _start(self, command: list[str]) -> subprocess.Popen[str]:
        server = subprocess.Popen(
            command,
            cwd=self.directory,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._running.callback(_end, server)
        return server

    def _here(self, command: str) -> str:
        return command.replace("127.0.0.1:8000", f"127.0.0.1:{self.port}")


def _dedented(match: re.Match[str]) -> str:
    return re.sub(rf"^{match['indent']}", "", match["text"], flags=re.MULTILINE)


def _environment() -> Mapping[str, str]:
    # The reader's terminal knows nothing of AWS, Django or a build.
    ours = ("AWS_", "BUILD_VERSION", "CDN_DOMAIN", "DJANGO_", "PYTEST_", "STATIC_", "NO_COLOR")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(ours)}
    executables = str(Path(sys.executable).parent)
    return {
        **kept,
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "127.0.0.1",
        "PATH": f"{executables}{os.pathsep}{kept.get('PATH', '')}",
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
    }


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def _wait_for(port: int, server: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        assert server.poll() is None, f"{server.args} ended with {server.returncode}"
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise TimeoutError(port)


def _end(server: subprocess.Popen[str]) -> None:
    if server.poll() is None:
        # A shell without job control starts its children with SIGINT ignored.
        server.terminate()
        try:
            server.wait(timeout=10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
    if server.stdout is not None:
        server.stdout.close()


def has_programs() -> bool:
    """Return True if this machine has what the commands of the docs run beside Python."""
    return all(map(shutil.which, ("bash", "curl", "grep")))
