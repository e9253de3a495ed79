"""The same sources give the same build: elsewhere, in another order, on another interpreter."""

import json
import os
import random
import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import django
import pytest

from tests.helpers import REPOSITORY, site, write
from versioned_storage.content_version import derive_build_version, find_sources

# A cycle, a chain, a diamond, odd names and bytes: whatever an order could get into.
FILES = {
    "css/a.css": '@import "b.css"; a{background:url("../img/l.png")}',
    "css/b.css": '@import "/static/css/a.css"; b{background:url(../img/ünï%20%231.svg)}',
    "main.css": '@import "css/a.css"; @import "css/c.css"; @import "css/d.css";',
    "css/c.css": '@import "e.css";',
    "css/d.css": '@import "e.css"; /*# sourceMappingURL=d.css.map */',
    "css/e.css": "e{fill:url(e.css#x)}",
    "css/d.css.map": "{}",
    "img/l.png": bytes(range(256)),
    "img/ünï #1.svg": "<svg/>",
    "js/app.js": "load();\n//# sourceMappingURL=app.js.map",
    "js/app.js.map": "{}",
    "app.webmanifest": '{"name": "x", "icons": [{"src": "img/l.png"}]}',
    **{f"many/{number}.txt": str(number) for number in range(40)},
}
OPTIONS = {"encodings": ["br", "gzip"], "skip_compress_extensions": ["png"]}

#: What every Python, every Django and every machine makes of FILES. It changes with
#: `versioned_storage.build.manifest.FORMAT`, and never without.
CONTENT = "a6dc5fedd2cdbc21888912fbcff7500c65663119e24a113f8662c27ea9cda52c"
NAMES = {
    "app.webmanifest": "app.aae91a6a91dc.webmanifest",
    "css/a.css": "css/a.36f34561eb0e.css",
    "css/b.css": "css/b.36f34561eb0e.css",
    "css/c.css": "css/c.828a3a76b0ec.css",
    "css/d.css": "css/d.79a8aa7cef7b.css",
    "css/d.css.map": "css/d.css.99914b932bd3.map",
    "css/e.css": "css/e.e7be2095b679.css",
    "img/l.png": "img/l.e2c865db4162.png",
    "img/ünï #1.svg": "img/ünï #1.677433a0892a.svg",
    "js/app.js": "js/app.e0b655631a0e.js",
    "js/app.js.map": "js/app.js.99914b932bd3.map",
    "main.css": "main.2c67e4880caa.css",
}

#: What the example project is built to, by the option `shared_assets`: the sha256 of its manifest
#: and of its files, and the build version. These change with its static files and the format;
#: with shared assets also with `versioned_storage.build.assemble.SHARED_RULES`.
EXAMPLE = {
    False: {
        "manifest": "20cc19f41a2ad43fe16037c1aaf84732a4936e33a1e7b0ea394682295a3f7b81",
        "files": "95d1d49790adce3e60933f65e72d9432dc87a2ee2daf31e178da79ea91d4a73a",
        "version": "928c7a74ed86",
    },
    True: {
        "manifest": "846951f64fecb9e73be910607ab46773ff284bdb7e0408e9aa00f680dc1cc1ca",
        "files": "181c0307d77213ac142fd86c1993e22d6972df4e32fdb03d1ebe324d69118aa7",
        "version": "81eb48be3f71",
    },
}

PROGRAM = """
import json, sys
import django
from django.conf import settings

directory, static_root, options = sys.argv[1:]
settings.configure(
    SECRET_KEY="only for tests",
    INSTALLED_APPS=["versioned_storage", "django.contrib.staticfiles"],
    STATIC_URL="/static/",
    STATIC_ROOT=static_root,
    STATICFILES_DIRS=[directory],
    STATICFILES_FINDERS=["django.contrib.staticfiles.finders.FileSystemFinder"],
    BUILD_VERSION="b1",
    # Not in STORAGES: what settings.configure() says there loses its OPTIONS on Django 4.2.
    VERSIONED_STORAGE=json.loads(options),
    STORAGES={
        "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"},
        "staticfiles": {
            "BACKEND": "versioned_storage.storage.VersionedStaticFilesStorage",
        },
    },
)
django.setup()
from django.core.management import call_command

call_command("collectstatic", interactive=False, verbosity=0)
"""


