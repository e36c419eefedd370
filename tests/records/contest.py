"""Two who want the same at once, on PostgreSQL, where each waits for rows and not for the whole database."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Thread

from sqlalchemy import text

from tests.patience import PATIENCE
from tetkik.records.database import Records

_WAITING = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
)


class Other(Thread):
    """Somebody else, at the same time.

    Args:
        records: on PostgreSQL.
        does: what they do.
    """

    def __init__(self, records: Records, does: Callable[[], object]) -> None:
        super().__init__()
        self._records = records
        self._does = does
        self.error: BaseException | None = None
        self.start()

    def run(self) -> None:
        """Do it; an error is kept."""
        try:
            self._does()
        except BaseException as error:
            self.error = error

    def waits(self) -> None:
        """Return once they wait for a row, or are through."""
        until = time.monotonic() + PATIENCE
        while self.is_alive() and time.monotonic() < until:
            with self._records.engine.connect() as connection:
                if connection.scalar(text(_WAITING)):
                    return
            time.sleep(0.005)

    def fails(self) -> BaseException | None:
        """Wait for their end, and give what stopped them."""
        self.join()
        return self.error
