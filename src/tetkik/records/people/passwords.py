"""Passwords: argon2id, and which ones are refused.

Length and a list decide, never a rule of composition (NIST SP 800-63B, 3.1.1.2); the parameters of argon2id
are those of the OWASP Password Storage Cheat Sheet.
"""

from __future__ import annotations

import hashlib
import secrets
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cache
from importlib import resources
from threading import BoundedSemaphore

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import delete, func, select

from tetkik.errors import InputError
from tetkik.records.database import Transaction
from tetkik.records.schema.people import SignInFailures
from tetkik.turkish import fold

# Wrong passwords, counted apart for each place that they come from, so that guessing stops nobody else.
#
# A session (the locked screen, a signature), a browser in which this account was used before, a network:
# each has a counter of its own, whose pause grows. One more counter joins all networks and bounds what
# somebody who has many of them can try; a session and a known browser are not asked about it.


FREE_FAILURES = 5
"""Failures at one place before its first pause."""
FIRST_PAUSE = timedelta(seconds=30)
LONGEST_PAUSE = timedelta(minutes=15)
FREE_TOGETHER = 50
"""Failures of all networks together before the first pause."""
PACE = timedelta(minutes=6)
"""After those, one attempt of all networks together in this time."""
KEPT = timedelta(days=1)
"""How long a counter stands without a further failure."""
EVERY_NETWORK = "networks"
"""The place that all networks share."""


_STRANGER = "login "


def stranger(digest: str) -> str:
    """Whose the attempts are for a login that nobody has here, by its keyed digest."""
    return _STRANGER + digest


def user_of(whose: str) -> str | None:
    """The account that attempts are counted for; None for a login that nobody has here."""
    return None if whose.startswith(_STRANGER) else whose


def pause_after(failures: int) -> timedelta | None:
    """How long a place pauses after so many failures in a row: 30 s, doubling, 15 minutes at most."""
    if failures < FREE_FAILURES:
        return None
    doubled = min(failures - FREE_FAILURES, 10)
    return min(FIRST_PAUSE * (1 << doubled), LONGEST_PAUSE)


def count_failure(tx: Transaction, whose: str, places: Sequence[str]) -> bool:
    """Count one more failure at each place, for an account or a `stranger`.

    False where one of the places pauses, and then nothing is counted.
    """
    rows = [_row(tx, whose, place) for place in places]
    if any(row.until is not None and row.until > tx.now for row in rows):
        return False
    tx.session.add_all(rows)
    for place, row in zip(places, rows, strict=True):
        if place == EVERY_NETWORK:
            drained = int((tx.now - row.at) / PACE)
            left = max(row.failed - drained, 0)
            row.failed, row.at = left + 1, row.at + drained * PACE if left else tx.now
            row.until = row.at + PACE if row.failed >= FREE_TOGETHER else None
        else:
            row.failed, row.at = row.failed + 1, tx.now
            pause = pause_after(row.failed)
            row.until = tx.now + pause if pause else None
    return True


def take_back(tx: Transaction, whose: str, places: Sequence[str], *, proved: bool = True) -> None:
    """The attempt was right: its place begins anew, and all networks together have one failure less.

    One that was not `proved`, since nobody could tell, is only not counted.
    """
    for place in places:
        row = _row(tx, whose, place)
        one_less = place == EVERY_NETWORK or not proved
        row.failed, row.until = (max(row.failed - 1, 0) if one_less else 0), None


def forget(tx: Transaction, user_id: str) -> None:
    """End every pause of a user."""
    tx.session.execute(delete(SignInFailures).where(SignInFailures.user_id == user_id))


def paused_until(tx: Transaction, user_id: str) -> datetime | None:
    """Until when some place pauses; None where none does."""
    mine = SignInFailures.user_id == user_id
    return tx.session.scalar(
        select(func.max(SignInFailures.until)).where(mine, SignInFailures.until > tx.now)
    )


def delete_old(tx: Transaction) -> None:
    """Remove the counters that nobody has added to for a day."""
    tx.session.execute(delete(SignInFailures).where(SignInFailures.at < tx.now - KEPT))


