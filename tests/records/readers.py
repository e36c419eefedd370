"""Who reads and signs, and records on SQLite alone for what does not depend on the database."""

from __future__ import annotations

import pytest

from tests.records.kit import made_records, made_user
from tetkik.values import Role

NAME = "Ömer Çağrı Ünsal"


@pytest.fixture
def radiologist(both_records):
    return made_user(both_records, Role.RADIOLOGIST, name=NAME)


@pytest.fixture
def records(tmp_path):
    opened = made_records(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def reader(records):
    return made_user(records, Role.RADIOLOGIST, name=NAME)
