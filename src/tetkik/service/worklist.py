"""The worklist, the search for a case, live events, and the pools of readers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from functools import partial
from typing import Annotated, Any, Self
from urllib.parse import parse_qsl, urlencode

from fastapi import APIRouter, Form, Header, Path, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from tetkik.errors import InputError, TetkikError
from tetkik.language import Language, Sentence, translate
from tetkik.records.audit_chain import Action
from tetkik.records.cases.patients import SHORTEST_WORDS
from tetkik.records.database import Transaction
from tetkik.records.reports.withdrawal_queries import Withdrawn
from tetkik.records.worklist import assignments, case_contents, claims, saved_views, worklist
from tetkik.records.worklist.case_contents import Sort, SortColumn
from tetkik.records.worklist.saved_views import View, WorklistPreferences
from tetkik.records.worklist.worklist import COUNTED, OPEN, Assigned, Scope, WorklistCursor, WorklistFilter
from tetkik.records.worklist.worklist_items import PriorityReason, WorklistItem
from tetkik.service.kit.access.authorization import RequestContext, allowed
from tetkik.service.kit.access.rate_limits import hold_stream, rate_limits_of
from tetkik.service.kit.background.events import broker_of, stream
from tetkik.service.kit.http.responses import (
    Cursor,
    Date,
    DateTime,
    Limit,
    Page,
    Shape,
    decode_cursor,
    encode_cursor,
    event_stream,
)
from tetkik.service.kit.rendering.templates import NavigationEntry, language_of
from tetkik.service.kit.rendering.words import body_part
from tetkik.turkish import alphabetical
from tetkik.values.access import Actor, Permission
from tetkik.values.complaint import UrgencyLevel
from tetkik.values.document import ReportState
from tetkik.values.finding_labels import FINDING_LABELS, NORMAL_LABELS, label_name
from tetkik.values.radiograph import Sex
from tetkik.values.states import CaseState, JobState, Priority
from tetkik.workflow.complaints import offered_departments, urgency_reason

COLUMNS = {
    "modality": Sentence("Modality"),
    "body_part": Sentence("Body part"),
    "study": Sentence("Study date"),
    "images": Sentence("Images"),
    "prior": Sentence("Prior"),
    "findings": Sentence("Findings"),
    "referrer": Sentence("Referring department"),
    "assigned": Sentence("Assigned to"),
    "state": Sentence("State"),
    "waiting": Sentence("Waiting"),
    "reader": Sentence("Being read by"),
}
"""Those that can be hidden, in their order; priority and patient stand before them."""
SHOWN = tuple(name for name in COLUMNS if name not in ("study", "referrer"))
"""Without a choice."""
FOUND = tuple(name for name in COLUMNS if name not in ("referrer", "assigned", "waiting"))
"""Of a search: also of cases that wait for nothing."""
DOWN_FIRST = frozenset({SortColumn.IMAGES, SortColumn.STUDY})
"""Columns of which one wants the greatest first."""
_LEVELS = {UrgencyLevel.KIRMIZI: Sentence("Red in triage"), UrgencyLevel.SARI: Sentence("Amber in triage")}


def reason_words(reason: PriorityReason, language: Language) -> str:
    """Why a case has its priority, in one line; empty where nothing asks for it."""
    parts = [translate("chosen by a person", language)] if reason.chosen else []
    for one in reason.findings:
        name = label_name(one.label, language)
        if one.probability is None:
            parts.append(name)
        else:
            share = f"{one.probability * 100:.0f}"
            parts.append(f"{name} %{share}" if language is Language.TR else f"{name} {share}%")
    if reason.urgency in _LEVELS:
        level = _LEVELS[reason.urgency].in_language(language)
        if reason.by_person:
            parts.append(translate("{level}, set by a person", language, level=level))
        else:
            parts.append(urgency_reason(reason.rules, reason.urgency, language) or level)
    if reason.not_assessed and not parts:
        parts.append(translate("urgency not assessed", language))
    return " · ".join(parts)


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
        description="A finding that the model may state or a radiologist confirmed, as the model calls it.",
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
    """A finding that the newest run may state, or that was confirmed."""

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
        description="Those that the model may state, critical ones first; of a signed case those that its "
        "radiologist confirmed, without a probability."
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
        max_length=worklist.LONGEST_WORDS,
        repr=False,
        description="A name or the beginning of one, a TCKN, a number of the hospital, an accession number, "
        "or the number of a case.",
    )


class Found(BaseModel):
    """What was found."""

    items: list[WorklistCase]
    more: bool = Field(description="Whether there may be more than these: say more of the name.")


api = APIRouter()

CaseId = Annotated[str, Path(max_length=26, description="Of the case.")]


@api.get("/worklist", tags=["worklist"])
def worklist_page(
    ctx: Annotated[RequestContext, allowed(Permission.WORKLIST)],
    query: Annotated[WorklistQuery, Query()],
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Page[WorklistCase]:
    """Cases by priority, then by how long they wait, or sorted by a column; audited."""
    with ctx.read() as tx:
        order = query.order()
        found = worklist.load_worklist(
            tx, query.chosen(), sort=order, after=place_of(cursor, order), limit=limit
        )
    with ctx.write() as tx:
        tx.audit(Action.CASES_LISTED, shown=len(found.items))
    return Page(items=[WorklistCase.of(item) for item in found.items], next=cursor_of(found.next))


@api.get("/cases/{case_id}/claim", tags=["worklist"])
def reading(ctx: Annotated[RequestContext, allowed(Permission.CASE_READ)], case_id: CaseId) -> Reading:
    """Who is reading a case."""
    with ctx.read() as tx:
        reader = claims.load_reader(tx, case_id)
    return Reading(reader=CaseReader.from_value(reader) if reader else None)


@api.put("/cases/{case_id}/claim", tags=["worklist"])
def claim(
    ctx: Annotated[RequestContext, allowed(Permission.CLAIM)],
    case_id: CaseId,
    take_over: Annotated[bool, Query(description="Take it from somebody who is reading it.")] = False,
) -> CaseReader:
    """Say that one is reading a case, or that one still is: a claim lasts 20 minutes."""
    with ctx.write() as tx:
        return CaseReader.from_value(claims.claim_case(tx, case_id, take_over=take_over))


@api.delete("/cases/{case_id}/claim", tags=["worklist"], status_code=204)
def release(
    ctx: Annotated[RequestContext, allowed(Permission.CLAIM)],
    case_id: CaseId,
    until: Annotated[
        DateTime | None,
        Query(description="`expires_at` as one knew it: a claim that was renewed since stays."),
    ] = None,
) -> Response:
    """Say that one reads a case no more; where one did not, nothing happens."""
    with ctx.write() as tx:
        claims.release_case(tx, case_id, until=until.astimezone() if until else None)
    return Response(status_code=204)


@api.get("/assignees", tags=["worklist"])
def assignees(ctx: Annotated[RequestContext, allowed(Permission.CLAIM)]) -> list[Assignee]:
    """The pools and readers to whom a case can be assigned."""
    with ctx.read() as tx:
        return [Assignee.from_value(one) for one in assignments.list_assignees(tx)]


@api.put("/cases/{case_id}/assignment", tags=["worklist"])
def assign(
    ctx: Annotated[RequestContext, allowed(Permission.CLAIM)], case_id: CaseId, to: Assignment
) -> Assignee | None:
    """Say who is to read a case: a reader, a pool of readers, or nobody in particular; audited."""
    with ctx.write() as tx:
        found = assignments.assign_case(tx, case_id, to.assignee_id)
    return Assignee.from_value(found) if found else None


@api.post("/search", tags=["search"])
def search(ctx: Annotated[RequestContext, allowed(Permission.CASE_SEARCH)], wanted: Wanted) -> Found:
    """Cases that one may see, by patient or number; the search is audited."""
    with ctx.write() as tx:
        items = worklist.search_cases(tx, wanted.query)
    return Found(items=[WorklistCase.of(item) for item in items], more=len(items) >= worklist.MOST_FOUND)


_LARGEST = 2**63 - 1
_ABOUT: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "A stream without an end. Each message is `{kind, case_id}`, with its number as `id`; "
        "the event `missed` says that older ones are gone, `end` that the session is over.",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    }
}


@api.get("/events", tags=["events"], response_class=StreamingResponse, responses=_ABOUT)
async def events(
    ctx: Annotated[RequestContext, allowed(Permission.CASE_READ)],
    after: Annotated[
        int | None, Query(ge=0, le=_LARGEST, description="The number of the last event received.")
    ] = None,
    last_event_id: Annotated[
        str | None, Header(max_length=20, pattern="^[0-9]{1,19}$", description="The same, of a reconnection.")
    ] = None,
) -> StreamingResponse:
    """Events as they happen; nothing is missed from `after` on."""
    broker = broker_of(ctx.request)
    hold_stream(ctx.request, rate_limits_of(ctx.request).events, ctx.user_id)
    begins = min(int(last_event_id), _LARGEST) if last_event_id is not None else after
    return event_stream(stream(broker, ctx.app, ctx.actor, begins))


pages = APIRouter()
NAVIGATION = (
    NavigationEntry(
        "/worklist", Permission.WORKLIST, "worklist", Sentence("Worklist"), "g w", position=30, start=1
    ),
    NavigationEntry(
        "/search", Permission.CASE_SEARCH, "search", Sentence("Search"), "g f", position=40, start=4
    ),
)

_SHOWN = 50
_MOST = 500
"""Rows that a refresh brings back at most."""
_MODALITIES = ("DX", "CR", "MR", "CT")
_STATES = {
    CaseState.TO_READ: Sentence("to be read"),
    CaseState.PROCESSING: Sentence("being prepared"),
    CaseState.WAITING: Sentence("waiting for an image"),
    CaseState.SIGNED: Sentence("signed"),
}
_PRIORITIES = {
    Priority.CRITICAL: Sentence("Critical"),
    Priority.URGENT: Sentence("Urgent"),
    Priority.ROUTINE: Sentence("Routine"),
}
_SCOPES = {
    Scope.MINE: Sentence("I am reading"),
    Scope.CLAIMED: Sentence("being read"),
    Scope.UNCLAIMED: Sentence("nobody is reading"),
}
_ASSIGNED = {
    Assigned.MINE: Sentence("assigned to me"),
    Assigned.POOLS: Sentence("my pools"),
    Assigned.NOBODY: Sentence("not assigned"),
}

Reader = Annotated[RequestContext, allowed(Permission.WORKLIST)]
Finder = Annotated[RequestContext, allowed(Permission.CASE_SEARCH)]


class WorklistForm(WorklistQuery):
    """The query as a form sends it, with its empty fields, and the columns of a saved view."""

    columns: str | None = Field(default=None, pattern=f"^(({'|'.join(COLUMNS)})(,|$))*$")
    """Names with commas; None shows those that the person chose last."""

    @field_validator("assigned", "department", "modality", "finding", "since", "until", "sort", mode="before")
    @classmethod
    def _left_empty(cls, value: object) -> object:
        return value or None

    @field_validator("scope", mode="before")
    @classmethod
    def _anybody(cls, value: object) -> object:
        return value or Scope.ALL

    @classmethod
    def of_address(cls, query: str) -> Self:
        """What stands behind the `?` of an address; an `InputError` where it is none of the worklist's."""
        given: dict[str, Any] = {}
        for name, value in parse_qsl(query):
            if name in ("state", "priority"):
                given.setdefault(name, []).append(value)
            else:
                given[name] = value
        try:
            return cls.model_validate(given)
        except ValidationError:
            raise InputError("This is no view of the worklist; open the worklist and save it anew.") from None


