"""What people at the desk decided, for retraining; without identity."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import Response

from tetkik.service.access.guard import allowed
from tetkik.service.house import InHouse
from tetkik.service.steps.triage_feedback import triage_csv
from tetkik.values import Actor, Permission

router = APIRouter(tags=["triage"])


@router.get(
    "/triage/feedback",
    response_class=Response,
    responses={200: {"content": {"text/csv": {"schema": {"type": "string"}}}, "description": "A table."}},
)
def feedback(
    house: InHouse,
    actor: Annotated[Actor, allowed(Permission.FEEDBACK_EXPORT)],
    since: Annotated[date | None, Query(description="From this day on (UTC).")] = None,
    until: Annotated[date | None, Query(description="Up to this day, it included (UTC).")] = None,
) -> Response:
    """CSV: text (masked), label (the department chosen), the model's own, urgency, month."""
    return triage_csv(house, actor, since, until)
