"""Which period, and the figures of a department as a table for a spreadsheet."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from pydantic import BaseModel, field_validator

from tetkik.errors import InputError
from tetkik.language import Language, translate
from tetkik.records.reports.agreement import Count
from tetkik.records.reports.department_statistics import DepartmentStatistics, Waiting
from tetkik.service.kit.http.shape import Date

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
