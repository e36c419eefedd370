"""Signing in with a password: attempts are counted first, and no answer says which part was wrong.

An attempt is written down as failed before the password is looked at, in a transaction of its own, so that
many at once gain nothing; success takes it back. After some failures a place pauses (`attempts`), longer each
time. An unknown login costs the same time and gives the same answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from sqlalchemy import ColumnElement, select

from tetkik.errors import AccessError, Forbidden, InputError, NotSignedIn
from tetkik.records.audit_chain import Action
from tetkik.records.database import Records, Transaction
from tetkik.records.people import notices, passwords, sessions
from tetkik.records.people.refusals import record_refusal
from tetkik.records.people.users import Arrival, Peer, build_actor, folded_login, sign_in_by_sso, user_row
from tetkik.records.row_authentication import refuse_put_back
from tetkik.records.schema import User
from tetkik.values import Actor, Method


@dataclass(frozen=True, slots=True)
class _Attempt:
    """An attempt that was counted as failed, at these places."""

    whose: str
    """The id of the account, or what `attempts.stranger` makes of a login that nobody has here."""
    known: str | None
    """The hash of the password."""
    places: tuple[str, ...]

    @property
    def user_id(self) -> str | None:
        """None for a login that nobody has here."""
        return passwords.user_of(self.whose)


class Directory(Protocol):
    """The hospital's directory of people, which knows their passwords."""

    @property
    def issuer(self) -> str:
        """What stands for it in the accounts of its people."""

    def authenticate(self, login: str, password: str) -> Arrival | None:
        """Whoever these belong to; None for nobody, `AccessError` where it does not answer."""


def sign_in_by_password(
    records: Records, login: str, password: str, peer: Peer, directory: Directory | None = None
) -> Actor:
    """Who a login and a password belong to; `NotSignedIn` for whatever reason in one sentence.

    An account that has a password here is never asked of the directory: who administers can sign in while
    that is down. A login that nobody has here is asked there, and becomes an account at its first success.
    """
    try:
        folded = folded_login(login)
    except InputError:
        folded = ""
    attempt = _count(records, User.login == folded, peer)
    right = passwords.matches(password, attempt.known if attempt else None)
    if not right and directory is not None and _is_of(records, folded, attempt, directory):
        attempt = attempt or _count_stranger(records, folded, peer)
        if attempt is not None:
            return _sign_in_by_directory(records, directory, attempt, login, password, peer)
    if attempt is None or not right:
        _note_failure(records, attempt.user_id if attempt else None, login, peer)
        raise _refused()
    return _succeed(records, attempt, password, peer)


def _is_of(records: Records, login: str, attempt: _Attempt | None, directory: Directory) -> bool:
    """Whether a login is one that the directory knows the password of.

    One that pauses, or is closed, is not asked about; nor is an account with a password of its own, or of
    another provider.
    """
    with records.read() as tx:
        user = tx.session.scalar(select(User).where(User.login == login))
        if user is None:
            return bool(login)
        return attempt is not None and user.password_hash is None and user.oidc_issuer == directory.issuer


def _sign_in_by_directory(
    records: Records, directory: Directory, attempt: _Attempt, login: str, password: str, peer: Peer
) -> Actor:
    arrival = _ask(records, directory, attempt, login, password, peer)
    if arrival is None:
        _note_failure(records, attempt.user_id, login, peer)
        raise _refused()
    with records.write(_nobody(peer)) as tx:
        user = sign_in_by_sso(tx, arrival)
        passwords.take_back(tx, attempt.whose, attempt.places)
        return build_actor(user, Method.PASSWORD, peer)


def _ask(
    records: Records, directory: Directory, attempt: _Attempt, login: str, password: str, peer: Peer
) -> Arrival | None:
    """Ask the directory; where it does not answer, nobody was wrong."""
    try:
        return directory.authenticate(login, password)
    except AccessError:
        with records.write(_nobody(peer)) as tx:
            passwords.take_back(tx, attempt.whose, attempt.places, proved=False)
        raise


