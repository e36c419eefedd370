"""The session that begins when somebody has proved who they are, however they did."""

from __future__ import annotations

import secrets
from datetime import timedelta

from fastapi import Request
from fastapi.responses import RedirectResponse, Response

from tetkik.errors import NotSignedIn
from tetkik.records.people import sessions, sign_in
from tetkik.records.people.users import user_row
from tetkik.service.kit.access.authentication import (
    peer_of,
    require_session,
    set_browser_cookie,
    set_session_cookie,
)
from tetkik.service.kit.context import AppContext
from tetkik.service.kit.http.responses import safe_path
from tetkik.values import Actor


def start_session_and_redirect(
    request: Request, context: AppContext, actor: Actor, back: str, *, replace: bool = True
) -> Response:
    """Begin a session for whoever proved themselves, and lead them on."""
    answer = RedirectResponse(safe_path(back), 303)
    begin(request, context, actor, answer, replace=replace)
    return answer


def begin(
    request: Request, context: AppContext, actor: Actor, answer: Response, *, replace: bool = True
) -> None:
    """Give a browser a new session; the one that it had ends, and its id with it, unless it is not replaced.

    A second cookie, which opens nothing, recognises this browser at the next sign-in.
    """
    try:
        before: Actor | None = require_session(request).actor
    except NotSignedIn:
        before = None
    peer = peer_of(request)
    browser = peer.browser or secrets.token_hex(32)
    lasting = timedelta(hours=context.settings.session_hours)
    with context.records.write(actor) as tx:
        assert actor.user_id is not None
        if before is not None and replace:
            sessions.replace(tx, before)
        user = user_row(tx, actor.user_id)
        cookie = sign_in.open_session(tx, user, actor.method, peer, lasting, browser)
    set_session_cookie(answer, context, cookie)
    set_browser_cookie(answer, context, browser)
