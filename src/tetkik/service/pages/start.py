"""The address of the house itself: it leads to where one works."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from fastapi.responses import RedirectResponse

from tetkik.service.access.guard import allowed, public
from tetkik.service.showing.places import beginning_of
from tetkik.service.showing.rendering import asset
from tetkik.values import Actor, Permission

router = APIRouter()
_KEPT = {"Cache-Control": "public, max-age=86400"}


@router.get("/favicon.ico", dependencies=[public()])
def icon() -> RedirectResponse:
    """The icon, where browsers look for it beside what is no page, such as a PDF."""
    return RedirectResponse(asset("favicon.svg"), 307, headers=_KEPT)


@router.get("/")
def start(actor: Annotated[Actor, allowed(Permission.OWN_ACCOUNT)]) -> RedirectResponse:
    """Go to the first place of whoever is signed in."""
    return RedirectResponse(beginning_of(actor), 303)
