"""Bring a database to the tables of this version, once, however many processes start together."""

from __future__ import annotations

import logging
import sqlite3
from contextlib import closing

from sqlalchemy import Connection, Engine, inspect, text

from tetkik.errors import SettingError

FIRST = NEWEST = "0101"
"""The first and the last step of `records/migrations`; a database that stands at the last needs none."""
WORKS_FROM = "0101"
"""The step of the oldest program that goes on working on a database of this one: the steps after it only add.

It is noted in the database, so that a service of the version before may be started again while others are
replaced; what a version no longer needs goes with the one after it.
"""
_NOTED = "works_from"
_LOCK = 0x7E7C17
"""Any number, the same in every process."""
_BUSY_SECONDS = 30
_WAITS_SECONDS = 5
"""For a table that somebody holds; whoever comes behind waits as long."""
_log = logging.getLogger(__name__)


def upgrade(engine: Engine) -> None:
    """Bring the database to the newest version.

    `SettingError` where it is from before 0.1.0, or where it is newer than this program and does not say that
    this one works on it. All steps happen in one transaction, behind a lock that a second process waits for.
    """
    with engine.connect() as connection:
        if version_of(connection) == NEWEST:
            return
    with engine.execution_options(tetkik_writes=True).begin() as connection:
        lock_schema(connection)
        if connection.dialect.name == "postgresql":
            # A table that a dump reads for long shall not keep everybody waiting behind us.
            connection.execute(text(f"SET LOCAL lock_timeout = '{_WAITS_SECONDS}s'"))
        before = version_of(connection)
        if before == NEWEST:  # another process did it while this one waited
            return
        if before is not None and _is_newer(connection, before):
            _log.warning("The database is of a newer version of Tetkik (%s); replace this one soon", before)
            return
        # Alembic takes a moment to import: only where there is something to do.
        from alembic import command
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", "tetkik.records:migrations")
        config.attributes["connection"] = connection
        command.upgrade(config, NEWEST)
        connection.execute(
            text(
                "INSERT INTO notes (key, value) VALUES (:key, :value) "
                "ON CONFLICT (key) DO UPDATE SET value = excluded.value"
            ),
            {"key": _NOTED, "value": WORKS_FROM},
        )


def _is_newer(connection: Connection, step: str) -> bool:
    """Whether a newer program brought the database to `step`, on which this one goes on working."""
    if step < FIRST:
        raise SettingError(
            "The database is from before Tetkik 0.1.0, whose tables this version does not read; name an "
            "empty data_dir and database_url."
        )
    if step <= NEWEST:
        return False
    works_from = connection.scalar(text("SELECT value FROM notes WHERE key = :key"), {"key": _NOTED})
    if (works_from or step) <= NEWEST:
        return True
    raise SettingError(
        "The database was written by a newer version of Tetkik ({revision}); install that version, "
        "or restore a backup that this one wrote.",
        revision=step,
    )


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
