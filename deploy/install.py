#!/usr/bin/env python3
"""Installs Tetkik from the folder that it lies in, beside the version that runs, and changes over to it.

    sudo python3 wheelhouse/install.py --unit tetkik.service --unit tetkik-listen.service

It needs no network, and of Python nothing but itself. Everything is installed into PREFIX/VERSION, each file
by its hash; only then the services are stopped, the database is copied, PREFIX/current points to the new
version and the first service is started, which brings the tables to that version. Where it is not ready in
time, database and version of before and all services come back. docs/how-to/deploy.md has more.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import shlex
import shutil
import subprocess
import time
import venv
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit
from urllib.request import urlopen

HERE = Path(__file__).resolve().parent
MACHINE = platform.machine()
LONGEST = 1800.0
"""Seconds for which the version of before is waited for."""
SETTINGS = """
import json
from tetkik.settings import settings
chosen = settings()
url = chosen.database_url and chosen.database_url.get_secret_value()
print(json.dumps([str(chosen.data_dir.absolute()), url]))
"""
DROP_TABLES = (
    "SELECT format('DROP TABLE IF EXISTS %I.%I CASCADE', schemaname, tablename) FROM pg_tables "
    "WHERE schemaname NOT IN ('pg_catalog', 'information_schema') AND tableowner = current_user \\gexec"
)
"""What the new version made, and the dump does not know, would hold fast what it knows."""


@dataclass(frozen=True, slots=True)
class Database:
    """What a new version changes: the files right in `data_dir`, SQLite's among them, and PostgreSQL.

    Images lie in folders of `data_dir` under names made of their content; no version changes one.
    """

    folder: Path
    url: str | None

    def copy_to(self, place: Path) -> None:
        """Copy it, with no service running."""
        place.mkdir(mode=0o700, parents=True)
        if files := self.files():
            run("cp", "-a", *files, place)
        if self.url:
            run("pg_dump", "--format=custom", f"--file={place / 'postgresql.dump'}", postgres=self.url)

    def bring_back(self, place: Path) -> None:
        """Put such a copy in its place; what was written since is gone."""
        for file in self.files():
            file.unlink()
        if kept := [file for file in place.iterdir() if file.name not in ("postgresql.dump", "version")]:
            run("cp", "-a", *kept, self.folder)
        if self.url:
            run("psql", "--quiet", "--set=ON_ERROR_STOP=1", postgres=self.url, given=DROP_TABLES)
            dump = place / "postgresql.dump"
            command = ("pg_restore", "--clean", "--if-exists", "--single-transaction", "--no-owner")
            run(*command, f"--dbname={variables(self.url)['PGDATABASE']}", dump, postgres=self.url)

    def files(self) -> list[Path]:
        """The files that lie directly in `data_dir`."""
        return [file for file in self.folder.glob("*") if file.is_file()]


def variables(url: str) -> dict[str, str]:
    """The environment by which PostgreSQL's programs find a database: no password on a command line."""
    parts = urlsplit(url)
    found = {
        "PGHOST": parts.hostname,
        "PGPORT": parts.port and str(parts.port),
        "PGUSER": unquote(parts.username or ""),
        "PGPASSWORD": unquote(parts.password or ""),
        "PGDATABASE": unquote(parts.path.lstrip("/")),
        **{f"PG{name.upper()}": value for name, value in parse_qsl(parts.query)},
    }
    return {name: value for name, value in found.items() if value}


