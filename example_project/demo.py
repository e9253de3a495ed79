#!/usr/bin/env python
"""Two deploys of the example site to an S3 server on this machine, and every answer checked.

    python example_project/demo.py            run it; exits 0, or says what is wrong
    python example_project/demo.py --serve    one deploy, and the site stays up for a browser,
                                              with a button for the next deploy

Nothing leaves this machine, and nothing is left on it.
"""

import argparse
import json
import os
import select
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from secrets import token_urlsafe

from walkthrough import report
from walkthrough.checks import PAGES, Checked, Inspection, still_there
from walkthrough.edge import BUCKET, Edge, Request, local_edge
from walkthrough.errors import DemoError
from walkthrough.fetch import fetch
from walkthrough.site import HOME, Built, Server, Site

from versioned_storage.text import bytes_text

STATIC = HOME / "showcase" / "static"
STYLES = Path("css/tokens.css")
COLOUR = "#f2cf3b"
#: What it becomes with each further deploy.
COLOURS = ("#ffb000", "#8fd3ff", "#ff9d8a", "#9be38b", COLOUR)
#: The admin's user and password.
LOGIN = "demo"
#: What changes when that file does: itself, and the stylesheet that imports it.
CHANGES = {"css/tokens.css", "css/site.css"}


@dataclass(frozen=True)
class Deploy:
    """A build that was published, served and checked."""

    site: Site
    built: Built
    checked: list[Checked]
    seconds: float

    def row(self) -> list[str]:
        """Return its row of the final table."""
        assets = self.built.manifest.assets.values()

        def bytes_in(encoding: str) -> int:
            return sum(asset.encodings.get(encoding, asset.size) for asset in assets)

        return [
            self.built.version,
            f"{len(assets):,}",
            bytes_text(sum(asset.size for asset in assets)),
            bytes_text(bytes_in("gzip")),
            bytes_text(bytes_in("br")),
            *map(self.built.count, ("compressed", "reused", "objects uploaded", "copied")),
            f"{len(self.checked)}",
            f"{self.seconds:.1f}",
        ]


def main(arguments: list[str] | None = None) -> int:
    """Run the demo and return its exit code."""
    options = parser().parse_args(arguments)
    # A signal ends everything that the demo started, too.
    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, signal.default_int_handler)
    try:
        with tempfile.TemporaryDirectory(prefix="strata-") as scratch:
            (serve if options.serve else walk)(Path(scratch), options.cdn)
    except DemoError as failure:
        sys.stdout.flush()
        print(f"\nThe demo failed: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped.")
        return 0 if options.serve else 130
    return 0


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument(
        "--serve", action="store_true", help="leave the site up for a browser until Ctrl-C"
    )
    arguments.add_argument(
        "--cdn",
        metavar="URL",
        help="fetch assets from there, instead of from the edge on this machine",
    )
    return arguments


def walk(scratch: Path, cdn: str | None) -> None:
    """Deploy, deploy again with one file changed, then serve the second build from the app."""
    started = time.monotonic()
    print(report.painted("django-versioned-storage: two deploys of its example site", "bold"))
    stamp = f"demo-{datetime.now(timezone.utc):%Y%m%dT%H%M%S}"
    with local_edge(scratch, cdn) as edge:
        report.headline("1. A first deploy: collectstatic hashes, compresses and publishes a build")
        report.note(f"The edge is {edge.described}")
        first = deploy(Site(f"{stamp}-1", scratch / "static", edge.environment()), edge)

        report.headline(f"2. A second deploy, with one file changed: {STYLES}")
        overlay = changed_styles(scratch / "changed")
        site = Site(f"{stamp}-2", scratch / "static", edge.environment(), overlay)
        second = deploy(site, edge)
        compare(first, second)

    report.headline("3. Origin pull: the app itself serves the second build, without S3 or a CDN")
    pulled = origin_pull(second)

    report.table(
        [
            *("build", "files", "raw", "gzip", "br", "compressed", "reused", "uploaded", "copied"),
            *("checked", "seconds"),
        ],
        [first.row(), second.row()],
    )
    print("gzip and br count a file that has no encoding, such as a font, as it is.")
    answers = sum(asset.answers for asset in [*first.checked, *second.checked, *pulled])
    seconds = time.monotonic() - started
    print(report.painted(f"All checks passed: {answers:,} answers in {seconds:.0f} s.", "green"))
    print("'make serve' leaves the site up for a browser, with a button for the next deploy.")


