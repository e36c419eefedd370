"""The address of the house itself: it leads to where one works."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from fastapi.responses import RedirectResponse

from tetkik.service.access.guard import allowed
from tetkik.service.places import beginning_of
from tetkik.values import Actor, Permission

router = APIRouter()


@router.get("/")
def start(actor: Annotated[Actor, allowed(Permission.OWN_ACCOUNT)]) -> RedirectResponse:
    """Go to the first place of whoever is signed in."""
    return RedirectResponse(beginning_of(actor), 303)
