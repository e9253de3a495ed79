"""Realistic trees of static files, out of pinned npm packages and Django's admin.

Needs npm, of which only `npm pack --ignore-scripts` is run: it downloads and executes nothing.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import django

#: Package, version, what is taken of it; the first group is the path that a site has.
SMALL = (
    (
        "bootstrap",
        "5.3.8",
        r"dist/(css/bootstrap(?:\.rtl|-utilities)?(?:\.min)?\.css(?:\.map)?|js/bootstrap\.bundle.*)",
    ),
    ("jquery", "3.7.1", r"dist/(.*)"),
    ("htmx.org", "2.0.11", r"dist/((?:htmx|ext/).*\.js)"),
    ("alpinejs", "3.17.4", r"dist/(.*\.js)"),
    ("chart.js", "4.6.1", r"dist/(chart\.umd.*|chart\.js.*)"),
    ("d3", "7.9.0", r"dist/(.*)"),
    ("leaflet", "1.9.4", r"dist/(.*)"),
    ("katex", "0.19.1", r"dist/(.*\.(?:css|js|woff2|woff|ttf))"),
)
MEDIUM = (
    *SMALL,
    ("tinymce", "8.9.2", r"((?:icons|models|plugins|skins|themes|tinymce).*)"),
    ("@fortawesome/fontawesome-free", "7.3.1", r"((?:css|js|webfonts|sprites)/.*)"),
    (
        "swagger-ui-dist",
        "5.35.0",
        r"(swagger-ui(?:-bundle|-standalone-preset)?\.(?:css|js)(?:\.map)?|.*\.png)",
    ),
    ("codemirror", "5.65.20", r"((?:lib|mode|theme|addon|keymap)/.*\.(?:css|js))"),
    ("@highlightjs/cdn-assets", "11.12.0", r"(highlight.*\.js|languages/.*|styles/.*)"),
    ("flag-icons", "7.5.0", r"((?:css|flags)/.*)"),
    ("select2", "4.0.13", r"dist/(.*)"),
    ("jquery-ui-dist", "1.13.3", r"(.*\.(?:css|js|png))"),
    ("datatables.net-dt", "3.1.2", r"((?:css|js|images)/.*)"),
    (
        "@fontsource/inter",
        "5.3.0",
        r"(\d00\.css|files/inter-.*-normal\.woff2?|index\.css)",
    ),
    ("three-globe", "2.45.2", r"example/(img/.*)"),
    ("mathjax", "3.2.2", r"es5/((?:tex-chtml|input|output/chtml|ui|a11y).*)"),
)
LARGE = (
    *MEDIUM,
    ("monaco-editor", "0.57.0", r"min/(.*)"),
    ("@tabler/icons", "3.51.0", r"icons/(outline/[a-k].*\.svg)"),
    ("cesium", "1.140.0", r"Build/(Cesium/.*)"),
    ("pdfjs-dist", "4.10.38", r"((?:build|web|cmaps|standard_fonts)/.*)"),
    ("plotly.js-dist-min", "4.1.2", r"(plotly\.min\.js)"),
    ("ace-builds", "1.45.2", r"(src-min-noconflict/.*)"),
    ("three", "0.187.0", r"(build/.*|examples/(?:jsm|fonts)/.*)"),
    (
        "emoji-datasource-twitter",
        "16.0.0",
        r"img/twitter/(64/[0-3].*\.png|64/1f[0-4].*\.png|sheets/32\.png|sheets/64\.png)",
    ),
)
PACKAGES = {"small": SMALL, "medium": MEDIUM, "large": LARGE}
#: What Django's own storage refuses, and every peer that is built on it.
REFUSED = re.compile(r"monaco-editor/vs/loader\.js|jquery-ui-dist/jquery-ui(?:\.min|\.theme)?\.css")


def make_corpus(cache: Path, size: str) -> Path:
    """Return the directory of that corpus, which is made if ``cache`` does not have it."""
    tree = cache / f"{size}-django-{django.__version__}"
    if tree.exists():
        return tree
    partial = tree.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    for package, version, pattern in PACKAGES[size]:
        name = package.rpartition("/")[2]
        with tarfile.open(_pack(cache, package, version)) as tar:
            for member in filter(tarfile.TarInfo.isfile, tar):
                taken = re.fullmatch(pattern, member.name.partition("/")[2])
                if taken and not _is_left_out(f"{name}/{taken[1]}"):
                    path = partial / "vendor" / name / taken[1]
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(tar.extractfile(member).read())
    shutil.copytree(
        Path(django.__file__).parent / "contrib/admin/static", partial, dirs_exist_ok=True
    )
    partial.rename(tree)
    return tree


def _is_left_out(path: str) -> bool:
    parts = path.split("/")
    return bool(
        {"", ".", ".."} & set(parts)
        or path.endswith((".d.ts", ".gitkeep"))
        or REFUSED.fullmatch(path)
    )


def _pack(cache: Path, package: str, version: str) -> Path:
    cache.mkdir(parents=True, exist_ok=True)
    path = cache / f"{package.lstrip('@').replace('/', '-')}-{version}.tgz"
    if not path.exists():
        if shutil.which("npm") is None:
            sys.exit("The files of the benchmarks are npm packages: this needs npm.")
        subprocess.run(
            ["npm", "pack", "--ignore-scripts", "--silent", f"{package}@{version}"],
            cwd=cache,
            check=True,
            stdout=subprocess.DEVNULL,
        )
    return path
