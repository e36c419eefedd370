"""What came by DICOM and is not imported yet: sealed files, whole or not there, on the disk before success.

A file is named by a keyed digest of its SOP Instance UID and one of its content: the same object twice is one
file, and another object under the same UID is not lost. It holds the data set as it came, sealed in pieces
under a key of its own, and behind it, sealed too, where it came from:

    magic · salt · pieces of the data set · sealed origin · length of that
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

import structlog

from tetkik.errors import RecordsError
from tetkik.files import sync
from tetkik.records.vault import Key, Vault

FOLDER = "incoming"
"""Of the spool, in `data_dir`."""
_MAGIC = b"TETKIKS1"
_SALT = 16
_LENGTH = struct.Struct(">I")
_LONGEST_ORIGIN = 4096
_GATHERED = 256 << 10
"""Bytes that are sealed at once, at least."""
_PART, _DAMAGED = ".part", ".damaged"
_NO_OBJECTS = (_PART, _DAMAGED)
REFUSALS = "listen.refused"
"""A file beside the folder, of as many bytes as objects were refused since `tetkik listen` started."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an object came from, as its association said."""

    peer: str
    calling_ae: str
    sop_class: str
    sop_instance_uid: str
    transfer_syntax: str
    received_at: str
    """ISO 8601, UTC."""


class NoRoom(RecordsError):
    """The disk has less free than its reserve, or the object is longer than it may be."""


