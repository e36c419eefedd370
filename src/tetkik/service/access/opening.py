"""The session that begins when somebody has proved who they are, however they did."""

from __future__ import annotations

from datetime import timedelta

from fastapi import Request
from fastapi.responses import RedirectResponse, Response

from tetkik.errors import NotSignedIn
from tetkik.records.people import sessions, sign_in
from tetkik.records.people.users import row_of
from tetkik.service.access.identify import give_cookie, peer_of, resumed
from tetkik.service.access.returning import inside
from tetkik.service.house import House
from tetkik.values import Actor


def signed_in(request: Request, house: House, actor: Actor, back: str) -> Response:
    """Begin a session for whoever proved themselves, and lead them on."""
    answer = RedirectResponse(inside(back), 303)
    give_cookie(answer, house, fresh_session(request, house, actor))
    return answer


def fresh_session(request: Request, house: House, actor: Actor) -> str:
    """The cookie's value of a new session; the one that this browser had ends, and its id with it."""
    try:
        before: Actor | None = resumed(request).actor
    except NotSignedIn:
        before = None
    lasting = timedelta(hours=house.settings.session_hours)
    with house.records.write(actor) as tx:
        assert actor.user_id is not None
        if before is not None:
            sessions.replace(tx, before)
        user = row_of(tx, actor.user_id)
        return sign_in.open_session(tx, user, actor.method, peer_of(request), lasting)
