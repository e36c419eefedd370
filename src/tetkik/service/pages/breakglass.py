"""Opening a closed case in an emergency."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form
from fastapi.responses import RedirectResponse

from tetkik.records.people import breakglass
from tetkik.service.access.guard import allowed
from tetkik.service.access.returning import inside
from tetkik.service.house import InHouse
from tetkik.values import Actor, Permission

router = APIRouter()


@router.post("/cases/{case_id}/break-glass")
def break_glass(
    house: InHouse,
    actor: Annotated[Actor, allowed(Permission.BREAK_GLASS)],
    case_id: str,
    reason: Annotated[str, Form(max_length=2000)] = "",
    back: Annotated[str | None, Form(alias="next", max_length=2000)] = None,
) -> RedirectResponse:
    """Open the case with a reason, and go on to it."""
    with house.records.write(actor) as tx:
        breakglass.break_glass(tx, case_id, reason)
    return RedirectResponse(inside(back) if back else f"/cases/{case_id}", 303)
