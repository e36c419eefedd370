"""The worklist, and who is reading a case."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Query, Response
from fastapi.responses import StreamingResponse

from tetkik.records.audit_chain import Action
from tetkik.records.worklist import assignments, claims, worklist
from tetkik.records.worklist import search as records
from tetkik.service.kit.access.authorization import RequestContext, allowed
from tetkik.service.kit.access.rate_limits import hold_stream, rate_limits_of
from tetkik.service.kit.background.events import broker_of, stream
from tetkik.service.kit.http.paging import Cursor, Limit, Page
from tetkik.service.kit.http.responses import event_stream
from tetkik.service.kit.http.shape import DateTime
from tetkik.service.worklist.shapes import (
    Assignee,
    Assignment,
    CaseReader,
    Found,
    Reading,
    Wanted,
    WorklistCase,
    WorklistQuery,
    cursor_of,
    place_of,
)
from tetkik.values import Permission

router = APIRouter()

CaseId = Annotated[str, Path(max_length=26, description="Of the case.")]


@router.get("/worklist", tags=["worklist"])
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


@router.get("/cases/{case_id}/claim", tags=["worklist"])
def reading(ctx: Annotated[RequestContext, allowed(Permission.CASE_READ)], case_id: CaseId) -> Reading:
    """Who is reading a case."""
    with ctx.read() as tx:
        reader = claims.load_reader(tx, case_id)
    return Reading(reader=CaseReader.from_value(reader) if reader else None)


@router.put("/cases/{case_id}/claim", tags=["worklist"])
def claim(
    ctx: Annotated[RequestContext, allowed(Permission.CLAIM)],
    case_id: CaseId,
    take_over: Annotated[bool, Query(description="Take it from somebody who is reading it.")] = False,
) -> CaseReader:
    """Say that one is reading a case, or that one still is: a claim lasts 20 minutes."""
    with ctx.write() as tx:
        return CaseReader.from_value(claims.claim_case(tx, case_id, take_over=take_over))


@router.delete("/cases/{case_id}/claim", tags=["worklist"], status_code=204)
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


@router.get("/assignees", tags=["worklist"])
def assignees(ctx: Annotated[RequestContext, allowed(Permission.CLAIM)]) -> list[Assignee]:
    """The pools and readers to whom a case can be assigned."""
    with ctx.read() as tx:
        return [Assignee.from_value(one) for one in assignments.list_assignees(tx)]


@router.put("/cases/{case_id}/assignment", tags=["worklist"])
def assign(
    ctx: Annotated[RequestContext, allowed(Permission.CLAIM)], case_id: CaseId, to: Assignment
) -> Assignee | None:
    """Say who is to read a case: a reader, a pool of readers, or nobody in particular; audited."""
    with ctx.write() as tx:
        found = assignments.assign_case(tx, case_id, to.assignee_id)
    return Assignee.from_value(found) if found else None


@router.post("/search", tags=["search"])
def search(ctx: Annotated[RequestContext, allowed(Permission.CASE_SEARCH)], wanted: Wanted) -> Found:
    """Cases that one may see, by patient or number; the search is audited."""
    with ctx.write() as tx:
        items = records.search_cases(tx, wanted.query)
    return Found(items=[WorklistCase.of(item) for item in items], more=len(items) >= records.MOST)


_LARGEST = 2**63 - 1
_ABOUT: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "A stream without an end. Each message is `{kind, case_id}`, with its number as `id`; "
        "the event `missed` says that older ones are gone, `end` that the session is over.",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    }
}


@router.get("/events", tags=["events"], response_class=StreamingResponse, responses=_ABOUT)
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