Chosen = Annotated[WorklistForm, Query()]
Address = Annotated[str, Form(max_length=2000)]


@pages.get("/worklist")
def page(ctx: Reader, query: Chosen, cursor: Cursor = None) -> HTMLResponse:
    """The list; an order that is not that of a saved view is remembered."""
    values = _list(ctx, query, cursor=cursor)
    with ctx.write() as tx:
        tx.audit(Action.CASES_LISTED, shown=len(values["items"]))
        if query.sort is not None and query.columns is None:
            saved_views.save_preferences(tx, replace(saved_views.load_preferences(tx), sort=query.sort))
    return ctx.render("worklist/page.html.jinja", **values)


@pages.post("/worklist/look")
def choose_look(
    ctx: Reader,
    query: Address = "",
    dense: Annotated[bool | None, Form()] = None,
    column: Annotated[list[str] | None, Form()] = None,
) -> RedirectResponse:
    """Remember how dense the rows are, or the columns; those of a saved view stay with its address."""
    chosen = WorklistForm.of_address(query)
    with ctx.write() as tx:
        kept = saved_views.load_preferences(tx)
        if dense is not None:
            kept = replace(kept, dense=dense)
        if column is not None:
            names = tuple(name for name in COLUMNS if name in column)
            if chosen.columns is not None:
                chosen = chosen.model_copy(update={"columns": ",".join(names)})
            else:
                kept = replace(kept, columns=names)
        saved_views.save_preferences(tx, kept)
    return _to_list(chosen)