def _row(tx: Transaction, whose: str, place: str) -> SignInFailures:
    """The counter of a place; a new one is in no table yet: a paused attempt leaves nothing."""
    key = hashlib.sha256(f"{whose} {place}".encode()).hexdigest()
    row = tx.session.get(SignInFailures, key, with_for_update=True)
    if row is None:
        row = SignInFailures(key=key, user_id=user_of(whose), failed=0, until=None, at=tx.now)
    return row


SHORTEST = 12
LONGEST = 128
"""Characters: room for a passphrase of twenty words (OWASP ASVS 4.0.3, 2.1.2)."""
_GOOD = 16
_STRONG = 24
"""Characters from which a password that is not refused withstands guessing ever longer."""
_REST = 6
"""What has to be left of a password once everything well-known is taken out of it."""
_DIFFERENT = 5
_AT_ONCE = BoundedSemaphore(4)
"""Each takes 19 MiB: many who knock at once wait for each other."""
_HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)


def hashed(password: str) -> str:
    """The argon2id hash of a password, with its parameters and a fresh salt."""
    with _AT_ONCE:
        return _HASHER.hash(_normal(password))


def matches(password: str, known: str | None) -> bool:
    """Whether `password` is the one that was hashed.

    Without a hash one is computed all the same: an unknown user takes as long as a known one.
    """
    decoy = _decoy()
    try:
        with _AT_ONCE:
            return _HASHER.verify(known or decoy, _normal(password)) and known is not None
    except (VerificationError, InvalidHashError):
        return False


def is_outdated(known: str) -> bool:
    """Whether a hash was made with other parameters than today's."""
    return _HASHER.check_needs_rehash(known)


def refuse_weak(password: str, own: Iterable[str] = ()) -> None:
    """Refuse a password that is short or easily guessed, from the person's and hospital's names, too."""
    found = strength(password, own)
    if found is Strength.SHORT:
        raise InputError(
            "The password is too short; take at least {least} characters, such as four words of your own.",
            least=SHORTEST,
        )
    if found is Strength.LONG:
        raise InputError("The password is too long; take at most {most} characters.", most=LONGEST)
    if found is Strength.GUESSABLE:
        raise InputError(
            "The password is easily guessed (a common one, your name, the hospital's name, or one character "
            "again and again); take four words of your own."
        )


class Strength(StrEnum):
    """How well a password withstands guessing, as far as length and known words tell."""

    SHORT = "short"
    GUESSABLE = "guessable"
    LONG = "long"
    """Longer than what is taken."""
    ENOUGH = "enough"
    GOOD = "good"
    STRONG = "strong"

    @property
    def level(self) -> int:
        """Of a meter, 0 to 4; what is refused reaches 1 at most."""
        return _LEVELS[self]


_LEVELS = dict(zip(Strength, (0, 1, 1, 2, 3, 4), strict=True))


def strength(password: str, own: Iterable[str] = ()) -> Strength:
    """What `refuse_weak` would say, and how much more than enough it is."""
    if len(password) < SHORTEST:
        return Strength.SHORT
    if len(password) > LONGEST:
        return Strength.LONG
    if _is_guessable(password, own):
        return Strength.GUESSABLE
    if len(password) < _GOOD:
        return Strength.ENOUGH
    return Strength.GOOD if len(password) < _STRONG else Strength.STRONG


def _is_guessable(password: str, own: Iterable[str]) -> bool:
    rest = _plain(password)
    if len(set(rest)) < _DIFFERENT:
        return True
    words = {_plain(part) for name in own for part in (name, *name.split())}
    known = sorted({word for word in words if len(word) >= 3} | _common(), key=len, reverse=True)
    for word in known:
        rest = rest.replace(word, "")
    return len(rest) < _REST


def _plain(text: str) -> str:
    return "".join(fold(text).split())


def _normal(password: str) -> str:
    # The same word typed on another keyboard may come in another form of Unicode.
    return unicodedata.normalize("NFKC", password)


@cache
def _common() -> frozenset[str]:
    words = resources.files("tetkik.records.people").joinpath("common_passwords.txt").read_text("utf-8")
    return frozenset(_plain(word) for word in words.splitlines() if word and not word.startswith("#"))


@cache
def _decoy() -> str:
    return hashed(secrets.token_urlsafe(16))
