"""The thread that applies retention once a day, whatever else the service does."""

from __future__ import annotations

import threading

import structlog

from tetkik.errors import TetkikError
from tetkik.records.keeping import retention
from tetkik.service.kit.context import AppContext
from tetkik.settings import Settings

_LOOKS = 15 * 60
"""Seconds between two looks at whether a day has passed."""
_FIRST = 60
"""Seconds after the start: nobody waits for it then."""
_log = structlog.get_logger()


class RetentionThread:
    """Looks now and then whether retention is due, until it is stopped.

    Args:
        house: whose records.
        first: seconds before the first look.
    """

    def __init__(self, context: AppContext, first: float = _FIRST) -> None:
        self._context = context
        self._first = first
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="upkeep", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Finish what is under way and end."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        wait = self._first
        while not self._stop.wait(wait):
            self._look()
            wait = _LOOKS

    def _look(self) -> None:
        try:
            if retention.is_due(self._context.records):
                done = retention.apply(self._context.records, terms(self._context.settings))
                _log.info("retention.applied", erased=done.erased, cases=done.cases, files=done.files)
        except (TetkikError, OSError) as error:
            # The next look tries again; what failed is told by its kind alone.
            _log.error("retention.failed", fault=type(error).__name__)


def terms(settings: Settings) -> retention.Terms:
    """How long the settings keep what."""
    return retention.Terms(settings.retention_years, settings.retention_closed_days)
