"""Refused sign-ins in the audit trail: one entry a minute for an account, or for a network without a login.

Further ones within that minute are counted in this process; one entry with their number, and with address
and time of the last of them, is written once the minute is over.
"""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from weakref import WeakKeyDictionary

from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError

from tetkik.errors import Unavailable
from tetkik.records.audit_chain import Action, TrailEntry
from tetkik.records.database import Records
from tetkik.records.vault import Vault
from tetkik.values.access import SYSTEM, Actor

# Token buckets that the processes of one PostgreSQL share, each a moment: when it is full again.
#
# Of an empty bucket that moment lies as far ahead as filling takes; each token moves it on (the generic cell
# rate algorithm, ITU-T I.371, annex A). One statement takes tokens, and the database's clock counts for all.


_TAKE = text(
    "INSERT INTO rate_buckets AS b (key, full_at) VALUES (:key, clock_timestamp() + :cost) "
    "ON CONFLICT (key) DO UPDATE SET full_at = greatest(b.full_at, clock_timestamp()) + :cost "
    "WHERE greatest(b.full_at, clock_timestamp()) + :cost <= clock_timestamp() + :filling RETURNING 1"
)
_WAIT = text(
    "SELECT EXTRACT(EPOCH FROM full_at + :cost - clock_timestamp() - :filling) "
    "FROM rate_buckets WHERE key = :key"
)
_FULL = text("DELETE FROM rate_buckets WHERE full_at < clock_timestamp()")


def take_tokens(engine: Engine, whose: str, cost: timedelta, filling: timedelta) -> float:
    """Take tokens that come back within `cost` out of a bucket that fills within `filling`.

    Gives 0, or the seconds after which there are enough; then none was taken. `Unavailable` while the
    database is away.
    """
    given = {"key": hashlib.sha256(whose.encode()).hexdigest(), "cost": cost, "filling": filling}
    try:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            if connection.scalar(_TAKE, given):
                return 0
            return max(float(connection.scalar(_WAIT, given) or 0), 0.001)
    except OperationalError:
        raise Unavailable("The database does not answer; try again in a moment.") from None


def delete_full(engine: Engine) -> None:
    """Remove the rows of buckets that are full."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(_FULL)


_EVERY = timedelta(minutes=1)
_NEVER = datetime.min.replace(tzinfo=UTC)
_lock = threading.Lock()


@dataclass(slots=True)
class _Refused:
    """Refusals of one account or network that no entry tells of yet."""

    actor: Actor
    """Of the last one, as its time and what it says."""
    at: datetime
    detail: dict[str, str]
    user_id: str | None
    number: int = 0
    logins: set[str] = field(default_factory=set)
    """Digests of what was typed in place of a login."""
    written: datetime = _NEVER
    """When the last entry was made."""

    def entry(self) -> TrailEntry:
        more = {"count": self.number, "logins": len(self.logins)}
        detail = self.detail | {name: number for name, number in more.items() if number > 1}
        return TrailEntry(self.at, self.actor, Action.SIGN_IN_FAILED, None, None, self.user_id, detail)


_known: WeakKeyDictionary[Vault, dict[str, _Refused]] = WeakKeyDictionary()


def record_refusal(
    records: Records, actor: Actor, network: str, user_id: str | None = None, **detail: str
) -> None:
    """Record that `actor` was refused from a network; `user_id` is the account, if there is one."""
    key = user_id or f"{actor.method} {network}"
    with records.read() as tx:
        now = tx.now
    with _lock:
        known = _known.setdefault(records.vault, {})
        one = known.setdefault(key, _Refused(actor, now, detail, user_id))
        one.actor, one.at, one.detail = actor, now, detail
        one.number += 1
        one.logins |= {detail["typed"]} if "typed" in detail else set()
        due = now - one.written >= _EVERY
    if due:
        write_refusals(records, actor)


def write_refusals(records: Records, actor: Actor = SYSTEM, every: timedelta = _EVERY) -> None:
    """Write the entries whose minute is over; where that fails, what they would tell stays counted."""
    with records.read() as tx:
        now = tx.now
    with _lock:
        known = _known.setdefault(records.vault, {})
        over = {key: one for key, one in known.items() if now - one.written >= every}
        for key, one in over.items():
            del known[key]
            if one.number:
                known[key] = replace(one, number=0, logins=set(), written=now)
    waiting = {key: one for key, one in over.items() if one.number}
    if not waiting:
        return
    try:
        with records.write(actor) as tx:
            tx.entries += [one.entry() for one in waiting.values()]
    except BaseException:
        with _lock:
            for key, one in waiting.items():
                later = known.setdefault(key, replace(one, number=0, logins=set()))
                later.number, later.written = later.number + one.number, one.written
                later.logins |= one.logins
        raise


def count_unwritten(vault: Vault) -> int:
    """How many refusals no entry tells of yet."""
    with _lock:
        return sum(one.number for one in _known.get(vault, {}).values())
