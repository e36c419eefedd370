"""Who sends a request: a browser's cookie, or a program's token."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import Request

from tetkik.errors import NotSignedIn
from tetkik.language import Language
from tetkik.records import sessions
from tetkik.service.house import House, house_of
from tetkik.values import Actor


@dataclass(frozen=True, slots=True)
class Identified:
    """Who asks, and what their pages look like.

    Attributes:
        actor: who.
        csrf: the token that requests of this session carry; empty for a program.
        language: that the person chose; None for the house's.
        theme: `light` or `dark`; None for the system's.
    """

    actor: Actor
    csrf: str = ""
    language: Language | None = None
    theme: str | None = None


def cookie_name(house: House) -> str:
    """The session's cookie; over TLS its prefix binds it to this host alone (RFC 6265bis, 4.1.3)."""
    return "__Host-tetkik" if house.secure else "tetkik"


def identify(request: Request) -> Identified:
    """Who sends this request; found once and kept with it.

    Raises:
        NotSignedIn: nobody is signed in, or the session is over or locked.
    """
    known: Identified | None = getattr(request.state, "identified", None)
    if known is None:
        known = _identify(request)
        request.state.identified = known
    return known


def _identify(request: Request) -> Identified:
    house = house_of(request)
    cookie = request.cookies.get(cookie_name(house))
    if cookie is None:
        raise NotSignedIn("Nobody is signed in here; sign in first.")
    address = request.client.host if request.client else None
    request_id: str | None = getattr(request.state, "request_id", None)
    found = sessions.resume(house.records, cookie, address=address, request_id=request_id)
    language = Language(found.language) if found.language else None
    return Identified(found.actor, found.csrf, language, found.theme)
