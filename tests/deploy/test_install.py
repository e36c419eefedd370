"""`deploy/install.py` beside a real service: an upgrade, one that fails, and the way back."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import time
import zipfile
from importlib.metadata import version as version_of
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from deploy import install
from tests.patience import PATIENCE
from tests.ports import free_port

ROOT = Path(__file__).parents[2]
SERVES = "from tetkik.cli import main\n"
BREAKS = """
import sys, sqlite3
from tetkik.settings import settings

def main():
    if "serve" in sys.argv:
        database = sqlite3.connect(settings().data_dir / "tetkik.db")
        database.execute("CREATE TABLE of_the_new_version (id TEXT)")
        database.execute("UPDATE alembic_version SET version_num = '9999'")
        database.commit()
        sys.exit("cannot go on")
"""
SYSTEMCTL = """#!/bin/sh
# What systemd does for one service: {folder}/pid is its process, for as long as it runs.
cd {folder}
case "$1 $2" in
"start tetkik.service")
    ({prefix}/current/bin/tetkik serve & echo $! >pid; wait; rm pid) >>log 2>&1 & ;;
"stop tetkik.service")
    [ ! -s pid ] || kill "$(cat pid)"
    while [ -e pid ]; do sleep 0.1; done ;;
*) exit 5 ;;
esac
"""


def wheel(folder: Path, version: str, program: str) -> Path:
    """A wheel of that version whose package is the one of this checkout, and whose command is `program`."""
    info = f"tetkik-{version}.dist-info"
    places = [ROOT / "src", sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    files = {
        "tetkik_here.pth": "".join(f"{place}\n" for place in places),
        "tetkik_program.py": program,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: tetkik\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": "[console_scripts]\ntetkik = tetkik_program:main\n",
    }
    made = folder / f"tetkik-{version}-py3-none-any.whl"
    with zipfile.ZipFile(made, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
        archive.writestr(f"{info}/RECORD", "".join(f"{name},,\n" for name in (*files, f"{info}/RECORD")))
    return made


@pytest.fixture(scope="module")
def pip(tmp_path_factory):
    """The wheel of pip that would lie in the folder, made of the pip of these tests."""
    made = tmp_path_factory.mktemp("pip") / f"pip-{version_of('pip')}-py3-none-any.whl"
    place = Path(sysconfig.get_path("purelib"))
    with zipfile.ZipFile(made, "w") as archive:
        for file in (place / "pip").rglob("*"):
            if file.is_file() and file.suffix != ".pyc":
                archive.write(file, file.relative_to(place))
    return made


def wheelhouse(folder: Path, pip: Path, version: str, program: str = SERVES) -> Path:
    """A folder as deploy/wheelhouse.sh makes it, with one wheel."""
    folder.mkdir()
    made = wheel(folder, version, program)
    shutil.copy(ROOT / "deploy" / "install.py", folder)
    shutil.copy(pip, folder)
    python = f"# CPython 3 {sys.version_info[1]} {platform.machine()}"
    lines = [
        f"{name} --hash=sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}"
        for name, file in ((f"tetkik=={version}", made), (f"# pip=={version_of('pip')}", pip))
    ]
    (folder / "requirements.txt").write_text("\n".join([python, *lines, ""]), "utf-8")
    return folder


class Machine:
    """A machine with systemd's command, a folder for versions, and settings."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.prefix, self.data = folder, folder / "opt", folder / "data"
        port = free_port()
        self.health = f"http://127.0.0.1:{port}/api/v1/ready"
        (folder / "bin").mkdir()
        systemctl = folder / "bin" / "systemctl"
        systemctl.write_text(SYSTEMCTL.format(folder=folder, prefix=self.prefix), "utf-8")
        systemctl.chmod(0o755)
        self.environment = {
            **os.environ,
            "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "TETKIK_DATA_DIR": str(self.data),
            "TETKIK_LISTEN_PORT": str(port),
        }

    def install(self, wheels: Path, *more: str | Path) -> subprocess.CompletedProcess[str]:
        command: list[str | Path] = [
            sys.executable,
            wheels / "install.py",
            "--prefix",
            self.prefix,
            "--run-as",
            "env",
        ]
        command += ["--health", self.health, "--seconds", "60", "--copies", self.folder / "copies", *more]
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)

    def stop(self) -> None:
        subprocess.run(["systemctl", "stop", "tetkik.service"], env=self.environment, check=True)

    def start(self) -> None:
        """Start the service, and wait until it is ready."""
        subprocess.run(["systemctl", "start", "tetkik.service"], env=self.environment, check=True)
        until = time.monotonic() + PATIENCE
        while not install.ready(self.health):
            assert time.monotonic() < until, (self.folder / "log").read_text("utf-8")
            time.sleep(0.2)

    @property
    def version(self) -> str:
        return (self.prefix / "current").readlink().name

    def rows(self) -> list[str]:
        """The tables, and the entries of the trail."""
        engine = create_engine(f"sqlite:///{self.data / 'tetkik.db'}")
        with engine.connect() as connection:
            tables = connection.execute(text("SELECT name FROM sqlite_master ORDER BY name"))
            found = [
                *tables.scalars(),
                *connection.execute(text("SELECT version_num FROM alembic_version")).scalars(),
            ]
        engine.dispose()
        return found