def deploy(site: Site, edge: Edge) -> Deploy:
    """One collectstatic to the edge's bucket, then what its pages name, checked."""
    started = time.monotonic()
    built = site.collectstatic()
    prefix = f"static/{site.version}/"
    for line in built.lines:
        report.note(line)
    base = f"{edge.cdn_domain}/{prefix}"
    with site.served() as url:
        checked = Inspection(built.manifest, base).run(url)
    check_that_all_were_reached(checked)
    check_that_records_are_private(edge)
    answers = sum(asset.answers for asset in checked)
    report.ok(f"{len(checked)} assets of {len(PAGES)} pages passed all checks:")
    report.note(f"{answers} answers, by status, URL, type, cache header, encoding and integrity")
    return Deploy(site, built, checked, time.monotonic() - started)


def check_that_all_were_reached(checked: list[Checked]) -> None:
    """Check that a page leads to each file of the site, except the licences of its fonts."""
    files = (path for path in STATIC.rglob("*") if path.is_file() and path.suffix != ".txt")
    names = {path.relative_to(STATIC).as_posix() for path in files}
    missed = names - {checked_asset.asset.name for checked_asset in checked}
    if missed:
        raise DemoError(f"no page led to {', '.join(sorted(missed))}, so nobody checked them")


def check_that_records_are_private(edge: Edge) -> None:
    """Check that visitors cannot read the records of builds."""
    for key in sorted(key for key in edge.objects() if not key.startswith("static/")):
        for place in (f"{edge.endpoint_url}/{BUCKET}", edge.cdn_domain):
            answer = fetch(Request(f"{place}/{key}"))
            if answer.status == 200:
                raise DemoError(f"everyone can read {answer.url}, expected a refusal")


def changed_styles(directory: Path, colour: str = COLOURS[0]) -> Path:
    """A directory to collect before the apps' own: a copy of one stylesheet in another colour."""
    original = (STATIC / STYLES).read_text(encoding="utf-8")
    copy = directory / STYLES
    copy.parent.mkdir(parents=True, exist_ok=True)
    copy.write_text(original.replace(COLOUR, colour), encoding="utf-8")
    return directory


def compare(first: Deploy, second: Deploy) -> None:
    """Report which hashes differ, and check that the first build still loads."""
    was, now = first.built.manifest.paths, second.built.manifest.paths
    differ = {name for name in was.keys() | now.keys() if was.get(name) != now.get(name)}
    if differ != CHANGES:
        raise DemoError(
            f"after a change of {STYLES} the hashes of {', '.join(sorted(differ)) or 'no file'} "
            f"differ, expected {', '.join(sorted(CHANGES))}"
        )
    for name in sorted(differ):
        report.note(f"{was[name]} -> {now[name]}")
    report.ok(f"{len(differ)} hashes differ, {len(now) - len(differ)} stayed; every URL is new")
    count = still_there(first.checked)
    report.ok(f"the {count} assets of the first deploy's pages load as before")


def origin_pull(deployed: Deploy) -> list[Checked]:
    """The same build from the app's middleware, which negotiates the encoding."""
    site = Site(deployed.site.version, deployed.site.static_root)
    with site.served() as url:
        base = f"{url}static/{site.version}/"
        checked = Inspection(deployed.built.manifest, base).run(url)
        hidden = fetch(Request(f"{base}staticfiles.json"))
    if hidden.status != 404:
        raise DemoError(
            f"the app serves the manifest at {hidden.url}: status {hidden.status}, expected 404"
        )
    report.ok(f"{len(checked)} assets, each as identity, br and gzip from one URL")
    return checked


def serve(scratch: Path, cdn: str | None) -> None:
    """Serve the site both ways until Ctrl-C, and deploy again whenever somebody asks for it."""
    stamp = f"demo-{datetime.now(timezone.utc):%Y%m%dT%H%M%S}"
    with local_edge(scratch, cdn) as edge, Server() as server, Server() as pulling:
        showcase = Showcase(f"{stamp}-1", scratch, edge, server, pulling)
        report.headline(f"Building and publishing {showcase.site.version}")
        showcase.deploy()
        report.headline("Making a database with a user for the admin")
        showcase.make_login()
        report.headline("The site is up, until Ctrl-C")
        print(f"  {server.url}  with its static files from the edge: {edge.described}")
        print(f"  {pulling.url}  the same build by origin pull, in br and gzip")
        print(f"  {server.url}admin/  log in as {LOGIN} with the password {LOGIN}")
        print("  Press Enter here, or the button on the page, for a second deploy.", flush=True)
        for _ in requests_to_deploy():
            showcase.deploy_again()


