"""The auditor's pages: who did what, whether the trail is whole, and every step of one case.

No patient's name appears: cases have their numbers, patients their ids.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Query
from fastapi.responses import HTMLResponse, StreamingResponse
from pydantic import BaseModel, Field

from tetkik.errors import NotFound
from tetkik.language import Sentence
from tetkik.records.audit_chain import Action
from tetkik.records.database import Records
from tetkik.records.trail import audit_events
from tetkik.records.trail.audit_events import AuditFilter
from tetkik.records.trail.fhir_audit_events import to_line
from tetkik.records.trail.verify import verify
from tetkik.service.audit.view import action_word, actions_named, detail_words
from tetkik.service.kit.access.authorization import RequestContext, allowed
from tetkik.service.kit.http.responses import download_headers
from tetkik.service.kit.rendering.navigation import NavigationEntry
from tetkik.values import Actor, Permission

router = APIRouter(prefix="/audit")
NAVIGATION = (
    NavigationEntry("/audit", Permission.AUDIT_READ, "audit", Sentence("Audit"), "g a", position=70, start=7),
)

Auditor = Annotated[RequestContext, allowed(Permission.AUDIT_READ)]
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


@router.get("")
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


@router.post("/verify")
def verify_all(ctx: Auditor) -> HTMLResponse:
    with ctx.write() as tx:
        tx.audit(Action.AUDIT_READ, whole=True)
    with ctx.read(still=True) as tx:
        state = verify(tx)
    language = ctx.language
    faults = [fault.what.in_language(language) for fault in state.broken]
    return ctx.render("audit/verified.html.jinja", state=state, faults=faults)


@router.get("/cases/{case_id}")
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


@router.post("/export")
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
