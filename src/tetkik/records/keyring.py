"""The keys in the database: the ring, and the fingerprint of the master key it hangs on.

Whether the master key belongs to the database is checked at the start, not at the first patient.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime

from sqlalchemy import Connection, Engine, delete, insert, select, update

from tetkik.choices import Cipher
from tetkik.errors import RecordsError
from tetkik.records.master_key import MasterKey
from tetkik.records.migrate import lock_schema
from tetkik.records.schema import Patient, RingKey
from tetkik.records.vault import KeyRing, Vault, VaultKeys, fingerprint


def open_keyring(engine: Engine, source: MasterKey, cipher: Cipher) -> Vault:
    """The keys of this database; a new database gets a ring, and a master key where none lies.

    A replacement of the master key that was killed after its commit is brought to its end. `SettingError`
    where the master key is missing, none, or that of another database; `RecordsError` where the database has
    patients and no ring.
    """

    def load(connection: Connection) -> VaultKeys:
        rows = connection.execute(select(RingKey.__table__)).all()  # one statement, and so one moment
        if not rows:
            raise _lost()
        master = source.fitting(rows[0].master)
        wrapped = {row.purpose: row.wrapped for row in rows}
        return VaultKeys.of(master, KeyRing.opened(rows[0].version, wrapped, master))

    with engine.connect() as connection:
        known = fingerprint_of(connection)
        if known is not None and not source.staged(known):
            return Vault(load(connection), load, cipher)
    with engine.execution_options(tetkik_writes=True).begin() as connection:
        lock_schema(connection)  # two that start together shall not make two keys
        known = fingerprint_of(connection)
        if known is None:
            if connection.scalar(select(Patient.id).limit(1)) is not None:
                raise _lost()
            connection.execute(insert(RingKey), _rows(KeyRing.fresh(), source.first(), cipher))
        else:
            # A folder of keys that cannot be written is no reason not to open: the right key was found.
            with suppress(OSError):
                source.settle(source.fitting(known))
        return Vault(load(connection), load, cipher)


def replace_keyring(connection: Connection, ring: KeyRing, master: bytes, cipher: Cipher) -> None:
    """Keep another ring under another master key, in place of those that are there."""
    for row in _rows(ring, master, cipher):
        connection.execute(update(RingKey).where(RingKey.purpose == row["purpose"]).values(row))


def delete_keyring(connection: Connection) -> None:
    """Remove the ring, to read another in its place within the same transaction."""
    connection.execute(delete(RingKey))


def fingerprint_of(connection: Connection) -> str | None:
    """The fingerprint of the master key that a database belongs to; None for a new one."""
    return connection.scalar(select(RingKey.master).limit(1))


def master_key_since(connection: Connection) -> datetime:
    """When the present master key came into use."""
    found: datetime = connection.execute(select(RingKey.made_at).limit(1)).scalar_one()
    return found


def _rows(ring: KeyRing, master: bytes, cipher: Cipher) -> list[dict[str, object]]:
    shared = {"version": ring.version, "master": fingerprint(master), "made_at": datetime.now(UTC)}
    return [
        {"purpose": purpose, "wrapped": wrapped, **shared}
        for purpose, wrapped in ring.wrapped(master, cipher).items()
    ]


def _lost() -> RecordsError:
    return RecordsError(
        "The table keyring of the database is empty, and without it nothing can be read; restore a backup."
    )
