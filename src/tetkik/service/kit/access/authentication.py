"""Who sends a request: a browser's cookie, or a program's token."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from fastapi import Request
from fastapi.responses import Response

from tetkik.errors import Forbidden, NotSignedIn
from tetkik.language import Language
from tetkik.records.people import sessions, tokens
from tetkik.records.people.sign_in import Peer
from tetkik.service.kit.access.rate_limits import gate_of, take
from tetkik.service.kit.access.required_passkey import is_weak
from tetkik.service.kit.context import House, house_of
from tetkik.values import Actor

LOCK_PAGE = "/lock"
CHANGE_PAGE = "/account/password"
ENROL_PAGE = "/account/passkey"
_ALWAYS = frozenset({"/logout", "/account/preferences", LOCK_PAGE})
_WHILE_CHANGING = _ALWAYS | {CHANGE_PAGE, f"{CHANGE_PAGE}/strength"}
"""What is open to somebody who has to choose a new password first."""
_WHILE_ENROLLING = _ALWAYS | {ENROL_PAGE, "/api/v1/account/passkeys/new", "/api/v1/account/passkeys"}
"""What is open to somebody whose role needs more than the password that they gave."""


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


def give_cookie(answer: Response, house: House, cookie: str) -> None:
    """Let the browser keep a session until it is closed; no script reads it, no other site sends it on."""
    answer.set_cookie(
        cookie_name(house), cookie, path="/", secure=house.secure, httponly=True, samesite="lax"
    )


def take_cookie(answer: Response, house: House) -> None:
    """Let the browser forget the session, and whatever it kept of the pages."""
    answer.delete_cookie(cookie_name(house), path="/", secure=house.secure, httponly=True, samesite="lax")
    answer.headers["Clear-Site-Data"] = '"cache", "storage"'


def peer_of(request: Request) -> Peer:
    """Where a request comes from."""
    return Peer(
        request.client.host if request.client else None,
        getattr(request.state, "request_id", None),
        request.headers.get("user-agent", ""),
    )


def identify(request: Request) -> Identified:
    """Who sends this request; found once and kept with it.

    Raises:
        NotSignedIn: nobody is signed in, or the session is over or locked.
        Forbidden: the password has to be changed first.
        TooManyRequests: too often.
    """
    known: Identified | None = getattr(request.state, "identified", None)
    if known is None:
        known = _identify(request)
        request.state.identified = known
    return known


def _identify(request: Request) -> Identified:
    authorization = request.headers.get("authorization")
    if authorization is not None and request.url.path.startswith("/api/"):
        return _program(request, authorization)
    found = resumed(request)
    if found.locked:
        request.state.detour = LOCK_PAGE
        raise NotSignedIn("The screen is locked; give the password again.")
    path = request.url.path
    if found.must_change:
        if path not in _WHILE_CHANGING:
            request.state.detour = CHANGE_PAGE
            raise NotSignedIn("The password has to be changed first; choose a new one.")
    elif path not in _WHILE_ENROLLING and is_weak(house_of(request).settings, found.actor):
        request.state.detour = ENROL_PAGE
        raise NotSignedIn("Your role needs more than a password; add a passkey and sign in with it.")
    return of_session(found)


def of_session(found: sessions.Resumed) -> Identified:
    """A session as its pages need it."""
    language = Language(found.language) if found.language else None
    return Identified(found.actor, found.csrf, language, found.theme)


def resumed(request: Request) -> sessions.Resumed:
    """The session of a browser, locked or not.

    Raises:
        NotSignedIn: nobody is signed in, or the session is over.
        TooManyRequests: too often.
    """
    house, peer = house_of(request), peer_of(request)
    cookie = request.cookies.get(cookie_name(house))
    try:
        if cookie is None:
            raise NotSignedIn("Nobody is signed in here; sign in first.")
        idle = timedelta(minutes=house.settings.session_idle_minutes)
        found = sessions.resume(
            house.records, cookie, address=peer.address, request_id=peer.request_id, idle=idle
        )
    except NotSignedIn:
        take(request, gate_of(request).requests, f"address {peer.address}")
        raise
    take(request, gate_of(request).requests, f"user {found.actor.user_id}")
    return found


def _program(request: Request, authorization: str) -> Identified:
    peer = peer_of(request)
    scheme, _, secret = authorization.partition(" ")
    try:
        if scheme.lower() != "bearer":
            raise NotSignedIn("The header Authorization is not of a token; send `Authorization: Bearer …`.")
        actor = tokens.use(house_of(request).records, secret.strip(), peer)
    except NotSignedIn:
        take(request, gate_of(request).sign_ins, f"address {peer.address}")
        raise
    take(request, gate_of(request).requests, f"token {actor.user_id}")
    return Identified(actor)


def refuse_programs(actor: Actor) -> None:
    """Keep programs from what a person does for themselves.

    Raises:
        Forbidden: the request came with a token.
    """
    if actor.session_id is None:
        raise Forbidden("A token cannot do this; sign in with a browser.")
