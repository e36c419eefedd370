"""A clock of the records that a test moves: nothing waits, and time passes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo

import pytest

from tetkik.records import database
from tetkik.records.images import jobs


class Clock:
    """What the next transactions take for now; it stands still until it is moved."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def go(self, **ahead: float) -> None:
        """Let time pass: `minutes=5`."""
        self.now += timedelta(**ahead)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of every transaction from here on."""
    held = Clock()

    class Moved(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return held.now.astimezone(tz)

    monkeypatch.setattr(database, "datetime", Moved)
    monkeypatch.setattr(jobs, "clock", lambda tx: tx.now)  # PostgreSQL's own stands still for no test
    return held
