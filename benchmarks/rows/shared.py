"""A deploy that changed one file, from a machine that keeps STATIC_ROOT: shared assets or not.

visitor MB is what a returning visitor downloads who loads every file: those at new URLs, in br.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..harness import Bench, Table, Taken
from ..project import OURS, WHITENOISE_HASHED_ONLY, Project
from ..server import Server

LAYOUTS: Mapping[str, Mapping[str, Any]] = {
    "not shared, all originals": {},
    "not shared, no originals": {"keep_originals": False},
    "shared, all originals": {"shared_assets": True},
    "shared, originals where paths are computed": {
        "shared_assets": True,
        "keep_originals": ["vendor/tinymce/*", "vendor/mathjax/*"],
    },
    "shared, no originals": {"shared_assets": True, "keep_originals": False},
}


def measure(bench: Bench) -> Iterator[Table]:
    with Server.start(bench) as server:
        root = bench.scratch / "layouts"

        def ours(name: str) -> Taken:
            server.empty()
            storage = OURS.with_options(**LAYOUTS[name])
            builds = [f"{list(LAYOUTS).index(name)}-{step}" for step in ("first", "second")]
            taken: dict[str, float] = {}
            for build, tree in zip(builds, (bench.tree, bench.changed_tree()), strict=True):
                taken = Project(replace(storage, build=build), tree, root, server).collect()
            paths = [_files(root / build) for build in builds]
            return {**taken, "visitor MB": _bytes(paths[1].items() - paths[0].items())}

        def whitenoise(fresh: Path) -> Taken:
            server.empty()
            first = Project(WHITENOISE_HASHED_ONLY, bench.tree, fresh, server=None)
            first.collect()
            before = _files(fresh)
            server.s5cmd(256, "cp", fresh)
            built = replace(first, tree=bench.changed_tree()).collect()
            uploaded = server.s5cmd(256, "sync", fresh)
            seconds = {name: built[name] + uploaded[name] for name in ("s", "CPU s")}
            visitor = _bytes(_files(fresh).items() - before.items())
            return {**uploaded, **seconds, "visitor MB": visitor}

        yield bench.compare(
            "next deploy, one file changed",
            {
                **{name: lambda _, name=name: ours(name) for name in LAYOUTS},
                "WhiteNoise, then s5cmd sync, 256": whitenoise,
            },
        )


def _files(root: Path) -> dict[str, int]:
    """Return the bytes of a transfer of each asset, by its URL below STATIC_URL."""
    manifest = json.loads((root / "staticfiles.json").read_text())
    assets = manifest.get("assets", {})
    files = {}
    for hashed_name in manifest["paths"].values():
        br = root / f"{hashed_name}.br"
        is_shared = assets.get(hashed_name, {}).get("shared")
        prefix = "_shared" if is_shared else manifest.get("build") or ""
        files[f"{prefix}/{hashed_name}"] = (
            (br if br.exists() else root / hashed_name).stat().st_size
        )
    return files


def _bytes(files: set[tuple[str, int]]) -> float:
    return sum(size for _, size in files) / 1e6
