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
WORKS_FROM = "0014"
"""The step of the oldest program that goes on working on a database of this one: the steps after it only add.

It is noted in the database, so that a service of the version before may be started again while others are
replaced; what a version no longer needs goes with the one after it. Programs up to 0014 do not read the note:
they go on working, and cannot be started again.
"""
_REWRITTEN = "0010"
"""The step that takes digests of names away, which shall be gone from the disk as well."""
_NOTED = "works_from"
_DUE = "write_anew"
"""The note that the file of SQLite is to be written anew after that step."""
_LOCK = 0x7E7C17
"""Any number, the same in every process."""
_BUSY_SECONDS = 30
_WAITS_SECONDS = 5
"""For a table that somebody holds; whoever comes behind waits as long."""
_log = logging.getLogger(__name__)


def upgrade(engine: Engine, to: str = NEWEST) -> None:
    """Bring the database to the newest version.

    `SettingError` where it is newer than this program, and does not say that this one works on it. All steps
    happen in one transaction, behind a lock that a second process waits for.
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
        if connection.dialect.name == "postgresql":
            # A table that a dump reads for long shall not keep everybody waiting behind us.
            connection.execute(text(f"SET LOCAL lock_timeout = '{_WAITS_SECONDS}s'"))
        before = version_of(connection)
        if before == to:  # another process did it while this one waited
            return
        # Alembic takes a moment to import: only where there is something to do.
        from alembic import command

        if before is not None and before not in known_steps():
            if (_note(connection, _NOTED) or before) <= NEWEST:
                _log.warning(
                    "The database is of a newer version of Tetkik (%s); replace this one soon", before
                )
                return
            raise SettingError(
                "The database was written by a newer version of Tetkik ({revision}); install that version, "
                "or restore a backup that this one wrote.",
                revision=before,
            )
        command.upgrade(_config(connection), to)
        if engine.dialect.name == "sqlite" and before is not None and before < _REWRITTEN <= to:
            _keep_note(connection, _DUE, "")
        if to == NEWEST:
            _keep_note(connection, _NOTED, WORKS_FROM)


def _note(connection: Connection, key: str) -> str | None:
    found: str | None = connection.scalar(text("SELECT value FROM notes WHERE key = :key"), {"key": key})
    return found


def _keep_note(connection: Connection, key: str, value: str) -> None:
    connection.execute(
        text(
            "INSERT INTO notes (key, value) VALUES (:key, :value) "
            "ON CONFLICT (key) DO UPDATE SET value = excluded.value"
        ),
        {"key": key, "value": value},
    )


def _write_anew_if_due(engine: Engine) -> None:
    """After that step, and at every later start until it was possible."""
    with engine.connect() as connection:
        if _note(connection, _DUE) is None:
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


def refuse_newer(connection: Connection) -> None:
    """Keep what has to know every table from a database that a newer version shares with this one."""
    if (version_of(connection) or "") > NEWEST:
        raise SettingError(
            "Another service has brought the database to a newer version of Tetkik, of which this one knows "
            "not everything; make the backup with that version."
        )


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
