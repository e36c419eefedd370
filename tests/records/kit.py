"""Records in a temporary folder, and people who do something with them."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine

from tetkik.records.cases import cases, patients
from tetkik.records.cases.patients import Person
from tetkik.records.database import Records, Transaction
from tetkik.records.ids import new_id
from tetkik.records.images import jobs
from tetkik.records.images.jobs import ImageJob
from tetkik.records.migrate import upgrade
from tetkik.records.schema import User
from tetkik.values import EVERY_DEPARTMENT, Actor, Method, Role, permissions_of


def made_records(folder: Path, url: str | None = None) -> Records:
    """Records in `folder`, in SQLite or in the database at `url`; fresh where there are none yet."""
    return Records(url or made_sqlite(folder / "tetkik.db"), folder)


def made_sqlite(file: Path) -> str:
    """The address of a database of SQLite that has the tables, copied: migrating takes far longer."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        file.write_bytes(_migrated())
    return f"sqlite:///{file}"


@cache
def _migrated() -> bytes:
    """A file of SQLite with the tables of this version and no row."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "tetkik.db"
        engine = create_engine(f"sqlite:///{file}")
        upgrade(engine)
        engine.dispose()
        return file.read_bytes()


def made_user(
    records: Records, *roles: Role, name: str = "", departments: tuple[str, ...] = (EVERY_DEPARTMENT,)
) -> Actor:
    """A user with roles, who can do things; a clinician in every department unless some are named."""
    user_id = new_id()
    name = name or f"Uzm. {' '.join(roles)}"
    with records.write(Actor(None, "tetkik")) as tx:
        tx.session.add(
            User(
                id=user_id,
                login=f"user-{user_id}",
                name=name,
                title="Dr.",
                registration="12345",
                roles=",".join(roles),
                departments="|".join(departments),
                created_at=tx.now,
            )
        )
        tx.session.flush()
        tx.session.info.pop("tetkik_codes")  # tests count the entries of the trail
    held = frozenset(roles)
    return Actor(user_id, name, held, permissions_of(held), departments, None, Method.PASSWORD)


def made_case(records: Records, actor: Actor, person: Person | None = None, **case: Any) -> str:
    """A case of a fresh patient; keywords as for `cases.open_case`."""
    with records.write(actor) as tx:
        patient_id = patients.create(tx, person or Person("Gülçin ŞAHİN", "10000000146", "H-1", "19700101"))
        return cases.open_case(tx, patient_id, **case)


def id_of(actor: Actor) -> str:
    """The id of an actor who is a person."""
    assert actor.user_id is not None
    return actor.user_id


def take_job(tx: Transaction, worker: str) -> ImageJob | None:
    """The next image that waits for a model; None where none does."""
    return next(iter(jobs.take_jobs(tx, worker)), None)
