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
import struct
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from tetkik.errors import InputError, RecordsError
from tetkik.files import written_whole
from tetkik.records.vault import PIECE, Key, Vault

_MAGIC = b"TETKIKB1"
_LENGTH = struct.Struct(">I")
_LONGEST_HEADER = 10_000


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
        header = BackupHeader(**json.loads(file.read(length)))
        bytes.fromhex(header.salt)
        return header
    except (ValueError, TypeError, RecursionError, struct.error):
        raise InputError("This file is not a backup of Tetkik; give one that tetkik backup wrote.") from None


@contextmanager
def write_archive(target: Path, vault: Vault, header: BackupHeader) -> Iterator[ArchiveWriter]:
    """A backup to add members to; its file is whole once the block ends, or is not there at all."""
    packed = header.packed()
    with written_whole(target, mode=0o600) as file:
        file.write(_MAGIC + _LENGTH.pack(len(packed)) + packed)
        sealed = _Sealing(file, vault.backup_key(bytes.fromhex(header.salt)), packed)
        with tarfile.open(fileobj=sealed, mode="w|", format=tarfile.PAX_FORMAT) as tar:
            yield ArchiveWriter(tar)
        sealed.finish()


class ArchiveWriter:
    def __init__(self, tar: tarfile.TarFile) -> None:
        self._tar = tar
        self.hashes: dict[str, str] = {}

    def add(self, name: str, content: bytes) -> None:
        """A member from memory."""
        self.add_file(name, io.BytesIO(content), len(content))

    def add_file(self, name: str, content: IO[bytes], size: int) -> None:
        """A member of `size` bytes, read as it is written."""
        info = tarfile.TarInfo(name)
        info.size = size
        hashing = _HashingReader(content)
        self._tar.addfile(info, hashing)
        self.hashes[name] = hashing.hexdigest()


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


class _HashingReader(io.RawIOBase):
    """What is read through it is hashed (SHA-256)."""

    def __init__(self, content: IO[bytes]) -> None:
        self._content = content
        self._digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
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
        while len(self._waiting) > PIECE:
            self._put(bytes(self._waiting[:PIECE]), last=False)
            del self._waiting[:PIECE]
        return len(content)

    def finish(self) -> None:
        self._put(bytes(self._waiting), last=True)

    def _put(self, piece: bytes, *, last: bool) -> None:
        self._key.write_piece(self._file, self._place, self._number, piece, last=last)
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
        try:
            piece, self._last = self._key.read_piece(self._file, self._place, self._number)
        except (RecordsError, ValueError):
            raise _broken() from None
        self._number += 1
        return piece


def _broken() -> RecordsError:
    return RecordsError(
        "The backup was altered, cut short, or made under another master key; take another backup, or give "
        "the right key."
    )