@pages.post("/worklist/views")
def save_view(
    ctx: Reader,
    name: Annotated[str, Form(max_length=200)],
    query: Address = "",
    shared: Annotated[bool, Form()] = False,
) -> RedirectResponse:
    """Keep filters, order and columns under a name."""
    chosen = WorklistForm.of_address(query)
    with ctx.write() as tx:
        saved_views.save_view(tx, name, chosen.address(), shared=shared)
    return _to_list(chosen)


@pages.post("/worklist/views/{view_id}/remove")
def remove_view(ctx: Reader, view_id: Annotated[str, Path(max_length=26)]) -> Response:
    return ctx.change(lambda tx: saved_views.remove_view(tx, view_id), "/worklist")


def _to_list(query: WorklistForm) -> RedirectResponse:
    address = query.address()
    return RedirectResponse(f"/worklist?{address}" if address else "/worklist", 303)


@pages.get("/worklist/rows")
def rows(
    ctx: Reader, query: Chosen, cursor: Cursor = None, shown: Annotated[int, Query(ge=1, le=_MOST)] = _SHOWN
) -> HTMLResponse:
    """The same list again, after something happened; the audit entry of the page covers it."""
    values = _list(ctx, query, cursor=cursor, limit=shown)
    return ctx.render("worklist/list.html.jinja", **values)


