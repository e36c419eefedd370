"""The list of critical results, and what is done about one: report, acknowledge, write down who heard it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form
from fastapi.responses import RedirectResponse, Response

from tetkik.language import Sentence
from tetkik.records.worklist import critical_results
from tetkik.service.kit.access.authorization import RequestContext, allowed
from tetkik.service.kit.rendering.navigation import NavigationEntry
from tetkik.values import CriticalLevel, NotTold, Permission

router = APIRouter()
NAVIGATION = (
    NavigationEntry(
        "/critical-results", Permission.REPORT_SIGN, "bell", Sentence("Critical results"), "g k", position=45
    ),
)
Signer = Annotated[RequestContext, allowed(Permission.REPORT_SIGN)]
Hears = Annotated[RequestContext, allowed(Permission.REPORT_READ)]


@router.get("/critical-results")
def listed(ctx: Signer) -> Response:
    """Those that nobody knows of yet, then those that somebody does."""
    with ctx.write() as tx:
        waiting = critical_results.list_results(tx, known=False)
        known = critical_results.list_results(tx, known=True)
    return ctx.render("critical_results/list.html.jinja", waiting=waiting, known=known)


@router.get("/c/{reference}")
def of_message(ctx: Hears, reference: str) -> RedirectResponse:
    """Where the link of a message leads: the case, which asks itself who may open it."""
    with ctx.read() as tx:
        case_id = critical_results.case_of_reference(tx, reference)
    return RedirectResponse(f"/cases/{case_id}#critical", 303)


@router.post("/cases/{case_id}/critical-results")
def report(
    ctx: Signer,
    case_id: str,
    level: Annotated[CriticalLevel, Form()],
    words: Annotated[str, Form(max_length=4000)] = "",
    told_to: Annotated[str, Form(max_length=400)] = "",
    told_at: Annotated[str, Form(pattern=r"^(\d\d:\d\d)?$")] = "",
    read_back: Annotated[bool, Form()] = False,
) -> RedirectResponse:
    """Report a result; where somebody has heard it by telephone already, nobody else is told."""
    told_to = " ".join([told_to.strip(), told_at]).strip() if told_to.strip() else ""
    with ctx.write() as tx:
        result_id = critical_results.raise_result(tx, case_id, level, words, notify=not told_to)
        if told_to:
            critical_results.record_call(tx, result_id, told_to, read_back=read_back)
    return RedirectResponse(f"/cases/{case_id}#critical", 303)


@router.post("/cases/{case_id}/critical-results/not-told", status_code=204)
def not_told(ctx: Signer, case_id: str, reason: Annotated[NotTold, Form()]) -> None:
    """Say at the signature why nobody needs to be told of a critical finding."""
    with ctx.write() as tx:
        critical_results.record_not_told(tx, case_id, reason)


@router.post("/cases/{case_id}/critical-results/{result_id}/acknowledge")
def acknowledge(ctx: Hears, case_id: str, result_id: str) -> RedirectResponse:
    with ctx.write() as tx:
        critical_results.acknowledge(tx, result_id)
    return RedirectResponse(f"/cases/{case_id}#critical", 303)


@router.post("/cases/{case_id}/critical-results/{result_id}/told")
def record_call(
    ctx: Signer,
    case_id: str,
    result_id: str,
    told_to: Annotated[str, Form(max_length=400)] = "",
    read_back: Annotated[bool, Form()] = False,
) -> RedirectResponse:
    """Write down who heard it by telephone or in person."""
    with ctx.write() as tx:
        critical_results.record_call(tx, result_id, told_to, read_back=read_back)
    return RedirectResponse(f"/cases/{case_id}#critical", 303)
