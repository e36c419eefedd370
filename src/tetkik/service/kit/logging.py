"""The log: JSON lines on standard error, of event names, numbers and templates, never of patients.

An unexpected error is logged by its kind and where it happened: its text may hold anything.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import MutableMapping
from typing import Any, TextIO

import structlog

from tetkik.records.audit_chain import AnchorFile

LIKE_LINES = 1200
LINES = 12_000
"""Most lines a minute: of one kind (event, level, route and status), and of all kinds."""


def configure(stream: TextIO | None = None) -> None:
    """Let structlog, uvicorn and the libraries below write to one place (standard error) in one form."""
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper("iso", utc=True),
        without_words,
        with_trail_end,
    ]
    limit = LineLimit()
    structlog.configure(
        processors=[limit.drop_event, *shared, structlog.processors.JSONRenderer(ensure_ascii=False)],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(stream or sys.stderr),
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(ensure_ascii=False),
            ],
        )
    )
    handler.addFilter(limit.admits_record)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)


class LineLimit:
    """Leaves lines out above a rate, so that nobody fills the disk with them; a later one tells how many."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._minute = 0
        self._written: Counter[tuple[object, ...]] = Counter()
        self._lines = self._left_out = self._to_tell = 0

    def take(self, *kind: object) -> bool:
        """Whether one more line of a kind is written."""
        with self._lock:
            minute = int(time.monotonic() // 60)
            if minute != self._minute:
                self._minute, self._to_tell, self._left_out = minute, self._to_tell + self._left_out, 0
                self._lines = 0
                self._written.clear()
            if self._lines >= LINES or self._written[kind] >= LIKE_LINES:
                self._left_out += 1
                return False
            self._lines += 1
            self._written[kind] += 1
            return True

    def drop_event(
        self, _logger: Any, method: str, event: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        """A processor of structlog."""
        if not self.take(event.get("event"), method, event.get("route"), event.get("status")):
            raise structlog.DropEvent
        left_out, self._to_tell = self._to_tell, 0
        return {**event, "left_out": left_out} if left_out else event

    def admits_record(self, record: logging.LogRecord) -> bool:
        """A filter of `logging`: a record is of the kind of its message without its values."""
        return self.take(record.name, record.levelno, record.msg)


def with_trail_end(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The end of the audit trail as this process last wrote it: where the log goes, an anchor goes."""
    if AnchorFile.newest:
        event["trail"] = AnchorFile.newest
    return event


def without_words(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """An exception as its kind and the places it came through, without its text and without values."""
    given = event.pop("exc_info", None)
    given = sys.exc_info() if given is True else given
    error = given[1] if isinstance(given, tuple) else given if isinstance(given, BaseException) else None
    if error is not None:
        frames = traceback.extract_tb(error.__traceback__)
        event["error"] = type(error).__name__
        event["places"] = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames[-12:]]
    return event
