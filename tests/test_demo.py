"""The demo as `make demo` and `make serve` run it: a process, judged by what it says."""

import os
import re
import signal
import subprocess
import sys
import urllib.request
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from versioned_storage.build.manifest import content_type

DEMO = Path(__file__).parent.parent / "example_project" / "demo.py"
HASHED_TWICE = re.compile(r"(css/\w+)\.([0-9a-f]{12})\.css -> (css/\w+)\.([0-9a-f]{12})\.css")


@pytest.fixture
def scratch(tmp_path):
    """Where the demo puts what it makes; it has to leave nothing there."""
    yield tmp_path
    assert list(tmp_path.iterdir()) == []


def command(*options):
    return [sys.executable, str(DEMO), *options]


def environment(scratch):
    return {**os.environ, "TMPDIR": str(scratch)}


def run(scratch, *options):
    return subprocess.run(
        command(*options),
        env=environment(scratch),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def rows_of_the_table(output):
    lines = iter(output.splitlines())
    for line in lines:
        if line.split()[:2] == ["build", "files"]:
            return [next(lines).split(), next(lines).split()]
    return []


@pytest.mark.deep
def test_both_deploys_and_origin_pull_pass_every_check(scratch):
    done = run(scratch)

    assert done.stderr == ""
    assert done.returncode == 0
    assert "\033" not in done.stdout
    assert re.search(r"The edge is (nginx|a small server in Python, because nginx )", done.stdout)
    first, second = rows_of_the_table(done.stdout)
    assert re.fullmatch(r"demo-\d{8}T\d{6}-1", first[0])
    assert second[0] == f"{first[0][:-1]}2"
    assert first[1] == second[1]
    changed = HASHED_TWICE.findall(done.stdout)
    assert [(was, now) for was, _, now, _ in changed] == [
        ("css/site", "css/site"),
        ("css/tokens", "css/tokens"),
    ]
    assert all(before != after for _, before, _, after in changed)
    assert f"2 hashes differ, {int(first[1]) - 2} stayed" in done.stdout
    assert re.search(r"ok  the \d+ assets of the first deploy's pages load as before", done.stdout)
    assert re.search(r"ok  \d+ assets, each as identity, br and gzip from one URL", done.stdout)
    assert re.search(r"^All is well: [\d,]+ answers checked in \d+ s\.$", done.stdout, re.MULTILINE)


@pytest.mark.deep
def test_an_edge_that_serves_other_bytes_is_found_out(scratch):
    with tampering_edge() as url:
        done = run(scratch, "--cdn", url)

    assert done.returncode == 1
    assert re.fullmatch(
        rf"\nThe demo failed: of \d+ assets checked, {url}/static/demo-\w+-1/\S+ has the integrity "
        r"'sha384-\S+', expected 'sha384-\S+' \(\d+ more like it\)\n",
        done.stderr,
    )


def test_a_cdn_that_cannot_be_fails_with_the_reason_and_no_traceback(scratch):
    done = run(scratch, "--cdn", "ftp://127.0.0.1/strata")

    assert done.returncode == 1
    assert done.stderr.startswith("\nThe demo failed: manage.py collectstatic failed: ")
    assert "cdn_domain" in done.stderr
    assert "'ftp://127.0.0.1/strata'" in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.deep
def test_serve_leaves_the_site_up_until_ctrl_c(scratch):
    with subprocess.Popen(
        command("--serve"),
        env=environment(scratch),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as demo:
        try:
            urls = urls_said_by(demo)
            pages = [read(url) for url in urls]
        finally:
            demo.send_signal(signal.SIGINT)
            demo.wait(timeout=30)

        assert demo.stderr.read() == ""
        assert demo.returncode == 0
    assert len(pages) == 2
    assert all("<h1>Every deploy is a layer.</h1>" in page for page in pages)


def urls_said_by(demo):
    for line in demo.stdout:
        if "The site is up" in line:
            return [demo.stdout.readline().split()[0] for _ in range(2)]
    pytest.fail(f"the site did not come up: {demo.stderr.read()}")


def read(url):
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=20) as answer:
        return answer.read().decode()


@contextmanager
def tampering_edge():
    """An edge with the right headers for every asset, and the wrong bytes."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", content_type(self.path))
            self.send_header("Cache-Control", "max-age=315360000, public, immutable")
            self.end_headers()
            self.wfile.write(b"not what was published")

        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
