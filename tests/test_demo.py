"""The demo as `make demo` and `make serve` run it: a process, judged by what it says."""

import os
import pty
import re
import signal
import subprocess
import sys
import urllib.parse
import urllib.request
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from threading import Thread
from types import SimpleNamespace

import pytest
from walkthrough import progress

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


# Without brotli, which takes most of the time.
QUICKLY = {"DEMO_ENCODINGS": "gzip"}


def run(scratch, *options, **variables):
    return subprocess.run(
        command(*options),
        env={**environment(scratch), **variables},
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
    assert re.search(r"^All checks passed: [\d,]+ answers in \d+ s\.$", done.stdout, re.MULTILINE)


@pytest.mark.deep
def test_an_edge_that_serves_other_bytes_is_found_out(scratch):
    with tampering_edge() as url:
        done = run(scratch, "--cdn", url, **QUICKLY)

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


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """What ``make serve`` prints on a terminal, and its site; ended by Ctrl-C."""
    scratch = tmp_path_factory.mktemp("serve")
    terminal, stderr = pty.openpty()
    with subprocess.Popen(
        command("--serve"),
        env={**environment(scratch), **QUICKLY},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
    ) as demo:
        os.close(stderr)
        drawn = []
        reader = Thread(target=read_all, args=(terminal, drawn))
        reader.start()
        try:
            yield Served(demo, lines_until(demo, "Press Enter"), drawn)
        finally:
            demo.send_signal(signal.SIGINT)
            demo.wait(timeout=30)
            reader.join(timeout=5)
            os.close(terminal)
    assert demo.returncode == 0
    assert list(scratch.iterdir()) == []


@dataclass
class Served:
    demo: subprocess.Popen
    lines: list
    drawn: list

    @property
    def urls(self):
        start = next(i for i, line in enumerate(self.lines) if "The site is up" in line)
        return [line.split()[0] for line in self.lines[start + 1 : start + 3]]


def lines_until(demo, text):
    lines = []
    for line in demo.stdout:
        lines.append(line)
        if text in line:
            return lines
    pytest.fail(f"{text!r} did not come: {lines}")


def read_all(terminal, drawn):
    # Linux says that the other end is closed by an error.
    with suppress(OSError):
        while chunk := os.read(terminal, 4096):
            drawn.append(chunk.decode(errors="replace"))


class Browser:
    """Keeps cookies and sends forms."""

    def __init__(self):
        self.opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor()
        )

    def get(self, url):
        with self.opener.open(url, timeout=20) as answer:
            return answer.read().decode()

    def send_form(self, page_url, url, **fields):
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', self.get(page_url))[1]
        data = urllib.parse.urlencode({"csrfmiddlewaretoken": token, **fields}).encode()
        with self.opener.open(url, data, timeout=20) as answer:
            return answer.read().decode()


@pytest.mark.parametrize("cut", range(1, 80))
def test_a_line_is_not_shown_with_the_bars_however_it_is_read(monkeypatch, cut):
    written = (
        b"\rPublishing:  10%|# | 1/9\r           \rBuild v1: 3 written, 1.5 s\r\n\rPruning:  0%|"
    )
    chunks = iter([written[:cut], written[cut:], b""])
    shown = SimpleNamespace(buffer=BytesIO())
    monkeypatch.setattr(progress, "os", SimpleNamespace(read=lambda *_: next(chunks)))
    monkeypatch.setattr(progress.sys, "stderr", shown)

    progress._copy(0, bytearray())

    text = shown.buffer.getvalue()
    assert b"10%|" in text
    assert b"Pruning:  0%|" in text
    assert b"Build" not in text
    assert b" written, " not in text


@pytest.mark.deep
def test_serve_shows_progress_while_it_builds(served):
    drawn = "".join(served.drawn)
    assert re.search(r"Compressing: +\d+%", drawn)
    assert " written, " not in drawn
    assert any(" written, " in line for line in served.lines)


@pytest.mark.deep
def test_the_served_pages_name_the_product_and_the_settings(served):
    pages = [read(url) for url in served.urls]
    assert len(pages) == 2
    for page in pages:
        assert "<h1>Every deploy is a layer.</h1>" in page
        assert "<strong>django-versioned-storage</strong> makes" in page
        assert "&quot;BACKEND&quot;: &quot;versioned_storage.storage." in page
        assert "BUILD_VERSION = &quot;demo-" in page
    assert "bucket_name" in pages[0]


@pytest.mark.deep
def test_the_login_that_is_printed_is_the_admins(served):
    line = next(line for line in served.lines if "log in as" in line)
    said = re.search(r"(\S+)  log in as (\w+) with the password (\w+)", line)
    url, user, password = said.groups()
    page = Browser().send_form(url, f"{url}login/?next=/admin/", username=user, password=password)
    assert "Site administration" in page


@pytest.mark.deep
def test_the_button_makes_a_second_build_and_the_page_shows_what_changed(served):
    url = served.urls[0]
    before = read(url)
    old_css = re.search(r'<link rel="stylesheet" href="([^"]+)"', before)[1]
    Browser().send_form(url, f"{url}deploy/")
    said = "".join(lines_until(served.demo, "the build before it is still served"))

    after = read(url)
    assert re.search(r"Build <code>demo-\w+-2</code>", after)
    assert re.search(r'<meta name="build-version" content="demo-\w+-2">', after)
    assert "What the last deploy changed" in after
    assert re.findall(r'<span class="name">(css/[^<]+)</span>', after.partition("One URL")[0]) == [
        "css/site.css",
        "css/tokens.css",
    ]
    assert old_css in after
    assert read(old_css)
    assert "2 changed" in said


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
