"""Verifications of a build behind an edge, as several test modules make them."""

from __future__ import annotations

from collections.abc import Collection

from tests.edge.conftest import Build
from tests.edge.edges import Edge
from versioned_storage.edge.client import EdgeClient
from versioned_storage.edge.probes import (
    Probe,
    build_probes,
    edge_probes,
    paths_by_integrity,
    sample,
)
from versioned_storage.edge.probing import EdgeReport, verify_edge


class Clock:
    """Time that passes only in ``sleep``."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pauses: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


def probes_of(edge: Edge, build: Build, *, names: Collection[str] | None = None) -> list[Probe]:
    base = f"{edge.url}/static/"
    manifest = build.manifest
    assets = [asset for asset in sample(manifest, None) if names is None or asset.name in names]
    private = [f"{base}{build.version}/staticfiles.json", f"{edge.url}/builds/{build.version}.json"]
    paths = paths_by_integrity(manifest)
    return [
        *build_probes(manifest, base, assets=assets, paths=paths),
        *edge_probes(manifest, base, private),
    ]


def verified(
    edge: Edge,
    build: Build,
    *,
    names: str | None = None,
    wait: float = 0.0,
    timeout: float = 5.0,
) -> EdgeReport:
    """The report of a verification of all assets, or of the one named."""
    clock = Clock()
    client = EdgeClient(timeout=timeout, connections=4, sleep=clock.sleep)
    probes = probes_of(edge, build, names=names and [names])
    return verify_edge("Build b1", probes, client, wait=wait, clock=clock)


def only(report: EdgeReport) -> set[str]:
    """What the faults are about, each once."""
    return {fault.what for fault in report.faults}
