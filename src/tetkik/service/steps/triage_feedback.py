"""The table of the desk's decisions as a file to keep."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

from fastapi.responses import Response

from tetkik.records.cases import triage_feedback
from tetkik.service.house import House
from tetkik.values import Actor


def triage_csv(house: House, actor: Actor, since: date | None, until: date | None) -> Response:
    """The table as CSV; the trail notes who took it.

    Args:
        house: whose.
        actor: who takes it.
        since: the first day, UTC; None from the first.
        until: the last day, UTC; None to the last.
    """
    with house.records.write(actor) as tx:
        found = triage_feedback.export(tx, _start(since), _end(until))
    return Response(
        found.as_csv(),
        media_type="text/csv; charset=utf-8",
        headers={
            "Content-Disposition": 'attachment; filename="triage-feedback.csv"',
            "Cache-Control": "no-store",
        },
    )


def _start(day: date | None) -> datetime | None:
    return datetime.combine(day, time.min, UTC) if day is not None else None


def _end(day: date | None) -> datetime | None:
    if day is None or day == date.max:
        return None
    return datetime.combine(day + timedelta(days=1), time.min, UTC)
