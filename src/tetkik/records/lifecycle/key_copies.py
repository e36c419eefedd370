"""Erased keys in SQLite's own files: nobody is called erased before the file was written anew.

An erased patient's wrapped key is overwritten in its place (`secure_delete`), yet older pages stay in the log
until it is brought into the database and cut, which waits for whoever still reads an older state (a backup);
and moving rows can leave copies within pages, which go with VACUUM. That both are to be done is noted in the
transaction that destroys a key. PostgreSQL's files belong to its server: nothing is said of them.
"""

from __future__ import annotations

import sqlite3
import time

from tetkik.errors import RecordsError
from tetkik.records.database import Records, Transaction
from tetkik.records.migrate import write_sqlite_anew
from tetkik.records.schema import Note
from tetkik.values import SYSTEM

_NOTE = "erasing"
_PATIENCE = 20.0
"""Seconds for which others that read are waited for."""
_PAUSE = 0.2


def note_erased_key(tx: Transaction) -> None:
    """Note that the file is to be written anew, in the transaction that destroys a key."""
    tx.session.merge(Note(key=_NOTE, value=tx.now.isoformat()))


def finish_erasures(records: Records, patience: float = _PATIENCE) -> None:
    """Write SQLite's file anew where a key was destroyed; `RecordsError` where others keep it from that.

    Whoever reads an older state of the database keeps it there: the next call tries again.
    """
    with records.read() as tx:
        note = tx.session.get(Note, _NOTE)
        erased_at = note.value if note is not None else None
    if erased_at is None:
        truncate_sqlite_log(records)
        return
    if records.engine.dialect.name == "sqlite":
        until = time.monotonic() + patience
        while not _written_anew(records):
            if time.monotonic() > until:
                raise RecordsError(
                    "The data are erased, and a copy of the key is still in the files of the database, "
                    "because somebody reads an older state of it (such as a backup); it goes with tetkik "
                    "retention, which runs each day."
                )
            time.sleep(_PAUSE)
    with records.write(SYSTEM) as tx:
        note = tx.session.get(Note, _NOTE)
        if note is not None and note.value == erased_at:  # nobody was erased meanwhile
            tx.session.delete(note)


def is_unfinished(records: Records) -> bool:
    """Whether a key was destroyed of which copies may be left."""
    with records.read() as tx:
        return tx.session.get(Note, _NOTE) is not None


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


def _written_anew(records: Records) -> bool:
    """Whether the file was written anew, and its log cut before and after."""
    if not truncate_sqlite_log(records):
        return False
    try:
        write_sqlite_anew(records.engine)
    except sqlite3.OperationalError:  # busy, or no room on the disk
        return False
    return truncate_sqlite_log(records)
