"""A person's own word on how soon a case is read, from its page."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form
from fastapi.responses import RedirectResponse

from tetkik.records.cases import priority
from tetkik.service.access.guard import allowed
from tetkik.service.house import InHouse
from tetkik.service.steps.worklist import PriorityChoice
from tetkik.values import Actor, Permission

router = APIRouter()


@router.post("/cases/{case_id}/priority")
def choose_priority(
    house: InHouse,
    actor: Annotated[Actor, allowed(Permission.CASE_EDIT)],
    case_id: str,
    chosen: Annotated[PriorityChoice, Form(alias="priority")],
) -> RedirectResponse:
    """Choose the priority, or let it follow triage and the findings again."""
    with house.records.write(actor) as tx:
        priority.choose_priority(tx, case_id, chosen.priority)
    return RedirectResponse(f"/cases/{case_id}", 303)