@pytest.fixture
def machine(tmp_path):
    made = Machine(tmp_path)
    yield made
    if (tmp_path / "pid").exists():
        made.stop()


def test_an_upgrade_that_fails_leaves_everything_as_it_was(machine, pip, tmp_path):
    first = machine.install(wheelhouse(tmp_path / "first", pip, "1.0"))
    assert first.returncode == 0, first.stderr
    assert machine.version == "1.0" and not (tmp_path / "pid").exists(), "nothing is started unasked"
    machine.start()
    good = machine.install(wheelhouse(tmp_path / "good", pip, "1.1"))
    assert good.returncode == 0, good.stderr
    assert machine.version == "1.1" and (machine.prefix / "1.0").is_dir()
    before = machine.rows()

    bad = machine.install(wheelhouse(tmp_path / "bad", pip, "1.2", BREAKS), "--seconds", "5")
    assert bad.returncode == 1 and "1.1 runs again" in bad.stderr, bad.stderr
    assert "Traceback" not in bad.stderr
    assert machine.version == "1.1"
    assert install.ready(machine.health)
    assert machine.rows() == before

    (kept,) = (tmp_path / "copies").glob("*-before-1.1")
    back = machine.install(tmp_path / "good", "--back-to", kept)
    assert back.returncode == 0, back.stderr
    assert machine.version == "1.0"


@pytest.mark.parametrize("fault", ["wheel", "pip", "python", "again"])
def test_what_is_not_right_changes_nothing(fault, machine, pip, tmp_path):
    wheels = wheelhouse(tmp_path / "wheels", pip, "1.0")
    if fault == "wheel":
        (made,) = wheels.glob("tetkik-*.whl")
        with zipfile.ZipFile(made, "a") as archive:
            archive.writestr("planted.py", "")
    elif fault == "pip":
        with (wheels / pip.name).open("ab") as file:
            file.write(b"planted")
    elif fault == "python":
        requirements = wheels / "requirements.txt"
        requirements.write_text(
            requirements.read_text("utf-8").replace("# CPython 3", "# CPython 2"), "utf-8"
        )
    else:
        machine.prefix.mkdir()
        (machine.prefix / "current").symlink_to("1.0")
    done = machine.install(wheels)
    assert done.returncode == 1
    said = {
        "wheel": "DO NOT MATCH",
        "pip": "is not the one",
        "python": "CPython 2 11",
        "again": "what runs already",
    }[fault]
    assert said.replace("11", str(sys.version_info[1])) in done.stderr
    assert (fault == "again") == (machine.prefix / "current").is_symlink()


def test_a_machine_of_workers_leaves_the_database_alone(tmp_path, monkeypatch):
    """With one unit that starts in the new version alone, and one that does not."""
    done: list[tuple[str, ...]] = []

    def run(*command: str) -> str:
        done.append(command[1:])
        if command[1:] == ("start", "b") and (tmp_path / "current").readlink().name == "1.2":
            raise subprocess.CalledProcessError(1, command)
        return ""

    monkeypatch.setattr(install, "run", run)
    monkeypatch.setattr(install.Installation, "database", None)
    here = install.Installation(tmp_path, (), ("a", "b"), "http://127.0.0.1:1")
    here.switch("1.0")
    here.change_alone("1.1", "1.0")
    assert here.current.readlink().name == "1.1"
    assert done == [("stop", "b", "a"), ("start", "a"), ("start", "b")]
    with pytest.raises(subprocess.CalledProcessError):
        here.change_alone("1.2", "1.1")
    assert here.current.readlink().name == "1.1", "and what had started is stopped"
    assert done[-3:] == [("stop", "b", "a"), ("start", "a"), ("start", "b")]


@pytest.mark.program("postgresql")
def test_a_database_of_postgresql_comes_back_as_it_was(postgres, tmp_path):
    url = postgres.fresh()
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "audit.anchors").write_text("before", "utf-8")
    database = install.Database(folder, url)
    engine = create_engine(url)
    count = text("SELECT (SELECT count(*) FROM users), (SELECT version_num FROM alembic_version)")
    with engine.begin() as connection:
        before = connection.execute(count).all()
    database.copy_to(tmp_path / "kept")
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE of_the_new_version (id text REFERENCES users (id))"))
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    (folder / "audit.anchors").write_text("after", "utf-8")
    (folder / "of_the_new_version").touch()
    engine.dispose()
    database.bring_back(tmp_path / "kept")
    with engine.begin() as connection:
        assert connection.execute(count).all() == before
        assert connection.scalar(text("SELECT to_regclass('of_the_new_version')")) is None
    engine.dispose()
    assert [file.name for file in folder.iterdir()] == ["audit.anchors"]
    assert (folder / "audit.anchors").read_text("utf-8") == "before"
    postgres.drop(url)


def test_the_address_of_a_database_reaches_no_command_line():
    url = "postgresql+psycopg://tetkik:s%40fe@db.local:5433/house?sslmode=verify-full"
    assert install.variables(url) == {
        "PGHOST": "db.local",
        "PGPORT": "5433",
        "PGUSER": "tetkik",
        "PGPASSWORD": "s@fe",
        "PGDATABASE": "house",
        "PGSSLMODE": "verify-full",
    }
