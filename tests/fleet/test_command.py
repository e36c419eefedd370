"""`tetkik worker` itself: what it refuses, and how it is asked whether it is sound."""

from __future__ import annotations

import os
import time

from typer.testing import CliRunner

from tetkik.cli.app import app


def run(*arguments):
    return CliRunner().invoke(app, ["worker", *map(str, arguments)])


def test_its_health_is_the_age_of_a_file(tmp_path):
    health = tmp_path / "sound"
    assert run("--check", "--health-file", health).exit_code == 1
    health.touch()
    assert run("--check", "--health-file", health).exit_code == 0
    os.utime(health, (time.time() - 60,) * 2)
    assert run("--check", "--health-file", health).exit_code == 1
    refused = run("--check")
    assert refused.exit_code == 2 and "--health-file FILE --check" in refused.output


def test_images_in_sqlite_are_read_by_the_service(tmp_path, monkeypatch):
    monkeypatch.setenv("TETKIK_DATA_DIR", str(tmp_path))
    refused = run()
    assert refused.exit_code == 2 and "move to PostgreSQL" in refused.output
    assert not list(tmp_path.iterdir())
