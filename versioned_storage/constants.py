"""What several rooms share: encodings, media types, response headers and names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

#: What Django calls the manifest; a storage may say otherwise.
MANIFEST_NAME = "staticfiles.json"

#: The HTTP name for bytes without a content-coding (RFC 9110, 8.4.1).
IDENTITY = "identity"


@dataclass(frozen=True)
class Encoding:
    """A content-coding (RFC 9110, 8.4.1): its HTTP name, its file suffix, its encoder's settings.

    The settings are recorded in each manifest, because an encoding is reused only if the same
    encoder made it. ``parameter`` is the setting of the quality; ``qualities`` are the values that
    a site may choose for it, from the fastest to the smallest result.
    """

    name: str
    suffix: str
    settings: Mapping[str, int]
    parameter: str
    qualities: range

    @property
    def quality(self) -> int:
        return self.settings[self.parameter]

    def with_quality(self, quality: int | None) -> Encoding:
        """Return the same encoding at another quality; for None as it is."""
        if quality is None:
            return self
        return replace(self, settings={**self.settings, self.parameter: quality})


#: The encodings by name, the preferred one first.
ENCODINGS: Mapping[str, Encoding] = {
    encoding.name: encoding
    for encoding in (
        Encoding("br", ".br", {"quality": 11, "window": 22}, "quality", range(12)),
        Encoding("gzip", ".gz", {"level": 9}, "level", range(1, 10)),
    )
}

_COMPRESSED_FORMATS = (
    "3gp 3gpp 7z aac apng asf avi avif br bz2 docx epub flac flv gif gz heic heif jar jpeg jpg jxl"
    " lz lz4 lzma m4a m4v mkv mov mp3 mp4 mpeg mpg oga ogg ogv opus png pptx rar swf tbz tbz2 tgz"
    " txz weba webm webp whl wma wmv woff woff2 xlsx xz zip zst"
)

#: Extensions of formats that are already compressed: lower case, without the dot, sorted.
SKIP_COMPRESS_EXTENSIONS: tuple[str, ...] = tuple(sorted(_COMPRESSED_FORMATS.split()))


def is_eligible(name: str, skip: tuple[str, ...] = SKIP_COMPRESS_EXTENSIONS) -> bool:
    """Return True if a file of this name has encodings; only its extension decides.

    The edge function decides by the extension too: it cannot look whether an object exists.
    """
    # As PurePath.suffix, which takes ten times as long.
    stem, dot, extension = name.rpartition("/")[2].rpartition(".")
    return not (stem and dot) or extension.lower() not in skip


#: Media types by extension, in addition to WhiteNoise's table; the same on S3 and from the app.
MEDIA_TYPES: Mapping[str, str] = {
    ".aac": "audio/aac",
    ".apng": "image/apng",
    ".cjs": "text/javascript",
    ".csv": "text/csv",
    ".cur": "image/x-icon",
    ".dae": "model/vnd.collada+xml",
    ".epub": "application/epub+zip",
    ".flac": "audio/flac",
    ".geojson": "application/geo+json",
    ".glb": "model/gltf-binary",
    ".gltf": "model/gltf+json",
    ".gpx": "application/gpx+xml",
    ".gz": "application/gzip",
    ".heic": "image/heic",
    ".heif": "image/heif",
    ".ics": "text/calendar",
    ".jsonld": "application/ld+json",
    ".jxl": "image/jxl",
    ".ktx2": "image/ktx2",
    ".log": "text/plain",
    ".map": "application/json",
    ".mkv": "video/x-matroska",
    ".mpd": "application/dash+xml",
    ".mtl": "model/mtl",
    ".mvt": "application/vnd.mapbox-vector-tile",
    ".ndjson": "application/x-ndjson",
    ".obj": "model/obj",
    ".oga": "audio/ogg",
    ".ogv": "video/ogg",
    ".opus": "audio/ogg",
    ".otf": "font/otf",
    ".parquet": "application/vnd.apache.parquet",
    ".pbf": "application/x-protobuf",
    ".po": "text/plain",
    ".srt": "application/x-subrip",
    ".stl": "model/stl",
    ".tar": "application/x-tar",
    ".tgz": "application/gzip",
    ".toml": "application/toml",
    ".topojson": "application/json",
    ".tsv": "text/tab-separated-values",
    ".ttc": "font/collection",
    ".ttf": "font/ttf",
    ".ttml": "application/ttml+xml",
    ".usdz": "model/vnd.usdz+zip",
    ".vcf": "text/vcard",
    ".vtt": "text/vtt",
    ".wav": "audio/wav",
    ".weba": "audio/webm",
    ".webmanifest": "application/manifest+json",
    ".woff": "font/woff",
    ".xsl": "application/xml",
    ".xslt": "application/xml",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
    ".zst": "application/zstd",
}

#: Ten years, WhiteNoise's value: what is under a build prefix never changes.
CACHE_CONTROL = "max-age=315360000, public, immutable"

#: Headers of every asset response, from the edge and from the middleware: fonts, modules,
#: subresource integrity and timings work across origins, and no browser guesses a type.
RESPONSE_HEADERS: Mapping[str, str] = {
    "Cross-Origin-Resource-Policy": "cross-origin",
    "Timing-Allow-Origin": "*",
    "X-Content-Type-Options": "nosniff",
}
