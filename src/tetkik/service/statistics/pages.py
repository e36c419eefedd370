"""The page of whoever heads the department: how long reports take, how many, by whom, what was corrected."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse, Response

from tetkik.errors import InputError
from tetkik.language import Sentence
from tetkik.records.audit_chain import Action
from tetkik.records.reports.department_statistics import DepartmentStatistics, department_statistics
from tetkik.records.serialization import to_spreadsheet
from tetkik.service.kit.access.authorization import RequestContext, allowed
from tetkik.service.kit.http.responses import download_headers
from tetkik.service.kit.rendering.charts import columns
from tetkik.service.kit.rendering.navigation import NavigationEntry
from tetkik.service.statistics.view import PERIODS, Chosen, Period, table
from tetkik.values import Permission

router = APIRouter(prefix="/statistics")
NAVIGATION = (
    NavigationEntry(
        "/statistics", Permission.STATISTICS, "chart", Sentence("Statistics"), "g i", position=55, start=8
    ),
)

Head = Annotated[RequestContext, allowed(Permission.STATISTICS)]
_FEW = 10
"""Below so many a median says little, and nothing is said of nine of ten."""
_MINUTES = (1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440, 2880, 10080)
_COUNTS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 50000)


@router.get("")
def statistics(ctx: Head, chosen: Annotated[Chosen, Query()]) -> HTMLResponse:
    today, error = datetime.now().astimezone().date(), None
    try:
        period = chosen.period(today)
    except InputError as wrong:
        period, error = Chosen().period(today), wrong
    found = _load(ctx, period, Action.STATISTICS_OPENED)
    return ctx.render(
        "statistics/page.html.jinja",
        found=found,
        period=period,
        periods=PERIODS,
        today=today,
        few=_FEW,
        waiting=columns([hour.signed.median for hour in found.hours], 960, 160, _MINUTES),
        arrived=columns([float(hour.arrived) for hour in found.hours], 960, 120, _COUNTS),
        error=error,
    )


@router.get("/table.csv")
def export(ctx: Head, chosen: Annotated[Chosen, Query()]) -> Response:
    """The same figures for a spreadsheet."""
    period = chosen.period(datetime.now().astimezone().date())
    found = _load(ctx, period, Action.STATISTICS_EXPORTED)
    name = f"statistics-{period.first:%Y%m%d}-{period.last:%Y%m%d}.csv"
    return Response(
        to_spreadsheet(table(found, period, ctx.language)),
        media_type="text/csv; charset=utf-8",
        headers=download_headers(name),
    )


def _load(ctx: RequestContext, period: Period, action: Action) -> DepartmentStatistics:
    with ctx.write() as tx:
        tx.audit(action, since=period.first.isoformat(), until=period.last.isoformat())
    with ctx.read(still=True) as tx:
        return department_statistics(tx, period.since, period.until)
