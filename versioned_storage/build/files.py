"""Files on their way through a build, in the form that Django's hooks take them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import IO, TYPE_CHECKING, Any

from django.core.files.base import File

from .directory import CHUNK, Digest, Digester

# Django's File takes a type in its stubs alone.
if TYPE_CHECKING:
    _File = File[Any]
else:
    _File = File


class DigestedFile(_File):
    """A file whose digest is known, so that nobody needs to read it to name it."""

    def __init__(self, name: str, digest: Digest, open_file: Callable[[], IO[Any]]) -> None:
        super().__init__(None, name)
        self.digest = digest
        self.mode = "rb"
        self._open_file = open_file
        self._opened: IO[Any] | None = None

    @property
    def file(self) -> IO[Any] | None:
        if self._opened is None:
            self._opened = self._open_file()
        return self._opened

    @file.setter
    def file(self, value: IO[Any] | None) -> None:
        self._opened = value

    @property
    def size(self) -> int:
        return self.digest.size

    def close(self) -> None:
        if self._opened is not None:
            self._opened.close()
            self._opened = None


class PassingFile(_File):
    """A file that is digested while somebody else copies it."""

    def __init__(self, content: File[Any]) -> None:
        super().__init__(content.file, content.name)
        self._content = content
        #: The digest of all that was read; None before, and for text, which has no bytes yet.
        self.digest: Digest | None = None

    def chunks(self, chunk_size: int | None = None) -> Iterator[Any]:
        """As of any Django file, once."""
        digester: Digester | None = Digester()
        for chunk in self._content.chunks(CHUNK):
            if not isinstance(chunk, bytes):
                digester = None
            elif digester is not None:
                digester.update(chunk)
            yield chunk
        self.digest = digester.digest() if digester else None