def identity_of(root):
    """What a build is known by, from its manifest."""
    manifest = json.loads((root / "staticfiles.json").read_text())
    integrity = {name: asset["integrity"] for name, asset in manifest["assets"].items()}
    return manifest["paths"], integrity, manifest["content"], manifest["hash"]


def identity(root):
    """Every file that is no encoding and no record, with its bytes."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and path.suffix not in (".br", ".gz") and path.name != "staticfiles.json"
    }


def build(directory, files=None):
    directory.mkdir(parents=True, exist_ok=True)
    with site(directory, files, options=OPTIONS, BUILD_VERSION="b1") as build:
        build.collect()
        return Path(build.storage.location)


def build_by(interpreter, directory, static_root, **environment):
    """The same in another process."""
    root = Path(__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": str(root), "PYTHONUTF8": "1", **environment}
    arguments = [str(directory), str(static_root), json.dumps(OPTIONS)]
    ran = subprocess.run(
        [interpreter, "-c", PROGRAM, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return Path(static_root, "b1")


@pytest.fixture
def first(tmp_path):
    return build(tmp_path / "first", FILES)


def test_the_names_and_the_content_digest_are_what_they_are_everywhere(first):
    paths, _, content, _ = identity_of(first)
    assert {name: paths[name] for name in NAMES} == NAMES
    assert content == CONTENT


def test_the_same_sources_in_another_directory_are_the_same_build(tmp_path, first):
    (tmp_path / "else where").mkdir()
    shutil.copytree(tmp_path / "first" / "sources", tmp_path / "else where" / "sources")
    second = build(tmp_path / "else where")
    assert identity_of(second) == identity_of(first)
    assert identity(second) == identity(first)


@pytest.mark.parametrize("seed", [None, 1, 2])
def test_the_order_in_which_files_were_made_does_not_matter(tmp_path, first, seed):
    order = list(reversed(FILES))
    if seed is not None:
        random.Random(seed).shuffle(order)
    second = build(tmp_path / "second", {name: FILES[name] for name in order})
    assert identity_of(second) == identity_of(first)
    assert identity(second) == identity(first)


def test_the_times_of_the_sources_do_not_matter(tmp_path, first):
    write(tmp_path / "second" / "sources", FILES)
    for path in (tmp_path / "second" / "sources").rglob("*.*"):
        os.utime(path, (1_000_000_000, 1_000_000_000))
    second = build(tmp_path / "second")
    assert identity_of(second) == identity_of(first)
    assert (second / "staticfiles.json").read_bytes() == (first / "staticfiles.json").read_bytes()


@pytest.mark.parametrize("shared_assets", EXAMPLE)
def test_the_example_project_is_the_same_build_everywhere(tmp_path, shared_assets):
    sources = REPOSITORY / "example_project" / "showcase" / "static"
    # Encoders of other versions give other sizes.
    options = {"encodings": [], "shared_assets": shared_assets, "build_version": "b1"}
    with site(tmp_path, options=options, STATICFILES_DIRS=[str(sources)]) as example:
        example.collect()
        root = Path(example.storage.location)
        version = derive_build_version(find_sources(), example.storage)
    files = identity(root)
    names = "".join(f"{name} {sha256(files[name]).hexdigest()}\n" for name in sorted(files))
    expected = EXAMPLE[shared_assets]
    assert {
        "manifest": sha256((root / "staticfiles.json").read_bytes()).hexdigest(),
        "files": sha256(names.encode()).hexdigest(),
        # Django's patterns of references are in the version, and other Djangos have others.
        "version": version if django.VERSION[:2] == (5, 2) else expected["version"],
    } == expected


@pytest.mark.parametrize("seed", ["0", "1", "4242"])
def test_the_order_of_python_s_sets_does_not_matter(tmp_path, first, seed):
    sources = tmp_path / "first" / "sources"
    second = build_by(sys.executable, sources, tmp_path / "second", PYTHONHASHSEED=seed)
    assert identity_of(second) == identity_of(first)
    assert identity(second) == identity(first)
