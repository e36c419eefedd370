"""Lists of the desk and the technician: the cases of today, and who waits for an image, by urgency."""

from __future__ import annotations

from typing import Annotated, Any

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
_MOST = 200


def load_waiting(tx: Transaction, limit: int = _MOST) -> tuple[WorklistItem, ...]:
    """Who waits for an image: the most urgent first, then who waits longest."""
    return worklist.load_worklist(tx, _WAITING, limit=limit).items


@router.get("/today")
def opened_today(ctx: Desk) -> HTMLResponse:
    return ctx.render("reception/list.html.jinja", **_today(ctx, audit=True))


@router.get("/today/rows")
def opened_today_again(ctx: Desk) -> HTMLResponse:
    """The same list after something happened; the audit entry of the page covers it."""
    return ctx.render("reception/list_rows.html.jinja", **_today(ctx))


@router.get("/waiting")
def waiting(ctx: Desk) -> HTMLResponse:
    return ctx.render("reception/list.html.jinja", **_waiting(ctx, audit=True))


@router.get("/waiting/rows")
def waiting_again(ctx: Desk) -> HTMLResponse:
    """The same list after something happened; the audit entry of the page covers it."""
    return ctx.render("reception/list_rows.html.jinja", **_waiting(ctx))


def _today(ctx: RequestContext, *, audit: bool = False) -> dict[str, Any]:
    with ctx.write() if audit else ctx.read() as tx:
        seq, items = case_events.newest_sequence(tx), today.load_opened_today(tx)
        if audit:
            tx.audit(Action.CASES_LISTED, shown=len(items))
    return {"kind": "today", "items": items, "seq": seq, "most": today.MOST}


def _waiting(ctx: RequestContext, *, audit: bool = False) -> dict[str, Any]:
    with ctx.write() if audit else ctx.read() as tx:
        seq, items = case_events.newest_sequence(tx), load_waiting(tx)
        if audit:
            tx.audit(Action.CASES_LISTED, shown=len(items))
    return {"kind": "waiting", "items": items, "seq": seq, "most": _MOST}
