"""One complaint in, the whole answer out; nothing of it is kept."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter

from tetkik.service.kit.access.authorization import RequestContext, allowed
from tetkik.service.reception.shapes import TriageRequest, TriageShape
from tetkik.service.reception.triage import answer_to
from tetkik.values import Permission

router = APIRouter(tags=["triage"])


@router.post("/triage")
def triage(ctx: Annotated[RequestContext, allowed(Permission.TRIAGE)], request: TriageRequest) -> TriageShape:
    """Departments, urgency, evidence; nothing is kept and nothing is logged."""
    return TriageShape.of(answer_to(request.text, ctx.settings, ctx.language))
