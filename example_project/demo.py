#!/usr/bin/env python
"""Two deploys of the example site to an S3 server on this machine, and every answer checked.

    python example_project/demo.py            run it; exits 0, or says what is wrong
    python example_project/demo.py --serve    one deploy, and the site stays up for a browser

Nothing leaves this machine, and nothing is left on it.
"""

import argparse
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from walkthrough import report
from walkthrough.checks import PAGES, Checked, Inspection, still_there
from walkthrough.edge import BUCKET, Edge, Request, local_edge
from walkthrough.errors import DemoError
from walkthrough.fetch import fetch
from walkthrough.site import HOME, Built, Site

STATIC = HOME / "showcase" / "static"
STYLES = Path("css/tokens.css")
#: What changes when that file does: itself, and the stylesheet that imports it.
CHANGES = {"css/tokens.css", "css/site.css"}


@dataclass(frozen=True)
class Deploy:
    """One build, published and served and checked."""

    site: Site
    built: Built
    checked: list[Checked]
    seconds: float

    def row(self) -> list[str]:
        """Its line in the table at the end."""
        assets = self.built.manifest.assets.values()

        def bytes_in(encoding: str) -> int:
            return sum(asset.encodings.get(encoding, asset.size) for asset in assets)

        return [
            self.built.version,
            f"{len(assets):,}",
            report.bytes_text(sum(asset.size for asset in assets)),
            report.bytes_text(bytes_in("gzip")),
            report.bytes_text(bytes_in("br")),
            *map(self.built.count, ("compressed", "reused", "objects uploaded", "copied")),
            f"{len(self.checked)}",
            f"{self.seconds:.1f}",
        ]


def main(arguments: list[str] | None = None) -> int:
    """Run the demo and give its exit status."""
    options = parser().parse_args(arguments)
    # However it is ended, everything that it started ends with it.
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
    """What can be said on the command line."""
    made = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    made.add_argument(
        "--serve", action="store_true", help="leave the site up for a browser until Ctrl-C"
    )
    made.add_argument(
        "--cdn",
        metavar="URL",
        help="fetch assets from there, instead of from the edge on this machine",
    )
    return made


def walk(scratch: Path, cdn: str | None) -> None:
    """Deploy, deploy again with one file changed, then serve the second build from the app."""
    started = time.monotonic()
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
    answers = sum(one.answers for one in [*first.checked, *second.checked, *pulled])
    seconds = time.monotonic() - started
    print(report.painted(f"All is well: {answers:,} answers checked in {seconds:.0f} s.", "green"))


def deploy(site: Site, edge: Edge) -> Deploy:
    """One collectstatic to the edge's bucket, then what its pages name, checked."""
    started = time.monotonic()
    built = site.collectstatic()
    prefix = f"static/{site.version}/"
    for line in built.said:
        report.note(line)
    base = f"{edge.cdn_domain}/{prefix}"
    with site.served() as url:
        checked = Inspection(built.manifest, base).run(url)
    see_that_all_were_reached(checked)
    see_that_records_are_private(edge)
    answers = sum(one.answers for one in checked)
    report.ok(f"{len(checked)} assets of {len(PAGES)} pages arrived as they have to:")
    report.note(f"{answers} answers, by status, URL, type, cache header, encoding and integrity")
    return Deploy(site, built, checked, time.monotonic() - started)


def see_that_all_were_reached(checked: list[Checked]) -> None:
    """Every file of the site's own is on one of its pages, but for the fonts' licences."""
    files = (path for path in STATIC.rglob("*") if path.is_file() and path.suffix != ".txt")
    own = {path.relative_to(STATIC).as_posix() for path in files}
    missed = own - {one.asset.name for one in checked}
    if missed:
        raise DemoError(f"no page led to {', '.join(sorted(missed))}, so nobody checked them")


def see_that_records_are_private(edge: Edge) -> None:
    """What S3 keeps of a build for the site is not for visitors."""
    for key in sorted(key for key in edge.objects() if not key.startswith("static/")):
        for place in (f"{edge.endpoint_url}/{BUCKET}", edge.cdn_domain):
            answer = fetch(Request(f"{place}/{key}"))
            if answer.status == 200:
                raise DemoError(f"everyone can read {answer.url}, expected a refusal")


def changed_styles(directory: Path) -> Path:
    """A directory to collect before the apps' own: a copy of one stylesheet, with other colours."""
    original = (STATIC / STYLES).read_text(encoding="utf-8")
    copy = directory / STYLES
    copy.parent.mkdir(parents=True)
    copy.write_text(original.replace("#f2cf3b", "#ffb000"), encoding="utf-8")
    return directory


def compare(first: Deploy, second: Deploy) -> None:
    """Say which hashes differ, and see to it that the first build is there as before."""
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
    """Deploy once and serve the site both ways until Ctrl-C."""
    version = f"demo-{datetime.now(timezone.utc):%Y%m%dT%H%M%S}-1"
    with local_edge(scratch, cdn) as edge:
        site = Site(version, scratch / "static", edge.environment())
        report.headline(f"Publishing build {version}")
        for line in site.collectstatic().said:
            report.note(line)
        with site.served() as url, Site(version, site.static_root).served() as pulled_url:
            report.headline("The site is up, until Ctrl-C")
            print(f"  {url}  with its static files from the edge: {edge.described}")
            print(f"  {pulled_url}  the same build by origin pull, in br and gzip", flush=True)
            signal.pause()


if __name__ == "__main__":
    sys.exit(main())
