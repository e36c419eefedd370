"""A served house in a temporary folder, and browsers that are signed in to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fastapi.testclient import TestClient
from sqlalchemy import select

from tests.records.kit import made_records, made_user
from tetkik.records.database import Records
from tetkik.records.people import sessions
from tetkik.records.schema import BrowserSession
from tetkik.service.app import create_app
from tetkik.service.house import House
from tetkik.settings import Settings
from tetkik.values import EVERY_DEPARTMENT, Actor, Method, Role


def made_house(folder: Path, records: Records | None = None, **settings: object) -> House:
    """A house of its own, reached without TLS."""
    chosen = Settings(data_dir=folder, **settings)  # type: ignore[arg-type]
    return House(records or made_records(folder), chosen, secure=False)


@contextmanager
def served(house: House, *, work: bool = False) -> Iterator[TestClient]:
    """A client of the application, signed out; with `work` the models run behind it."""
    with TestClient(create_app(house, work=work), follow_redirects=False) as client:
        yield client


def sign_in(
    client: TestClient, house: House, *roles: Role, departments: tuple[str, ...] = (EVERY_DEPARTMENT,)
) -> Actor:
    """Sign a client in as a fresh user with these roles; its requests carry the session's token."""
    actor = made_user(house.records, *roles, departments=departments)
    cookie, csrf = opened_session(house, actor)
    client.cookies.set("tetkik", cookie)
    client.headers["X-CSRF-Token"] = csrf
    return actor


def opened_session(house: House, actor: Actor) -> tuple[str, str]:
    """A session of a user: the cookie's value and the token of its requests."""
    assert actor.user_id is not None
    with house.records.write(actor) as tx:
        cookie = sessions.begin(tx, actor.user_id, Method.PASSWORD)
        tx.session.flush()
        row = tx.session.scalars(select(BrowserSession).where(BrowserSession.user_id == actor.user_id)).one()
        return cookie, row.csrf
