"""The people of a demonstration, any of whom one may become: these routes exist in a demonstration alone."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from tetkik.errors import NotFound, NotSignedIn
from tetkik.service.demonstration.cases import CASES
from tetkik.service.demonstration.folder import Progress
from tetkik.service.demonstration.people import person
from tetkik.service.kit.access.authentication import identify, limit_sign_ins
from tetkik.service.kit.access.authorization import RequestContext, allowed, public
from tetkik.service.kit.access.new_session import start_session_and_redirect
from tetkik.service.kit.context import AppContext, ContextDep
from tetkik.service.kit.http.responses import safe_path
from tetkik.service.kit.rendering.templates import render
from tetkik.values import Permission

router = APIRouter()
_FIRST = "pneumonia"
"""The case that the tour reads."""


@router.get("/login", dependencies=[public()])
@router.get("/demo", dependencies=[public()])
def people_page(request: Request, context: ContextDep, next: str = "/") -> Response:  # noqa: A002
    """The people with their roles, instead of a sign-in page."""
    with suppress(NotSignedIn):  # then the page is that of nobody
        identify(request)
    progress = _progress(context)
    opened = sum(case.key in progress.cases for case in CASES)
    back = safe_path(next)
    return render(request, "demonstration/people.html.jinja", back=back, opened=opened, all=len(CASES))


@router.post("/demo/become", dependencies=[public()])
def become(
    request: Request,
    context: ContextDep,
    login: Annotated[str, Form(max_length=40)],
    back: Annotated[str, Form(alias="next", max_length=2000)] = "/",
) -> Response:
    """Sign in as one of the people, without a password."""
    peer = limit_sign_ins(request)
    assert context.demonstration is not None
    if login not in context.demonstration.people:
        raise NotFound("There is no such person in the demonstration; choose one of the list.")
    with context.records.read() as tx:
        actor = person(tx, login, peer)
    # Ended, the former session would have its open page load again instead of leaving it.
    return start_session_and_redirect(request, context, actor, back, replace=False)


@router.get("/demo/read")
def read_first(ctx: Annotated[RequestContext, allowed(Permission.WORKLIST)]) -> Response:
    """The case that the tour reads; the worklist until it is there."""
    case_id = _progress(ctx.app).cases.get(_FIRST)
    return RedirectResponse(f"/read/{case_id}" if case_id else "/worklist", 303)


def _progress(context: AppContext) -> Progress:
    return Progress.load(context.settings.data_dir)
