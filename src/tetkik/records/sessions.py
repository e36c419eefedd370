"""Signed-in browsers: kept in the database under the hash of their cookie."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import timedelta

from tetkik.errors import NotSignedIn
from tetkik.records.database import Records, Transaction
from tetkik.records.schema import BrowserSession, User
from tetkik.values import Actor, Method, Role, permissions_of

_HOURS = 12


@dataclass(frozen=True, slots=True)
class Resumed:
    """A session that goes on.

    Attributes:
        actor: whose it is.
        csrf: the token that its requests carry.
        language: that the person chose; None for the house's.
        theme: that the person chose; None for the system's.
    """

    actor: Actor
    csrf: str
    language: str | None
    theme: str | None


def begin(tx: Transaction, user_id: str, method: Method) -> str:
    """Open a session; gives the cookie's value, which nothing else keeps."""
    cookie = secrets.token_urlsafe(32)
    tx.session.add(
        BrowserSession(
            id=_digest(cookie),
            user_id=user_id,
            method=method,
            csrf=secrets.token_urlsafe(24),
            created_at=tx.now,
            seen_at=tx.now,
            expires_at=tx.now + timedelta(hours=_HOURS),
            address=tx.actor.address,
        )
    )
    return cookie


def resume(records: Records, cookie: str, *, address: str | None, request_id: str | None) -> Resumed:
    """Go on with a session.

    Raises:
        NotSignedIn: no such session, or it is over or locked.
    """
    with records.read() as tx:
        session = tx.session.get(BrowserSession, _digest(cookie))
        user = tx.session.get(User, session.user_id) if session is not None else None
        if session is None or user is None or session.expires_at <= tx.now or user.disabled_at is not None:
            raise NotSignedIn("The session is over; sign in again.")
        if session.locked:
            raise NotSignedIn("The screen is locked; give the password again.")
        roles = frozenset(Role(name) for name in user.roles.split(",") if name)
        actor = Actor(
            user.id,
            user.name,
            roles,
            permissions_of(roles),
            tuple(name for name in user.departments.split("|") if name),
            session.id,
            session.method,
            address,
            request_id,
        )
        return Resumed(actor, session.csrf, user.language, user.theme)


def _digest(cookie: str) -> str:
    return hashlib.sha256(cookie.encode()).hexdigest()
