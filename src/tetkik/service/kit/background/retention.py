"""The thread that applies retention once a day, whatever else the service does."""

from __future__ import annotations

import structlog

from tetkik.records.lifecycle import retention
from tetkik.service.kit.background.periodic_thread import PeriodicThread
from tetkik.service.kit.context import AppContext
from tetkik.settings import Settings

_CHECKS = 15 * 60
"""Seconds between two checks whether a day has passed."""
_FIRST = 60
"""Seconds after the start: nobody waits for it then."""
_log = structlog.get_logger()


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
