"""What many objects and many builds take: one large build, then a list and a prune of many.

    python benchmarks/many.py [--objects 50000] [--builds 50] [--ms 25] [--connect-ms 50]

Builds of a tenth of the objects and of all of them are made and published, so that it can be seen
how the memory grows. Then as many objects in so many builds are listed, and all builds but five are
pruned. The server is latent_s3.py; each command is a process of its own.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from publish import Django, Ran, Server


def make_tree(directory: Path, files: int) -> Path:
    """Small images: what is not compressed is two objects, by its hashed and its original name."""
    directory.mkdir()
    for number in range(files):
        (directory / f"{number:06}.png").write_bytes(b"\x89PNG %d" % number)
    return directory


def tell(what: str, ran: Ran, objects: int) -> None:
    asked = ", ".join(f"{n:,} {name}" for name, n in ran.asked.items() if name != "requests")
    print(
        f"{what:44} {ran.seconds:7.1f} s {ran.peak:5.0f} MB {ran.requests:7,} requests, "
        f"{ran.requests / objects * 1000:.1f} for 1,000 objects ({asked}); load {ran.load:.1f}",
        flush=True,
    )


def large(server: Server, scratch: Path, objects: int) -> None:
    """One build, from the sources to the bucket; the same once more; the next one."""
    server.ask("/empty")
    tree = make_tree(scratch / f"tree of {objects}", objects // 2)
    site = Django(server, tree, scratch / f"root of {objects}")
    tell(f"build of {objects:,} objects", site.collect(build="b1", publish=False), objects)
    tell("  its first publish", site.publish("b1"), objects)
    tell("  the same again", site.publish("b1"), objects)
    tell("  the next build, made and published", site.collect(build="b2"), objects)


def many(server: Server, scratch: Path, objects: int, builds: int) -> None:
    """A list and a prune of all builds but five."""
    server.ask("/empty")
    each = objects // builds
    site = Django(server, make_tree(scratch / "tree", each // 2), scratch / "root")
    for number in range(builds):
        site.collect(build=f"b{number:03}")
    tell(f"list of {builds} builds of {each:,} objects", site.run("staticbuilds", "list"), objects)
    prune = ["staticbuilds", "prune", "--keep", "5", "--older-than", "0d", "--noinput"]
    tell(f"prune of {builds - 5} of them", site.run(*prune), each * (builds - 5))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--objects", type=int, default=50_000)
    parser.add_argument("--builds", type=int, default=50)
    parser.add_argument("--ms", type=float, default=25)
    parser.add_argument("--connect-ms", type=float, default=50)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        scratch = Path(directory)
        with Server.start(scratch, arguments.ms, arguments.connect_ms, tls=False) as server:
            for objects in (arguments.objects // 10, arguments.objects):
                large(server, scratch, objects)
            many(server, scratch, arguments.objects, arguments.builds)


if __name__ == "__main__":
    main()
