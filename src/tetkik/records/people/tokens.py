"""Tokens for programs: part of their owner's permissions, for a time, kept as digests."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import select, update

from tetkik.errors import Forbidden, InputError, NotFound, NotSignedIn
from tetkik.records.audit_chain import Action
from tetkik.records.database import Records, Transaction
from tetkik.records.ids import new_id
from tetkik.records.people import notices
from tetkik.records.people.deactivation import live_tokens
from tetkik.records.people.users import Peer, build_actor, digest_of
from tetkik.records.row_authentication import refuse_put_back
from tetkik.records.schema import ApiToken, User
from tetkik.values import AccountChange, Actor, Method, Permission

PREFIX = "tetkik_"
"""Before every token, so that one that leaked is recognised."""
LONGEST = timedelta(days=366)
_NOTED = timedelta(minutes=1)
_PERSONAL = frozenset({Permission.OWN_ACCOUNT})
"""What no program does in a person's name: passwords, passkeys, other tokens."""


@dataclass(frozen=True, slots=True)
class Token:
    """A token as its owner sees it; its secret is shown once, when it is made."""

    id: str
    name: str
    scopes: tuple[Permission, ...]
    created_at: datetime
    expires_at: datetime
    used_at: datetime | None
    held: bool = False


def grantable(actor: Actor) -> tuple[Permission, ...]:
    """What a person may hand on to a program, in order."""
    return tuple(sorted(actor.permissions - _PERSONAL))


def create(tx: Transaction, name: str, scopes: Iterable[Permission], lasting: timedelta) -> tuple[str, Token]:
    """A new token of the actor; gives its secret, which nothing keeps, and what is kept."""
    chosen, name = frozenset(scopes), name.strip()
    if not name or len(name) > 60:
        raise InputError("A token needs a name of at most 60 characters; give one.")
    beyond = sorted(chosen - frozenset(grantable(tx.actor)))
    if beyond:
        raise Forbidden("A token cannot have {scope}; choose what you may do yourself.", scope=beyond[0])
    if not timedelta(0) < lasting <= LONGEST:
        raise InputError("A token ends after 1 to 366 days; choose another end.")
    secret = PREFIX + secrets.token_urlsafe(32)
    row = ApiToken(
        id=new_id(),
        user_id=tx.actor.user_id,
        name=name,
        digest=digest_of(secret),
        scopes=",".join(sorted(chosen)),
        created_at=tx.now,
        expires_at=tx.now + lasting,
    )
    tx.session.add(row)
    tx.session.flush()
    tx.audit(Action.TOKEN_CREATED, object_id=row.id, scopes=row.scopes)
    notices.notify(tx, row.user_id, AccountChange.TOKEN_MADE, name)
    return secret, _token(row)


def revoke(tx: Transaction, token_id: str) -> None:
    """End one of the actor's tokens."""
    missing = NotFound("There is no such token; look for it in your account.")
    row = tx.find(ApiToken, token_id, missing)
    if row.user_id != tx.actor.user_id:
        raise missing
    if row.revoked_at is None:
        row.revoked_at = tx.now
        tx.audit(Action.TOKEN_REVOKED, object_id=row.id)


def list_tokens(tx: Transaction) -> list[Token]:
    """The actor's tokens that open something, the latest first."""
    rows = tx.session.scalars(
        select(ApiToken)
        .where(ApiToken.user_id == tx.actor.user_id, live_tokens(tx))
        .order_by(ApiToken.id.desc())
    )
    return [_token(row) for row in rows]


def authenticate_token(records: Records, secret: str, peer: Peer) -> Actor:
    """Who sends a token (else `NotSignedIn`): its owner, with what token and roles both allow."""
    with records.read() as tx:
        row = tx.session.scalar(
            select(ApiToken)
            .join(User, User.id == ApiToken.user_id)
            .where(ApiToken.digest == digest_of(secret), live_tokens(tx), User.disabled_at.is_(None))
        )
        if row is None:
            raise NotSignedIn("The token is unknown or over; make a new one in your account.")
        if row.held_at is not None:
            raise NotSignedIn(
                "The token came back with a backup and waits; ask the administrator to confirm it."
            )
        user = tx.session.get_one(User, row.user_id)
        refuse_put_back(tx.session, row, user)
        owner = build_actor(user, Method.TOKEN, peer)
        granted = owner.permissions & frozenset(_scopes(row))
        actor = replace(owner, permissions=granted, token_id=row.id)
        unnoted = row.used_at is None or tx.now - row.used_at >= _NOTED
    if unnoted:
        with records.write(actor) as tx:
            tx.apply(update(ApiToken).where(ApiToken.id == actor.token_id).values(used_at=tx.now))
    return actor


def _scopes(row: ApiToken) -> tuple[Permission, ...]:
    return tuple(Permission(name) for name in row.scopes.split(",") if name)


def _token(row: ApiToken) -> Token:
    return row.to_value(Token, scopes=_scopes(row), held=row.held_at is not None)
