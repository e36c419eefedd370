"""What was sent to other systems and how they answered; what they refused is sent again from here."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Query
from fastapi.responses import RedirectResponse, Response

from tetkik.language import Sentence
from tetkik.records.reports import outbox
from tetkik.service.kit.access.authorization import RequestContext, allowed
from tetkik.values import OutboxState, Permission

router = APIRouter(prefix="/outbox")
Keeper = Annotated[RequestContext, allowed(Permission.OUTBOX)]
Name = Annotated[str, Query(max_length=40)]
_PAGE = 50


@router.get("")
def listed(
    ctx: Keeper,
    state: Name = "",
    to: Name = "",
    before: Annotated[str | None, Query(max_length=26)] = None,
) -> Response:
    """By state and by system, the latest first; the numbers of reports, and nobody's name."""
    states = [one for one in OutboxState if one == state]  # what an address has wrong is left out
    with ctx.write() as tx:
        found = outbox.list_items(tx, states, to, limit=_PAGE + 1, before=before)
        systems, counted = outbox.destinations(tx), outbox.count_items(tx)
    chosen = {name: value for name, value in (("state", state), ("to", to)) if value}
    more = len(found) > _PAGE
    return ctx.render(
        "outbox/list.html.jinja",
        items=found[:_PAGE],
        systems=[("", Sentence("All").in_language(ctx.language)), *((name, name) for name in systems)],
        counted=counted,
        state=state,
        to=to,
        older=f"/outbox?{urlencode(chosen | {'before': found[_PAGE - 1].id})}" if more else None,
    )


@router.post("/refused")
def resend_refused(ctx: Keeper, to: Annotated[str, Form(max_length=40)]) -> RedirectResponse:
    """Send all again that a system refused, once its fault is mended."""
    with ctx.write() as tx:
        outbox.resend_refused(tx, to)
    return RedirectResponse(f"/outbox?{urlencode({'to': to})}", 303)


@router.post("/{item_id}")
def resend(ctx: Keeper, item_id: str) -> RedirectResponse:
    """Send one again, as the same object."""
    with ctx.write() as tx:
        outbox.resend(tx, item_id)
    return RedirectResponse("/outbox", 303)