class Spool:
    """The folder of objects that wait; several processes may use it at once."""

    def __init__(
        self, folder: Path, vault: Vault, *, reserve_bytes: int = 0, object_bytes: int = 4_000_000_000
    ) -> None:
        self.folder = folder
        self._vault = vault
        self._reserve = reserve_bytes
        self.longest_object = object_bytes
        self._known: dict[str, tuple[tuple[int, int], ReceivedFile]] = {}
        """What was opened of files that still wait, with inode and time of change: some wait for weeks."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def receive(self, origin: Origin) -> Receiving:
        """Begin an object; `NoRoom` where the disk has less free than its reserve."""
        self.check_room()
        return Receiving(self, origin, self._prefix(origin.sop_instance_uid), self._vault)

    def check_room(self) -> None:
        """`NoRoom` where the disk has less free than its reserve."""
        if _free_bytes(self.folder) < self._reserve:
            raise NoRoom("The disk of incoming images is full up to its reserve (reserve_bytes); free space.")

    def note_refusal(self) -> None:
        """Count an object that was refused, for monitoring; several processes do."""
        with suppress(OSError), (self.folder.parent / REFUSALS).open("ab") as file:
            file.write(b".")

    def incoming(self) -> Iterator[ReceivedFile]:
        """Every object that waits, in no order; one that cannot be read is put aside and told in the log."""
        with os.scandir(self.folder) as entries:
            names = [entry.name for entry in entries if not entry.name.endswith(_NO_OBJECTS)]
        before, self._known = self._known, {}
        for name in names:
            path = self.folder / name
            try:
                self._known[name] = self._opened(name, before)
                yield self._known[name][1]
            except FileNotFoundError:  # another process imported it meanwhile
                continue
            except OSError as fault:  # too many open files, a share that is away: it is whole all the same
                log.error("spool_unreadable", file=name, fault=fault.strerror)
            except (ValueError, TypeError, RecordsError):
                with suppress(OSError):
                    path.rename(path.with_suffix(_DAMAGED))
                log.error("spool_damaged", file=name)

    def find(self, name: str) -> ReceivedFile:
        """An object by the name of its file.

        Raises:
            FileNotFoundError: it does not wait here.
            ValueError, TypeError, RecordsError: it is damaged.
        """
        return self._opened(name, self._known)[1]

    def _opened(
        self, name: str, known: Mapping[str, tuple[tuple[int, int], ReceivedFile]]
    ) -> tuple[tuple[int, int], ReceivedFile]:
        """An object, opened where it is not the one that is known, with its inode and time of change."""
        path = self.folder / name
        stat = path.stat()
        at = (stat.st_ino, stat.st_mtime_ns)
        before = known.get(name)
        return before if before is not None and before[0] == at else (at, _opened(path, self._vault))

    def held(self, sop_instance_uids: Collection[str]) -> set[str]:
        """Those of some SOP Instance UIDs that are safe here."""
        with os.scandir(self.folder) as entries:
            there = {
                entry.name.partition("-")[0] for entry in entries if not entry.name.endswith(_NO_OBJECTS)
            }
        return {uid for uid in sop_instance_uids if self._prefix(uid) in there}

    def _prefix(self, sop_instance_uid: str) -> str:
        return instance_digest(self._vault, sop_instance_uid).hex()[:32]


class Receiving:
    """An object that is coming in: written piece by piece, then kept or discarded."""

    def __init__(self, spool: Spool, origin: Origin, prefix: str, vault: Vault) -> None:
        salt = os.urandom(_SALT)
        self._spool, self._folder = spool, spool.folder
        self._prefix, self._origin, self._vault = prefix, origin, vault
        self._key, self._place = _key_of(vault, salt)
        self._size = self._number = self._gathered = 0
        self._waiting: list[bytes] = []
        self._sha256 = hashlib.sha256()
        self._part = self._folder / f"{os.getpid()}-{salt.hex()}{_PART}"
        handle = os.open(self._part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        self._file: IO[bytes] = os.fdopen(handle, "wb", buffering=0)
        self._file.write(_MAGIC + salt)

    def write(self, content: bytes) -> None:
        """Take what came next; `NoRoom` where it is more than an object, or the disk, may have."""
        self._size += len(content)
        if self._size > self._spool.longest_object:
            raise NoRoom("An object is longer than object_bytes allows; raise it, or send smaller ones.")
        if self._gathered >= _GATHERED:
            self._spool.check_room()  # many long ones that began together would go below the reserve
            self._put(last=False)
        self._waiting.append(content)
        self._gathered += len(content)

    def keep(self) -> str:
        """Bring the object to the disk under its name, which is given back; `ValueError` for an empty one."""
        if not self._size:
            raise ValueError("empty")
        self._put(last=True)
        sealed = self._key.seal(json.dumps(asdict(self._origin)).encode(), f"{self._place}:origin")
        self._file.write(sealed + _LENGTH.pack(len(sealed)))
        content = self._vault.digest("object", self._sha256.hexdigest()).hex()[:32]
        target = self._folder / f"{self._prefix}-{content}"
        # The same again takes the place of what is there, which may have been refused meanwhile.
        os.fsync(self._file.fileno())
        self._file.close()
        self._part.replace(target)
        sync(self._folder)
        return target.name

    def discard(self) -> None:
        """Leave nothing of it; once it is kept, nothing happens."""
        if not self._file.closed:
            self._file.close()
            self._part.unlink(missing_ok=True)

    def _put(self, *, last: bool) -> None:
        piece = b"".join(self._waiting)
        self._sha256.update(piece)
        self._key.write_piece(self._file, self._place, self._number, piece, last=last)
        self._number += 1
        self._waiting.clear()
        self._gathered = 0


@dataclass(frozen=True, slots=True)
class ReceivedFile:
    """An object that waits to be imported."""

    path: Path
    origin: Origin
    _vault: Vault

    @property
    def peer(self) -> str:
        return self.origin.peer

    @property
    def calling_ae(self) -> str:
        return self.origin.calling_ae

    @property
    def sop_class(self) -> str:
        return self.origin.sop_class

    @property
    def sop_instance_uid(self) -> str:
        return self.origin.sop_instance_uid

    @property
    def transfer_syntax(self) -> str:
        return self.origin.transfer_syntax

    @property
    def received_at(self) -> datetime:
        return datetime.fromisoformat(self.origin.received_at)

    def open(self) -> bytes:
        """The whole DICOM file (PS3.10): preamble, file meta information, and the data set as it came.

        `RecordsError` where it was altered or is cut short.
        """
        pieces = [_head_of(self.origin)]
        with self.path.open("rb") as file:
            file.seek(len(_MAGIC))
            key, place = _key_of(self._vault, file.read(_SALT))
            last = False
            while not last:
                try:
                    piece, last = key.read_piece(file, place, len(pieces) - 1)
                except ValueError:
                    raise RecordsError("A received file is damaged; have the study sent again.") from None
                pieces.append(piece)
        return b"".join(pieces)

    def remove(self) -> None:
        """Forget it, once what it says is in the database."""
        self.path.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class SpoolFigures:
    """What waits on the disk to be imported."""

    files: int
    size: int
    oldest_seconds: float
    refused: int
    free: int


def measure_spool(folder: Path) -> SpoolFigures | None:
    """For monitoring; None where nothing was ever received."""
    found = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):  # it was imported at this moment
                    found += [entry.stat()] if not entry.name.endswith(_NO_OBJECTS) else []
        free = _free_bytes(folder)
    except FileNotFoundError:
        return None
    count = folder.parent / REFUSALS
    refused = count.stat().st_size if count.exists() else 0
    oldest = max(0.0, time.time() - min(stat.st_mtime for stat in found)) if found else 0.0
    return SpoolFigures(len(found), sum(stat.st_size for stat in found), oldest, refused, free)


def _free_bytes(folder: Path) -> int:
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize


def remove_unfinished(folder: Path, pid: int | None = None) -> int:
    """Remove what a process that is no more left unfinished, or what all of them left. Gives how many."""
    parts = list(folder.glob(f"{pid or '*'}-*{_PART}"))
    for part in parts:
        part.unlink(missing_ok=True)
    return len(parts)


def instance_digest(vault: Vault, sop_instance_uid: str) -> bytes:
    """The keyed digest by which an object is known here and in the database (`received_files`)."""
    return vault.digest("sop instance", sop_instance_uid)


def now() -> str:
    return datetime.now(UTC).isoformat()


def _key_of(vault: Vault, salt: bytes) -> tuple[Key, str]:
    return vault.spool_key(salt), f"spool:{salt.hex()}"


def _opened(path: Path, vault: Vault) -> ReceivedFile:
    with path.open("rb") as file:
        head = file.read(len(_MAGIC) + _SALT)
        if head[: len(_MAGIC)] != _MAGIC:
            raise ValueError("another format")
        file.seek(-_LENGTH.size, os.SEEK_END)
        (length,) = _LENGTH.unpack(file.read(_LENGTH.size))
        if length > _LONGEST_ORIGIN:
            raise ValueError("another format")
        file.seek(-_LENGTH.size - length, os.SEEK_END)
        key, place = _key_of(vault, head[len(_MAGIC) :])
        origin = Origin(**json.loads(key.open(file.read(length), f"{place}:origin")))
    return ReceivedFile(path, origin, vault)


def _head_of(origin: Origin) -> bytes:
    from pydicom.filebase import DicomBytesIO
    from pydicom.filewriter import write_file_meta_info
    from pydicom.uid import UID
    from pynetdicom.dsutils import create_file_meta

    head = DicomBytesIO()
    meta = create_file_meta(
        sop_class_uid=UID(origin.sop_class),
        sop_instance_uid=UID(origin.sop_instance_uid),
        transfer_syntax=UID(origin.transfer_syntax),
    )
    meta.SourceApplicationEntityTitle = origin.calling_ae
    write_file_meta_info(head, meta)
    return b"\0" * 128 + b"DICM" + head.getvalue()
