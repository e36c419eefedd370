"""Passwords: argon2id, and which ones are refused.

Length and a list decide, never a rule of composition (NIST SP 800-63B, 3.1.1.2); the parameters of argon2id
are those of the OWASP Password Storage Cheat Sheet.
"""

from __future__ import annotations

import secrets
import unicodedata
from collections.abc import Iterable
from enum import StrEnum
from functools import cache
from importlib import resources
from threading import BoundedSemaphore

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from tetkik.errors import InputError
from tetkik.turkish import fold

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
