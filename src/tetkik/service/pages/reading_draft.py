"""The draft in the reading view: each change names the revision it was made on, and gives the panels back."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from fastapi.responses import HTMLResponse, Response
from pydantic import BaseModel, Field

from tetkik.language import Language
from tetkik.records.cases.transfers import CaseMoved
from tetkik.records.database import Transaction
from tetkik.records.images import derived_images
from tetkik.records.reports import drafts, templates
from tetkik.records.reports.editing import LONGEST, MOST, Choice
from tetkik.records.reports.templates import HospitalTemplate
from tetkik.records.reports.working import EditConflict, WorkingDraft
from tetkik.service.access.guard import allowed
from tetkik.service.api.draft_edits import DraftRoute
from tetkik.service.api.draft_shapes import RedraftSent
from tetkik.service.api.redrafting import fresh_draft
from tetkik.service.house import InHouse, house_of
from tetkik.service.showing.rendering import language_of, render
from tetkik.service.steps.reading import shown_working
from tetkik.values import Actor, Decision, DraftSentence, Fault, Judgement, Permission, Section


class PanelRoute(DraftRoute):
    """A route that shows whoever comes second both texts, and overwrites neither."""

    def second(self, request: Request, conflict: EditConflict) -> Response:
        """Both texts."""
        return _conflict(request, conflict)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler of every draft; where the case was moved, the page keeps what was written."""
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            try:
                return await handler(request)
            except CaseMoved as moved:
                return _moved(request, moved)

        return handle


def _conflict(request: Request, error: EditConflict) -> HTMLResponse:
    return render(
        request,
        "reading/conflict.html.jinja",
        status=409,
        sentence=error.in_language(language_of(request)),
        **shown_working(error.current, (), language_of(request)),
    )


def _moved(request: Request, error: CaseMoved) -> HTMLResponse:
    return render(
        request,
        "reading/moved.html.jinja",
        status=409,
        sentence=error.in_language(language_of(request)),
        to=error.to,
    )


router = APIRouter(prefix="/read", route_class=PanelRoute)

Revision = Annotated[int, Field(ge=0, lt=2**31)]
CaseId = Annotated[str, Path(max_length=26)]
ReportId = Annotated[str, Path(max_length=26)]
Reads = Annotated[Actor, allowed(Permission.DRAFT_READ)]
Edits = Annotated[Actor, allowed(Permission.DRAFT_EDIT)]


class Written(BaseModel):
    """A sentence as the editor sends it."""

    text: Annotated[str, Field(min_length=1, max_length=LONGEST, pattern=r"\S")]
    section: Section
    evidence: Annotated[list[str], Field(max_length=50)] = []


class Chosen(BaseModel):
    """A decision about a mark, by the place of its sentence among those that are sent."""

    sentence: Annotated[int, Field(ge=0, lt=MOST)]
    fault: Fault
    start: Annotated[int, Field(ge=0)]
    end: Annotated[int, Field(ge=0)]
    decision: Decision | None


class Save(BaseModel):
    """Everything that stands in the editor."""

    revision: Revision
    sentences: Annotated[list[Written], Field(max_length=MOST)]
    decisions: Annotated[list[Chosen], Field(max_length=MOST)] = []


class Judge(BaseModel):
    """What the radiologist says of one finding; None takes it back."""

    revision: Revision
    label: Annotated[str, Field(max_length=60)]
    judgement: Judgement | None


class Again(BaseModel):
    """A fresh draft of the composer in one language; a language model's comes as a stream of the API."""

    revision: Revision
    language: Language


class Take(BaseModel):
    """A text of the house, to be put around the draft."""

    revision: Revision
    template_id: Annotated[str, Field(max_length=26)]


@dataclass(frozen=True, slots=True)
class Panels:
    """What the panels are made of, once the transaction is through."""

    working: WorkingDraft
    heat: tuple[str, ...]
    texts: tuple[HospitalTemplate, ...]


def panels_of(tx: Transaction, working: WorkingDraft) -> Panels:
    """What the panels of a draft are made of."""
    return Panels(working, derived_images.heatmap_labels(tx, working.image_id), templates.all_templates(tx))


def shown_panels(request: Request, panels: Panels) -> HTMLResponse:
    """Findings and draft, drawn anew."""
    return render(
        request,
        "reading/panels.html.jinja",
        texts=panels.texts,
        language_model=bool(house_of(request).settings.llm_url),
        **shown_working(panels.working, panels.heat, language_of(request)),
    )


@router.get("/{case_id}/{report_id}")
def panels(
    request: Request, house: InHouse, actor: Reads, case_id: CaseId, report_id: ReportId
) -> HTMLResponse:
    """The panels as they are now."""
    with house.records.write(actor) as tx:
        seen = panels_of(tx, drafts.open_draft(tx, report_id))
    return shown_panels(request, seen)


@router.put("/{case_id}/{report_id}")
def save(
    request: Request, house: InHouse, actor: Edits, case_id: CaseId, report_id: ReportId, body: Save
) -> HTMLResponse:
    """Keep what stands in the editor, and what was decided about marks."""
    sentences = [DraftSentence(item.text, item.section, tuple(item.evidence)) for item in body.sentences]
    choices = [
        Choice(item.sentence, item.fault, item.start, item.end, item.decision) for item in body.decisions
    ]
    with house.records.write(actor) as tx:
        seen = panels_of(tx, drafts.save(tx, report_id, body.revision, sentences, choices))
    return shown_panels(request, seen)


@router.post("/{case_id}/{report_id}/findings")
def judge(
    request: Request, house: InHouse, actor: Edits, case_id: CaseId, report_id: ReportId, body: Judge
) -> HTMLResponse:
    """Accept, reject or add a finding; the marks of the draft follow."""
    with house.records.write(actor) as tx:
        seen = panels_of(tx, drafts.judge(tx, report_id, body.revision, body.label, body.judgement))
    return shown_panels(request, seen)


@router.post("/{case_id}/{report_id}/rewrite")
def write_again(
    request: Request, house: InHouse, actor: Edits, case_id: CaseId, report_id: ReportId, body: Again
) -> HTMLResponse:
    """A fresh draft from the findings as they were judged, in the language asked for."""
    wanted = RedraftSent(language=body.language)
    fresh = fresh_draft(house, actor, report_id, body.revision, wanted)
    with house.records.write(actor) as tx:
        seen = panels_of(tx, fresh.keep(tx))
    return shown_panels(request, seen)


@router.post("/{case_id}/{report_id}/template")
def take_template(
    request: Request, house: InHouse, actor: Edits, case_id: CaseId, report_id: ReportId, body: Take
) -> HTMLResponse:
    """Put the standing sentences of the house around those of the draft."""
    with house.records.write(actor) as tx:
        seen = panels_of(tx, templates.take(tx, report_id, body.revision, body.template_id))
    return shown_panels(request, seen)
