"""Incremental compressors and decompressors of each encoding."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator
from typing import Protocol

import brotli

from ..constants import Encoding
from .directory import integrity_of

#: About how many bytes are decoded at a time, at most.
PIECE = 256 * 1024

#: What a decompressor raises on what it cannot decode.
DECODING_ERRORS = (brotli.error, zlib.error)


class Compressor(Protocol):
    """Turns chunks of bytes into chunks of the encoded form."""

    def compress(self, data: bytes, /) -> bytes: ...

    def flush(self) -> bytes: ...


class Decompressor(Protocol):
    """Turns chunks of the encoded form into pieces of bytes, or raises one of `DECODING_ERRORS`.

    A piece is never much larger than `PIECE`, however much the encoded form expands.
    """

    def decompress(self, data: bytes, /) -> Iterator[bytes]: ...

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

    def decompress(self, data: bytes, /) -> Iterator[bytes]:
        piece = self._decoder.process(data, output_buffer_limit=PIECE)
        yield piece
        # After a full piece the decoder may have more of what it has read.
        while not self._decoder.is_finished() and (
            len(piece) >= PIECE or not self._decoder.can_accept_more_data()
        ):
            piece = self._decoder.process(b"", output_buffer_limit=PIECE)
            yield piece

    def finished(self) -> bool:
        return bool(self._decoder.is_finished())


class _Gunzip:
    def __init__(self) -> None:
        self._decoder = zlib.decompressobj(wbits=_GZIP)

    def decompress(self, data: bytes, /) -> Iterator[bytes]:
        while True:
            piece = self._decoder.decompress(data, PIECE)
            yield piece
            data = self._decoder.unconsumed_tail
            # After a full piece zlib may have more of what it has read.
            if not data and (len(piece) < PIECE or self._decoder.eof):
                return

    def finished(self) -> bool:
        return self._decoder.eof and not self._decoder.unused_data


# With this zlib writes the gzip header: without a time, and with the same OS byte in each Python.
_GZIP = zlib.MAX_WBITS | 16


def compressor(encoding: Encoding) -> Compressor:
    """Return a new compressor with the settings of the encoding."""
    settings = encoding.settings
    if encoding.name == "br":
        return _Brotli(settings["quality"], settings["window"])
    return zlib.compressobj(settings["level"], zlib.DEFLATED, _GZIP)


def decompressor(encoding: str) -> Decompressor:
    """Return a new decompressor."""
    return _Unbrotli() if encoding == "br" else _Gunzip()


class Decoding:
    """Decodes chunks and digests the result; the encoding None changes nothing."""

    def __init__(self, encoding: str | None) -> None:
        self._decoder = decompressor(encoding) if encoding else None
        self._sha384 = hashlib.sha384()
        self._broken = False

    def take(self, chunk: bytes) -> bytes:
        """Return the bytes that ``chunk`` adds; empty after the first decoding error."""
        if self._broken:
            return b""
        try:
            decoded = b"".join(self._decoder.decompress(chunk)) if self._decoder else chunk
        except DECODING_ERRORS:
            self._broken = True
            return b""
        self._sha384.update(decoded)
        return decoded

    @property
    def integrity(self) -> str | None:
        """The sha384 in SRI form of all bytes; None if the encoded form is not complete."""
        if self._broken or (self._decoder is not None and not self._decoder.finished()):
            return None
        return integrity_of(self._sha384.digest())
