"""Records on SQLite, and on PostgreSQL too for what is marked `both_databases` (see `tests/conftest.py`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.records.kit import made_records, made_sqlite
from tests.records.object_storage import ObjectStorage
from tests.records.postgres import Cluster
from tetkik.records.database import Records

MakeUrl = Callable[..., str]


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    """One PostgreSQL server for each process of tests, started when the first test asks for it."""
    cluster = Cluster()
    yield cluster
    cluster.stop()


@pytest.fixture(scope="session")
def object_storage() -> Iterator[ObjectStorage]:
    """One object storage for each process of tests, likewise."""
    started = ObjectStorage()
    yield started
    started.stop()


@pytest.fixture
def make_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MakeUrl]:
    """A maker of addresses of fresh databases of one kind; `empty=True` leaves the tables out."""
    made: list[str] = []
    cluster: Cluster | None = None
    if request.param == "postgresql":
        cluster = request.getfixturevalue("postgres")

    def make(*, empty: bool = False) -> str:
        if cluster is None:
            file = tmp_path / f"{len(made)}.db"
            made.append(f"sqlite:///{file}" if empty else made_sqlite(file))
        else:
            made.append(cluster.fresh(empty=empty))
        return made[-1]

    yield make
    if cluster is not None:
        for url in made:
            cluster.drop(url)


@pytest.fixture
def both_records(make_url: MakeUrl, tmp_path: Path) -> Iterator[Records]:
    """Fresh records, on one database or on each of both in turn."""
    opened = made_records(tmp_path, make_url())
    yield opened
    opened.close()
