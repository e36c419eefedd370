"""Signing in with a password: attempts are counted first, and no answer says which part was wrong.

An attempt is written down as failed before the password is looked at, in a transaction of its own, so that
many at once gain nothing; success takes it back. After some failures a sign-in pauses, longer each time. An
unknown login costs the same time and gives the same answer.
"""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import select

from tetkik.errors import Forbidden, InputError, NotSignedIn
from tetkik.records.audit_chain import Action
from tetkik.records.database import Records, Transaction
from tetkik.records.people import notices, passwords, sessions
from tetkik.records.people.users import Peer, build_actor, folded_login, user_row
from tetkik.records.schema import User
from tetkik.values import Actor, Method

FREE_FAILURES = 5
"""Failures before the first pause."""
FIRST_PAUSE = timedelta(seconds=30)
LONGEST_PAUSE = timedelta(minutes=15)


def sign_in_by_password(records: Records, login: str, password: str, peer: Peer) -> Actor:
    """Who a login and a password belong to; `NotSignedIn` for whatever reason in one sentence."""
    user_id, known = _count(records, login, peer)
    right = passwords.matches(password, known)
    if user_id is None or not right:
        _note_failure(records, user_id, login, peer)
        raise _refused()
    return _succeed(records, user_id, password, known, peer)


def reauthenticate(records: Records, actor: Actor, password: str) -> None:
    """The same person once more, or `Forbidden`: to open a locked screen, to sign a report."""
    assert actor.user_id is not None
    with records.read() as tx:
        user = user_row(tx, actor.user_id)
        login, has_password = user.login, user.password_hash is not None
    if not has_password:
        raise Forbidden("Your account has no password; use a passkey, which you can add in your account.")
    _, known = _count(records, login, Peer(actor.address, actor.request_id))
    if not passwords.matches(password, known):
        _note_failure(records, actor.user_id, login, Peer(actor.address, actor.request_id))
        raise Forbidden("The password is not right; after several failures it pauses for a while.")
    with records.write(actor) as tx:
        user = user_row(tx, actor.user_id)
        user.failed, user.locked_until = 0, None


def pause_after(failures: int) -> timedelta | None:
    """How long a sign-in pauses after so many failures in a row: 30 s, doubling, 15 minutes at most."""
    if failures < FREE_FAILURES:
        return None
    doubled = min(failures - FREE_FAILURES, 10)
    return min(FIRST_PAUSE * (1 << doubled), LONGEST_PAUSE)


def open_session(
    tx: Transaction, user: User, method: Method, peer: Peer, lasting: timedelta, browser: str
) -> str:
    """A fresh session after a proof, audited; gives the cookie's value."""
    user.last_login_at = tx.now
    notices.notify_new_browser(tx, user.id, browser, peer.agent)
    sessions.delete_expired(tx)
    cookie = sessions.begin_session(tx, user.id, method, agent=peer.agent, lasting=lasting)
    tx.audit(Action.SIGN_IN, object_id=user.id)
    return cookie


def _nobody(peer: Peer) -> Actor:
    return Actor(None, "", method=Method.PASSWORD, address=peer.address, request_id=peer.request_id)


def _count(records: Records, login: str, peer: Peer) -> tuple[str | None, str | None]:
    """Count the attempt as failed; gives whose it is and the hash, or neither where it cannot succeed."""
    try:
        folded = folded_login(login)
    except InputError:
        folded = ""
    with records.write(_nobody(peer)) as tx:
        user = tx.session.scalar(select(User).where(User.login == folded).with_for_update())
        paused = user is not None and user.locked_until is not None and user.locked_until > tx.now
        if user is None or user.disabled_at is not None or paused:
            return None, None
        user.failed += 1
        pause = pause_after(user.failed)
        user.locked_until = tx.now + pause if pause else None
        return user.id, user.password_hash


def _note_failure(records: Records, user_id: str | None, login: str, peer: Peer) -> None:
    """The entry of the trail: without the login as typed, which may be a password in the wrong field."""
    with records.write(_nobody(peer)) as tx:
        typed = tx.vault.digest("login", login[:200]).hex()[:16] if user_id is None else None
        tx.audit(Action.SIGN_IN_FAILED, object_id=user_id, typed=typed)


def _succeed(records: Records, user_id: str, password: str, known: str | None, peer: Peer) -> Actor:
    rehashed = passwords.hashed(password) if known and passwords.is_outdated(known) else None
    with records.write(_nobody(peer)) as tx:
        user = user_row(tx, user_id)
        if user.password_hash != known or user.disabled_at is not None:
            raise _refused()  # changed or closed in between
        user.failed, user.locked_until = 0, None
        if rehashed is not None:
            user.password_hash = rehashed
        return build_actor(user, Method.PASSWORD, peer)


def _refused() -> NotSignedIn:
    return NotSignedIn(
        "The login or the password is not right; after several failures sign-in pauses for a while."
    )
