"""The examples of docs/how-to/api.md, run as they stand against a served hospital."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from tests.phantom import write_phantom
from tests.records.kit import made_user
from tests.service.browser import serving
from tests.service.kit import make_context
from tetkik.records.people import tokens
from tetkik.values import Permission, Role

GUIDE = Path(__file__).parents[2] / "docs" / "how-to" / "api.md"
SCOPES = (
    Permission.TRIAGE,
    Permission.CASE_CREATE,
    Permission.CASE_READ,
    Permission.CASE_SEARCH,
    Permission.IMAGE_UPLOAD,
    Permission.IMAGE_READ,
    Permission.WORKLIST,
)


def example(name: str) -> str:
    found = re.search(rf"<!-- {name} example -->\n```\w+\n(.*?)```", GUIDE.read_text("utf-8"), re.DOTALL)
    assert found is not None
    return found[1]


@pytest.fixture(scope="module")
def surroundings(tmp_path_factory):
    app_context = make_context(tmp_path_factory.mktemp("hospital"))
    person = made_user(app_context.records, Role.RECEPTION, Role.TECHNICIAN, Role.RADIOLOGIST)
    with app_context.records.write(person) as tx:
        secret, _ = tokens.create(tx, "example", SCOPES, timedelta(days=1))
    with serving(app_context, work=True) as address:
        yield os.environ | {"TETKIK_URL": address, "TETKIK_TOKEN": secret}


@pytest.mark.program("curl")
def test_curl(surroundings):
    ran = subprocess.run(
        ["bash", "-c", example("curl")], env=surroundings, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert '"departments"' in ran.stdout and "Ayşe Örnek" in ran.stdout


def test_httpx(surroundings, tmp_path):
    film = tmp_path / "film.dcm"
    write_phantom(film, 10, ("Consolidation", "Pneumonia"))
    program = tmp_path / "program.py"
    program.write_text(example("httpx"), "utf-8")
    ran = subprocess.run(
        [sys.executable, program, film], env=surroundings, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert "Pneumonia" in ran.stdout and "to_read" in ran.stdout
