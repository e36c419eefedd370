"""The reading view: who it is about, the image, the findings, the draft; and whose turn it is to read."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from tetkik.errors import Conflict, Forbidden
from tetkik.records.cases import cases, transfers
from tetkik.records.database import Transaction
from tetkik.records.images import images, jobs
from tetkik.records.people.visibility import load_visible_case
from tetkik.records.reports import drafts, templates
from tetkik.records.reports.templates import HospitalTemplate
from tetkik.records.worklist import case_events, claims, worklist
from tetkik.service.access.guard import allowed
from tetkik.service.house import House, InHouse
from tetkik.service.showing.rendering import language_of, render
from tetkik.service.steps.reading import Desk, desk_of, shown_findings, shown_working
from tetkik.values import Actor, CaseState, JobState, Permission

router = APIRouter(prefix="/read")

Reads = Annotated[Actor, allowed(Permission.DRAFT_READ)]
Edits = Annotated[Actor, allowed(Permission.DRAFT_EDIT)]
Claims = Annotated[Actor, allowed(Permission.CLAIM)]


@router.get("/next")
def next_case(house: InHouse, actor: Claims, after: str = "") -> RedirectResponse:
    """The most urgent case that is to be read and that nobody reads; the worklist where there is none."""
    chosen = worklist.WorklistFilter(states=(CaseState.TO_READ,), scope=worklist.Scope.UNCLAIMED)
    with house.records.read(actor) as tx:
        found = [item.case_id for item in worklist.load_worklist(tx, chosen, limit=2).items]
    other = next((case_id for case_id in found if case_id != after), None)
    return RedirectResponse(f"/read/{other}" if other else "/worklist", 303)


@router.get("/{case_id}")
def reading(
    request: Request, house: InHouse, actor: Reads, case_id: str, image: str | None = None
) -> Response:
    """The whole view; whoever opens a case that nobody reads is its reader."""
    taken = _claimed(house, actor, case_id)
    with house.records.read(actor) as tx:
        gone = transfers.load_moves(tx, load_visible_case(tx, case_id).id).to is not None
    if gone:  # opened for the wrong patient: the case's own page says as which it goes on
        return RedirectResponse(f"/cases/{case_id}", 303)
    with house.records.write(actor) as tx:
        seq = case_events.newest_sequence(tx)
        desk = desk_of(tx, case_id, image)
        texts = templates.all_templates(tx)
    return _page(request, house, desk, taken, texts, seq)


@router.get("/{case_id}/ready")
def ready(house: InHouse, actor: Reads, case_id: str, image: str) -> Response:
    """Whether the model is through with an image: 200, or 204 while it is at work."""
    with house.records.read(actor) as tx:
        work = jobs.newest_job(tx, images.load_visible_image(tx, image).id)
    waits = work is not None and work.state in (JobState.QUEUED, JobState.RUNNING)
    return Response(status_code=204 if waits else 200)


@router.post("/{case_id}/claim")
def take_over(house: InHouse, actor: Claims, case_id: str, image: str | None = None) -> RedirectResponse:
    """Read a case that somebody else is reading."""
    with house.records.write(actor) as tx:
        claims.claim_case(tx, case_id, take_over=True)
    return RedirectResponse(f"/read/{case_id}" + (f"?image={image}" if image else ""), 303)


@router.put("/{case_id}/claim", status_code=204)
def go_on(house: InHouse, actor: Claims, case_id: str) -> None:
    """Still reading; the open page says so every few minutes."""
    with house.records.write(actor) as tx:
        claims.claim_case(tx, case_id)


def _claimed(house: House, actor: Actor, case_id: str) -> bool:
    """Whether the actor reads the case now; somebody else may be reading it, or nobody has to any more."""
    if not actor.may(Permission.CLAIM):
        return False
    try:
        with house.records.write(actor) as tx:
            if _is_read(tx, case_id):
                return False
            claims.claim_case(tx, case_id)
    except Conflict:
        return False
    return True


def _is_read(tx: Transaction, case_id: str) -> bool:
    try:
        return cases.load_case(tx, case_id, audit=False).state not in worklist.OPEN
    except Forbidden:
        return False  # a restricted case opens for whoever claims it


def _page(
    request: Request, house: House, desk: Desk, mine: bool, texts: tuple[HospitalTemplate, ...], seq: int
) -> HTMLResponse:
    language = language_of(request)
    shown: dict[str, Any] = {
        "desk": desk,
        "mine": mine,
        "seq": seq,
        "age": _age(desk.case.person.born, datetime.now(UTC).date()),
        "texts": texts,
        "language_model": bool(house.settings.llm_url),
    }
    if desk.working is not None:
        shown |= shown_working(desk.working, desk.heat, language)
    else:
        shown |= shown_findings(desk, language)
    return render(request, "reading/page.html.jinja", **shown)


def _age(born: date | None, today: date) -> int | None:
    if born is None:
        return None
    return today.year - born.year - ((today.month, today.day) < (born.month, born.day))


@router.post("/{case_id}/reports")
def begin(house: InHouse, actor: Edits, case_id: str, image: str) -> RedirectResponse:
    """Write a report by hand where no model has written one."""
    with house.records.write(actor) as tx:
        found = images.load_visible_image(tx, image)
        described = images.load_metadata(tx, found)
        language = house.settings.report_language
        drafts.write_by_hand(tx, image, language, identity=described.identity, tags=described.tags)
    return RedirectResponse(f"/read/{case_id}?image={image}", 303)