@pages.get("/worklist/more")
def more(ctx: Reader, query: Chosen, cursor: Cursor) -> HTMLResponse:
    values = _list(ctx, query, cursor=cursor)
    with ctx.write() as tx:
        tx.audit(Action.CASES_LISTED, shown=len(values["items"]))
    return ctx.render("worklist/more.html.jinja", **values)


@pages.get("/search")
def search_page(ctx: Finder) -> HTMLResponse:
    return ctx.render("worklist/search.html.jinja", found=False, **_shared(ctx.request, ctx.actor, ()))


@pages.post("/search")
def find(ctx: Finder, words: Annotated[str, Form(max_length=worklist.LONGEST_WORDS)] = "") -> Response:
    """What was found; the words stand in the body of the request and nowhere else.

    While somebody types (htmx names the field then) nothing is looked for before the third character.
    """
    if ctx.request.headers.get("hx-trigger") == "words" and len(words.strip()) < SHORTEST_WORDS:
        return Response(status_code=204)
    with ctx.write() as tx:
        items = worklist.search_cases(tx, words)
    values = _shared(ctx.request, ctx.actor, items) | {
        "found": True,
        "more": len(items) >= worklist.MOST_FOUND,
    }
    fragment = ctx.request.headers.get("hx-request") == "true"
    return ctx.render(f"worklist/{'found' if fragment else 'search'}.html.jinja", **values)


