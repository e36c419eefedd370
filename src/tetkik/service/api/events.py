"""Server-sent events (WHATWG HTML, 9.2): what happens to the cases that one may see."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import StreamingResponse

from tetkik.service.access.guard import allowed
from tetkik.service.house import InHouse
from tetkik.service.running.events import hub_of, stream
from tetkik.values import Actor, Permission

router = APIRouter(tags=["events"])

_LARGEST = 2**63 - 1
_ABOUT: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "A stream without an end. Each message is `{kind, case_id}`, with its number as `id`; "
        "the event `missed` says that older ones are gone, `end` that the session is over.",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    }
}


@router.get("/events", response_class=StreamingResponse, responses=_ABOUT)
async def events(
    request: Request,
    actor: Annotated[Actor, allowed(Permission.CASE_READ)],
    house: InHouse,
    after: Annotated[
        int | None, Query(ge=0, le=_LARGEST, description="The number of the last event that was heard.")
    ] = None,
    last_event_id: Annotated[
        str | None, Header(max_length=20, pattern="^[0-9]{1,19}$", description="The same, of a reconnection.")
    ] = None,
) -> StreamingResponse:
    """Hear what happens; nothing is missed from `after` on."""
    hub = hub_of(request)
    hub.admit(actor)
    begins = min(int(last_event_id), _LARGEST) if last_event_id is not None else after
    return StreamingResponse(
        stream(hub, house, actor, begins),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )
