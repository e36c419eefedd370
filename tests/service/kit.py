"""A served house in a temporary folder, and browsers that are signed in to it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import func, select

from tests.records.kit import made_records, made_user
from tetkik.records.database import Records
from tetkik.records.people import sessions
from tetkik.records.schema import BrowserSession
from tetkik.service.app import create_app
from tetkik.service.kit.access.rate_limits import Gate
from tetkik.service.kit.background.image_decoder import Machine
from tetkik.service.kit.context import House
from tetkik.settings import Settings
from tetkik.values import EVERY_DEPARTMENT, Actor, Method, Role


def made_house(folder: Path, records: Records | None = None, **settings: object) -> House:
    """A house of its own, reached without TLS."""
    chosen = Settings(data_dir=folder, **settings)  # type: ignore[arg-type]
    return House(records or made_records(folder), chosen, secure=False)


@contextmanager
def served(house: House, *, work: bool = False, anew: bool = False) -> Iterator[TestClient]:
    """A client of the application, signed out.

    Args:
        house: that is served.
        work: whether the models run behind it.
        anew: whether an application of its own is needed. The first request to one builds its routes, which
            takes longer than most tests, so that otherwise one that no test uses any more is taken.
    """
    idle = _idle[_armour(house)]
    lasting = not work and not anew
    app = idle.pop() if lasting and idle else create_app(house, work=work)
    serve(app, house)
    with TestClient(app, follow_redirects=False) as client:
        yield client
    if lasting:
        idle.append(app)


_idle: dict[tuple[object, ...], list[FastAPI]] = defaultdict(list)
"""Applications that stand ready, by what was built into them."""


def _armour(house: House) -> tuple[object, ...]:
    """What an application takes of a house when it is made (`armour.install`); all else it asks each time."""
    chosen = house.settings
    return chosen.max_upload_bytes, chosen.public_url, chosen.trusted_proxies, house.secure


def serve(app: FastAPI, house: House) -> None:
    """Have an application serve a house; what its doors and listeners remember begins anew."""
    app.state.house = house
    app.state.gate = Gate(house.settings)
    app.state.machine = Machine(house.records)
    if hasattr(app.state, "events"):
        del app.state.events


def sign_in(
    client: TestClient, house: House, *roles: Role, departments: tuple[str, ...] = (EVERY_DEPARTMENT,)
) -> Actor:
    """Sign a client in as a fresh user with these roles; its requests carry the session's token."""
    actor = made_user(house.records, *roles, departments=departments)
    cookie, csrf = opened_session(house, actor)
    client.cookies.set("tetkik", cookie)
    client.headers["X-CSRF-Token"] = csrf
    return actor


def count(house: House, table: type) -> int:
    """How many rows a table has."""
    with house.records.read() as tx:
        return tx.session.scalar(select(func.count()).select_from(table)) or 0


def opened_session(house: House, actor: Actor) -> tuple[str, str]:
    """A session of a user: the cookie's value and the token of its requests."""
    assert actor.user_id is not None
    with house.records.write(actor) as tx:
        cookie = sessions.begin(tx, actor.user_id, Method.PASSWORD)
        tx.session.flush()
        row = tx.session.scalars(select(BrowserSession).where(BrowserSession.user_id == actor.user_id)).one()
        return cookie, row.csrf
