"""Whether the master key belongs to the database: told at the start, not at the first patient."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, Engine, select
from sqlalchemy.orm import Session

from tetkik.errors import SettingError
from tetkik.records.migrate import alone
from tetkik.records.schema import Note
from tetkik.records.vault import fingerprint, load_master_key

_NOTE = "master key"


def hold_key(engine: Engine, path: Path) -> bytes:
    """The master key of this database; a new database gets a new key where none lies.

    Args:
        engine: of a database with its tables.
        path: of the key.

    Raises:
        SettingError: the key is missing, no key, or that of another database.
    """
    with Session(engine.execution_options(tetkik_writes=True)) as session:
        alone(session.connection())  # two that start together shall not make two keys
        known = session.scalar(select(Note.value).where(Note.key == _NOTE))
        master = load_master_key(path, create=known is None)
        if known is None:
            session.add(Note(key=_NOTE, value=fingerprint(master)))
            session.commit()
        elif known != fingerprint(master):
            raise SettingError(
                "The master key {file} belongs to another database; put the right file back.", file=path
            )
    return master


def fingerprint_of(connection: Connection) -> str:
    """The fingerprint of the master key that a database belongs to."""
    found: str = connection.execute(select(Note.value).where(Note.key == _NOTE)).scalar_one()
    return found
