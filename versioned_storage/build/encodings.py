"""The encodings: one table, and the files that are not worth encoding.

Both are recorded in each manifest, because the edge function that asks for encodings outlives
many builds.
"""

from __future__ import annotations

import hashlib
import zlib
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Protocol

import brotli


class Compressor(Protocol):
    """Takes chunks of bytes, gives chunks of the encoded form."""

    def compress(self, data: bytes, /) -> bytes: ...

    def flush(self) -> bytes: ...


class Decompressor(Protocol):
    """Takes chunks of the encoded form, gives chunks of bytes; raises on what it cannot decode."""

    def decompress(self, data: bytes, /) -> bytes: ...

    def finished(self) -> bool: ...


class _Brotli:
    def __init__(self, quality: int, window: int) -> None:
        self._encoder = brotli.Compressor(quality=quality, lgwin=window)

    def compress(self, data: bytes, /) -> bytes:
        encoded: bytes = self._encoder.process(data)
        return encoded

    def flush(self) -> bytes:
        rest: bytes = self._encoder.finish()
        return rest


class _Unbrotli:
    def __init__(self) -> None:
        self._decoder = brotli.Decompressor()

    def decompress(self, data: bytes, /) -> bytes:
        decoded: bytes = self._decoder.process(data)
        return decoded

    def finished(self) -> bool:
        done: bool = self._decoder.is_finished()
        return done


class _Gunzip:
    def __init__(self) -> None:
        self._decoder = zlib.decompressobj(wbits=_GZIP)

    def decompress(self, data: bytes, /) -> bytes:
        return self._decoder.decompress(data)

    def finished(self) -> bool:
        return self._decoder.eof and not self._decoder.unused_data


@dataclass(frozen=True)
class Encoding:
    """A content-coding (RFC 9110, 8.4.1): its HTTP name, its files' suffix, how it is made."""

    name: str
    suffix: str
    settings: Mapping[str, int]
    compressor: Callable[[], Compressor]
    decompressor: Callable[[], Decompressor]


# zlib writes the gzip header itself then: no time, and an OS byte that does not depend on Python.
_GZIP = zlib.MAX_WBITS | 16
_QUALITY, _WINDOW, _LEVEL = 11, 22, 9

#: The preferred one first.
ENCODINGS: Mapping[str, Encoding] = {
    encoding.name: encoding
    for encoding in (
        Encoding(
            "br",
            ".br",
            {"quality": _QUALITY, "window": _WINDOW},
            lambda: _Brotli(_QUALITY, _WINDOW),
            _Unbrotli,
        ),
        Encoding(
            "gzip",
            ".gz",
            {"level": _LEVEL},
            lambda: zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP),
            _Gunzip,
        ),
    )
}


class Decoding:
    """Decodes bytes as they come, None is identity, and digests what they decode to."""

    def __init__(self, encoding: str | None) -> None:
        self._decoder = ENCODINGS[encoding].decompressor() if encoding else None
        self._sha384 = hashlib.sha384()
        self._broken = False

    def take(self, chunk: bytes) -> bytes:
        """The bytes that ``chunk`` adds; none any more after what cannot be decoded."""
        if self._broken:
            return b""
        try:
            decoded = self._decoder.decompress(chunk) if self._decoder else chunk
        except (brotli.error, zlib.error):
            self._broken = True
            return b""
        self._sha384.update(decoded)
        return decoded

    @property
    def integrity(self) -> str | None:
        """The sha384 in SRI form of all that was taken; None where that is not whole."""
        if self._broken or (self._decoder is not None and not self._decoder.finished()):
            return None
        return f"sha384-{b64encode(self._sha384.digest()).decode()}"


_COMPRESSED = (
    "3gp 3gpp 7z aac apng asf avi avif br bz2 docx epub flac flv gif gz heic heif jar jpeg jpg jxl"
    " lz lz4 lzma m4a m4v mkv mov mp3 mp4 mpeg mpg oga ogg ogv opus png pptx rar swf tbz tbz2 tgz"
    " txz weba webm webp whl wma wmv woff woff2 xlsx xz zip zst"
)

#: What is compressed already: extensions in lower case, without the dot, sorted.
SKIP_COMPRESS_EXTENSIONS: tuple[str, ...] = tuple(sorted(_COMPRESSED.split()))


def eligible(name: str, skip: tuple[str, ...] = SKIP_COMPRESS_EXTENSIONS) -> bool:
    """Say whether a file of this name gets encodings: by its extension alone.

    The edge function decides by the extension too, and cannot look whether an object exists.
    """
    extension = PurePosixPath(name).suffix.removeprefix(".").lower()
    return extension not in skip
