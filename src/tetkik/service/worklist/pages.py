"""The worklist and the search for a case, live: whatever happens, the list shows it where the eye was."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Any, Self
from urllib.parse import parse_qsl, urlencode

from fastapi import APIRouter, Form, Path, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import Field, ValidationError, field_validator

from tetkik.errors import InputError
from tetkik.language import Sentence
from tetkik.records.audit_chain import Action
from tetkik.records.cases.patients import SHORTEST_WORDS
from tetkik.records.database import Transaction
from tetkik.records.worklist import assignments, case_events, saved_views, search, worklist
from tetkik.records.worklist.case_columns import SortColumn
from tetkik.records.worklist.saved_views import View, WorklistPreferences
from tetkik.records.worklist.worklist import COUNTED, Assigned, Scope
from tetkik.records.worklist.worklist_items import WorklistItem
from tetkik.service.kit.access.authorization import RequestContext, allowed
from tetkik.service.kit.http.paging import Cursor
from tetkik.service.kit.rendering.dicom_words import body_part
from tetkik.service.kit.rendering.navigation import NavigationEntry
from tetkik.service.kit.rendering.templates import language_of
from tetkik.service.worklist.columns import COLUMNS, DOWN_FIRST, FOUND, SHOWN, reason_words
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
_ASSIGNED = {
    Assigned.MINE: Sentence("assigned to me"),
    Assigned.POOLS: Sentence("my pools"),
    Assigned.NOBODY: Sentence("not assigned"),
}

Reader = Annotated[RequestContext, allowed(Permission.WORKLIST)]
Finder = Annotated[RequestContext, allowed(Permission.CASE_SEARCH)]


class WorklistForm(WorklistQuery):
    """The query as a form sends it, with its empty fields, and the columns of a saved view."""

    columns: str | None = Field(default=None, pattern=f"^(({'|'.join(COLUMNS)})(,|$))*$")
    """Names with commas; None shows those that the person chose last."""

    @field_validator("assigned", "department", "modality", "finding", "since", "until", "sort", mode="before")
    @classmethod
    def _left_empty(cls, value: object) -> object:
        return value or None

    @field_validator("scope", mode="before")
    @classmethod
    def _anybody(cls, value: object) -> object:
        return value or Scope.ALL

    @classmethod
    def of_address(cls, query: str) -> Self:
        """What stands behind the `?` of an address; an `InputError` where it is none of the worklist's."""
        given: dict[str, Any] = {}
        for name, value in parse_qsl(query):
            if name in ("state", "priority"):
                given.setdefault(name, []).append(value)
            else:
                given[name] = value
        try:
            return cls.model_validate(given)
        except ValidationError:
            raise InputError("This is no view of the worklist; open the worklist and save it anew.") from None


Chosen = Annotated[WorklistForm, Query()]
Address = Annotated[str, Form(max_length=2000)]


@router.get("/worklist")
def page(ctx: Reader, query: Chosen, cursor: Cursor = None) -> HTMLResponse:
    """The list; an order that is not that of a saved view is remembered."""
    values = _list(ctx, query, cursor=cursor)
    with ctx.write() as tx:
        tx.audit(Action.CASES_LISTED, shown=len(values["items"]))
        if query.sort is not None and query.columns is None:
            saved_views.save_preferences(tx, replace(saved_views.load_preferences(tx), sort=query.sort))
    return ctx.render("worklist/page.html.jinja", **values)


@router.post("/worklist/look")
def choose_look(
    ctx: Reader,
    query: Address = "",
    dense: Annotated[bool | None, Form()] = None,
    column: Annotated[list[str] | None, Form()] = None,
) -> RedirectResponse:
    """Remember how dense the rows are, or the columns; those of a saved view stay with its address."""
    chosen = WorklistForm.of_address(query)
    with ctx.write() as tx:
        kept = saved_views.load_preferences(tx)
        if dense is not None:
            kept = replace(kept, dense=dense)
        if column is not None:
            names = tuple(name for name in COLUMNS if name in column)
            if chosen.columns is not None:
                chosen = chosen.model_copy(update={"columns": ",".join(names)})
            else:
                kept = replace(kept, columns=names)
        saved_views.save_preferences(tx, kept)
    return _to_list(chosen)


@router.post("/worklist/views")
def save_view(
    ctx: Reader,
    name: Annotated[str, Form(max_length=200)],
    query: Address = "",
    shared: Annotated[bool, Form()] = False,
) -> RedirectResponse:
    """Keep filters, order and columns under a name."""
    chosen = WorklistForm.of_address(query)
    with ctx.write() as tx:
        saved_views.save_view(tx, name, chosen.address(), shared=shared)
    return _to_list(chosen)


@router.post("/worklist/views/{view_id}/remove")
def remove_view(ctx: Reader, view_id: Annotated[str, Path(max_length=26)]) -> RedirectResponse:
    with ctx.write() as tx:
        saved_views.remove_view(tx, view_id)
    return RedirectResponse("/worklist", 303)


