"""A backup of everything, made while the service runs: one moment of the database, and its files.

The rows come from one snapshot (SQLite's read transaction under WAL, PostgreSQL's REPEATABLE READ), so that
they fit each other whatever is written meanwhile. Files never change once they are there, so those that the
snapshot names can be copied afterwards. The master key is in no backup: who has the backup alone has nothing.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection, select

from tetkik._version import __version__
from tetkik.records.audit_chain import Action
from tetkik.records.database import Records
from tetkik.records.demonstration import refuse_demonstration
from tetkik.records.keyring import fingerprint_of
from tetkik.records.lifecycle import erasure_log
from tetkik.records.lifecycle.backup_file import ArchiveWriter, BackupHeader, write_archive
from tetkik.records.lifecycle.table_dump import backup_tables, dump_rows
from tetkik.records.migrate import NEWEST, refuse_newer
from tetkik.records.schema import Blob, Image, Patient
from tetkik.values import SYSTEM, Actor

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
    for done, table in enumerate(backup_tables(), 1):
        counts[table.name] = 0
        for number, content in enumerate(dump_rows(connection, table)):
            archive.add(f"rows/{table.name}/{number:06}.jsonl", content)
            counts[table.name] += content.count(b"\n") - 1
        if progress is not None:
            progress("tables", done, len(backup_tables()))
    return counts


def _names(connection: Connection) -> list[str]:
    """Stored files that the snapshot names and that a key opens."""
    found: set[str] = set()
    for table in (Image, Blob):
        found.update(
            connection.scalars(
                select(table.file)
                .join(Patient, Patient.id == table.patient_id)
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
