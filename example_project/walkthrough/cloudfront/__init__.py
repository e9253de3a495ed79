"""CloudFront on one machine: nginx with njs runs the functions that are shipped, unmodified."""

import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from versioned_storage.edge.functions import VIEWER_REQUEST, VIEWER_RESPONSE, source

HERE = Path(__file__).parent
_NOBODY = "http://127.0.0.1:9"

# The default behavior of Mode=site: CachingDisabled, and AllViewer, which has the Host too.
_PAGES = """location / {{
            proxy_cache off;
            proxy_pass {pages};
            proxy_set_header Host $http_host;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $upgraded;
            proxy_set_header X-Forwarded-Proto "";
        }}"""


class CannotStart(Exception):
    """Nginx, or its JavaScript module, is missing or does not run."""


@dataclass(frozen=True)
class Nginx:
    """The nginx of this machine, with its module for JavaScript."""

    program: str
    module: str

    @classmethod
    def here(cls) -> "Nginx":
        """Raises `CannotStart` where it or its module is missing or does not run."""
        program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
        if program is None:
            raise CannotStart("nginx is not installed: apt-get install nginx")
        version = _run(program, "-V")
        if version.returncode:
            raise CannotStart(
                f"nginx does not run (exit status {version.returncode}): {_last_line(version)}"
            )
        match = re.search(r"--modules-path=(\S+)", version.stderr)
        module = Path(match[1] if match else "modules", "ngx_http_js_module.so")
        if not module.is_file():
            raise CannotStart("nginx has no njs: apt-get install libnginx-mod-http-js")
        with tempfile.TemporaryDirectory() as scratch:
            minimal = Path(scratch, "nginx.conf")
            minimal.write_text(
                f"load_module {module}; error_log stderr; pid nginx.pid; events {{}}",
                encoding="utf-8",
            )
            loaded = _run(program, "-e", "stderr", "-t", "-p", scratch, "-c", str(minimal))
        if loaded.returncode:
            raise CannotStart(f"nginx does not load {module.name}: {_last_line(loaded)}")
        return cls(program, str(module))


@contextmanager
def cloudfront(
    scratch: Path,
    *,
    bucket: str | None = None,
    app: str | None = None,
    pages: str | None = None,
    request: str | None = None,
    response: str | None = None,
) -> Iterator[str]:
    """An edge on a free port, and its URL; it ends with the block.

    ``bucket`` is the URL of the bucket, in path style, and ``app`` that of the application: with
    both, the application answers where the bucket fails. ``pages`` is the URL of one that
    answers all paths but /static/, as with Mode=site. ``request`` and ``response`` are the code
    of the functions, by default as they are shipped. Raises `CannotStart`.
    """
    nginx = Nginx.here()
    scratch.mkdir(parents=True, exist_ok=True)
    for name, code in ((VIEWER_REQUEST, request), (VIEWER_RESPONSE, response)):
        text = source(name) if code is None else code
        (scratch / name).write_text(f"{text}\nexport default {{handler}};\n", encoding="utf-8")
    shutil.copy(HERE / "shim.js", scratch)
    port = _free_port()
    written = (
        (HERE / "nginx.conf")
        .read_text(encoding="utf-8")
        .format(
            module=nginx.module,
            scratch=scratch,
            port=port,
            bucket=bucket or _NOBODY,
            app=app or _NOBODY,
            first_origin="@bucket" if bucket else "@app",
            # S3 is not told: the encoding is in the path.
            accept_encoding="" if bucket else "$normalised",
            static="/static/" if pages else "/",
            pages=_PAGES.format(pages=pages) if pages else "",
            failover="error_page 500 502 503 504 = @app;" if bucket and app else "",
        )
    )
    (scratch / "nginx.conf").write_text(written, encoding="utf-8")
    command = [nginx.program, "-e", "stderr", "-p", str(scratch), "-c", str(scratch / "nginx.conf")]
    with (scratch / "errors.log").open("w+") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            _wait_for(port, process, scratch / "errors.log")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(timeout=10)


def _run(*command: str) -> "subprocess.CompletedProcess[str]":
    """Raises `CannotStart` where the system cannot run it."""
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CannotStart(f"{Path(command[0]).name} does not run: {error}") from error


def _last_line(completed: "subprocess.CompletedProcess[str]") -> str:
    output = (completed.stderr or completed.stdout).strip().splitlines()
    return output[-1] if output else "it printed nothing"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_for(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Until somebody listens. Raises `CannotStart`."""
    until = time.monotonic() + 10
    while time.monotonic() < until and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise CannotStart(f"nginx did not start: {log.read_text().strip()}")
