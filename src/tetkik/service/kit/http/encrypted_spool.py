"""A large file as a request brings it: on the disk, sealed under a key that exists in memory alone.

Images do not lie about in a temporary folder in the clear, and an archive of a whole examination does not fit
into memory. The file has no name from the start, so that it goes with the process, however that ends.
"""

from __future__ import annotations

import errno
import io
import os
from pathlib import Path
from tempfile import TemporaryFile

_PIECE = 1 << 20
_TAG = 16
MOST_AT_ONCE = 4 << 20
"""Bytes that one call reads at most: nothing sound asks for more, and a hostile directory of a zip does."""


class EncryptedSpool(io.RawIOBase):
    """Written once, from its beginning to `seal`; then read from anywhere."""

    def __init__(self, folder: Path) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        self._key = AESGCM(AESGCM.generate_key(256))
        self._file = TemporaryFile(dir=folder)  # noqa: SIM115 - closed with this one
        self._waiting = bytearray()
        self._pieces = 0
        self._size = 0
        self._at = 0
        self._open_piece = -1, b""

    def write(self, content: bytes) -> int:  # type: ignore[override]
        self._waiting += content
        self._size += len(content)
        while len(self._waiting) >= _PIECE:
            self._put(bytes(self._waiting[:_PIECE]))
            del self._waiting[:_PIECE]
        return len(content)

    def seal(self) -> None:
        if self._waiting:
            self._put(bytes(self._waiting))
            self._waiting.clear()
        self._file.flush()

    def _put(self, piece: bytes) -> None:
        # A piece has its number for a nonce: it is sealed once, under a key that seals this file alone.
        self._file.write(self._key.encrypt(_nonce(self._pieces), piece, None))
        self._pieces += 1

    def _piece(self, number: int) -> bytes:
        known, content = self._open_piece
        if known != number:
            self._file.seek(number * (_PIECE + _TAG))
            content = self._key.decrypt(_nonce(number), self._file.read(_PIECE + _TAG), None)
            self._open_piece = number, content
        return content

    def read(self, size: int = -1) -> bytes:
        size = self._size - self._at if size < 0 else min(size, self._size - self._at)
        if size > MOST_AT_ONCE:
            raise ValueError("too much at once")
        found = bytearray()
        while len(found) < size:
            number, start = divmod(self._at, _PIECE)
            some = self._piece(number)[start : start + size - len(found)]
            found += some
            self._at += len(some)
        return bytes(found)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        if start + offset < 0:
            raise OSError(errno.EINVAL, "before the beginning")
        self._at = start + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def close(self) -> None:
        self._file.close()
        self._open_piece = -1, b""
        super().close()


def _nonce(number: int) -> bytes:
    return number.to_bytes(12, "big")
