"""A file as a request brings it: the body itself, or the one file of a form. It is held in memory alone.

An archive does not fit there, and goes through `spool` to the disk, sealed.
"""

from __future__ import annotations

import errno
import io
import os
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, cast
from urllib.parse import unquote

from fastapi import Request
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser

from tetkik.errors import InputError, TooManyRequests

# A large file as a request brings it: on the disk, sealed under a key that exists in memory alone.
#
# Images do not lie about in a temporary folder in the clear, and an archive of a whole examination does not
# fit into memory. The file has no name from the start, so that it goes with the process, however that ends.


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


_AT_ONCE = 2 * 2**30
"""Bytes of files that may be on their way in at once."""
_SPOOLED_AT_ONCE = 8 * 2**30
"""Bytes of archives that may lie on the disk at once."""
_NAME = "X-File-Name"
_LONGEST = 200


@dataclass(frozen=True, slots=True)
class IncomingFile:
    """A file that a request brought; its name is shown to the sender and sealed, and is never a path."""

    content: bytes = field(repr=False)
    name: str = field(default="", repr=False)


class MemoryBudget:
    """Weighs what is on its way in, in bytes, so that no crowd of files takes all the memory."""

    def __init__(self, most: int = _AT_ONCE) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._held = 0

    @contextmanager
    def reserve(self) -> Iterator[Reservation]:
        """A load that is empty at first, and put down at the end."""
        load = Reservation(self)
        try:
            yield load
        finally:
            self.add(-load.weight)

    def add(self, weight: int) -> None:
        with self._lock:
            # One alone may be heavier than everything: what a single file may weigh, others decide.
            if weight > 0 and self._held and self._held + weight > self._most:
                raise TooManyRequests("Too much is being uploaded at once; try again in a moment.")
            self._held += weight


class Reservation:
    """What one request has put on the scale."""

    def __init__(self, scale: MemoryBudget) -> None:
        self._scale = scale
        self.weight = 0

    def add(self, weight: int) -> None:
        self._scale.add(weight)
        self.weight += weight


_scale = MemoryBudget()
_spooled = MemoryBudget(_SPOOLED_AT_ONCE)


def reserve() -> AbstractContextManager[Reservation]:
    """A load for a file that comes out of an archive: it lies in memory like one that a request brings."""
    return _scale.reserve()


@asynccontextmanager
async def incoming_file(request: Request) -> AsyncIterator[IncomingFile]:
    """The file of a request, for as long as it is looked at."""
    with _scale.reserve() as load:
        if request.headers.get("content-type", "").startswith("multipart/form-data"):
            yield await _of_form(request, load)
        else:
            pieces = bytearray()
            async for piece in request.stream():
                load.add(len(piece))
                pieces += piece
            yield IncomingFile(bytes(pieces), _name(request))


@asynccontextmanager
async def spooled_file(request: Request, folder: Path) -> AsyncIterator[tuple[IO[bytes], str]]:
    """The body of a request on the disk, sealed, with the name that the sender gave it; no form."""
    if request.headers.get("content-type", "").startswith("multipart/"):
        raise InputError("A zip is sent by itself, as the body of the request; leave the form out.")
    with _spooled.reserve() as load, EncryptedSpool(folder) as spool:
        waiting = bytearray()
        async for piece in request.stream():
            load.add(len(piece))
            waiting += piece
            if len(waiting) >= _PIECE:
                await run_in_threadpool(spool.write, bytes(waiting))
                waiting.clear()
        await run_in_threadpool(spool.write, bytes(waiting))
        await run_in_threadpool(spool.seal)
        yield cast(IO[bytes], spool), _name(request)


async def _of_form(request: Request, load: Reservation) -> IncomingFile:
    async def reserve() -> AsyncIterator[bytes]:
        async for piece in request.stream():
            load.add(len(piece))
            yield piece

    parser = MultiPartParser(request.headers, reserve(), max_files=1, max_fields=10)  # type: ignore[arg-type]
    parser.spool_max_size = 2**62  # in memory: a patient's image does not lie about in a temporary folder
    try:
        form = await parser.parse()
    except MultiPartException:
        raise InputError("The form cannot be read; send one file, or the file alone as the body.") from None
    try:
        for value in form.values():
            if isinstance(value, UploadFile):
                return IncomingFile(await value.read(), clean_file_name(value.filename or ""))
    finally:
        await form.close()
    raise HTTPException(422)


def _name(request: Request) -> str:
    """The name that a program or a page gives its file, percent-encoded UTF-8."""
    return clean_file_name(unquote(request.headers.get(_NAME, ""), errors="replace"))


def clean_file_name(name: str) -> str:
    """The last part of a path, without characters that hide or turn the direction of writing."""
    last = name.replace("\\", "/").rpartition("/")[2]
    return "".join(char for char in last if char.isprintable())[:_LONGEST]
