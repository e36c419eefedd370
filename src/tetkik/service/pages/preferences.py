"""Language and theme: kept in the browser, and with the person who is signed in."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Form
from fastapi.responses import RedirectResponse

from tetkik.language import Language
from tetkik.records.people import users
from tetkik.service.access.guard import allowed, public
from tetkik.service.house import InHouse
from tetkik.service.showing.rendering import LANGUAGE_COOKIE, THEME_COOKIE
from tetkik.values import Actor, Permission

router = APIRouter()

Theme = Literal["system", "light", "dark"]
_YEAR = 365 * 24 * 3600


@router.post("/preferences", dependencies=[public()])
def browser_preferences(
    house: InHouse,
    language: Annotated[Language | None, Form()] = None,
    theme: Annotated[Theme | None, Form()] = None,
    back: Annotated[str, Form(alias="next")] = "/",
) -> RedirectResponse:
    """Keep a choice in this browser, for the pages before sign-in."""
    return _kept(back, language, theme, secure=house.secure)


@router.post("/account/preferences")
def own_preferences(
    house: InHouse,
    actor: Annotated[Actor, allowed(Permission.OWN_ACCOUNT)],
    language: Annotated[Language | None, Form()] = None,
    theme: Annotated[Theme | None, Form()] = None,
    back: Annotated[str, Form(alias="next")] = "/",
) -> RedirectResponse:
    """Keep a choice with the person, so that it is the same at every screen."""
    with house.records.write(actor) as tx:
        users.save_preferences(tx, language=language, theme=theme)
    return _kept(back, language, theme, secure=house.secure)


def _kept(back: str, language: Language | None, theme: Theme | None, *, secure: bool) -> RedirectResponse:
    # Only a path of this house: "//elsewhere" and "/\elsewhere" are other hosts to a browser.
    inside = back.startswith("/") and not back.startswith(("//", "/\\"))
    answer = RedirectResponse(back if inside else "/", 303)
    for name, value in ((LANGUAGE_COOKIE, language), (THEME_COOKIE, theme)):
        if value is not None:
            answer.set_cookie(name, value, max_age=_YEAR, secure=secure, httponly=True, samesite="lax")
    return answer
