"""What a request asks of the worklist, and the same as an address: for the API and the page alike."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Any
from urllib.parse import urlencode

from pydantic import BaseModel, ConfigDict, Field

from tetkik.errors import InputError
from tetkik.records.reports.withdrawal_queries import Withdrawn
from tetkik.records.worklist import search as records
from tetkik.records.worklist.case_columns import Sort, SortColumn
from tetkik.records.worklist.worklist import OPEN, Assigned, Scope, WorklistCursor, WorklistFilter
from tetkik.records.worklist.worklist_items import WorklistItem
from tetkik.service.kit.http.paging import decode_cursor, encode_cursor
from tetkik.service.kit.http.shape import Date, Shape
from tetkik.values import CaseState, JobState, Priority, ReportState, Sex, UrgencyLevel


class PriorityWord(StrEnum):
    """`values.Priority` as a word."""

    CRITICAL = "critical"
    URGENT = "urgent"
    ROUTINE = "routine"

    @classmethod
    def of(cls, priority: Priority) -> PriorityWord:
        return cls(priority.name.lower())

    @property
    def priority(self) -> Priority:
        return Priority[self.name]


_EARLIEST, _LATEST = date(1990, 1, 1), date(2200, 1, 1)


class WorklistQuery(BaseModel):
    """Which cases; without anything, every open one."""

    model_config = ConfigDict(frozen=True)

    state: list[CaseState] = Field(
        default_factory=list, max_length=8, description="Where they are on their way; several may be given."
    )
    priority: list[PriorityWord] = Field(
        default_factory=list, max_length=8, description="Of the order; several may be given."
    )
    department: str | None = Field(default=None, min_length=1, max_length=60)
    modality: str | None = Field(
        default=None, pattern="^[A-Z0-9_]{1,16}$", description="DICOM's code of an image."
    )
    finding: str | None = Field(
        default=None,
        pattern="^[A-Za-z0-9_-]{1,60}$",
        description="A positive finding, as the model calls it.",
    )
    scope: Scope = Field(
        Scope.ALL,
        description="Whose: that I am reading (`mine`), that somebody is (`claimed`), that nobody is.",
    )
    assigned: Assigned | None = Field(
        default=None, description="Assigned to me (`mine`), to a pool of mine (`pools`), to `nobody`."
    )
    since: Date | None = Field(
        default=None, description="Waiting since this day or later, in the time zone of the server."
    )
    until: Date | None = Field(default=None, description="Waiting since this day or earlier.")
    sort: str | None = Field(
        default=None,
        pattern=f"^(priority|-?({'|'.join(SortColumn)}))$",
        description="A column, with `-` before it downwards; the first 1,000 cases by priority are sorted, "
        "or by waiting where that is the column. Without one, or `priority`: by priority, then by waiting.",
    )

    def chosen(self) -> WorklistFilter:
        return WorklistFilter(
            tuple(state for state in CaseState if state in self.state) or OPEN,
            tuple(sorted({word.priority for word in self.priority})) or tuple(Priority),
            self.department,
            self.modality,
            self.finding,
            self.scope,
            _begin(self.since) if self.since else None,
            _begin(self.until, days=1) if self.until else None,
            self.assigned,
        )

    def order(self) -> Sort | None:
        """The column to sort by; None for the order of priority."""
        if self.sort in (None, "priority"):
            return None
        assert self.sort is not None
        return Sort(SortColumn(self.sort.removeprefix("-")), self.sort.startswith("-"))

    def pairs(self) -> list[tuple[str, str]]:
        """What differs from nothing, as parts of an address."""
        return [
            (name, str(one))
            for name, value in self.model_dump(mode="json", exclude_defaults=True).items()
            for one in (value if isinstance(value, list) else [value])
            if one is not None
        ]

    def address(self, **changed: Any) -> str:
        """What stands behind the `?` of an address, with some of it changed; empty for every open case."""
        return urlencode(self.model_copy(update=changed).pairs())

    def toggled(self, name: str, value: Any) -> str:
        """The address with a value of a list put in or taken out, or a single one chosen or left."""
        before = getattr(self, name)
        if isinstance(before, list):
            after = [one for one in before if one != value] if value in before else [*before, value]
        else:
            after = type(self).model_fields[name].default if before == value else value
        return self.address(**{name: after})


def cursor_of(place: WorklistCursor | int | None) -> str | None:
    """The cursor of a place; None after the last page."""
    if place is None:
        return None
    if isinstance(place, int):
        return encode_cursor([place])
    return encode_cursor([int(place.priority), place.waiting_since.isoformat(), place.case_id])


def place_of(cursor: str | None, order: Sort | None = None) -> WorklistCursor | int | None:
    """The place that a cursor of a list in some order stands for; None for the first page."""
    if cursor is None:
        return None
    if order is not None:
        (place,) = decode_cursor(cursor, (int,))
        return max(0, int(place))
    priority, moment, case_id = decode_cursor(cursor, (int, str, str))
    try:
        since = datetime.fromisoformat(str(moment))
        if since.tzinfo is None:
            raise ValueError
        return WorklistCursor(int(priority), since.astimezone(UTC), str(case_id))
    except (ValueError, OverflowError):
        raise InputError(
            "The cursor is not one of this list; take `next` of the page before, as it is."
        ) from None


def _begin(day: date, days: int = 0) -> datetime:
    """The first moment of a day, or of so many days after it, in the time zone of the server."""
    near = min(max(day, _EARLIEST), _LATEST)  # what lies further off is the same as none
    return datetime.combine(near + timedelta(days=days), time.min).astimezone()


class PositiveFinding(Shape):
    """A positive finding of the newest run."""

    label: str = Field(description="As the model calls it.")
    probability: float | None = Field(description="Calibrated, from 0 to 1.")


class CaseReader(Shape):
    """Who is reading a case."""

    user_id: str
    name: str
    since: datetime
    expires_at: datetime = Field(description="When the case is free again, unless the claim is renewed.")


class Assignee(Shape):
    """A reader, or a pool of readers."""

    id: str
    name: str
    pool: bool


class Assignment(BaseModel):
    """To whom a case is assigned."""

    assignee_id: str | None = Field(
        max_length=26, description="The id of a reader or of a pool; null for nobody in particular."
    )


class PriorityReasonShape(Shape):
    """Why a case has its priority; nothing asks for that of a routine case."""

    chosen: bool = Field(description="A person chose it.")
    findings: list[PositiveFinding] = Field(description="That ask for it.")
    urgency: UrgencyLevel | None = Field(description="Of the complaint, where that asks for it.")
    rules: list[str] = Field(description="Ids of the rules of triage that gave that level.")
    by_person: bool = Field(description="Whether a person set that level.")
    not_assessed: bool = Field(description="Whether the urgency of the complaint could not be assessed.")


class WorklistCase(Shape):
    """A case in the worklist; identity is empty where the case is restricted and not open to whoever asks."""

    case_id: str
    number: str
    name: str
    registered_as: str = Field(
        description="The name under which the case was opened, where another record stands for it."
    )
    patient_number: str
    birth_date: str = Field(description="`YYYYMMDD`.")
    sex: Sex | None
    complaint: str
    hidden: bool = Field(description="Whether it is restricted and not open to whoever asks.")
    urgency: UrgencyLevel | None = Field(
        description="None without a complaint, or where it could not be assessed."
    )
    priority: PriorityWord
    reason: PriorityReasonShape = Field(description="Why it has this priority.")
    department: str | None
    state: CaseState = Field(description="Where the case is on its way.")
    modalities: list[str]
    body_parts: list[str] = Field(description="Body Part Examined of its studies, as DICOM writes them.")
    images: int
    study_date: date | None = Field(
        description="Of its newest study; without one in its files, when it came."
    )
    prior: bool = Field(description="Whether the patient has images in an earlier case.")
    assignee: Assignee | None
    findings: list[PositiveFinding] = Field(
        description="Positive ones, critical ones first; of a signed case those that its radiologist "
        "confirmed, without a probability."
    )
    unsuitable: bool = Field(description="Whether the newest run refused an image.")
    waiting_since: datetime
    reader: CaseReader | None
    report: ReportState | None
    withdrawn: Withdrawn | None = Field(
        description="Who took a report back, when and why, where it was not signed anew since; else None."
    )
    job: JobState | None = Field(description="Where the newest work of a model is.")

    @classmethod
    def of(cls, item: WorklistItem) -> WorklistCase:
        return cls.from_value(
            item,
            birth_date=item.born,
            priority=PriorityWord.of(item.priority),
            study_date=item.study.shown if item.study else None,
        )


class Reading(BaseModel):
    """Who is reading a case."""

    reader: CaseReader | None = Field(description="None where nobody is.")


class Wanted(BaseModel):
    """What is looked for."""

    query: str = Field(
        max_length=records.LONGEST,
        repr=False,
        description="A name or the beginning of one, a TCKN, a number of the hospital, an accession number, "
        "or the number of a case.",
    )


class Found(BaseModel):
    """What was found."""

    items: list[WorklistCase]
    more: bool = Field(description="Whether there may be more than these: say more of the name.")
