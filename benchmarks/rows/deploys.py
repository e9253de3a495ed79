"""Whole deploys to an S3 that takes its time: from the sources to the bucket."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from ..harness import Bench, Table, Taken, copy_tree, plus
from ..project import NONE, OURS, WHITENOISE_HASHED_ONLY, Project, Storage
from ..server import Server, program

HASHED_ONLY = OURS.with_options(keep_originals=False)
SHARED = HASHED_ONLY.with_options(shared_assets=True)
S3_MANIFEST = replace(NONE, backend="storages.backends.s3.S3ManifestStaticStorage")
COLLECTFASTA = replace(
    S3_MANIFEST,
    app="collectfasta",
    settings={
        "COLLECTFASTA_STRATEGY": "collectfasta.strategies.boto3.Boto3ManifestFileSystemStrategy",
        "COLLECTFASTA_THREADS": 64,
    },
)


def measure(bench: Bench) -> Iterator[Table]:
    with Server.start(bench) as server:
        disk = bench.scratch / "deployed"
        built = Project(HASHED_ONLY, bench.tree, disk)
        built.collect()
        yield first_deploy(bench, server)
        yield from uploads(bench, server, built)
        yield unchanged(bench, server, built)
        yield one_changed(bench, server)


def first_deploy(bench: Bench, server: Server) -> Table:
    """Build and publish at once, beside the build alone; `uploads` has the publish alone."""

    def collect(storage: Storage, fresh: Path) -> Taken:
        server.empty()
        return Project(storage, bench.tree, fresh / "root", server).collect()

    return bench.compare(
        "first deploy, empty disk and bucket",
        {
            "ours, not published": lambda fresh: collect(
                HASHED_ONLY.with_options(publish=False), fresh
            ),
            "ours, published": lambda fresh: collect(HASHED_ONLY, fresh),
        },
    )


def uploads(bench: Bench, server: Server, built: Project) -> Iterator[Table]:
    """A build that is on the disk goes to an empty bucket, and once more with new times."""
    directory = built.root / "b1"
    ours = replace(built, server=server)
    tools: dict[str, Callable[[str], Taken]] = {
        "staticbuilds publish": lambda _: ours.run("staticbuilds", "publish", "b1"),
        "s5cmd, 64 workers": lambda verb: server.s5cmd(64, verb, directory),
        "s5cmd, 256 workers": lambda verb: server.s5cmd(256, verb, directory),
    }

    def cold(upload: Callable[[str], Taken]) -> Taken:
        server.empty()
        return upload("cp")

    def touched(upload: Callable[[str], Taken]) -> Taken:
        cold(upload)
        for path in directory.rglob("*"):
            path.touch()
        return upload("sync")

    again = {name: lambda _, tool=tool: touched(tool) for name, tool in tools.items()}
    if program("rclone"):
        # Only here: for a new time it copies each object onto itself, which does not end with this
        # server.
        tools["rclone, 64 transfers"] = lambda _: server.rclone(directory)
    first = {name: lambda _, tool=tool: cold(tool) for name, tool in tools.items()}
    yield bench.compare("upload of a build, 25 ms", first)
    yield bench.compare("again, new times", again)


def unchanged(bench: Bench, server: Server, built: Project) -> Table:
    """Nothing changed: `staticbuilds version`, then collectstatic, which publishes."""
    server.empty()
    replace(built, server=server).run("staticbuilds", "publish", "b1")

    def deploy(fresh: Path) -> Taken:
        copy_tree(built.root, fresh / "root")
        site = replace(built, root=fresh / "root", server=server)
        return plus(site.run("staticbuilds", "version"), site.collect())

    return bench.compare("deploy, nothing changed", {"ours, two commands": deploy})


def one_changed(bench: Bench, server: Server) -> Table:
    """One style sheet changed, on a machine with an empty disk."""

    def ours(storage: Storage, fresh: Path) -> Taken:
        server.empty()
        first = replace(storage, build="b1-shared" if storage is SHARED else "b1")
        Project(first, bench.tree, bench.scratch / "deployed", server).collect()
        following = replace(storage, build="b2")
        return Project(following, bench.changed_tree(), fresh / "root", server).collect()

    def whitenoise(workers: int, fresh: Path) -> Taken:
        site = Project(WHITENOISE_HASHED_ONLY, bench.changed_tree(), fresh / "root")
        return plus({**site.collect(), "requests": 0}, server.s5cmd(workers, "cp", fresh / "root"))

    def to_bucket(storage: Storage, fresh: Path) -> Taken:
        server.empty()
        Project(storage, bench.tree, fresh / "root", server).collect()
        return Project(storage, bench.changed_tree(), fresh / "root", server).collect()

    candidates = {
        "ours": lambda fresh: ours(HASHED_ONLY, fresh),
        "ours, shared assets": lambda fresh: ours(SHARED, fresh),
        "WhiteNoise, then s5cmd, 256": lambda fresh: whitenoise(256, fresh),
    }
    if bench.size == "small":
        # With thousands of files these take many minutes.
        candidates["S3ManifestStaticStorage"] = lambda fresh: to_bucket(S3_MANIFEST, fresh)
        candidates["Collectfasta"] = lambda fresh: to_bucket(COLLECTFASTA, fresh)
    return bench.compare("deploy, one file changed, empty disk", candidates)
