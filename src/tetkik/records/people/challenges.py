"""Open challenges: what was asked of a browser, which any process of the service may have answered, once."""

from __future__ import annotations

import hashlib
from datetime import timedelta

from sqlalchemy import delete

from tetkik.records.database import Transaction
from tetkik.records.schema import Challenge

LASTING = timedelta(minutes=5)


def keep_challenge(tx: Transaction, secret: str, content: str) -> None:
    """Keep what belongs to `secret`, which a browser has to bring back within five minutes.

    How many there are at once is bounded by how many requests the service answers in that time.
    """
    tx.apply(delete(Challenge).where(Challenge.expires_at <= tx.now))
    digest = _digest(secret)
    sealed = tx.vault.seal(content.encode(), _place(digest))
    tx.session.add(Challenge(digest=digest, content=sealed, expires_at=tx.now + LASTING))


def redeem_challenge(tx: Transaction, secret: str) -> str | None:
    """What was kept, the first time; None where nothing was, or too long ago.

    Of two that ask at once the database lets one remove the row.
    """
    digest = _digest(secret)
    removed = (
        delete(Challenge).where(Challenge.digest == digest).returning(Challenge.content, Challenge.expires_at)
    )
    row = tx.session.execute(removed).one_or_none()
    if row is None or row.expires_at <= tx.now:
        return None
    return tx.vault.open(row.content, _place(digest)).decode()


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _place(digest: str) -> str:
    return f"challenges.content:{digest}"
