"""Lists of the desk and the technician: the cases of today, and who waits for an image, by urgency."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from tetkik.records.audit_chain import Action
from tetkik.records.database import Transaction
from tetkik.records.worklist import case_events, today, worklist
from tetkik.records.worklist.worklist import WorklistFilter
from tetkik.records.worklist.worklist_items import WorklistItem
from tetkik.service.kit.access.authorization import RequestContext, allowed
from tetkik.values import CaseState, Permission

router = APIRouter(prefix="/reception")

Desk = Annotated[RequestContext, allowed(Permission.CASE_CREATE)]
_WAITING = WorklistFilter(states=(CaseState.WAITING,))


def load_waiting(tx: Transaction, limit: int = today.MOST) -> tuple[WorklistItem, ...]:
    """Who waits for an image: the most urgent first, then who waits longest."""
    return worklist.load_worklist(tx, _WAITING, limit=limit).items


@router.get("/today")
def opened_today(ctx: Desk) -> HTMLResponse:
    return _list(ctx, "today", audit=True)


@router.get("/today/rows")
def opened_today_again(ctx: Desk) -> HTMLResponse:
    """The same list after something happened; the audit entry of the page covers it."""
    return _list(ctx, "today")


@router.get("/waiting")
def waiting(ctx: Desk) -> HTMLResponse:
    return _list(ctx, "waiting", audit=True)


@router.get("/waiting/rows")
def waiting_again(ctx: Desk) -> HTMLResponse:
    """The same list after something happened; the audit entry of the page covers it."""
    return _list(ctx, "waiting")


def _list(ctx: RequestContext, kind: str, *, audit: bool = False) -> HTMLResponse:
    with ctx.write() if audit else ctx.read() as tx:
        seq = case_events.newest_sequence(tx)
        items = today.load_opened_today(tx) if kind == "today" else load_waiting(tx)
        if audit:
            tx.audit(Action.CASES_LISTED, shown=len(items))
    template = f"reception/{'list' if audit else 'list_rows'}.html.jinja"
    return ctx.render(template, kind=kind, items=items, seq=seq, most=today.MOST)
