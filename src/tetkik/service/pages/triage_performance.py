"""How triage fares with the people at the desk, for the engineer; and their decisions as a table."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response

from tetkik.records.cases import triage_performance
from tetkik.service.access.guard import allowed
from tetkik.service.house import InHouse
from tetkik.service.showing.rendering import render
from tetkik.service.steps.triage_feedback import triage_csv
from tetkik.values import Actor, Permission

router = APIRouter(prefix="/engineer")


@router.get("/triage")
def performance(
    request: Request, house: InHouse, actor: Annotated[Actor, allowed(Permission.MODELS_READ)]
) -> HTMLResponse:
    """The share of suggestions that people followed, by department and by urgency."""
    with house.records.read(actor) as tx:
        departments = triage_performance.performance(tx)
        urgencies = triage_performance.by_urgency(tx)
    return render(
        request,
        "engineer/triage.html.jinja",
        triage_departments=departments,
        triage_urgencies=urgencies,
        triage_overall=triage_performance.overall(departments),
    )


@router.get("/triage-feedback.csv")
def feedback(house: InHouse, actor: Annotated[Actor, allowed(Permission.FEEDBACK_EXPORT)]) -> Response:
    """Every decision, masked, as a table to train from."""
    return triage_csv(house, actor, None, None)
