"""When a study is complete."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tetkik.integrations.importing import Completion, ImportProgress, may_ask, why_complete
from tetkik.integrations.systems import DicomListener

_AT = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)
_LISTENER = DicomListener(quiet_seconds=60, longest_seconds=5400)


@pytest.mark.parametrize(
    ("files", "expected", "quiet", "age", "why"),
    [
        (3, None, 59, 100, None),
        (3, None, 60, 100, Completion.QUIET),
        (3, 3, 0, 10, Completion.COUNTED),
        (4, 3, 0, 10, Completion.COUNTED),
        (2, 3, 60, 100, None),  # the source says that one is missing
        (2, 3, 900, 1000, Completion.QUIET),
        (2, 3, 10, 5400, Completion.LONGEST),
        (2, None, 10, 5400, Completion.LONGEST),
    ],
)
def test_why_a_study_is_complete(files, expected, quiet, age, why):
    now = _AT + timedelta(seconds=age)
    progress = ImportProgress(_AT, now - timedelta(seconds=quiet), files, expected, None)
    assert why_complete(progress, now, _LISTENER) is why


@pytest.mark.parametrize(
    ("quiet", "expected", "asked_before", "asks"),
    [
        (4, None, None, False),
        (5, None, None, True),
        (30, None, 20, False),
        (90, 5, 60, True),
        (30, 3, None, False),
    ],
)
def test_a_source_is_asked_when_it_is_quiet_and_not_too_often(quiet, expected, asked_before, asks):
    now = _AT + timedelta(seconds=100)
    asked_at = now - timedelta(seconds=asked_before) if asked_before is not None else None
    progress = ImportProgress(_AT, now - timedelta(seconds=quiet), 3, expected, asked_at)
    assert may_ask(progress, now, _LISTENER) is asks