class Showcase:
    """The site as it is served, and what its next deploy needs."""

    def __init__(
        self, version: str, scratch: Path, edge: Edge, server: Server, pulling: Server
    ) -> None:
        self.scratch = scratch
        self.server = server
        self.pulling = pulling
        self.status = scratch / "deploy.json"
        # Who logged in stays logged in over a deploy.
        more = {
            "DEMO_DATABASE": str(scratch / "demo.sqlite3"),
            "DEMO_DEPLOY_STATUS": str(self.status),
            "SECRET_KEY": token_urlsafe(50),
        }
        self.site = Site(version, scratch / "static", edge.environment(), more=more)
        self.built: Built | None = None
        self.deploys = 0

    def make_login(self) -> None:
        """Make the database and a user for the admin."""
        self.site.manage("migrate", "--verbosity", "0")
        self.site.manage(
            *("createsuperuser", "--noinput", "--username", LOGIN, "--email", "demo@example.com"),
            DJANGO_SUPERUSER_PASSWORD=LOGIN,
        )

    def deploy(self) -> Built:
        """Build, publish, and switch both servers to the build."""
        built = self.site.collectstatic()
        for line in built.lines:
            report.note(line)
        pulled = Site(self.site.version, self.site.static_root, more=self.site.more)
        self.built = built
        self.server.switch_to(self.site)
        self.pulling.switch_to(pulled)
        return built

    def deploy_again(self) -> None:
        """Change a colour, deploy, and say what is different now."""
        colour = COLOURS[self.deploys % len(COLOURS)]
        self.deploys += 1
        before = self.built
        version = f"{before.version.rpartition('-')[0]}-{self.deploys + 1}"
        report.headline(f"Deploy {version}: {STYLES} has the colour {colour} now")
        self._write_status({"state": "deploying", "version": version, "colour": colour})
        overlay = changed_styles(self.scratch / "changed", colour)
        self.site = replace(self.site, version=version, overlay=overlay)
        try:
            started = time.monotonic()
            built = self.site.collectstatic()
        except DemoError as error:
            self.site = replace(self.site, version=before.version)
            self._write_status({"state": "failed", "version": version, "reason": str(error)})
            report.note(str(error))
            return
        was, now = before.manifest.paths, built.manifest.paths
        changed = sorted(name for name in now if was.get(name) != now[name])
        # Written before the switch, because the page of the new build shows it.
        self._write_status(
            {
                "state": "deployed",
                "from": before.version,
                "version": version,
                "colour": colour,
                "seconds": time.monotonic() - started,
                "files": len(now),
                "changed": [{"name": name, "was": was[name], "is": now[name]} for name in changed],
                "lines": built.lines,
            }
        )
        self.built = built
        for line in built.lines:
            report.note(line)
        self.server.switch_to(self.site)
        self.pulling.switch_to(replace(self.site, edge={}))
        for line in self.site.manage("staticbuilds", "diff", before.version, version):
            report.note(line)
        report.ok(f"{self.server.url} is of build {version}; the build before it is still served")

    def _write_status(self, status: object) -> None:
        # Replaced as a whole, because pages read it at any time.
        written = self.status.with_suffix(".new")
        written.write_text(json.dumps(status), encoding="utf-8")
        written.replace(self.status)


def requests_to_deploy() -> Iterator[None]:
    """Yield whenever Enter is pressed here, or the button on a page (it sends SIGUSR1)."""
    with wakeups(signal.SIGUSR1) as awakened:
        streams = [awakened, *([sys.stdin] if sys.stdin.isatty() else [])]
        while True:
            ready, _, _ = select.select(streams, [], [])
            if awakened in ready:
                os.read(awakened, 1024)
            if sys.stdin in ready and not sys.stdin.readline():
                streams.remove(sys.stdin)
                continue
            yield


@contextmanager
def wakeups(number: int) -> Iterator[int]:
    """A file descriptor that is readable once the signal came."""
    reading, writing = os.pipe()
    before = signal.signal(number, lambda *_: os.write(writing, b"."))
    try:
        yield reading
    finally:
        signal.signal(number, before)
        os.close(reading)
        os.close(writing)


if __name__ == "__main__":
    sys.exit(main())
