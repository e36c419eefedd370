"""One complaint in, the whole answer out; nothing of it is kept."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request

from tetkik.service.kit.access.authorization import allowed
from tetkik.service.kit.context import ContextDep
from tetkik.service.kit.rendering.templates import language_of
from tetkik.service.reception.shapes import Asked, TriageShape
from tetkik.service.reception.triage import answer_to
from tetkik.values import Actor, Permission

router = APIRouter(tags=["triage"])


@router.post("/triage")
def triage(
    request: Request, context: ContextDep, _actor: Annotated[Actor, allowed(Permission.TRIAGE)], asked: Asked
) -> TriageShape:
    """Departments, urgency, evidence; nothing is kept and nothing is logged."""
    return TriageShape.of(answer_to(asked.text, context.settings, language_of(request)))
