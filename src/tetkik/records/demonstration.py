"""The mark of a demonstration's database, whose patients are invented: it is never taken for a real one.

The mark is the application id in the header of the SQLite file, so that it goes wherever the file is copied.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from sqlalchemy import URL
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from tetkik.errors import SettingError

_MARK = 0x54445442
_PLACE = 68
"""Of the application id, four bytes, big-endian (https://sqlite.org/fileformat2.html, 1.3)."""


def mark_as_demonstration(database: Path) -> None:
    """Make a database file that carries the mark; one that is there already keeps what it holds."""
    with closing(sqlite3.connect(database)) as connection:
        connection.execute(f"PRAGMA application_id = {_MARK}")
        connection.execute("VACUUM")  # an empty database is written by it, with its header


def is_demonstration(url: str | URL) -> bool:
    """Whether an address of a database is that of a demonstration."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        return False  # opening it says what is wrong
    if parsed.get_backend_name() != "sqlite" or not parsed.database:
        return False
    try:
        with Path(parsed.database).open("rb") as file:
            header = file.read(_PLACE + 4)
    except OSError:
        return False
    return header[_PLACE:] == _MARK.to_bytes(4, "big")


def refuse_demonstration(url: str | URL) -> None:
    if is_demonstration(url):
        raise SettingError(
            "This database belongs to a demonstration, and its patients are invented: only tetkik serve "
            "--demo opens it; name another data_dir and database_url."
        )
