"""Builds of a few files, for the tests of this room."""

import posixpath
import re
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

import pytest
from django.core.files.storage import FileSystemStorage
from django.core.management import CommandError

from tests.helpers import site
from versioned_storage.build.directory import BuildDirectory
from versioned_storage.build.fingerprint import Fingerprinter
from versioned_storage.build.recipe import Recipe
from versioned_storage.build.references.scanning import Scanners
from versioned_storage.build.resolver import Resolver
from versioned_storage.storage import VersionedStaticFilesStorage

LOGO = b"\x89PNG\r\n\x1a\n logo"
URL = re.compile(r'(?:url\(|import|from) ?\(?"([^"]+)"')


def build(tmp_path, files=None, *, collect=None, encodings=(), version="b1", **arguments):
    """Collect once, and return the hashed names and the directory of the build.

    Each call is a new storage, as each run of collectstatic is.
    """
    options = {"encodings": list(encodings), **arguments.pop("options", {})}
    with site(tmp_path, files, options=options, BUILD_VERSION=version, **arguments) as shop:
        shop.collect(**(collect or {}))
        return dict(shop.storage.hashed_files), Path(shop.storage.location)


def failure(kind, *arguments, **more):
    """The error with which a collectstatic fails: Django 6 wraps it, older ones do not."""
    with pytest.raises(CommandError) as caught:
        build(*arguments, **more)
    error = caught.value if isinstance(caught.value, kind) else caught.value.__cause__
    assert isinstance(error, kind)
    assert str(caught.value) == str(error)
    return error


def warnings(caplog):
    return [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]


def text(root, name):
    return (root / name).read_bytes().decode()


def tree(root):
    """All that is below a directory, with what would tell that it was touched."""
    return {
        str(path.relative_to(root)): (
            path.lstat().st_mtime_ns,
            path.lstat().st_ino,
            path.readlink() if path.is_symlink() else path.is_dir() or path.read_bytes(),
        )
        for path in sorted(root.rglob("*"))
    }


def hash_of(hashed_name):
    return posixpath.basename(hashed_name).split(".")[-2]


def follow(root, name):
    """The names that a file refers to, by the rules of URLs, each of which has to be there."""
    actual = []
    for url in URL.findall(text(root, name)):
        path = urlsplit(urljoin("http://host/" + _escaped(name), url)).path
        target = unquote(path).removeprefix("/")
        assert (root / target).is_file(), f"{name} refers to {url}"
        actual.append(target)
    return actual


def _escaped(name):
    return "".join(f"%{ord(c):02x}" if c in "%#? " else c for c in name)


def fingerprinted(tmp_path, root, order):
    """What is made of ``sources`` in ``root``, without collectstatic and in a given order."""
    storage = FileSystemStorage(location=str(tmp_path / "sources"))
    fingerprinter = Fingerprinter(
        sources={name: (storage, name) for name in order},
        recipe=Recipe("b1", {}, (), keep_originals=True),
        name_hook=VersionedStaticFilesStorage(str(tmp_path), "/static/").hashed_name,
        scanners=Scanners(VersionedStaticFilesStorage.patterns),
        resolver=Resolver(frozenset(order), "/static/", versioned=True),
    )
    return list(fingerprinter.run(BuildDirectory(tmp_path / root)))
