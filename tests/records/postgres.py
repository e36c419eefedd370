"""A PostgreSQL server of the tests' own, and a fresh database in it for each test.

The server lives in a short folder (a Unix socket's path has about 100 characters), listens on no network,
and does not wait for the disk. PostgreSQL refuses to run as root; then it runs as the user postgres.

Making and removing a database costs a hundred times what emptying one does: a database in which only rows
were changed is emptied and handed on under another name, which nobody who still knows the old one finds.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import create_engine

from tests.patience import PATIENCE
from tests.programs import program
from tetkik.records.migrate import upgrade

if TYPE_CHECKING:
    from psycopg import Connection

_OWNER = "tetkik"
_TEMPLATE = "tetkik_template"
_FAST = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "autovacuum": "off",
    "shared_buffers": "32MB",
    "max_connections": "100",
    "listen_addresses": "",
    "timezone": "Europe/Istanbul",
}
"""A zone other than UTC, so that a time that loses its zone on the way shows."""
_STATE = " UNION ALL ".join(
    f"SELECT '{table}', count(*), max(xmin::text::bigint) FROM {table}"
    for table in ("pg_attribute", "pg_class", "pg_constraint", "pg_proc", "pg_statistic", "pg_trigger")
)
"""Rows of the catalogues and who wrote the last: as in the template, until a database is altered."""
_STEP = "SELECT 'alembic_version', count(*), max(xmin::text::bigint) FROM alembic_version"
_ALONE = (
    "SELECT pg_terminate_backend(pid, 120000) FROM pg_stat_activity "
    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
)
_EMPTY = """
DO $$ DECLARE one record; BEGIN
    SET LOCAL session_replication_role = replica;  -- the trail refuses to be emptied otherwise
    FOR one IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version'
    LOOP
        EXECUTE format('DELETE FROM %I', one.tablename);
    END LOOP;
    PERFORM setval(seqrelid::regclass, seqstart, false) FROM pg_sequence;
END $$
"""


class Cluster:
    """A server that runs until `stop`."""

    def __init__(self, **settings: str) -> None:
        self._bin = Path(program("postgresql")).parent
        self._folder = Path(tempfile.mkdtemp(prefix="tpg-", dir="/tmp"))
        self._count = count(1)
        self.spare: list[str] = []
        """Databases that are ready for another test."""
        if os.geteuid() == 0:
            user = pwd.getpwnam("postgres")
            os.chown(self._folder, user.pw_uid, user.pw_gid)
        self._run("initdb", "-D", self._data, "-U", _OWNER, "-A", "trust", "-E", "UTF8", "--no-sync")
        self._options = [f"-c{name}={value}" for name, value in (_FAST | settings).items()]
        self.start()
        self.execute(f"CREATE DATABASE {_TEMPLATE}")
        engine = create_engine(self.url(_TEMPLATE))
        upgrade(engine)
        engine.dispose()
        with self._connected(_TEMPLATE) as connection:
            self._state = _state(connection)

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        with (self._folder / "log").open("ab") as log:
            self._server = subprocess.Popen(
                self._command("postgres", "-D", self._data, "-k", self._folder, *self._options),
                cwd=self._folder,
                stdout=log,
                stderr=log,
            )
        self._wait()

    @property
    def pid(self) -> int:
        return self._server.pid

    def kill(self) -> None:
        """End the server with SIGKILL, as if its machine were gone, but for what the disk has."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        self._server.kill()
        self._server.wait(PATIENCE)
        # They see it and end; before that the server cannot start again.
        until = time.monotonic() + PATIENCE
        while any(Path(f"/proc/{child}").exists() for child in children) and time.monotonic() < until:
            time.sleep(0.01)
        (self._data / "postmaster.pid").unlink(missing_ok=True)

    def url(self, database: str) -> str:
        """The address of a database of this server."""
        return f"postgresql+psycopg://{_OWNER}@/{database}?host={self._folder}"

    def fresh(self, *, empty: bool = False) -> str:
        """The address of a new database: with the tables of this version, or with none at all."""
        name = f"t{next(self._count)}"
        if self.spare and not empty:
            self.execute(f"ALTER DATABASE {self.spare.pop()} RENAME TO {name}")
        else:
            self.execute(f"CREATE DATABASE {name} TEMPLATE {'template0' if empty else _TEMPLATE}")
        return self.url(name)

    def drop(self, url: str) -> None:
        """Take a database back, whoever is still connected to it."""
        name = url.partition("?")[0].rpartition("/")[2]
        if self._emptied(name):
            self.spare.append(name)
        else:
            self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def execute(self, statement: str) -> None:
        """Run one statement outside any transaction."""
        with self._connected("postgres") as connection:
            connection.execute(statement.encode())

    def _emptied(self, name: str) -> bool:
        """Whether a database is as it was made: then without rows, and nobody is connected to it."""
        with self._connected(name) as connection:
            connection.execute(_ALONE)
            if _state(connection) != self._state:
                return False
            connection.execute(_EMPTY)
            return True

    def _connected(self, database: str) -> Connection[Any]:
        import psycopg

        return psycopg.connect(host=str(self._folder), user=_OWNER, dbname=database, autocommit=True)

    def stop(self) -> None:
        """Stop the server at once and remove its folder."""
        self._run("pg_ctl", "-D", self._data, "-m", "immediate", "-w", "stop")
        self._server.wait(PATIENCE)
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    def _command(self, program: str, *arguments: str | Path) -> list[str]:
        words = [str(self._bin / program), *map(str, arguments)]
        if os.geteuid() == 0:
            words = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", *words]
        return words

    def _run(self, program: str, *arguments: str | Path) -> None:
        done = subprocess.run(
            self._command(program, *arguments), cwd=self._folder, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{program}: {done.stdout}{done.stderr}"

    def _wait(self) -> None:
        import psycopg

        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            try:
                self.execute("SELECT 1")
            except psycopg.OperationalError:
                assert self._server.poll() is None, (self._folder / "log").read_text("utf-8")
                time.sleep(0.05)
            else:
                return
        raise AssertionError("PostgreSQL does not answer")


def _state(connection: Connection[Any]) -> list[Any]:
    """What tells whether a database was altered beyond its rows."""
    found = connection.execute(_STATE).fetchall()
    stands = connection.execute("SELECT to_regclass('alembic_version') IS NOT NULL").fetchone()
    return found + (connection.execute(_STEP).fetchall() if stands == (True,) else [])
