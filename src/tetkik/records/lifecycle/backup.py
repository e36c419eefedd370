"""A backup of everything, made while the service runs: one moment of the database, and its files.

The rows come from one snapshot (SQLite's read transaction under WAL, PostgreSQL's REPEATABLE READ), so that
they fit each other whatever is written meanwhile. Files never change once they are there, so those that the
snapshot names can be copied afterwards. The master key is in no backup: who has the backup alone has nothing.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import struct
import tarfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import IO, Any

from sqlalchemy import Connection, FromClause, LargeBinary, Table, column, insert, inspect, select, table
from sqlalchemy.types import TypeEngine

from tetkik._version import __version__
from tetkik.errors import InputError, RecordsError
from tetkik.files import written_whole
from tetkik.records.audit_chain import Action
from tetkik.records.database import Records
from tetkik.records.demonstration import refuse_demonstration
from tetkik.records.keyring import fingerprint_of
from tetkik.records.lifecycle import erasure_log
from tetkik.records.migrate import NEWEST, refuse_newer
from tetkik.records.schema.base import Base, Moment
from tetkik.records.schema.cases import Blob, Image, Patient
from tetkik.records.vault import PIECE, Key, Vault
from tetkik.values.access import SYSTEM, Actor

# The format of a backup: members with names, sealed as one stream under a key derived from the master key.
#
# In the clear stands what is needed to open it: the format, the version that wrote it, the step of the
# database, a fingerprint of the master key (from which nothing can be learnt of the key), a random salt.
# What follows are sealed pieces of a mebibyte; header, number and whether a piece is the last are sealed
# with each, so that none can go, change places or be cut off unseen. Inside is a tar stream.


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


# Rows of any table as lines of JSON, independent of the database.
#
# The first line names the columns and what they hold, so that a later version can read them without knowing
# the tables of today.


_BATCH = 1_000
_PASSING = frozenset({"sessions", "events", "idempotent_requests", "rate_buckets", "challenges"})
"""What passes by itself within a day; a session that somebody ended shall not come back."""
_ORDER = {"report_versions": ("number", "id")}
"""Rows that refer to others of the same table come after those."""
_TYPES: dict[str, TypeEngine[Any]] = {"bytes": LargeBinary(), "moment": Moment()}


def backup_tables() -> Sequence[Table]:
    """The tables that a backup holds; each stands behind those that it refers to."""
    return [item for item in Base.metadata.sorted_tables if item.name not in _PASSING]


def dump_rows(connection: Connection, source: Table) -> Iterator[bytes]:
    """The rows of a table, some thousand at a time, each time with the line that names the columns."""
    kinds = {item.name: _kind(item.type) for item in source.columns}
    head = json.dumps(kinds)
    order = [source.c[name] for name in _ORDER.get(source.name, ())] or list(source.primary_key)
    found = connection.execute(
        select(source).order_by(*order), execution_options={"yield_per": _BATCH, "stream_results": True}
    )
    for part in found.partitions():
        lines = [json.dumps([_pack(value) for value in row], ensure_ascii=False) for row in part]
        yield ("\n".join([head, *lines]) + "\n").encode()


def insert_rows(connection: Connection, name: str, lines: Iterable[bytes]) -> int:
    """Insert what `dump_rows` gave, and give the number of rows; LookupError where there is no such table."""
    remaining = iter(lines)
    kinds: dict[str, str] = json.loads(next(remaining, b""))
    there = inspect(connection)
    if not there.has_table(name) or not {item["name"] for item in there.get_columns(name)}.issuperset(kinds):
        raise LookupError(name)
    target = _target(name, kinds)
    count = 0
    while batch := list(islice(remaining, _BATCH)):
        rows = [
            {key: _unpack(value, kinds[key]) for key, value in zip(kinds, json.loads(line), strict=True)}
            for line in batch
        ]
        connection.execute(insert(target), rows)
        count += len(rows)
    return count


def _target(name: str, kinds: dict[str, str]) -> Any:
    columns = [column(key, _TYPES[kind]) if kind in _TYPES else column(key) for key, kind in kinds.items()]
    made: FromClause = table(name, *columns)
    return made


def _kind(of: TypeEngine[Any]) -> str:
    return "bytes" if isinstance(of, LargeBinary) else "moment" if isinstance(of, Moment) else "plain"


def _pack(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return value.isoformat() if isinstance(value, datetime) else value


def _unpack(value: Any, kind: str) -> Any:
    if value is None or kind == "plain":
        return value
    return base64.b64decode(value) if kind == "bytes" else datetime.fromisoformat(value)


MANIFEST, LEDGER = "manifest.json", "erased.jsonl"
Progress = Callable[[str, int, int | None], None]


@dataclass(frozen=True, slots=True)
class BackupManifest:
    """What a backup holds; its last member."""

    rows: dict[str, int]
    files: int
    missing: int
    """Files that a row names and that were not there."""
    hashes: dict[str, str]
    """SHA-256 of each member but this one."""
    without_files: bool = False
    """Whether the files are left to whoever keeps the object storage; `files` and `missing` are 0 then."""


def make_backup(
    records: Records,
    target: Path,
    *,
    actor: Actor = SYSTEM,
    progress: Progress | None = None,
    without_files: bool = False,
) -> BackupManifest:
    """Write a backup; the file appears once it is whole. There is none of a demonstration."""
    refuse_demonstration(records.engine.url)
    began = datetime.now(UTC)
    with records.read(actor, still=True) as tx:
        connection = tx.session.connection()
        refuse_newer(connection)
        if fingerprint_of(connection) != tx.vault.held.fingerprint:  # replaced by another process
            tx.vault.renew(connection)
        header = BackupHeader(
            key=tx.vault.held.fingerprint,
            schema=NEWEST,
            version=__version__,
            made_at=began.isoformat(),
            salt=os.urandom(16).hex(),
        )
        with write_archive(target, records.vault, header) as archive:
            rows = _add_rows(connection, archive, progress)
            names = [] if without_files else _names(connection)
            missing = _add_files(records, archive, names, progress)
            # After the files: an erasure that removed one of them is in it.
            archive.add(LEDGER, erasure_log.read_log(records.folder))
            manifest = BackupManifest(rows, len(names) - missing, missing, archive.hashes, without_files)
            archive.add(MANIFEST, json.dumps(asdict(manifest)).encode())
    with records.write(actor) as tx:
        tx.audit(Action.BACKUP_MADE, files=manifest.files, missing=missing)
    return manifest


def _add_rows(connection: Connection, archive: ArchiveWriter, progress: Progress | None) -> dict[str, int]:
    counts: dict[str, int] = {}
    for done, each in enumerate(backup_tables(), 1):
        counts[each.name] = 0
        for number, content in enumerate(dump_rows(connection, each)):
            archive.add(f"rows/{each.name}/{number:06}.jsonl", content)
            counts[each.name] += content.count(b"\n") - 1
        if progress is not None:
            progress("tables", done, len(backup_tables()))
    return counts


def _names(connection: Connection) -> list[str]:
    """Stored files that the snapshot names and that a key opens."""
    found: set[str] = set()
    for model in (Image, Blob):
        found.update(
            connection.scalars(
                select(model.file)
                .join(Patient, Patient.id == model.patient_id)
                .where(Patient.key.is_not(None))
            )
        )
    return sorted(name for name in found if name.isalnum())


def _add_files(records: Records, archive: ArchiveWriter, names: list[str], progress: Progress | None) -> int:
    missing = 0
    for done, name in enumerate(names, 1):
        try:
            with records.files.storage.read(name) as (file, size):
                archive.add_file(f"files/{name}", file, size)
        except FileNotFoundError:  # erased meanwhile; or lost, and then `audit verify` says so
            missing += 1
        if progress is not None:
            progress("files", done, len(names))
    return missing
