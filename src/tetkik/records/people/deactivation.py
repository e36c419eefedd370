"""Revoking what opens an account: sessions, one-time links, passkeys and tokens."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import ColumnElement, delete, select

from tetkik.records.database import Transaction
from tetkik.records.row_authentication import delete_rows
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
    """Remove every passkey of a user and revoke every token; gives how many of each."""
    passkeys = delete_rows(tx.session, Passkey, Passkey.user_id == user_id)
    going = tx.session.scalars(select(ApiToken).where(ApiToken.user_id == user_id, live_tokens(tx))).all()
    for token in going:
        token.revoked_at = tx.now
    return RevokedAccess(passkeys=passkeys, tokens=len(going))