def reauthenticate(records: Records, actor: Actor, password: str, directory: Directory | None = None) -> None:
    """The same person once more, or `Forbidden`: to open a locked screen, to sign a report.

    Failures are counted for the session alone: nobody else's wrong passwords keep its person from working.
    """
    assert actor.user_id is not None
    asked: tuple[Directory, str, str | None] | None = None
    with records.read() as tx:
        user = user_row(tx, actor.user_id)
        if user.password_hash is None and directory is not None and user.oidc_issuer == directory.issuer:
            asked = directory, user.login, user.oidc_subject
        elif user.password_hash is None:
            raise Forbidden("Your account has no password; use a passkey, which you can add in your account.")
    peer = Peer(actor.address, actor.request_id)
    attempt = _count(records, User.id == actor.user_id, peer, (f"session {actor.session_id}",))
    if asked is not None and attempt is not None:
        there, login, subject = asked
        arrival = _ask(records, there, attempt, login, password, peer)
        right = arrival is not None and arrival.subject == subject
    else:
        right = passwords.matches(password, attempt.known if attempt else None)
    if attempt is None or not right:
        _note_failure(records, actor.user_id, "", peer)
        raise Forbidden("The password is not right; after several failures it pauses for a while.")
    with records.write(actor) as tx:
        passwords.take_back(tx, attempt.whose, attempt.places)


def open_session(
    tx: Transaction, user: User, method: Method, peer: Peer, lasting: timedelta, browser: str
) -> str:
    """A fresh session after a proof, audited; gives the cookie's value."""
    refuse_put_back(tx.session, user)
    user.last_login_at = tx.now
    notices.notify_new_browser(tx, user.id, browser, peer.agent)
    sessions.delete_expired(tx)
    passwords.delete_old(tx)
    cookie = sessions.begin_session(tx, user.id, method, agent=peer.agent, lasting=lasting)
    tx.audit(Action.SIGN_IN, object_id=user.id)
    return cookie


def _nobody(peer: Peer) -> Actor:
    return Actor(None, "", method=Method.PASSWORD, address=peer.address, request_id=peer.request_id)


def _count(
    records: Records, whose: ColumnElement[bool], peer: Peer, places: tuple[str, ...] = ()
) -> _Attempt | None:
    """Count the attempt as failed, by default where its peer is counted; None where it cannot succeed."""
    with records.write(_nobody(peer)) as tx:
        user = tx.session.scalar(select(User).where(whose).with_for_update())
        if user is None or user.disabled_at is not None:
            return None
        refuse_put_back(tx.session, user)
        places = places or _places_of(tx, user.id, peer)
        if not passwords.count_failure(tx, user.id, places):
            return None
        return _Attempt(user.id, user.password_hash, places)


def _count_stranger(records: Records, login: str, peer: Peer) -> _Attempt | None:
    """Count an attempt for a login that nobody has here, so that nobody guesses through us what the directory
    would count: it may lock the account for everything else.
    """
    whose = passwords.stranger(records.vault.digest("login", login).hex())
    places = (f"network {peer.network}", passwords.EVERY_NETWORK)
    with records.write(_nobody(peer)) as tx:
        return _Attempt(whose, None, places) if passwords.count_failure(tx, whose, places) else None


def _places_of(tx: Transaction, user_id: str, peer: Peer) -> tuple[str, ...]:
    if peer.browser and notices.is_known_browser(tx, user_id, peer.browser):
        return (f"browser {peer.browser}",)
    return (f"network {peer.network}", passwords.EVERY_NETWORK)


def _note_failure(records: Records, user_id: str | None, login: str, peer: Peer) -> None:
    """The entry of the trail: without the login as typed, which may be a password in the wrong field."""
    typed = {} if user_id else {"typed": records.vault.digest("login", login[:200]).hex()[:16]}
    record_refusal(records, _nobody(peer), peer.network, user_id, **typed)


def _succeed(records: Records, attempt: _Attempt, password: str, peer: Peer) -> Actor:
    known = attempt.known
    rehashed = passwords.hashed(password) if known and passwords.is_outdated(known) else None
    with records.write(_nobody(peer)) as tx:
        user = user_row(tx, attempt.whose)
        if user.password_hash != known or user.disabled_at is not None:
            raise _refused()  # changed or closed in between
        passwords.take_back(tx, attempt.whose, attempt.places)
        if rehashed is not None:
            user.password_hash = rehashed
        return build_actor(user, Method.PASSWORD, peer)


def _refused() -> NotSignedIn:
    return NotSignedIn(
        "The login or the password is not right; after several failures sign-in pauses for a while."
    )
