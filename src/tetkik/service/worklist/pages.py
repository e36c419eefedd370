"""The worklist and the search for a case, live: whatever happens, the list shows it where the eye was."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import HTMLResponse

from tetkik.language import Sentence
from tetkik.records.trail.chain import Action
from tetkik.records.worklist import events, search, worklist
from tetkik.records.worklist.items import WorklistItem
from tetkik.records.worklist.worklist import COUNTED, Scope
from tetkik.service.kit.access.authorization import allowed
from tetkik.service.kit.context import AppContext, ContextDep
from tetkik.service.kit.http.paging import Cursor
from tetkik.service.kit.rendering.navigation import NavigationEntry
from tetkik.service.kit.rendering.templates import language_of, render
from tetkik.service.worklist.shapes import PriorityWord, WorklistQuery, cursor_of, place_of
from tetkik.turkish import alphabetical
from tetkik.values import (
    DEPARTMENTS,
    FINDING_LABELS,
    NORMAL_LABELS,
    Actor,
    CaseState,
    Permission,
    Priority,
    label_name,
)

router = APIRouter()
NAVIGATION = (
    NavigationEntry(
        "/worklist", Permission.WORKLIST, "worklist", Sentence("Worklist"), "g w", position=30, start=1
    ),
    NavigationEntry(
        "/search", Permission.CASE_SEARCH, "search", Sentence("Search"), "g f", position=40, start=4
    ),
)

_SHOWN = 50
_MOST = 500
"""Rows that a refresh brings back at most."""
_MODALITIES = ("DX", "CR", "MR", "CT")
_STATES = {
    CaseState.TO_READ: Sentence("to be read"),
    CaseState.PROCESSING: Sentence("being prepared"),
    CaseState.WAITING: Sentence("waiting for an image"),
    CaseState.SIGNED: Sentence("signed"),
}
_PRIORITIES = {
    Priority.CRITICAL: Sentence("Critical"),
    Priority.URGENT: Sentence("Urgent"),
    Priority.ROUTINE: Sentence("Routine"),
}
_SCOPES = {
    Scope.MINE: Sentence("I am reading"),
    Scope.CLAIMED: Sentence("being read"),
    Scope.UNCLAIMED: Sentence("nobody is reading"),
}

Reader = Annotated[Actor, allowed(Permission.WORKLIST)]
Finder = Annotated[Actor, allowed(Permission.CASE_SEARCH)]
Chosen = Annotated[WorklistQuery, Query()]


@router.get("/worklist")
def page(
    request: Request, actor: Reader, context: ContextDep, query: Chosen, cursor: Cursor = None
) -> HTMLResponse:
    """The list as a page; audited."""
    values = _list(request, context, actor, query, cursor=cursor)
    _note(context, actor, len(values["items"]))
    return render(request, "worklist/page.html.jinja", **values)


@router.get("/worklist/rows")
def rows(
    request: Request,
    actor: Reader,
    context: ContextDep,
    query: Chosen,
    cursor: Cursor = None,
    shown: Annotated[int, Query(ge=1, le=_MOST)] = _SHOWN,
) -> HTMLResponse:
    """The same list again, after something happened; the audit entry of the page covers it."""
    values = _list(request, context, actor, query, cursor=cursor, limit=shown)
    return render(request, "worklist/list.html.jinja", **values)


@router.get("/worklist/more")
def more(request: Request, actor: Reader, context: ContextDep, query: Chosen, cursor: Cursor) -> HTMLResponse:
    """The rows after the last one; audited."""
    values = _list(request, context, actor, query, cursor=cursor)
    _note(context, actor, len(values["items"]))
    return render(request, "worklist/more.html.jinja", **values)


@router.get("/search")
def search_page(request: Request, actor: Finder) -> HTMLResponse:
    """The search form."""
    return render(request, "worklist/search.html.jinja", found=False, **_shared(request, actor, ()))


@router.post("/search")
def find(
    request: Request,
    actor: Finder,
    context: ContextDep,
    words: Annotated[str, Form(max_length=search.LONGEST)] = "",
) -> HTMLResponse:
    """What was found; the words stand in the body of the request and nowhere else."""
    with context.records.write(actor) as tx:
        items = search.search(tx, words)
    values = _shared(request, actor, items) | {"found": True, "more": len(items) >= search.MOST}
    fragment = request.headers.get("hx-request") == "true"
    return render(request, f"worklist/{'found' if fragment else 'search'}.html.jinja", **values)


def _list(
    request: Request,
    context: AppContext,
    actor: Actor,
    query: WorklistQuery,
    *,
    cursor: str | None,
    limit: int = _SHOWN,
) -> dict[str, Any]:
    chosen = query.chosen()
    with context.records.read(actor) as tx:
        # Before the list: what happens in between is sent twice rather than never.
        seq = events.newest(tx)
        found = worklist.listing(tx, chosen, after=place_of(cursor), limit=limit)
        counts = worklist.counts(tx, chosen)
    following = cursor_of(found.next)
    language = language_of(request)
    labels = [label for label in FINDING_LABELS if label not in NORMAL_LABELS]
    names = {label: label_name(label, language) for label in labels}
    named = sorted(names.items(), key=lambda one: alphabetical(one[1]))
    return _shared(request, actor, found.items) | {
        "query": query,
        "chosen": chosen,
        "counts": counts,
        "counted": COUNTED,
        "seq": seq,
        "states": _STATES,
        "priorities": _PRIORITIES,
        "scopes": _SCOPES if actor.may(Permission.CLAIM) else {},
        "departments": sorted(DEPARTMENTS, key=alphabetical),
        "modalities": _MODALITIES,
        "labels": named,
        "cursor": cursor,
        "more": urlencode([*query.pairs(), ("cursor", following)]) if following else None,
    }


def _shared(request: Request, actor: Actor, items: tuple[WorklistItem, ...]) -> dict[str, Any]:
    language = language_of(request)

    def name_of(label: str) -> str:
        return label_name(label, language)

    def address_of(item: WorklistItem) -> str:
        reads = actor.may(Permission.IMAGE_READ) and actor.may(Permission.DRAFT_READ)
        return f"/{'read' if reads and item.state is not CaseState.WAITING else 'cases'}/{item.case_id}"

    return {"items": items, "name_of": name_of, "address_of": address_of, "word_of": PriorityWord.of}


def _note(context: AppContext, actor: Actor, shown: int) -> None:
    with context.records.write(actor) as tx:
        tx.audit(Action.CASES_LISTED, shown=shown)
