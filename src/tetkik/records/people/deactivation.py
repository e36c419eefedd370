"""Revoking what opens an account: sessions, one-time links, passkeys and tokens."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import ColumnElement, delete, select

from tetkik.records.database import Transaction
from tetkik.records.row_authentication import UNCHECKED, delete_rows, is_altered, is_put_back
from tetkik.records.schema import ApiToken, BrowserSession, Invite, Passkey


@dataclass(frozen=True, slots=True)
class RevokedAccess:
    """What opened an account and does so no longer."""

    sessions: int = 0
    passkeys: int = 0
    tokens: int = 0


def live_tokens(tx: Transaction) -> ColumnElement[bool]:
    """A condition on `ApiToken`: it is not over, and nobody has revoked it."""
    return ApiToken.revoked_at.is_(None) & (ApiToken.expires_at > tx.now)


def end_sessions(tx: Transaction, user_id: str, *, keep: str | None = None) -> int:
    """Sign a user out everywhere, but for the session `keep`; gives how many sessions ended."""
    others = BrowserSession.id != (keep or "")
    return tx.apply(delete(BrowserSession).where(BrowserSession.user_id == user_id, others))


def void_links(tx: Transaction, user_id: str) -> None:
    """Void the one-time links of a user that nobody has used."""
    delete_rows(tx.session, Invite, Invite.user_id == user_id, Invite.used_at.is_(None))


def revoke_keys(tx: Transaction, user_id: str) -> RevokedAccess:
    """Remove every passkey of a user and revoke every token; gives how many of each.

    Tokens that another program altered or put back are removed.
    """
    passkeys = delete_rows(tx.session, Passkey, Passkey.user_id == user_id)
    theirs = select(ApiToken).where(ApiToken.user_id == user_id, live_tokens(tx))
    going = tx.session.scalars(theirs, execution_options=UNCHECKED).all()
    foreign = [row.id for row in going if is_altered(row) or is_put_back(tx.session, row)]
    for token in going:
        if token.id not in foreign:
            token.revoked_at = tx.now
    delete_rows(tx.session, ApiToken, ApiToken.id.in_(foreign))
    return RevokedAccess(passkeys=passkeys, tokens=len(going))
