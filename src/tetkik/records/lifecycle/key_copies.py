"""Erased keys in SQLite's own files: nobody is called erased before a reading of the bytes finds no key.

An erased patient's wrapped key is overwritten in its place (`secure_delete`), yet older pages stay in the log
until it is brought into the database and cut, which waits for whoever still reads an older state (a backup);
and moving rows can leave copies within pages, which go when the file is written anew (VACUUM).

What an erasure looks for is kept until it was not found: the first bytes of the wrapped key (its version and
nonce), from which nothing can be opened. PostgreSQL's files belong to its server: nothing is said of them.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from sqlalchemy import delete, select

from tetkik.errors import RecordsError
from tetkik.records.database import Records, Transaction
from tetkik.records.migrate import write_sqlite_anew
from tetkik.records.schema import Note
from tetkik.values import SYSTEM

_NOTE = "erasing "
_MARK = 17
"""Bytes: the ring's version, the cipher, the nonce."""
_PIECE = 1 << 22
_PATIENCE = 20.0
"""Seconds for which others that read are waited for."""
_PAUSE = 0.2


def mark_key(tx: Transaction, patient_id: str, wrapped: bytes) -> None:
    """Note what is to be looked for, in the transaction that destroys a key."""
    tx.session.merge(Note(key=_NOTE + patient_id, value=wrapped[:_MARK].hex()))


def finish_erasures(records: Records, patience: float = _PATIENCE) -> None:
    """See to it that no destroyed key is left in a file of SQLite; `RecordsError` where one is.

    Whoever reads an older state of the database keeps it there: the next call tries again.
    """
    marks = _marks(records)
    until, vacuumed = time.monotonic() + patience, False
    while True:
        cut = truncate_sqlite_log(records)
        if records.engine.dialect.name != "sqlite" or not _lies_somewhere(records, marks.values()):
            break
        if time.monotonic() > until:
            raise RecordsError(
                "The data are erased, and a copy of the key is still in the files of the database, because "
                "somebody reads an older state of it (such as a backup); it goes with tetkik retention, "
                "which runs each day."
            )
        if cut and not vacuumed:
            with suppress(sqlite3.OperationalError):  # busy
                write_sqlite_anew(records.engine)
                vacuumed = True
        else:
            time.sleep(_PAUSE)
    if marks:
        with records.write(SYSTEM) as tx:
            tx.apply(delete(Note).where(Note.key.in_(marks)))


def is_unfinished(records: Records) -> bool:
    """Whether a destroyed key is still to be looked for."""
    return bool(_marks(records))


def truncate_sqlite_log(records: Records) -> bool:
    """Let SQLite bring its log into the database and cut it; gives whether nobody kept it from that."""
    if records.engine.dialect.name != "sqlite":
        return False
    with records.engine.connect() as connection:
        raw = connection.connection.cursor()
        raw.execute("PRAGMA busy_timeout = 100")  # it keeps everybody from writing while it waits
        try:
            busy, *_ = raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        finally:
            raw.execute("PRAGMA busy_timeout = 30000")
            raw.close()
    return not busy


def _marks(records: Records) -> dict[str, bytes]:
    with records.read() as tx:
        notes = tx.session.execute(select(Note.key, Note.value).where(Note.key.startswith(_NOTE)))
        return {row.key: bytes.fromhex(row.value) for row in notes}


def _lies_somewhere(records: Records, marks: Collection[bytes]) -> bool:
    """Whether one of the marks is in the database's file, its log or its journal."""
    name = records.engine.url.database
    assert name is not None
    return bool(marks) and any(_lies_in(Path(name + ending), marks) for ending in ("", "-wal", "-journal"))


def _lies_in(file: Path, marks: Collection[bytes]) -> bool:
    try:
        with file.open("rb") as opened:
            before = b""
            while piece := opened.read(_PIECE):
                piece = before + piece
                if any(mark in piece for mark in marks):
                    return True
                before = piece[-_MARK:]
    except FileNotFoundError:
        pass
    return False
