"""Token buckets that the processes of one PostgreSQL share, each a moment: when it is full again.

Of an empty bucket that moment lies as far ahead as filling takes; each token moves it on (the generic cell
rate algorithm, ITU-T I.371, annex A). One statement takes tokens, and the database's clock counts for all.
"""

from __future__ import annotations

import hashlib
from datetime import timedelta

from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError

from tetkik.errors import Unavailable

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
