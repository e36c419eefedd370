"""A served hospital in a temporary folder, and browsers that are signed in to it."""

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
from tetkik.service.kit.access.rate_limits import RateLimits
from tetkik.service.kit.background.image_decoder import ImageDecoder
from tetkik.service.kit.context import AppContext
from tetkik.settings import Settings
from tetkik.values import EVERY_DEPARTMENT, Actor, Method, Role


def make_context(folder: Path, records: Records | None = None, **settings: object) -> AppContext:
    """A hospital of its own, reached without TLS."""
    chosen = Settings(data_dir=folder, **settings)  # type: ignore[arg-type]
    return AppContext(records or made_records(folder), chosen, secure=False)


@contextmanager
def served(app_context: AppContext, *, work: bool = False, anew: bool = False) -> Iterator[TestClient]:
    """A client of the application, signed out.

    Args:
        hospital: that is served.
        work: whether the models run behind it.
        anew: whether an application of its own is needed. The first request to one builds its routes, which
            takes longer than most tests, so that otherwise one that no test uses any more is taken.
    """
    idle = _idle[_middleware_settings(app_context)]
    lasting = not work and not anew
    app = idle.pop() if lasting and idle else create_app(app_context, work=work)
    serve(app, app_context)
    try:
        with TestClient(app, follow_redirects=False) as client:
            yield client
    finally:
        app.state.decoder.close()
    if lasting:
        idle.append(app)


_idle: dict[tuple[object, ...], list[FastAPI]] = defaultdict(list)
"""Applications that stand ready, by what was built into them."""


def _middleware_settings(app_context: AppContext) -> tuple[object, ...]:
    """What `middleware.install` reads when the application is made; all else is read at each request."""
    chosen = app_context.settings
    microphone = bool(chosen.dictation_url) or chosen.dictation_browser
    named = chosen.max_upload_bytes, chosen.public_url, chosen.trusted_proxies, chosen.signature_agent
    return *named, app_context.secure, microphone


def serve(app: FastAPI, app_context: AppContext) -> None:
    """Have an application serve another context; its counters and listeners begin anew."""
    app.state.context = app_context
    app.state.rate_limits = RateLimits(app_context)
    app.state.decoder = ImageDecoder(app_context.records)
    if hasattr(app.state, "events"):
        del app.state.events


def sign_in(
    client: TestClient,
    app_context: AppContext,
    *roles: Role,
    departments: tuple[str, ...] = (EVERY_DEPARTMENT,),
) -> Actor:
    """Sign a client in as a fresh user with these roles; its requests carry the session's token."""
    actor = made_user(app_context.records, *roles, departments=departments)
    cookie, csrf = opened_session(app_context, actor)
    client.cookies.set("tetkik", cookie)
    client.headers["X-CSRF-Token"] = csrf
    return actor


def count(app_context: AppContext, table: type) -> int:
    """How many rows a table has."""
    with app_context.records.read() as tx:
        return tx.session.scalar(select(func.count()).select_from(table)) or 0


def opened_session(app_context: AppContext, actor: Actor) -> tuple[str, str]:
    """A session of a user: the cookie's value and the token of its requests."""
    assert actor.user_id is not None
    with app_context.records.write(actor) as tx:
        cookie = sessions.begin_session(tx, actor.user_id, Method.PASSWORD)
        tx.session.flush()
        row = tx.session.scalars(select(BrowserSession).where(BrowserSession.user_id == actor.user_id)).one()
        return cookie, row.csrf
