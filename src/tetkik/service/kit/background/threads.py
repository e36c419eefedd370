"""Threads that do something again and again until they are stopped: refused sign-ins, retention."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from datetime import timedelta

import structlog
from sqlalchemy.exc import SQLAlchemyError

from tetkik.errors import TetkikError
from tetkik.records.lifecycle import retention
from tetkik.records.people.refusals import write_refusals
from tetkik.service.kit.context import AppContext
from tetkik.settings import Settings
from tetkik.values.access import SYSTEM


class PeriodicThread(ABC):
    """Calls `run_once` after `first` seconds, and then every `interval` seconds."""

    def __init__(self, name: str, interval: float, first: float | None = None) -> None:
        self._interval = interval
        self._first = interval if first is None else first
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def end(self) -> None:
        """Let it end what it is doing, and begin nothing more."""
        self._stop.set()

    def stop(self) -> None:
        """The same, and wait for that."""
        self.end()
        self._thread.join()

    @property
    def stopping(self) -> bool:
        """Whether it is to end; asked between the pieces of long work."""
        return self._stop.is_set()

    @abstractmethod
    def run_once(self) -> None:
        """What it does; whatever may fail is caught here, for nothing would start the thread again."""

    def _run(self) -> None:
        wait = self._first
        while not self._stop.wait(wait):
            self.run_once()
            wait = self._interval


_SECONDS = 20
_log = structlog.get_logger()


class RefusalThread(PeriodicThread):
    """Writes the entries whose minute is over, and the others once it is stopped."""

    def __init__(self, context: AppContext) -> None:
        super().__init__("refusals", _SECONDS)
        self._context = context

    def stop(self) -> None:
        super().stop()
        self._write(every=timedelta(0))

    def run_once(self) -> None:
        self._write()

    def _write(self, **options: timedelta) -> None:
        try:
            write_refusals(self._context.records, SYSTEM, **options)
        except (TetkikError, OSError, SQLAlchemyError) as error:
            # What could not be written is tried again the next time.
            _log.error("refusals.not_written", fault=type(error).__name__)


_CHECKS = 15 * 60
"""Seconds between two checks whether a day has passed."""
_FIRST = 60
"""Seconds after the start: nobody waits for it then."""


class RetentionThread(PeriodicThread):
    """Checks whether retention is due, until it is stopped."""

    def __init__(self, context: AppContext, first: float = _FIRST) -> None:
        super().__init__("retention", _CHECKS, first)
        self._context = context

    def run_once(self) -> None:
        """Apply retention where a day has passed."""
        try:
            done = retention.apply_if_due(self._context.records, terms(self._context.settings))
            if done is not None:
                _log.info("retention.applied", erased=done.erased, cases=done.cases, files=done.files)
            if done is not None and done.held:
                _log.warning("retention.files_held", remedy="tetkik retention --stray-files")
        except Exception as error:
            # The next check tries again, also where the database is away; the log has the kind alone.
            _log.error("retention.failed", fault=type(error).__name__)


def terms(settings: Settings) -> retention.RetentionTerms:
    return retention.RetentionTerms(settings.retention_years, settings.retention_closed_days)