def _to_list(query: WorklistForm) -> RedirectResponse:
    address = query.address()
    return RedirectResponse(f"/worklist?{address}" if address else "/worklist", 303)


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
    with ctx.write() as tx:
        tx.audit(Action.CASES_LISTED, shown=len(values["items"]))
    return ctx.render("worklist/more.html.jinja", **values)


@router.get("/search")
def search_page(ctx: Finder) -> HTMLResponse:
    return ctx.render("worklist/search.html.jinja", found=False, **_shared(ctx.request, ctx.actor, ()))


@router.post("/search")
def find(ctx: Finder, words: Annotated[str, Form(max_length=search.LONGEST)] = "") -> Response:
    """What was found; the words stand in the body of the request and nowhere else.

    While somebody types (htmx names the field then) nothing is looked for before the third character.
    """
    if ctx.request.headers.get("hx-trigger") == "words" and len(words.strip()) < SHORTEST_WORDS:
        return Response(status_code=204)
    with ctx.write() as tx:
        items = search.search_cases(tx, words)
    values = _shared(ctx.request, ctx.actor, items) | {"found": True, "more": len(items) >= search.MOST}
    fragment = ctx.request.headers.get("hx-request") == "true"
    return ctx.render(f"worklist/{'found' if fragment else 'search'}.html.jinja", **values)


def _list(
    ctx: RequestContext, query: WorklistForm, *, cursor: str | None, limit: int = _SHOWN
) -> dict[str, Any]:
    with ctx.read() as tx:
        kept = saved_views.load_preferences(tx)
        # The order and the columns that hold, in every link of the page.
        remembered = kept.sort if query.columns is None and cursor is None else None
        sort = query.sort or remembered
        listed = query.model_copy(update={"sort": sort})
        order = listed.order()
        chosen = query.chosen()
        # Before the list: what happens in between is sent twice rather than never.
        seq = case_events.newest_sequence(tx)
        found = worklist.load_worklist(tx, chosen, sort=order, after=place_of(cursor, order), limit=limit)
        counts = worklist.count_worklist(tx, chosen)
        views = [_tab(tx, view, query) for view in saved_views.list_views(tx)]
        assignees = assignments.list_assignees(tx) if ctx.actor.may(Permission.CLAIM) else ()
    columns = _columns(query, kept)
    following = cursor_of(found.next)
    language = ctx.language
    labels = [label for label in FINDING_LABELS if label not in NORMAL_LABELS]
    names = {label: label_name(label, language) for label in labels}
    named = sorted(names.items(), key=lambda one: alphabetical(one[1]))
    return _shared(ctx.request, ctx.actor, found.items) | {
        "query": query,
        "order": order,
        "down_first": DOWN_FIRST,
        "sortable": {*SortColumn},
        "partial": found.partial,
        "most_sorted": worklist.MOST_SORTED,
        "counts": counts,
        "counted": COUNTED,
        "seq": seq,
        "states": _STATES,
        "priorities": _PRIORITIES,
        "scopes": _SCOPES if ctx.actor.may(Permission.CLAIM) else {},
        "assigned": _ASSIGNED if ctx.actor.may(Permission.CLAIM) else {},
        "assignees": assignees,
        "views": views,
        "listed": listed,
        "filtered": any(name not in ("sort", "columns") for name, _ in query.pairs()),
        "view": query.model_copy(update={"sort": sort or "priority", "columns": ",".join(columns)}).address(),
        "columns": columns,
        "every_column": COLUMNS,
        "dense": kept.dense,
        "departments": offered_departments(ctx.settings.triage_model),
        "modalities": _MODALITIES,
        "labels": named,
        "cursor": cursor,
        "more": urlencode([*listed.pairs(), ("cursor", following)]) if following else None,
    }


@dataclass(frozen=True, slots=True)
class ViewTab:
    """A saved view as its tab shows it."""

    view: View
    count: int
    current: bool


def _tab(tx: Transaction, view: View, query: WorklistForm) -> ViewTab:
    saved = WorklistForm.of_address(view.query)
    return ViewTab(view, worklist.count_cases(tx, saved.chosen()), saved == query)


def _columns(query: WorklistForm, kept: WorklistPreferences) -> tuple[str, ...]:
    """The columns that are shown, in order: of the view, else of the person, else of everybody."""
    chosen = query.columns.split(",") if query.columns is not None else kept.columns
    return SHOWN if chosen is None else tuple(name for name in COLUMNS if name in chosen)


def _shared(request: Request, actor: Actor, items: tuple[WorklistItem, ...]) -> dict[str, Any]:
    language = language_of(request)

    def name_of(label: str) -> str:
        return label_name(label, language)

    def address_of(item: WorklistItem) -> str:
        reads = actor.may(Permission.IMAGE_READ) and actor.may(Permission.DRAFT_READ)
        return f"/{'read' if reads and item.state is not CaseState.WAITING else 'cases'}/{item.case_id}"

    return {
        "items": items,
        "name_of": name_of,
        "address_of": address_of,
        "word_of": PriorityWord.of,
        "columns": FOUND,
        "every_column": COLUMNS,
        "part_of": partial(body_part, language=language),
        "reason_of": partial(reason_words, language=language),
    }
