"""Signed-in browsers: kept in the database under the hash of their cookie.

A session ends after a while without a request, at its absolute end, or when somebody ends it; a locked one
shows nothing before its person has proved themselves again.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, select, update

from tetkik.errors import NotFound, NotSignedIn
from tetkik.records.audit_chain import Action
from tetkik.records.database import Records, Transaction
from tetkik.records.people.users import Peer, build_actor, digest_of
from tetkik.records.row_authentication import refuse_put_back
from tetkik.records.schema import BrowserSession, User
from tetkik.values import Actor, Method

ABSOLUTE = timedelta(hours=12)
IDLE = timedelta(minutes=30)
_NOTED = timedelta(minutes=1)
"""How often at most `seen_at` is written."""
_AGENT = 200


@dataclass(frozen=True, slots=True)
class Resumed:
    actor: Actor
    csrf: str
    language: str | None
    """That the person chose; None for the setting's."""
    theme: str | None
    """That the person chose; None for the system's."""
    locked: bool = False
    must_change: bool = False


@dataclass(frozen=True, slots=True)
class OpenSession:
    """A signed-in browser, as its person sees it in their list."""

    id: str
    method: Method
    address: str | None
    agent: str
    created_at: datetime
    seen_at: datetime
    locked: bool


def begin_session(
    tx: Transaction, user_id: str, method: Method, *, agent: str = "", lasting: timedelta = ABSOLUTE
) -> str:
    """Open a session; gives the cookie's value, which nothing else keeps."""
    cookie = secrets.token_urlsafe(32)
    row = BrowserSession(id=digest_of(cookie), user_id=user_id, method=method)
    row.csrf = secrets.token_urlsafe(24)
    row.created_at, row.seen_at, row.expires_at = tx.now, tx.now, tx.now + lasting
    row.address, row.agent = tx.actor.address, agent[:_AGENT]
    tx.session.add(row)
    return cookie


def resume_session(
    records: Records, cookie: str, *, address: str | None, request_id: str | None, idle: timedelta = IDLE
) -> Resumed:
    """Go on with a session; `NotSignedIn` where there is none, or it is over."""
    with records.read() as tx:
        session = tx.session.get(BrowserSession, digest_of(cookie))
        user = tx.session.get(User, session.user_id) if session is not None else None
        if (
            session is None
            or user is None
            or user.disabled_at is not None
            or session.expires_at <= tx.now
            or session.seen_at + idle <= tx.now
        ):
            raise NotSignedIn("The session is over; sign in again.")
        refuse_put_back(tx.session, user)
        actor = build_actor(user, session.method, Peer(address, request_id), session.id)
        found = Resumed(actor, session.csrf, user.language, user.theme, session.locked, user.must_change)
        unnoted = tx.now - session.seen_at >= _NOTED
    if unnoted:
        with records.write(actor) as tx:
            mine = BrowserSession.id == actor.session_id
            tx.apply(update(BrowserSession).where(mine).values(seen_at=tx.now))
    return found


def end(tx: Transaction) -> None:
    """Sign the actor's own session out."""
    tx.session.execute(delete(BrowserSession).where(BrowserSession.id == tx.actor.session_id))
    tx.audit(Action.SIGN_OUT)


def renew(tx: Transaction) -> str:
    """Give the actor's session another id; what was stolen of the old one opens nothing any more.

    The token of its requests stays, so that what is typed in other tabs of this browser can still be sent.
    """
    cookie = secrets.token_urlsafe(32)
    session = _own(tx)
    if session is not None:
        session.id = digest_of(cookie)
    return cookie


def replace(tx: Transaction, before: Actor) -> None:
    """End the session that a browser had before it signed in again: its id opens nothing any more."""
    tx.session.execute(delete(BrowserSession).where(BrowserSession.id == before.session_id))


def end_one(tx: Transaction, session_id: str) -> None:
    """End one of the actor's sessions."""
    session = tx.session.get(BrowserSession, session_id)
    if session is None or session.user_id != tx.actor.user_id:
        raise NotFound("There is no such session; it may be over already.")
    tx.session.delete(session)
    tx.audit(Action.SIGN_OUT, object_id=tx.actor.user_id, elsewhere=True)


def end_all(tx: Transaction) -> None:
    """Sign the actor out in every browser."""
    tx.session.execute(delete(BrowserSession).where(BrowserSession.user_id == tx.actor.user_id))
    tx.audit(Action.SIGN_OUT, everywhere=True)


def _own(tx: Transaction) -> BrowserSession | None:
    return tx.session.get(BrowserSession, tx.actor.session_id)


def lock(tx: Transaction) -> None:
    """Lock the screen of the actor's session."""
    session = _own(tx)
    if session is not None and not session.locked:
        session.locked = True
        tx.audit(Action.SCREEN_LOCKED)


def unlock(tx: Transaction, method: Method) -> None:
    """Open the screen again, after the actor proved themselves."""
    session = _own(tx)
    if session is not None:
        session.locked = False
        tx.audit(Action.SCREEN_UNLOCKED, by=method.value)


def is_fresh(tx: Transaction, within: timedelta) -> bool:
    """Whether the actor signed in only just now."""
    session = _own(tx)
    return session is not None and tx.now - session.created_at < within


def list_sessions(tx: Transaction, idle: timedelta = IDLE) -> list[OpenSession]:
    """The actor's sessions that go on, the latest first."""
    found = tx.session.scalars(
        select(BrowserSession)
        .where(
            BrowserSession.user_id == tx.actor.user_id,
            BrowserSession.expires_at > tx.now,
            BrowserSession.seen_at > tx.now - idle,
        )
        .order_by(BrowserSession.seen_at.desc())
    )
    return [row.to_value(OpenSession, agent=row.agent or "") for row in found]


def delete_expired(tx: Transaction) -> None:
    """Remove the rows of sessions that are over."""
    tx.session.execute(delete(BrowserSession).where(BrowserSession.expires_at <= tx.now))
