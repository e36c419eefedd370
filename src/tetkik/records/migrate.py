"""Bring a database to the tables of this version, once, however many processes start together."""

from __future__ import annotations

import logging
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, inspect, text

from tetkik.errors import SettingError

if TYPE_CHECKING:
    from alembic.config import Config

NEWEST = "0016"
"""The last step of `records/migrations`; a database that stands there needs none."""
_REWRITTEN = "0010"
"""The step that takes digests of names away, which shall be gone from the disk as well."""
_DUE = "write_anew"
"""The note that the file of SQLite is to be written anew after that step."""
_LOCK = 0x7E7C17
"""Any number, the same in every process."""
_BUSY_SECONDS = 30
_log = logging.getLogger(__name__)


def upgrade(engine: Engine, to: str = NEWEST) -> None:
    """Bring the database to the newest version; `SettingError` where it is newer than this program.

    All steps happen in one transaction, behind a lock that a second process waits for.
    """
    with engine.connect() as connection:
        found = version_of(connection)
    if found != to:
        _take_steps(engine, to)
    if engine.dialect.name == "sqlite" and to >= _REWRITTEN:
        _write_anew_if_due(engine)


def _take_steps(engine: Engine, to: str) -> None:
    with engine.execution_options(tetkik_writes=True).begin() as connection:
        lock_schema(connection)
        before = version_of(connection)
        if before == to:  # another process did it while this one waited
            return
        # Alembic takes a moment to import: only where there is something to do.
        from alembic import command

        if before is not None and before not in known_steps():
            raise SettingError(
                "The database was written by a newer version of Tetkik ({revision}); install that version, "
                "or restore a backup that this one wrote.",
                revision=before,
            )
        command.upgrade(_config(connection), to)
        if engine.dialect.name == "sqlite" and before is not None and before < _REWRITTEN <= to:
            connection.execute(
                text("INSERT OR REPLACE INTO notes (key, value) VALUES (:key, '')"), {"key": _DUE}
            )


def _write_anew_if_due(engine: Engine) -> None:
    """After that step, and at every later start until it was possible."""
    with engine.connect() as connection:
        if not connection.scalar(text("SELECT 1 FROM notes WHERE key = :key"), {"key": _DUE}):
            return
    try:
        write_sqlite_anew(engine)
    except sqlite3.OperationalError as error:  # busy, or no room on the disk
        _log.error(
            "Digests of names may be left in the file of the database until it is written anew: %s", error
        )
        return
    with engine.execution_options(tetkik_writes=True).begin() as connection:
        connection.execute(text("DELETE FROM notes WHERE key = :key"), {"key": _DUE})


def write_sqlite_anew(engine: Engine) -> None:
    """Write the file of a database anew, for deleted rows leave copies within its pages, and cut its log.

    On a connection of its own: another one's temporary tables lie in memory, which may be too small.
    """
    name = engine.url.database
    assert name is not None
    with closing(sqlite3.connect(name, timeout=_BUSY_SECONDS, isolation_level=None)) as connection:
        connection.execute("PRAGMA secure_delete = ON").fetchall()
        connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def downgrade(engine: Engine, to: str = "base") -> None:
    """Bring the database back to an older step; `base` removes everything."""
    from alembic import command

    with engine.execution_options(tetkik_writes=True).begin() as connection:
        command.downgrade(_config(connection), to)


def lock_schema(connection: Connection) -> None:
    """Wait until no other process is starting; the lock goes with the transaction.

    SQLite needs none: its writing transactions follow one another.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})


def version_of(connection: Connection) -> str | None:
    """The step that a database stands at; None for one without tables."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return found


def known_steps() -> frozenset[str]:
    """The steps that this version knows."""
    from alembic.script import ScriptDirectory

    return frozenset(step.revision for step in ScriptDirectory.from_config(_config()).walk_revisions())


def _config(connection: Connection | None = None) -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "tetkik.records:migrations")
    config.attributes["connection"] = connection
    return config
