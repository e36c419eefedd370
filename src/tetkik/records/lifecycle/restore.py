"""Restoring a backup: it is read to its end first, and then every row and file is restored, or nothing."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection, delete, func, select
from sqlalchemy.exc import OperationalError, StatementError
from sqlalchemy.orm import Session

from tetkik.errors import InputError, RecordsError, SettingError
from tetkik.records.audit_chain import Action, append
from tetkik.records.database import Records
from tetkik.records.keyring import MasterKey, delete_keyring
from tetkik.records.lifecycle import erasure_log, retention
from tetkik.records.lifecycle.backup import (
    LEDGER,
    MANIFEST,
    BackupHeader,
    BackupManifest,
    Progress,
    backup_tables,
    insert_rows,
    read_header,
    read_members,
)
from tetkik.records.migrate import NEWEST
from tetkik.records.people import repair
from tetkik.records.row_authentication import entries_with_codes
from tetkik.records.schema import AuditHead, Note
from tetkik.records.vault import Vault, fingerprint
from tetkik.values import SYSTEM, Actor


@dataclass(frozen=True, slots=True)
class RestoreResult:
    made_at: datetime
    rows: int
    files: int
    erased: tuple[str, ...]
    """Ids of everybody who was ever erased, by the erasure logs of backup and installation."""


def examine_backup(source: Path, vault: Vault) -> tuple[BackupHeader, BackupManifest]:
    """Read a backup to its end and compare every hash; nothing is written."""
    with source.open("rb") as file:
        header = read_header(file)
    if header.key != vault.held.fingerprint:
        raise SettingError(
            "The backup was made under another master key, with the fingerprint {wanted}; put that one in "
            "its place.",
            wanted=header.key,
        )
    manifest: BackupManifest | None = None
    hashes: dict[str, str] = {}
    for name, content in read_members(source, vault):
        if name == MANIFEST:
            with _refuse_faulty():
                manifest = BackupManifest(**json.loads(content.read()))
        else:
            hashes[name] = hashlib.file_digest(content, "sha256").hexdigest()  # type: ignore[arg-type]
    if manifest is None or manifest.hashes != hashes:
        raise _faulty()
    return header, manifest


@contextmanager
def _refuse_faulty() -> Iterator[None]:
    """What no version would have written, though it was sealed with the key, is one sentence."""
    try:
        yield
    except OperationalError:  # of the disk or the database here
        raise
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError, StatementError):
        raise _faulty() from None


def _faulty() -> RecordsError:
    return RecordsError("The backup does not hold what it says; take another backup.")


def require_key(source: Path, master: MasterKey) -> None:
    """Before a database is made: the master key of the backup has to lie in its place."""
    with source.open("rb") as file:
        header = read_header(file)
    if master.file is not None and not master.file.exists():
        raise SettingError(
            "There is no master key {file}, and a backup holds none; put the one with the fingerprint "
            "{wanted} there, then restore.",
            file=master.file,
            wanted=header.key,
        )
    found = fingerprint(master.first())
    if found != header.key:
        raise SettingError(
            "The backup was made under another master key, with the fingerprint {wanted}, and that of "
            "{place} has {found}; put the right key there.",
            place=master.name,
            wanted=header.key,
            found=found,
        )


def restore_backup(
    records: Records, source: Path, *, actor: Actor = SYSTEM, progress: Progress | None = None
) -> RestoreResult:
    """Restore a backup into an empty installation; of a damaged one nothing is written (`RecordsError`).

    `SettingError` where it is of a newer version, or under another master key. Who was ever erased is listed
    in `RestoreResult.erased`; `erasure.erase_again` erases those who came back.
    """
    header, manifest = examine_backup(source, records.vault)
    _require_fit(records, header, manifest)
    with ExitStack() as undo:  # takes away the files that were placed where anything fails
        with records.engine.execution_options(tetkik_writes=True).begin() as connection:
            known = _read_in(records, connection, source, manifest, undo, progress)
            erasure_log.merge_log(records.folder, known)
            retention.make_due(connection, ask_first=manifest.without_files)
            records.vault.renew(connection)  # the ring of the backup
            ends_at = connection.scalar(select(AuditHead.seq)) or 0
            # Before the commit: killed after it, nothing is open that somebody had ended, and its next
            # start erases again who was erased.
            with Session(connection, info={"vault": records.vault}) as session:
                repair.suspend_access(session, datetime.now(UTC))
                if entries := entries_with_codes(session, (), datetime.now(UTC), actor):
                    append(session, records.vault, entries)
        undo.pop_all()
    records.anchors.add_restored(ends_at, datetime.now(UTC))
    with records.write(actor) as tx:
        repair.suspend_restored_access(tx, header.made_at)
        tx.audit(Action.BACKUP_RESTORED, files=manifest.files, made_at=header.made_at)
    again = erasure_log.erased_patients(erasure_log.read_log(records.folder), records.vault)
    return RestoreResult(
        datetime.fromisoformat(header.made_at), sum(manifest.rows.values()), manifest.files, tuple(again)
    )


def _require_fit(records: Records, header: BackupHeader, manifest: BackupManifest) -> None:
    with records.engine.connect() as connection:
        full = any(
            connection.scalar(select(func.count()).select_from(table))
            for table in backup_tables()
            if table.name not in ("notes", "keyring")
        )
    if full or not (manifest.without_files or next(records.files.storage.names(), None) is None):
        raise InputError(
            "This installation is not empty, and a backup is restored into an empty one only; name an empty "
            "data_dir and database_url."
        )
    if header.schema != NEWEST:
        raise SettingError(
            "The backup was written by another version of Tetkik ({version}), whose tables are not of this "
            "one; install that version.",
            version=header.version,
        )


def _read_in(
    records: Records,
    connection: Connection,
    source: Path,
    manifest: BackupManifest,
    undo: ExitStack,
    progress: Progress | None,
) -> bytes:
    """Rows into the database, files to their places; gives the ledger of the backup."""
    connection.execute(delete(Note))
    delete_keyring(connection)
    known, placed = b"", list[str]()
    undo.callback(records.files.remove_all, placed)
    total = len(manifest.hashes)
    for done, (name, content) in enumerate(read_members(source, records.vault), 1):
        kind, _, rest = name.partition("/")
        if kind == "rows":
            with _refuse_faulty():
                insert_rows(connection, rest.partition("/")[0], content)
        elif kind == "files":
            placed.append(rest)
            with _refuse_faulty(), records.files.storage.write(rest) as file:
                shutil.copyfileobj(content, file)
        elif name == LEDGER:
            known = content.read()
        if progress is not None:
            progress("members", min(done, total), total)
    return known