def _list(
    ctx: RequestContext, query: WorklistForm, *, cursor: str | None, limit: int = _SHOWN
) -> dict[str, Any]:
    with ctx.read() as tx:
        kept = saved_views.load_preferences(tx)
        # The order and the columns that hold, in every link of the page.
        remembered = kept.sort if query.columns is None and cursor is None else None
        sort = query.sort or remembered
        listed = query.model_copy(update={"sort": sort})
        order = listed.order()
        chosen = query.chosen()
        # Before the list: what happens in between is sent twice rather than never.
        seq = case_contents.newest_sequence(tx)
        found = worklist.load_worklist(tx, chosen, sort=order, after=place_of(cursor, order), limit=limit)
        counts = worklist.count_worklist(tx, chosen)
        views = [_tab(tx, view, query) for view in saved_views.list_views(tx)]
        assignees = assignments.list_assignees(tx) if ctx.actor.may(Permission.CLAIM) else ()
    columns = _columns(query, kept)
    following = cursor_of(found.next)
    language = ctx.language
    labels = [label for label in FINDING_LABELS if label not in NORMAL_LABELS]
    names = {label: label_name(label, language) for label in labels}
    named = sorted(names.items(), key=lambda one: alphabetical(one[1]))
    return _shared(ctx.request, ctx.actor, found.items) | {
        "query": query,
        "order": order,
        "down_first": DOWN_FIRST,
        "sortable": {*SortColumn},
        "partial": found.partial,
        "most_sorted": worklist.MOST_SORTED,
        "counts": counts,
        "counted": COUNTED,
        "seq": seq,
        "states": _STATES,
        "priorities": _PRIORITIES,
        "scopes": _SCOPES if ctx.actor.may(Permission.CLAIM) else {},
        "assigned": _ASSIGNED if ctx.actor.may(Permission.CLAIM) else {},
        "assignees": assignees,
        "views": views,
        "listed": listed,
        "filtered": any(name not in ("sort", "columns") for name, _ in query.pairs()),
        "view": query.model_copy(update={"sort": sort or "priority", "columns": ",".join(columns)}).address(),
        "columns": columns,
        "every_column": COLUMNS,
        "dense": kept.dense,
        "departments": offered_departments(ctx.settings.triage_model),
        "modalities": _MODALITIES,
        "labels": named,
        "cursor": cursor,
        "more": urlencode([*listed.pairs(), ("cursor", following)]) if following else None,
    }


@dataclass(frozen=True, slots=True)
class ViewTab:
    """A saved view as its tab shows it."""

    view: View
    count: int
    current: bool


def _tab(tx: Transaction, view: View, query: WorklistForm) -> ViewTab:
    saved = WorklistForm.of_address(view.query)
    return ViewTab(view, worklist.count_cases(tx, saved.chosen()), saved == query)


def _columns(query: WorklistForm, kept: WorklistPreferences) -> tuple[str, ...]:
    """The columns that are shown, in order: of the view, else of the person, else of everybody."""
    chosen = query.columns.split(",") if query.columns is not None else kept.columns
    return SHOWN if chosen is None else tuple(name for name in COLUMNS if name in chosen)


def _shared(request: Request, actor: Actor, items: tuple[WorklistItem, ...]) -> dict[str, Any]:
    language = language_of(request)

    def name_of(label: str) -> str:
        return label_name(label, language)

    def address_of(item: WorklistItem) -> str:
        reads = actor.may(Permission.IMAGE_READ) and actor.may(Permission.DRAFT_READ)
        return f"/{'read' if reads and item.state is not CaseState.WAITING else 'cases'}/{item.case_id}"

    return {
        "items": items,
        "name_of": name_of,
        "address_of": address_of,
        "word_of": PriorityWord.of,
        "columns": FOUND,
        "every_column": COLUMNS,
        "part_of": partial(body_part, language=language),
        "reason_of": partial(reason_words, language=language),
    }


pools_pages = APIRouter(prefix="/admin/pools")

Administrator = Annotated[RequestContext, allowed(Permission.USERS)]
Name = Annotated[str, Form(max_length=200)]
Members = Annotated[list[str] | None, Form()]
PoolId = Annotated[str, Path(max_length=26)]


@pools_pages.get("")
def every_pool(ctx: Administrator) -> Response:
    return _page(ctx)


@pools_pages.post("")
def make(ctx: Administrator, name: Name, member: Members = None) -> Response:
    return _save(ctx, None, name, member)


@pools_pages.post("/{pool_id}")
def change(ctx: Administrator, pool_id: PoolId, name: Name, member: Members = None) -> Response:
    return _save(ctx, pool_id, name, member)


@pools_pages.post("/{pool_id}/remove")
def remove(ctx: Administrator, pool_id: PoolId) -> Response:
    return ctx.change(lambda tx: assignments.remove_pool(tx, pool_id), "/admin/pools")


def _save(ctx: RequestContext, pool_id: str | None, name: str, members: list[str] | None) -> Response:
    return ctx.change(
        lambda tx: assignments.save_pool(tx, pool_id, name, members or ()),
        "/admin/pools",
        lambda error: _page(ctx, error),
    )


def _page(ctx: RequestContext, error: TetkikError | None = None) -> Response:
    with ctx.read() as tx:
        pools, readers = assignments.list_pools(tx), assignments.list_readers(tx)
    return ctx.render("worklist/pools.html.jinja", pools=pools, readers=readers, error=error)
