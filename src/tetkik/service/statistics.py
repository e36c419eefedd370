"""The figures of a department for whoever heads it: how long reports take, how many, by whom."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse, Response
from pydantic import BaseModel, field_validator

from tetkik.errors import InputError
from tetkik.language import Language, Sentence, translate
from tetkik.records.audit_chain import Action
from tetkik.records.reports.department_statistics import (
    Count,
    DepartmentStatistics,
    Waiting,
    department_statistics,
)
from tetkik.records.serialization import to_spreadsheet
from tetkik.service.kit.access.authorization import RequestContext, allowed
from tetkik.service.kit.http.responses import Date, download_headers
from tetkik.service.kit.rendering.charts import columns
from tetkik.service.kit.rendering.templates import NavigationEntry
from tetkik.values.access import Permission

PERIODS = (7, 30, 90)
"""Days, today included."""
_LONGEST = 366
_FIRST = date(1990, 1, 1)


class Chosen(BaseModel):
    """The period as an address has it: so many days until today, or from a day to another."""

    days: int | None = None
    since: Date | None = None
    until: Date | None = None

    @field_validator("*", mode="before")
    @classmethod
    def _left_empty(cls, value: object) -> object:
        return value or None

    def period(self, today: date) -> Period:
        """The days; a month until today where nothing was chosen."""
        if self.days in PERIODS or not (self.since or self.until):
            days = self.days if self.days in PERIODS else PERIODS[1]
            return Period(today - timedelta(days=days - 1), today)
        last = self.until or today
        first = self.since or last - timedelta(days=PERIODS[1] - 1)
        if not _FIRST <= first <= last <= today + timedelta(days=1):
            raise InputError("The period must end after it begins, and not in the future.")
        if (last - first).days >= _LONGEST:
            raise InputError("The period is longer than {days} days; choose a shorter one.", days=_LONGEST)
        return Period(first, last)


@dataclass(frozen=True, slots=True)
class Period:
    """Whole days in the time zone of this machine, the last one included."""

    first: date
    last: date

    @property
    def since(self) -> datetime:
        return datetime.combine(self.first, time.min).astimezone()

    @property
    def until(self) -> datetime:
        return datetime.combine(self.last + timedelta(days=1), time.min).astimezone()

    @property
    def days(self) -> int:
        return (self.last - self.first).days + 1


def table(found: DepartmentStatistics, period: Period, language: Language) -> Iterator[list[str]]:
    """Rows: the figure, of what, how many, median and nine of ten in minutes, corrected of so many drafts."""

    def t(sentence: str) -> str:
        return translate(sentence, language)

    def row(
        figure: str, of: str, n: int, waiting: Waiting | None, corrected: Count | None = None
    ) -> list[str]:
        times = [_minutes(waiting.median), _minutes(waiting.p90)] if waiting else ["", ""]
        signed = str(waiting.n) if waiting else ""
        drafts = [str(corrected.hits), str(corrected.total)] if corrected else ["", ""]
        return [figure, of, str(n), signed, *times, *drafts]

    yield [t("First day"), period.first.isoformat(), t("Last day"), period.last.isoformat()]
    yield [
        t("figure"),
        t("group"),
        t("studies"),
        t("timed"),
        t("median, minutes"),
        t("90th percentile, minutes"),
        t("drafts corrected"),
        t("drafts signed"),
    ]
    yield row(t("Arrived"), "", found.arrived, None)
    yield row(t("Arrival to draft"), "", found.drafted.n, found.drafted)
    yield row(t("Arrival to signature"), "", found.signed.n, found.signed, found.corrected)
    for modality in found.modalities:
        yield row(t("Modality"), modality.modality or t("none given"), modality.studies, modality.signed)
    for reader in found.readers:
        yield row(t("Reader"), reader.name, reader.signed.n, reader.signed, reader.corrected)
    for hour in found.hours:
        yield row(t("Hour of arrival"), f"{hour.hour:02}:00", hour.arrived, hour.signed)


def _minutes(minutes: float | None) -> str:
    return "" if minutes is None else f"{minutes:.1f}"


pages = APIRouter(prefix="/statistics")
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


@pages.get("")
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


@pages.get("/table.csv")
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
