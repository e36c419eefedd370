"""The thread that writes how many sign-ins were refused, though nobody tries again."""

from __future__ import annotations

from datetime import timedelta

import structlog
from sqlalchemy.exc import SQLAlchemyError

from tetkik.errors import TetkikError
from tetkik.records.people.refusals import write_refusals
from tetkik.service.kit.background.periodic_thread import PeriodicThread
from tetkik.service.kit.context import AppContext
from tetkik.values import SYSTEM

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
