"""Opening a closed case in an emergency."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import BaseModel, Field

from tetkik.records.people import breakglass
from tetkik.service.access.guard import allowed
from tetkik.service.house import InHouse
from tetkik.service.http.once import OnlyOnce
from tetkik.values import Actor, Permission

router = APIRouter(tags=["cases"])


class Emergency(BaseModel):
    """Why a closed case has to open.

    Attributes:
        reason: why the patient needs it now; sealed, and read by the auditor.
    """

    reason: str = Field(min_length=breakglass.SHORTEST, max_length=breakglass.LONGEST)


class Opened(BaseModel):
    """A case that is open for a while.

    Attributes:
        case_id: which.
        until: when it closes again.
    """

    case_id: str
    until: datetime


@router.post("/cases/{case_id}/break-glass", status_code=201, response_model=Opened)
def break_glass(
    house: InHouse,
    actor: Annotated[Actor, allowed(Permission.BREAK_GLASS)],
    once: OnlyOnce,
    case_id: str,
    emergency: Emergency,
) -> Response:
    """Open a case that is restricted or another department's, for an hour, with a reason."""
    return once.run(
        house.records,
        actor,
        lambda tx: Opened(case_id=case_id, until=breakglass.break_glass(tx, case_id, emergency.reason)),
    )
