"""What a build holds, prepared for the page: pure functions over its manifest."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.contrib.staticfiles.storage import staticfiles_storage

from versioned_storage.build.manifest import Asset, Manifest

OWN_STATIC = Path(__file__).parent / "static"

# Which app a file comes from, by the first directory of its name.
APPS = {
    "admin": "django.contrib.admin",
    "django_tinymce": "django-tinymce",
    "rest_framework": "Django REST framework",
    "tinymce": "django-tinymce",
}
OWN_APP = "This site"


@dataclass(frozen=True)
class Row:
    """One asset as the table shows it; ``asset`` is None without a build."""

    name: str
    url: str
    asset: Asset | None

    @property
    def size(self) -> int:
        """Identity bytes."""
        return self.asset.size if self.asset else (OWN_STATIC / self.name).stat().st_size

    @property
    def gzip(self) -> int | None:
        return self._encoded("gzip")

    @property
    def br(self) -> int | None:
        return self._encoded("br")

    @property
    def best_percent(self) -> int:
        """The smallest form in percent of identity."""
        return percent(min(self.size, self.br or self.size, self.gzip or self.size), self.size)

    def _encoded(self, encoding: str) -> int | None:
        return self.asset.encodings.get(encoding) if self.asset else None


@dataclass(frozen=True)
class Share:
    """What one app brings to a build, in bytes; what has no encoding counts as it is."""

    app: str
    files: int
    identity: int
    gzip: int
    br: int


@dataclass(frozen=True)
class Part:
    """A piece of a URL and what it says."""

    text: str
    kind: str
    meaning: str


def manifest() -> Manifest | None:
    """The manifest of the build that this site serves; None in development."""
    return None if settings.DEBUG else staticfiles_storage.manifest


def own_rows(build: Manifest | None) -> list[Row]:
    """A row for each static file of this site, sorted by name."""
    names = sorted(
        path.relative_to(OWN_STATIC).as_posix() for path in OWN_STATIC.rglob("*") if path.is_file()
    )
    return [
        Row(name, staticfiles_storage.url(name), build.asset(name) if build else None)
        for name in names
    ]


def shares(assets: Iterable[Asset]) -> list[Share]:
    """The assets of a build by app, the heaviest first."""
    by_app: dict[str, list[Asset]] = {}
    for asset in assets:
        by_app.setdefault(APPS.get(asset.name.split("/")[0], OWN_APP), []).append(asset)
    unsorted = [_share(app, of_app) for app, of_app in by_app.items()]
    return sorted(unsorted, key=lambda share: share.identity, reverse=True)


def total(parts: Iterable[Share]) -> Share:
    """All of a build."""
    parts = list(parts)
    return Share(
        "All of it",
        files=sum(share.files for share in parts),
        identity=sum(share.identity for share in parts),
        gzip=sum(share.gzip for share in parts),
        br=sum(share.br for share in parts),
    )


def anatomy(asset: Asset) -> list[Part]:
    """Take an asset's URL apart: where it is served, its build, its name, its fingerprint."""
    base = staticfiles_storage.url(asset.name).removesuffix(asset.path)
    stem, fingerprint, extension = asset.hashed_name.rsplit(".", 2)
    parts = (
        Part(base, "base", "where it is served from"),
        Part(asset.path.removesuffix(asset.hashed_name), "build", "the build, one each deploy"),
        Part(f"{stem}.", "name", "the name you wrote"),
        Part(fingerprint, "hash", "a fingerprint of its bytes"),
        Part(f".{extension}", "name", ""),
    )
    return [part for part in parts if part.text]


def percent(part: int, total: int) -> int:
    """Return ``part`` in percent of ``total``, at least 1 unless ``total`` is 0."""
    return max(1, round(100 * part / total)) if total else 0


def _share(app: str, assets: list[Asset]) -> Share:
    def bytes_in(encoding: str) -> int:
        return sum(asset.encodings.get(encoding, asset.size) for asset in assets)

    return Share(
        app, len(assets), sum(asset.size for asset in assets), bytes_in("gzip"), bytes_in("br")
    )
