"""Rotation of the master key: the ring and every patient's key are wrapped again, in one transaction.

What was sealed, the blind index, the names of files and the audit trail stay as they are. Patients' keys get
another key over them as well, so that a copy of the database from before opens with the master key of its
time alone: once that is destroyed, whoever was erased before is gone from every older copy.

The next key is on the disk before the commit. Whenever the process is killed, the service opens with one of
the two, and the next start brings the files up to the database. Other processes go on: they take the new keys
when they meet the first patient's key that is wrapped again, or are about to make one.
"""

from __future__ import annotations

import secrets
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import bindparam, select, update

from tetkik.errors import InputError, RecordsError, UsageError
from tetkik.records.audit_chain import Action
from tetkik.records.database import Records, Transaction
from tetkik.records.keyring import open_keyring, replace_keyring
from tetkik.records.lifecycle.backup import Progress
from tetkik.records.migrate import lock_schema, write_sqlite_anew
from tetkik.records.schema.cases import Patient, RingKey
from tetkik.records.schema.trail import Note
from tetkik.records.vault import KEY_BYTES, KeyRing, fingerprint
from tetkik.values.access import SYSTEM, Actor

# Erased keys in SQLite's own files: nobody is called erased before the file was written anew.
#
# An erased patient's wrapped key is overwritten in its place (`secure_delete`), yet older pages stay in the
# log until it is brought into the database and cut, which waits for whoever still reads an older state (a
# backup); and moving rows can leave copies within pages, which go with VACUUM. That both are to be done is
# noted in the transaction that destroys a key. PostgreSQL's files belong to its server: nothing is said of
# them.


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


_BATCH = 5_000
_CUTS = 100
"""Tries to cut the log, of a tenth of a second each."""


@dataclass(frozen=True, slots=True)
class KeyRotation:
    before: str
    now: str
    patients: int


def rotate_master_key(
    records: Records,
    given: bytes | None = None,
    *,
    actor: Actor = SYSTEM,
    progress: Progress | None = None,
) -> KeyRotation:
    """Replace the master key.

    The caller keeps a `given` key safe; None makes one in the place of the present key, and is a `UsageError`
    where that place is not ours.
    """
    if given is None and not records.master.ours:
        raise UsageError(
            "The master key comes from {place}, where Tetkik can put no other; name a file for the next one: "
            "--to FILE.",
            place=records.master.name,
        )
    master = given or secrets.token_bytes(KEY_BYTES)
    with records.write(actor) as tx:
        _hold_ring(tx)
        held = tx.vault.held
        if fingerprint(master) == held.fingerprint:
            raise InputError("The next master key is the present one; give another.")
        if given is None:
            records.master.stage(master)
        ring = held.ring.next()
        patients = 0
        for count in _wrapped_anew(tx, ring):
            patients += count
            if progress is not None:
                progress("patients", patients, None)
        replace_keyring(tx.session.connection(), ring, master, tx.vault.cipher)
        done = KeyRotation(held.fingerprint, fingerprint(master), patients)
        tx.audit(Action.MASTER_KEY_REPLACED, key=done.now, replaced=done.before, count=patients)
    if given is None:
        open_keyring(records.engine, records.master, records.vault.cipher)  # brings the files up to it
        with records.engine.connect() as connection:
            records.vault.renew(connection)
    # The log still has patients' keys under the ring of before; who reads an older state keeps it from that.
    for _ in range(_CUTS):
        if records.engine.dialect.name != "sqlite" or truncate_sqlite_log(records):
            break
    return done


def _hold_ring(tx: Transaction) -> None:
    """Keep others from starting, and from making a patient's key, until the transaction ends."""
    connection = tx.session.connection()
    lock_schema(connection)
    connection.execute(select(RingKey.purpose).with_for_update())
    tx.vault.renew(connection)


def _wrapped_anew(tx: Transaction, ring: KeyRing) -> Iterator[int]:
    """Wrap every patient's key under the next ring; gives how many, batch by batch."""
    connection = tx.session.connection()
    write = update(Patient).where(Patient.id == bindparam("patient")).values(key=bindparam("wrapped"))
    last = ""
    while True:
        rows = connection.execute(
            select(Patient.id, Patient.key)
            .where(Patient.id > last, Patient.key.is_not(None))
            .order_by(Patient.id)
            .limit(_BATCH)
            .with_for_update()
        ).all()
        if not rows:
            return
        connection.execute(
            write,
            [
                {"patient": row.id, "wrapped": tx.vault.wrap(row.id, tx.vault.unwrap(row.id, row.key), ring)}
                for row in rows
            ],
        )
        last = rows[-1].id
        yield len(rows)
