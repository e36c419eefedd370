"""The worklist and the search for a case, live: whatever happens, the list shows it where the eye was."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import HTMLResponse
from pydantic import field_validator

from tetkik.language import Sentence
from tetkik.records.audit_chain import Action
from tetkik.records.worklist import case_events, search, worklist
from tetkik.records.worklist.worklist import COUNTED, Scope
from tetkik.records.worklist.worklist_items import WorklistItem
from tetkik.service.kit.access.authorization import RequestContext, allowed
from tetkik.service.kit.http.paging import Cursor
from tetkik.service.kit.rendering.navigation import NavigationEntry
from tetkik.service.kit.rendering.templates import language_of
from tetkik.service.worklist.shapes import PriorityWord, WorklistQuery, cursor_of, place_of
from tetkik.turkish import alphabetical
from tetkik.values import FINDING_LABELS, NORMAL_LABELS, Actor, CaseState, Permission, Priority, label_name
from tetkik.workflow import offered_departments

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

Reader = Annotated[RequestContext, allowed(Permission.WORKLIST)]
Finder = Annotated[RequestContext, allowed(Permission.CASE_SEARCH)]


class WorklistForm(WorklistQuery):
    """The query as a form sends it, with its empty fields."""

    @field_validator("department", "modality", "finding", "since", "until", mode="before")
    @classmethod
    def _left_empty(cls, value: object) -> object:
        return value or None


Chosen = Annotated[WorklistForm, Query()]


@router.get("/worklist")
def page(ctx: Reader, query: Chosen, cursor: Cursor = None) -> HTMLResponse:
    values = _list(ctx, query, cursor=cursor)
    _audit_listing(ctx, len(values["items"]))
    return ctx.render("worklist/page.html.jinja", **values)


@router.get("/worklist/rows")
def rows(
    ctx: Reader, query: Chosen, cursor: Cursor = None, shown: Annotated[int, Query(ge=1, le=_MOST)] = _SHOWN
) -> HTMLResponse:
    """The same list again, after something happened; the audit entry of the page covers it."""
    values = _list(ctx, query, cursor=cursor, limit=shown)
    return ctx.render("worklist/list.html.jinja", **values)


@router.get("/worklist/more")
def more(ctx: Reader, query: Chosen, cursor: Cursor) -> HTMLResponse:
    values = _list(ctx, query, cursor=cursor)
    _audit_listing(ctx, len(values["items"]))
    return ctx.render("worklist/more.html.jinja", **values)


@router.get("/search")
def search_page(ctx: Finder) -> HTMLResponse:
    return ctx.render("worklist/search.html.jinja", found=False, **_shared(ctx.request, ctx.actor, ()))


@router.post("/search")
def find(ctx: Finder, words: Annotated[str, Form(max_length=search.LONGEST)] = "") -> HTMLResponse:
    """What was found; the words stand in the body of the request and nowhere else."""
    with ctx.write() as tx:
        items = search.search_cases(tx, words)
    values = _shared(ctx.request, ctx.actor, items) | {"found": True, "more": len(items) >= search.MOST}
    fragment = ctx.request.headers.get("hx-request") == "true"
    return ctx.render(f"worklist/{'found' if fragment else 'search'}.html.jinja", **values)


def _list(
    ctx: RequestContext, query: WorklistQuery, *, cursor: str | None, limit: int = _SHOWN
) -> dict[str, Any]:
    chosen = query.chosen()
    with ctx.read() as tx:
        # Before the list: what happens in between is sent twice rather than never.
        seq = case_events.newest_sequence(tx)
        found = worklist.load_worklist(tx, chosen, after=place_of(cursor), limit=limit)
        counts = worklist.count_worklist(tx, chosen)
    following = cursor_of(found.next)
    language = ctx.language
    labels = [label for label in FINDING_LABELS if label not in NORMAL_LABELS]
    names = {label: label_name(label, language) for label in labels}
    named = sorted(names.items(), key=lambda one: alphabetical(one[1]))
    return _shared(ctx.request, ctx.actor, found.items) | {
        "query": query,
        "chosen": chosen,
        "counts": counts,
        "counted": COUNTED,
        "seq": seq,
        "states": _STATES,
        "priorities": _PRIORITIES,
        "scopes": _SCOPES if ctx.actor.may(Permission.CLAIM) else {},
        "departments": offered_departments(ctx.settings.triage_model),
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


def _audit_listing(ctx: RequestContext, shown: int) -> None:
    with ctx.write() as tx:
        tx.audit(Action.CASES_LISTED, shown=shown)
