"""Whether the people behind open event streams may still do what they could: one query for many of them.

A stream of events goes on for an hour; in that time a session may end or be locked, a token be revoked, an
account be closed or get other roles.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import select, true

from tetkik.records.database import Transaction
from tetkik.records.people.deactivation import live_tokens
from tetkik.records.people.users import departments_of, roles_of
from tetkik.records.row_authentication import UNCHECKED, is_altered, is_put_back
from tetkik.records.schema import ApiToken, BrowserSession, User
from tetkik.values import Actor, Role


@dataclass(frozen=True, slots=True)
class AccessState:
    """What somebody may do at one moment."""

    roles: frozenset[Role]
    departments: tuple[str, ...]

    @classmethod
    def of(cls, actor: Actor) -> AccessState:
        """As it was when they came."""
        return cls(actor.roles, actor.departments)


def load_access_states(
    tx: Transaction, actors: Collection[Actor], idle: timedelta | None = None
) -> dict[str, AccessState]:
    """What each one who is still there is now, by the id of their session or token."""
    sessions = {actor.session_id for actor in actors if actor.session_id is not None}
    tokens = {actor.token_id for actor in actors if actor.token_id is not None}
    awake = (
        BrowserSession.locked.is_(False),
        BrowserSession.expires_at > tx.now,
        BrowserSession.seen_at > tx.now - idle if idle is not None else true(),
        User.must_change.is_(False),
    )
    usable = (live_tokens(tx), ApiToken.held_at.is_(None))
    found: dict[str, AccessState] = {}
    for table, ids, conditions in ((BrowserSession, sessions, awake), (ApiToken, tokens, usable)):
        rows: Any = (
            select(table, User)
            .join(User, User.id == table.user_id)
            .where(table.id.in_(ids), User.disabled_at.is_(None), *conditions)
        )
        for owner, user in tx.session.execute(rows, execution_options=UNCHECKED) if ids else ():
            if not any(is_altered(row) or is_put_back(tx.session, row) for row in (owner, user)):
                found[owner.id] = AccessState(roles_of(user.roles), departments_of(user.departments))
    return found
