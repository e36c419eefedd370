"""Passkeys: what is kept of a WebAuthn credential, a public key and a counter."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, select, update

from tetkik.errors import Conflict, InputError, NotFound
from tetkik.records.audit_chain import Action
from tetkik.records.database import Transaction
from tetkik.records.ids import new_id
from tetkik.records.people import notices
from tetkik.records.row_authentication import refuse_put_back
from tetkik.records.schema.people import Passkey
from tetkik.records.schema.trail import Challenge
from tetkik.values.access import AccountChange

# Open challenges: what was asked of a browser, which any process of the service may have answered, once.


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


@dataclass(frozen=True, slots=True)
class KnownPasskey:
    id: str
    user_id: str
    credential_id: bytes
    public_key: bytes
    sign_count: int
    """Of its last use; 0 where the authenticator does not count."""
    name: str
    created_at: datetime
    used_at: datetime | None
    held: bool = False


def add(tx: Transaction, name: str, credential_id: bytes, public_key: bytes, sign_count: int) -> str:
    """Keep a passkey of the actor; gives the row's id."""
    name = name.strip()
    if not name or len(name) > 60:
        raise InputError("A passkey needs a name of at most 60 characters; give one.")
    if find(tx, credential_id) is not None:
        raise Conflict("This passkey is known already; nothing was added.")
    row = Passkey(
        id=new_id(),
        user_id=tx.actor.user_id,
        credential_id=credential_id,
        public_key=public_key,
        sign_count=sign_count,
        name=name,
        created_at=tx.now,
    )
    tx.session.add(row)
    tx.session.flush()
    tx.audit(Action.PASSKEY_ADDED, object_id=row.id)
    notices.notify(tx, row.user_id, AccountChange.PASSKEY_ADDED, name)
    return row.id


def remove(tx: Transaction, passkey_id: str) -> None:
    """Forget one of the actor's passkeys."""
    missing = NotFound("There is no such passkey; look for it in your account.")
    row = tx.find(Passkey, passkey_id, missing)
    if row.user_id != tx.actor.user_id:
        raise missing
    tx.session.delete(row)
    tx.audit(Action.PASSKEY_REMOVED, object_id=passkey_id)
    notices.notify(tx, row.user_id, AccountChange.PASSKEY_REMOVED, row.name)


def of_user(tx: Transaction, user_id: str) -> list[KnownPasskey]:
    rows = tx.session.scalars(select(Passkey).where(Passkey.user_id == user_id).order_by(Passkey.id))
    return [_known(row) for row in rows]


def find(tx: Transaction, credential_id: bytes) -> KnownPasskey | None:
    """The passkey that an authenticator calls so."""
    row = tx.session.scalar(select(Passkey).where(Passkey.credential_id == credential_id))
    if row is None:
        return None
    refuse_put_back(tx.session, row)
    return _known(row)


def used(tx: Transaction, passkey_id: str, sign_count: int) -> None:
    """Note a use and its counter."""
    use = update(Passkey).where(Passkey.id == passkey_id)
    tx.apply(use.values(sign_count=sign_count, used_at=tx.now))


def _known(row: Passkey) -> KnownPasskey:
    return row.to_value(KnownPasskey, held=row.held_at is not None)