def run(*command: str | Path, postgres: str = "", given: str | None = None) -> str:
    """Run a program; gives what it prints."""
    environment = {**os.environ, **(variables(postgres) if postgres else {})}
    done = subprocess.run(
        command, env=environment, input=given, stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout


@dataclass(frozen=True, slots=True)
class Installation:
    """Where versions lie, and how one is run."""

    prefix: Path
    run_as: tuple[str, ...]
    units: tuple[str, ...]
    health: str

    @property
    def current(self) -> Path:
        return self.prefix / "current"

    def install(self, version: str) -> None:
        """Make the environment of a version."""
        folder = self.prefix / version
        shutil.rmtree(folder, ignore_errors=True)  # of an attempt that was cut off
        venv.create(folder)
        requirements = HERE / "requirements.txt"
        (pip,) = HERE.glob("pip-*.whl")  # which runs from its wheel; no installation needs it
        if f"sha256:{hashlib.sha256(pip.read_bytes()).hexdigest()}\n" not in requirements.read_text():
            raise SystemExit(f"{pip.name} is not the one that requirements.txt names; copy the folder again.")
        how = ("--quiet", "--no-index", f"--find-links={HERE}", "--only-binary=:all:", "--require-hashes")
        run(folder / "bin" / "python", pip / "pip", "install", *how, f"--requirement={requirements}")
        run(*self.run_as, folder / "bin" / "tetkik", "--version")

    def switch(self, version: str) -> None:
        """Let `current` point to a version; there is no moment without one."""
        link = self.prefix / "current.new"
        link.unlink(missing_ok=True)
        link.symlink_to(version)
        link.replace(self.current)

    def database(self) -> Database:
        folder, url = json.loads(run(*self.run_as, self.current / "bin" / "python", "-c", SETTINGS))
        return Database(Path(folder), url if url and not url.startswith("sqlite") else None)

    def stop(self) -> None:
        run("systemctl", "stop", *reversed(self.units))

    def start(self, seconds: float) -> None:
        """Start the first unit, and when it is ready the others.

        Raises:
            TimeoutError: it is not ready in time.
        """
        run("systemctl", "start", self.units[0])
        until = time.monotonic() + seconds
        while not ready(self.health):
            if time.monotonic() > until:
                raise TimeoutError(f"{self.health} is not ready after {seconds:g} seconds")
            time.sleep(0.5)
        for unit in self.units[1:]:
            run("systemctl", "start", unit)

    def change_alone(self, version: str, old: str) -> None:
        """Change to a version, or back where a unit does not start, whatever is with the database."""
        try:
            self._start_all(version)
        except BaseException:
            self._start_all(old)
            raise

    def _start_all(self, version: str) -> None:
        self.stop()
        self.switch(version)
        for unit in self.units:
            run("systemctl", "start", unit)

    def go_back(self, kept: Path) -> None:
        """Bring back the version and the database that were copied to `kept`."""
        self.stop()
        self.switch((kept / "version").read_text().strip())
        self.database().bring_back(kept)
        self.start(LONGEST)


def ready(url: str) -> bool:
    """Whether a service answers that it is ready."""
    try:
        with urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def version_here() -> str:
    """The version of Tetkik in this folder; refuses another Python than that of its wheels."""
    first, *lines = (HERE / "requirements.txt").read_text().splitlines()
    python = " ".join(("#", platform.python_implementation(), *platform.python_version_tuple()[:2], MACHINE))
    if first != python:
        raise SystemExit(
            f"These wheels are for {first[2:]}, and this is {python[2:]}; run it with that Python."
        )
    (line,) = (line for line in lines if line.startswith("tetkik"))
    return line.partition("==")[2].partition(" ")[0]


def upgrade(installation: Installation, version: str, old: str, copies: Path, seconds: float) -> None:
    """Change from a version to another, or back."""
    kept = copies / f"{datetime.now():%Y%m%d-%H%M%S}-before-{version}"
    installation.stop()
    try:
        installation.database().copy_to(kept)
        (kept / "version").write_text(f"{old}\n")
    except BaseException:
        installation.start(LONGEST)
        raise
    try:
        installation.switch(version)
        installation.start(seconds)
    except BaseException as fault:
        installation.go_back(kept)
        raise SystemExit(
            f"{version} did not start ({fault}); {old} runs again, with its database."
        ) from fault
    units = " ".join(f"--unit {unit}" for unit in installation.units)
    print(f"{version} runs. To go back, losing what was written since: install.py {units} --back-to {kept}")


def main(arguments: list[str] | None = None) -> None:
    """Install, upgrade, or go back."""
    about, _, more = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        description=about, epilog=more, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--prefix", type=Path, default=Path("/opt/tetkik"), help="where versions lie")
    parser.add_argument("--unit", action="append", help="a service to change over, `tetkik serve` first")
    parser.add_argument(
        "--run-as",
        default="runuser -u tetkik -- env TETKIK_CONFIG=/etc/tetkik/tetkik.toml",
        help="what stands before a command of Tetkik, so that it has its account and its settings",
    )
    parser.add_argument("--health", default="http://127.0.0.1:8000/api/v1/ready", help="who tells readiness")
    parser.add_argument("--seconds", type=float, default=300, help="how long to wait for it")
    parser.add_argument(
        "--copies", type=Path, default=Path("/var/backups/tetkik"), help="copies of databases"
    )
    parser.add_argument(
        "--without-database",
        action="store_true",
        help="of workers alone: another machine upgrades the database",
    )
    parser.add_argument("--back-to", type=Path, help="a folder in COPIES: bring back what it holds")
    chosen = parser.parse_args(arguments)
    units = tuple(chosen.unit or ["tetkik.service"])
    run_as = tuple(shlex.split(chosen.run_as))
    installation = Installation(chosen.prefix.absolute(), run_as, units, chosen.health)
    if chosen.back_to:
        installation.go_back(chosen.back_to)
        return
    version = version_here()
    old = installation.current.readlink().name if installation.current.is_symlink() else None
    if old == version:
        raise SystemExit(f"{version} is what runs already.")
    os.umask(0o022)  # others than root run it
    installation.install(version)
    if old and chosen.without_database:
        installation.change_alone(version, old)
        print(f"{version} runs.")
    elif old:
        upgrade(installation, version, old, chosen.copies, chosen.seconds)
    else:
        installation.switch(version)
        print(f"{installation.current}/bin/tetkik is {version}; enable the units next.")


if __name__ == "__main__":
    try:
        main()
    except (OSError, subprocess.CalledProcessError) as error:
        raise SystemExit(f"Not done: {error}") from None
