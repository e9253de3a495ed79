"""Diagnose what would make a publish or a page fail.

It checks the credentials, each permission on scratch keys below builds/ and the STATIC_URL path,
which it deletes again, conditional writes, the clock, public access to the bucket, and the CDN.
Nothing else is written. The exit code is 1 if a check fails, not for warnings or checks that were
not possible.
"""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.core.management.color import Style

from ...build.manifest import Manifest
from ...edge import expectations
from ...edge.client import EdgeClient
from ...edge.probes import FileProbe, Probe, ProbeResult, build_probes, missing_file_url
from ...errors import Fault, VersionedStorageError
from ...origin import record
from ...origin.diagnosis import Doctor, Finding, Level
from ...origin.s3 import S3Origin
from ...site import Site, cdn
from ...text import count_text
from ..arguments import add_edge_url
from ..terminal import PLAIN, Terminal

#: Seconds to wait for a response of S3 or the CDN; short, because somebody waits for the result.
TIMEOUT = 10.0

_LEVEL_WIDTH = max(len(level.value) for level in Level)


@dataclass(frozen=True)
class Diagnosis:
    """The findings of all checks, in their order."""

    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """True if no check failed; there may be warnings."""
        return not self._count(Level.FAILURE)

    def text(self) -> str:
        return self.styled(PLAIN)

    def styled(self, terminal: Terminal) -> str:
        width = max(len(finding.check) for finding in self.findings)
        indent = " " * (_LEVEL_WIDTH + width + 4)
        lines = []
        for finding in self.findings:
            level = f"{finding.level.value:<{_LEVEL_WIDTH}}"
            line = terminal.wrapped(
                f"{level}  {finding.check:<{width}}  {finding.found}", indent=indent
            )
            lines.append(_style_of(finding.level, terminal.style)(level) + line[_LEVEL_WIDTH:])
            if finding.remedy:
                lines.append(
                    terminal.wrapped(f"{indent}-> {finding.remedy}", indent=f"{indent}   ")
                )
        levels = [level for level in (Level.FAILURE, Level.WARNING) if self._count(level)]
        verdict = ", ".join(count_text(self._count(level), level.value) for level in levels)
        summary = f"{len(self.findings)} checks: {verdict or 'all passed'}"
        worst = levels[0] if levels else Level.OK
        return "\n".join([*lines, _style_of(worst, terminal.style)(summary)])

    def data(self) -> dict[str, Any]:
        return {
            "ok": self.ok,
            "checks": [
                {
                    "check": finding.check,
                    "level": finding.level.value,
                    "found": finding.found,
                    "remedy": finding.remedy or None,
                }
                for finding in self.findings
            ],
        }

    def _count(self, level: Level) -> int:
        return sum(finding.level is level for finding in self.findings)


def add_arguments(parser: ArgumentParser) -> None:
    add_edge_url(parser)


def run(site: Site, options: Mapping[str, Any]) -> Diagnosis:
    return Diagnosis(tuple(_findings(site, options["edge_url"])))


def _findings(site: Site, edge_url: str | None) -> Iterator[Finding]:
    manifest = None
    origin = site.storage.s3_origin(timeout=TIMEOUT)
    if origin is None:
        yield Finding("bucket", Level.UNKNOWN, "the option origin is not set")
    else:
        reached = True
        shared_prefix = site.options.shared_prefix if site.options.shares_assets else ""
        for finding in Doctor(origin, shared_prefix).examine():
            yield finding
            reached = reached and (finding.check, finding.level) != ("bucket", Level.FAILURE)
        if reached:
            build, manifest = _build(site, origin)
            yield build
    cdn_url = edge_url or cdn(site.storage)
    if cdn_url is None:
        remedy = "Name the site's own domain: --edge-url https://www.example.com."
        fault = Fault("CDN", "cdn_domain is not set", "the host of the CDN", remedy)
        yield Finding.of_fault(Level.UNKNOWN, fault)
        return
    yield from _edge(f"{cdn_url}{site.static_url.path}", manifest, EdgeClient(timeout=TIMEOUT))


def _build(site: Site, origin: S3Origin) -> tuple[Finding, Manifest | None]:
    """Check that the build of the settings is published, and return its manifest."""
    build = site.options.build_version
    if build is None:
        remedy = (
            "Set it, as in BUILD_VERSION=$(git rev-parse --short HEAD), where pages are served."
        )
        fault = Fault("build", "BUILD_VERSION is not set", "the version of a build", remedy)
        return Finding.of_fault(Level.WARNING, fault), None
    try:
        stored = record.read(origin, build)
    except VersionedStorageError as error:
        return Finding("build", Level.WARNING, str(error)), None
    if stored is not None and stored.record.is_published:
        return Finding("build", Level.OK, f"{build} is published"), stored.record.manifest
    state = stored.record.state.value if stored else "not published"
    remedy = f"Before pages are served with it, {record.publish_remedy(build)}"
    fault = Fault("build", f"{build} is {state}", "published", remedy)
    return Finding.of_fault(Level.WARNING, fault), None


def _edge(base: str, manifest: Manifest | None, client: EdgeClient) -> Iterator[Finding]:
    results: Sequence[ProbeResult] = FileProbe(
        missing_file_url(base), expectations.missing_file
    ).run(client)
    yield _finding_of("CDN", results, f"{base} responds, and refuses a missing file")
    no_response = all(result.served_by is None for result in results)
    if no_response or manifest is None or not manifest.assets:
        return
    for check, is_shared in (("CDN, a file", False), ("CDN, a shared file", True)):
        assets = [asset for asset in manifest.assets.values() if asset.is_shared is is_shared]
        if assets:
            smallest = min(assets, key=lambda asset: (asset.size, asset.name))
            results = _first_with_faults(build_probes(manifest, base, assets=[smallest]), client)
            yield _finding_of(check, results, f"{smallest.name} of {manifest.build} is served")


def _first_with_faults(probes: Iterable[Probe], client: EdgeClient) -> Sequence[ProbeResult]:
    """Return the results of the first probe that has faults, else of the last one."""
    results: Sequence[ProbeResult] = ()
    for probe in probes:
        results = list(probe.run(client))
        if any(result.faults for result in results):
            break
    return results


def _style_of(level: Level, style: Style) -> Callable[[str], str]:
    styles: Mapping[Level, Callable[[str], str]] = {
        Level.OK: style.SUCCESS,
        Level.WARNING: style.WARNING,
        Level.FAILURE: style.ERROR,
        Level.UNKNOWN: style.NOTICE,
    }
    return styles[level]


def _finding_of(check: str, results: Sequence[ProbeResult], passed: str) -> Finding:
    for result in results:
        for line, fault in zip(result.lines(), result.faults, strict=True):
            return Finding.of_fault(Level.FAILURE, Fault(check, line, fault.expected, fault.remedy))
    return Finding(check, Level.OK, passed)
