"""Wrong passwords, counted apart for each place that they come from, so that guessing stops nobody else.

A session (the locked screen, a signature), a browser in which this account was used before, a network: each
has a counter of its own, whose pause grows. One more counter joins all networks and bounds what somebody who
has many of them can try; a session and a known browser are not asked about it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import delete, func, select

from tetkik.records.database import Transaction
from tetkik.records.schema import SignInFailures

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
