"""The audit trail: who did what, whether it is whole, every step of one case. No patient's name appears."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta
from functools import cache, partial
from importlib import resources
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Query
from fastapi.responses import HTMLResponse, StreamingResponse
from pydantic import BaseModel, Field

from tetkik.errors import InputError, NotFound
from tetkik.language import Language, Sentence, translate
from tetkik.records.audit_chain import Action
from tetkik.records.database import Records
from tetkik.records.trail import audit_events
from tetkik.records.trail.audit_events import AuditEntry, AuditFilter, to_line
from tetkik.records.trail.verify import verify
from tetkik.service.kit.access.authorization import RequestContext, allowed
from tetkik.service.kit.http.responses import (
    Cursor,
    Limit,
    Page,
    Since,
    Until,
    decode_cursor,
    download_headers,
    encode_cursor,
    zoned,
)
from tetkik.service.kit.rendering.templates import NavigationEntry, exact
from tetkik.values.access import Actor, Permission
from tetkik.values.finding_labels import FINDING_LABELS, label_name

_YES = {True: Sentence("Yes"), False: Sentence("No")}
_AS_IT_IS = frozenset({"typed", "reference", "department", "bundle", "model"})
"""What somebody or something is called: no codes."""
_MOMENTS = frozenset({"made_at", "kept_until", "since", "until"})


@cache
def _words(table: str) -> dict[str, str]:
    text = resources.files("tetkik.service").joinpath("words.toml").read_text("utf-8")
    words: dict[str, str] = tomllib.loads(text)[table]
    return words


def action_word(action: str, language: Language) -> str:
    """An action in words; one that this version does not know stays a code."""
    return translate(_words("actions").get(action, action), language)


def detail_words(
    detail: Mapping[str, object], language: Language, people: Mapping[str, str] | None = None
) -> list[tuple[str, object]]:
    """The details of an entry, in words; a name or a code that this version does not know stays as it is.

    Empty values, and `by_glass` that is false, are left out. `people` names users by their ids.
    """
    of_priority = detail.get("field") == "priority"
    return [
        (
            translate(_words("details").get(name, name), language),
            _value("priority" if of_priority and name == "before" else name, value, language, people or {}),
        )
        for name, value in detail.items()
        if value is not None and (name, value) != ("by_glass", False)
    ]


def _value(name: str, value: object, language: Language, people: Mapping[str, str]) -> object:
    if isinstance(value, bool):
        return _YES[value].in_language(language)
    if name == "size" and isinstance(value, int):
        return f"{value / 1_000_000:.1f} MB" if value >= 100_000 else f"{max(1, value // 1000)} kB"
    if name == "priority":
        return _code(name, str(value), language)
    if not isinstance(value, str) or name in _AS_IT_IS:
        return value
    if name in _MOMENTS:
        return _moment(value)
    if name == "taken_from":
        return people.get(value, value)
    if name == "label":
        return label_name(value, language) if value in FINDING_LABELS else value
    return ", ".join(_code(name, part, language) for part in value.split(","))


def _code(name: str, code: str, language: Language) -> str:
    words = _words("values")
    return translate(words.get(f"{name} {code}") or words.get(code, code), language)


def _moment(text: str) -> str:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text
    return exact(moment) if "T" in text else f"{moment:%d.%m.%Y}"


def actions_named(language: Language) -> list[tuple[str, str]]:
    """Every action with its words, in the order of the words."""
    return sorted(
        ((action.value, action_word(action, language)) for action in Action), key=lambda pair: pair[1]
    )


api = APIRouter(tags=["audit"])

Auditor = Annotated[RequestContext, allowed(Permission.AUDIT_READ)]
Code = Annotated[str | None, Query(max_length=26, pattern=r"^[0-9A-Za-z-]+$")]
_LAST = 2**63 - 1


@api.get("/audit")
def entries(
    ctx: Auditor,
    user_id: Code = None,
    case: Code = None,
    patient_id: Code = None,
    action: Action | None = None,
    since: Since = None,
    until: Until = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Page[AuditEntry]:
    """The newest entries that fit, of a case by its number or its id; reading them is an entry itself."""
    before = _number(cursor) if cursor is not None else None
    wanted = AuditFilter(
        user_id=user_id,
        case=case,
        patient_id=patient_id,
        action=action,
        since=zoned(since),
        until=zoned(until),
    )
    with ctx.write() as tx:
        found = audit_events.load_newest(tx, wanted, limit=limit + 1, before=before)
        tx.audit(Action.AUDIT_READ)
    items = found[:limit]
    return Page(items=list(items), next=encode_cursor([items[-1].seq]) if len(found) > limit else None)


def _number(cursor: str) -> int:
    before = int(decode_cursor(cursor, [int])[0])
    if not 0 < before <= _LAST:
        raise InputError("The cursor is not one of this list; take `next` of the page before, as it is.")
    return before


pages = APIRouter(prefix="/audit")
NAVIGATION = (
    NavigationEntry("/audit", Permission.AUDIT_READ, "audit", Sentence("Audit"), "g a", position=70, start=7),
)
_PAGE = 50
_QUICK = 1_000
"""Entries that every view of the page checks; the whole trail is verified on request."""


class Chosen(BaseModel):
    """The filter as a form has it: empty where nothing was chosen."""

    person: str = Field(default="", max_length=26)
    case: str = Field(default="", max_length=26)
    action: str = Field(default="", max_length=40)
    since: str = Field(default="", max_length=10)
    until: str = Field(default="", max_length=10)

    def filter(self) -> AuditFilter:
        """For the records; what cannot be read filters nothing."""
        return AuditFilter(
            user_id=_plain(self.person),
            case=_plain(self.case),
            action=Action(self.action) if self.action in list(Action) else None,
            since=_day(self.since),
            until=_day(self.until, days=1),
        )

    def address(self, before: int | None = None) -> str:
        """Of the page with this filter; it holds ids, numbers and days alone."""
        given = {name: value for name, value in self if value}
        given |= {"before": before} if before is not None else {}
        return f"/audit?{urlencode(given)}" if given else "/audit"


@pages.get("")
def trail(
    ctx: Auditor,
    chosen: Annotated[Chosen, Query()],
    before: Annotated[int | None, Query(ge=1, le=2**62)] = None,
) -> HTMLResponse:
    language = ctx.language
    with ctx.read(still=True) as tx:
        events = audit_events.load_newest(tx, chosen.filter(), limit=_PAGE + 1, before=before)
        state = verify(tx, last=_QUICK)
        glasses = audit_events.list_emergency_accesses(tx)
        count, people = audit_events.count_events(tx), audit_events.list_users(tx)
    with ctx.write() as tx:
        tx.audit(Action.AUDIT_READ)
    more = len(events) > _PAGE
    return ctx.render(
        "audit/trail.html.jinja",
        events=[(event, action_word(event.action, language)) for event in events[:_PAGE]],
        older=chosen.address(events[_PAGE - 1].seq) if more else None,
        first=chosen.address() if before is not None else None,
        state=state,
        fault=state.broken[0].what.in_language(language) if state.broken else None,
        glasses=glasses,
        count=count,
        people=people,
        chosen=chosen,
        filtered=chosen != Chosen(),
        actions=actions_named(language),
        detail_words=partial(detail_words, language=language, people=dict(people)),
    )


@pages.post("/verify")
def verify_all(ctx: Auditor) -> HTMLResponse:
    with ctx.write() as tx:
        tx.audit(Action.AUDIT_READ, whole=True)
    with ctx.read(still=True) as tx:
        state = verify(tx)
    language = ctx.language
    faults = [fault.what.in_language(language) for fault in state.broken]
    return ctx.render("audit/verified.html.jinja", state=state, faults=faults)


@pages.get("/cases/{case_id}")
def case_history(ctx: Auditor, case_id: str) -> HTMLResponse:
    language = ctx.language
    with ctx.write() as tx:
        steps = audit_events.load_case_history(tx, case_id)
        if not steps or steps[0].case_id is None:
            raise NotFound("The trail tells of no such case; look for its number.")
        tx.audit(Action.AUDIT_READ, case_id=steps[0].case_id)
        people = dict(audit_events.list_users(tx))
    return ctx.render(
        "audit/case_history.html.jinja",
        steps=[(step, action_word(step.action, language)) for step in steps],
        number=next((step.case for step in steps if step.case), steps[0].case_id),
        people=len({step.user_id for step in steps if step.user_id}),
        detail_words=partial(detail_words, language=language, people=people),
    )


@pages.post("/export")
def export(ctx: Auditor, chosen: Annotated[Chosen, Form()]) -> StreamingResponse:
    """The entries that fit as FHIR AuditEvents, one a line, sent as they are read."""
    with ctx.write() as tx:
        tx.audit(Action.AUDIT_EXPORTED)
    name = f"audit-{datetime.now(UTC):%Y%m%d-%H%M%S}.ndjson"
    return StreamingResponse(
        _lines(ctx.records, ctx.actor, chosen.filter()),
        media_type="application/fhir+ndjson",
        headers=download_headers(name),
    )


def _lines(records: Records, actor: Actor, wanted: AuditFilter) -> Iterator[str]:
    with records.read(actor) as tx:
        for event in audit_events.iterate_events(tx, wanted):
            yield to_line(event) + "\n"


def _plain(text: str) -> str | None:
    """What was typed, or None; PostgreSQL takes no NUL in a text."""
    return text.replace("\0", "").strip() or None


def _day(text: str, days: int = 0) -> datetime | None:
    """The beginning of a day of this machine's zone, or of a later one."""
    try:
        day = date.fromisoformat(text)
        return datetime.combine(day + timedelta(days=days), time.min).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
