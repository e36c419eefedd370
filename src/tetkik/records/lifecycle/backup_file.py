"""The format of a backup: members with names, sealed as one stream under a key derived from the master key.

In the clear stands what is needed to open it: the format, the version that wrote it, the step of the
database, a fingerprint of the master key (from which nothing can be learnt of the key), a random salt. What
follows are sealed pieces of a mebibyte; header, number and whether a piece is the last are sealed
with each, so that none can go, change places or be cut off unseen. Inside is a tar stream.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import struct
import tarfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import IO

from tetkik.errors import InputError, RecordsError
from tetkik.records.vault import Key, Vault

_MAGIC = b"TETKIKB1"
_LENGTH = struct.Struct(">I")
_PIECE = 1 << 20
_LONGEST_HEADER = 10_000
_OVERHEAD = 64
"""More bytes than sealing adds to a piece."""


@dataclass(frozen=True, slots=True)
class BackupHeader:
    """What a backup says of itself without a key."""

    key: str
    schema: str
    version: str
    made_at: str
    salt: str

    def packed(self) -> bytes:
        return json.dumps(asdict(self), sort_keys=True).encode()


def read_header(file: IO[bytes]) -> BackupHeader:
    """The header of a backup; the file stands behind it afterwards."""
    try:
        if file.read(len(_MAGIC)) != _MAGIC:
            raise ValueError("magic")
        (length,) = _LENGTH.unpack(file.read(_LENGTH.size))
        if length > _LONGEST_HEADER:
            raise ValueError("header")
        return BackupHeader(**json.loads(file.read(length)))
    except (ValueError, TypeError, struct.error):
        raise InputError("This file is not a backup of Tetkik; give one that tetkik backup wrote.") from None


class ArchiveWriter:
    """Writes members one after another; the file is whole once the block ends, or is not there at all."""

    def __init__(self, target: Path, vault: Vault, header: BackupHeader) -> None:
        self._target = target
        self._part = target.with_name(f".{target.name}.{os.getpid()}.part")
        handle = os.open(self._part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        self._file = os.fdopen(handle, "wb")
        packed = header.packed()
        self._file.write(_MAGIC + _LENGTH.pack(len(packed)) + packed)
        self._sealed = _Sealing(self._file, vault.backup_key(bytes.fromhex(header.salt)), packed)
        self._tar = tarfile.open(fileobj=self._sealed, mode="w|", format=tarfile.PAX_FORMAT)  # noqa: SIM115
        self.hashes: dict[str, str] = {}

    def add(self, name: str, content: bytes) -> None:
        """A member from memory."""
        self.add_file(name, io.BytesIO(content), len(content))

    def add_file(self, name: str, content: IO[bytes], size: int) -> None:
        """A member of `size` bytes, read as it is written."""
        info = tarfile.TarInfo(name)
        info.size = size
        hashing = HashingReader(content)
        self._tar.addfile(info, hashing)
        self.hashes[name] = hashing.hexdigest()

    def __enter__(self) -> ArchiveWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._tar.close()
                self._sealed.finish()
                self._file.flush()
                os.fsync(self._file.fileno())
                self._file.close()
                self._part.replace(self._target)
        finally:
            self._file.close()
            self._part.unlink(missing_ok=True)


def read_members(source: Path, vault: Vault) -> Iterator[tuple[str, IO[bytes]]]:
    """The members of a backup, each with its name; read one before asking for the next."""
    with source.open("rb") as file:
        header = read_header(file)
        opening = _Opening(file, vault.backup_key(bytes.fromhex(header.salt)), header.packed())
        try:
            with tarfile.open(fileobj=opening, mode="r|") as tar:
                for info in tar:
                    content = tar.extractfile(info)
                    if content is None:
                        raise _broken()
                    yield info.name, content
        except tarfile.TarError:
            raise _broken() from None
        opening.drain()


class HashingReader(io.RawIOBase):
    """What is read through it is hashed (SHA-256)."""

    def __init__(self, content: IO[bytes]) -> None:
        self._content = content
        self._digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        """The next bytes."""
        piece = self._content.read(size)
        self._digest.update(piece)
        return piece

    def hexdigest(self) -> str:
        """Of everything read so far."""
        return self._digest.hexdigest()


class _Sealing(io.RawIOBase):
    """Seals what is written into it, a piece at a time."""

    def __init__(self, file: IO[bytes], key: Key, header: bytes) -> None:
        self._file, self._key = file, key
        self._place = hashlib.sha256(header).hexdigest()
        self._waiting = bytearray()
        self._number = 0

    def write(self, content: bytes) -> int:  # type: ignore[override]
        self._waiting += content
        while len(self._waiting) > _PIECE:
            self._put(bytes(self._waiting[:_PIECE]), last=False)
            del self._waiting[:_PIECE]
        return len(content)

    def finish(self) -> None:
        self._put(bytes(self._waiting), last=True)

    def _put(self, piece: bytes, *, last: bool) -> None:
        sealed = self._key.seal(piece, f"{self._place}:{self._number}:{last}")
        self._file.write(_LENGTH.pack(len(sealed)) + (b"\1" if last else b"\0") + sealed)
        self._number += 1


class _Opening(io.RawIOBase):
    """Gives back what `_Sealing` sealed."""

    def __init__(self, file: IO[bytes], key: Key, header: bytes) -> None:
        self._file, self._key = file, key
        self._place = hashlib.sha256(header).hexdigest()
        self._ready = b""
        self._number = 0
        self._last = False

    def read(self, size: int = -1) -> bytes:
        while not self._last and (size < 0 or len(self._ready) < size):
            self._ready += self._next()
        if size < 0:
            size = len(self._ready)
        given, self._ready = self._ready[:size], self._ready[size:]
        return given

    def drain(self) -> None:
        """Read to the end, so that a cut-off end shows."""
        while not self._last:
            self._next()
        if self._file.read(1):
            raise _broken()

    def _next(self) -> bytes:
        head = self._file.read(_LENGTH.size + 1)
        if len(head) != _LENGTH.size + 1:
            raise _broken()
        (length,) = _LENGTH.unpack(head[:-1])
        if length > _PIECE + _OVERHEAD:
            raise _broken()
        self._last = head[-1:] == b"\1"
        try:
            piece = self._key.open(self._file.read(length), f"{self._place}:{self._number}:{self._last}")
        except RecordsError:
            raise _broken() from None
        self._number += 1
        return piece


def _broken() -> RecordsError:
    return RecordsError(
        "The backup was altered, cut short, or made under another master key; take another backup, or give "
        "the right key."
    )
