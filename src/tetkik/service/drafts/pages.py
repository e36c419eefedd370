"""The draft in the reading view: each change names the revision it was made on, and gives the panels back."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Form, Path, Query, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from pydantic import BaseModel, Field

from tetkik.errors import Forbidden
from tetkik.integrations.critical_contacts import Contact, contacts_of_case
from tetkik.language import Language
from tetkik.records.cases import cases, transfers
from tetkik.records.cases.transfers import CaseMoved
from tetkik.records.database import Transaction
from tetkik.records.images import images, jobs
from tetkik.records.people.access import load_visible_case
from tetkik.records.reports import drafts, measurements, templates
from tetkik.records.reports.edit_conflicts import EditConflict, WorkingDraft
from tetkik.records.reports.templates import HospitalTemplate
from tetkik.records.worklist import case_contents, claims, critical_results, worklist
from tetkik.records.worklist.claims import Reader
from tetkik.records.worklist.critical_results import CriticalResultView
from tetkik.records.worklist.worklist_items import load_reason
from tetkik.rules.editing import LONGEST, MOST
from tetkik.rules.editing import Change as DraftChange
from tetkik.rules.editing import save as save_edit
from tetkik.rules.judging import undo as undo_judging
from tetkik.service.cases import locked
from tetkik.service.drafts import dictation, shapes
from tetkik.service.drafts.redrafting import fresh_draft
from tetkik.service.drafts.revisions import (
    DraftRoute,
    assessed,
    assessed_measurement,
    changing,
    of_template,
    statistics_of_moved,
    with_statistics,
)
from tetkik.service.drafts.view import (
    FindingSources,
    ReadingView,
    load_sources,
    reading_view,
    shown_findings,
    shown_working,
)
from tetkik.service.kit.access.authorization import RequestContext, allowed
from tetkik.service.kit.background.image_decoder import DecoderDep
from tetkik.service.kit.rendering.templates import language_of, render
from tetkik.service.studies.viewer import Viewer, load_prior, load_viewer
from tetkik.service.worklist import CaseReader, PriorityWord, WorklistForm, reason_words
from tetkik.values import Permission

router = APIRouter(prefix="/read")

Reads = Annotated[RequestContext, allowed(Permission.DRAFT_READ)]
Edits = Annotated[RequestContext, allowed(Permission.DRAFT_EDIT)]
Claims = Annotated[RequestContext, allowed(Permission.CLAIM)]


@router.get("/next")
@router.post("/next")
def next_case(
    ctx: Claims,
    query: Annotated[WorklistForm, Query()],
    after: Annotated[str, Query(max_length=26)] = "",
    signed: bool = False,
) -> RedirectResponse:
    """The next case of a view that is to be read and that nobody reads; the worklist where there is none.

    `signed`: a report of `after` was signed; where another one of it still waits, the next case is that one.
    By POST the case is claimed as well.
    """
    with ctx.read() as tx:
        reader = claims.load_readers(tx, [after]).get(after) if signed else None
        if reader is not None and reader.user_id == ctx.actor.user_id and _is_to_read(tx, after):
            other: str | None = after
        else:
            other = worklist.find_next_case(tx, query.chosen(), query.order(), after)
    if other is not None and ctx.request.method == "POST":
        with ctx.write() as tx:
            claims.claim_to_read(tx, other)
    address = query.address()
    return RedirectResponse(f"/read/{other}" if other else f"/worklist?{address}".rstrip("?"), 303)


@router.get("/{case_id}")
def reading(
    ctx: Reads, case_id: str, image: str | None = None, view: Literal["only"] | None = None
) -> Response:
    """The whole view; it claims nothing, because a link of another site opens it, too.

    With `view=only` the image alone, for a second window.
    """
    try:
        with ctx.read() as tx:
            gone = transfers.load_moves(tx, load_visible_case(tx, case_id).id).to is not None
    except Forbidden:
        return locked(ctx, case_id)
    if gone:  # opened for the wrong patient: the case's own page says as which it goes on
        return RedirectResponse(f"/cases/{case_id}", 303)

    with ctx.write() as tx:
        seq, found = case_contents.newest_sequence(tx), reading_view(tx, case_id, image)
    with ctx.read() as tx:
        why = reason_words(load_reason(tx, case_id), ctx.language)
        texts = templates.fitting_templates(tx, found.working) if found.working else ()
        criticals = critical_results.results_of_case(tx, case_id)
        contacts = contacts_of_case(ctx.settings, tx, case_id)
        shown = (
            load_viewer(tx, found.image, found.images, ctx.language, asked=image is not None)
            if found.image
            else None
        )
    mine = found.reader is not None and found.reader.user_id == ctx.user_id
    reads = found.reader if mine and found.case.state in worklist.OPEN else None
    return _page(ctx, found, reads, texts, seq, why, shown, criticals, contacts, only=view is not None)


@router.get("/{case_id}/studies/{study_id}")
def prior_study(ctx: Reads, case_id: str, study_id: str) -> JSONResponse:
    """An earlier study of the case's patient with its stacks, for the viewer."""
    with ctx.read() as tx:
        patient_id = load_visible_case(tx, case_id).patient_id
        return JSONResponse(load_prior(tx, patient_id, study_id, ctx.language).as_json())


@router.get("/{case_id}/ready")
def ready(ctx: Reads, case_id: str, image: str) -> Response:
    """Whether the models are through with the study of an image: 200, or 204 while they are at work."""
    with ctx.read() as tx:
        waits = jobs.open_job(tx, images.load_visible_image(tx, image).study_id) is not None
    return Response(status_code=204 if waits else 200)


@router.post("/{case_id}/claim")
def claim(
    ctx: Claims, case_id: str, image: str | None = None, take_over: Annotated[bool, Form()] = False
) -> RedirectResponse:
    """Open a case to read it; where it cannot be claimed, its page says why."""
    with ctx.write() as tx:
        claims.claim_to_read(tx, case_id, take_over=take_over)
    return RedirectResponse(f"/read/{case_id}" + (f"?image={image}" if image else ""), 303)


@router.put("/{case_id}/claim")
def go_on(ctx: Claims, case_id: str) -> CaseReader:
    """Still reading; the open page says so every few minutes."""
    with ctx.write() as tx:
        return CaseReader.from_value(claims.claim_case(tx, case_id))


def _is_to_read(tx: Transaction, case_id: str) -> bool:
    """Whether a case that the actor claimed waits for another report."""
    return cases.load_case(tx, case_id, audit=False).state in worklist.OPEN


def _page(
    ctx: RequestContext,
    view: ReadingView,
    mine: Reader | None,
    texts: tuple[HospitalTemplate, ...],
    seq: int,
    why: str,
    viewer: Viewer | None,
    criticals: tuple[CriticalResultView, ...],
    contacts: tuple[Contact, ...],
    *,
    only: bool,
) -> HTMLResponse:
    shown: dict[str, Any] = {
        "view": view,
        "viewer_data": viewer,
        "only": only,
        "mine": mine,
        "seq": seq,
        "why": why,
        "word_of": PriorityWord.of,
        "texts": texts,
        "criticals": criticals,
        "contacts": [contact.name for contact in contacts],
        "phone_signing": ctx.settings.phone_signing,
        "language_model": bool(ctx.settings.llm_url),
        "dictation": dictation.offered(ctx.settings),
    }
    if view.working is not None:
        shown |= shown_working(view.working, view.sources, ctx.language)
    else:
        shown |= shown_findings(view, ctx.language)
    return ctx.render("drafts/page.html.jinja", **shown)


@router.post("/{case_id}/reports")
def begin(ctx: Edits, case_id: str, image: str) -> RedirectResponse:
    with ctx.write() as tx:
        found = images.load_visible_image(tx, image)
        described = images.load_metadata(tx, found)
        language = ctx.settings.report_language
        drafts.write_by_hand(tx, image, language, identity=described.identity, tags=described.tags)
    return RedirectResponse(f"/read/{case_id}?image={image}", 303)


class PanelRoute(DraftRoute):
    """A route that shows whoever comes second both texts, and overwrites neither."""

    def respond_to_conflict(self, request: Request, conflict: EditConflict) -> Response:
        language = language_of(request)
        shown = shown_working(conflict.current, FindingSources(), language)
        sentence = conflict.in_language(language)
        return render(request, "drafts/conflict.html.jinja", status=409, sentence=sentence, **shown)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler of every draft; where the case was moved, the page keeps what was written."""
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            try:
                return await handler(request)
            except CaseMoved as moved:
                sentence = moved.in_language(language_of(request))
                return render(request, "drafts/moved.html.jinja", status=409, sentence=sentence, to=moved.to)

        return handle


panel_router = APIRouter(prefix="/read", route_class=PanelRoute)

Revision = Annotated[int, Field(ge=0, lt=2**31)]
CaseId = Annotated[str, Path(max_length=26)]
ReportId = Annotated[str, Path(max_length=26)]


class Revised(BaseModel):
    """A change of a draft, with the revision that it was made on."""

    revision: Revision


class Written(shapes.SentenceSent):
    """A sentence of the editor, which is never empty."""

    text: Annotated[str, Field(min_length=1, max_length=LONGEST, pattern=r"\S")]


class Save(shapes.DraftSent, Revised):
    """Everything that stands in the editor."""

    sentences: Annotated[list[Written], Field(max_length=MOST)]  # type: ignore[assignment]


class Judge(shapes.ReviewSent, Revised):
    """What the radiologist says of one finding."""


class AcceptAll(shapes.ReviewsSent, Revised):
    """Findings that are accepted at once."""


class Rewrite(Revised):
    """A fresh draft of the composer in one language; a language model's comes as a stream of the API."""

    language: Language


class Take(shapes.TemplateSent, Revised):
    """A template, to be put around the draft."""


def panels_after(ctx: RequestContext, work: Callable[[Transaction], WorkingDraft]) -> HTMLResponse:
    with ctx.write() as tx:
        working = work(tx)
        sources = load_sources(tx, working.image_id, working.result)
        texts = templates.fitting_templates(tx, working)
    return ctx.render(
        "drafts/panels.html.jinja",
        texts=texts,
        language_model=bool(ctx.settings.llm_url),
        dictation=dictation.offered(ctx.settings),
        **shown_working(working, sources, ctx.language),
    )


@panel_router.get("/{case_id}/{report_id}")
def panels(ctx: Reads, case_id: CaseId, report_id: ReportId) -> HTMLResponse:
    return panels_after(ctx, lambda tx: drafts.open_draft(tx, report_id))


@panel_router.put("/{case_id}/{report_id}")
def save(ctx: Edits, case_id: CaseId, report_id: ReportId, body: Save) -> HTMLResponse:
    return panels_after(ctx, changing(ctx, report_id, body.revision, partial(save_edit, body.value())))


@panel_router.post("/{case_id}/{report_id}/findings")
def judge(ctx: Edits, case_id: CaseId, report_id: ReportId, body: Judge) -> HTMLResponse:
    return panels_after(ctx, changing(ctx, report_id, body.revision, body.rule(), drafts.judge))


@panel_router.post("/{case_id}/{report_id}/accepted")
def accept_all(ctx: Edits, case_id: CaseId, report_id: ReportId, body: AcceptAll) -> HTMLResponse:
    """Accept what the report says: the findings that were shown."""
    return panels_after(ctx, changing(ctx, report_id, body.revision, body.rule(), drafts.judge))


@panel_router.post("/{case_id}/{report_id}/undo")
def undo(ctx: Edits, case_id: CaseId, report_id: ReportId, body: Revised) -> HTMLResponse:
    """Take the last judging back, with its words."""
    return panels_after(ctx, changing(ctx, report_id, body.revision, undo_judging, drafts.judge))


@panel_router.post("/{case_id}/{report_id}/identity")
def confirm_identity(ctx: Edits, case_id: CaseId, report_id: ReportId, body: Revised) -> HTMLResponse:
    """Say that the image is this patient's, though its file names another person."""
    known = assessed(ctx, report_id, DraftChange)
    return panels_after(ctx, lambda tx: drafts.confirm_identity(tx, report_id, body.revision, known))


@panel_router.post("/{case_id}/{report_id}/rewrite")
def write_again(ctx: Edits, case_id: CaseId, report_id: ReportId, body: Rewrite) -> HTMLResponse:
    """A fresh draft from the findings as they were judged, in the language asked for."""
    wanted = shapes.RedraftSent(language=body.language)
    fresh = fresh_draft(ctx.app, ctx.actor, report_id, body.revision, wanted)
    known = assessed(ctx, report_id, fresh.rule)
    return panels_after(ctx, lambda tx: fresh.keep(tx, known))


@panel_router.post("/{case_id}/{report_id}/template")
def take_template(ctx: Edits, case_id: CaseId, report_id: ReportId, body: Take) -> HTMLResponse:
    """Put the standing sentences of a template around those of the draft."""
    rule = of_template(ctx, report_id, body.template_id)
    return panels_after(ctx, changing(ctx, report_id, body.revision, rule))


MeasurementId = Annotated[str, Field(max_length=26)]


class Measure(shapes.MeasurementSent, Revised):
    """A new measurement of the viewer."""


class Change(shapes.MeasurementChanged, Revised):
    """What changes of a measurement; None stays."""

    id: MeasurementId


class Remove(Revised):
    """A measurement that goes."""

    id: MeasurementId


@panel_router.post("/{case_id}/{report_id}/measurements")
def measure(
    ctx: Edits, decoder: DecoderDep, case_id: CaseId, report_id: ReportId, body: Measure
) -> HTMLResponse:
    new = with_statistics(ctx, decoder, body.value())
    known = assessed_measurement(ctx, report_id, new)
    return panels_after(ctx, lambda tx: measurements.add(tx, report_id, body.revision, new, known))


@panel_router.post("/{case_id}/{report_id}/measurements/change")
def change_measurement(
    ctx: Edits, decoder: DecoderDep, case_id: CaseId, report_id: ReportId, body: Change
) -> HTMLResponse:
    points = body.places()
    found = statistics_of_moved(ctx, decoder, report_id, body.id, points)
    rule = partial(measurements.change, body.id, points=points, label=body.label, statistics=found)
    return panels_after(ctx, changing(ctx, report_id, body.revision, rule))


@panel_router.post("/{case_id}/{report_id}/measurements/remove")
def remove_measurement(ctx: Edits, case_id: CaseId, report_id: ReportId, body: Remove) -> HTMLResponse:
    rule = partial(measurements.remove, body.id)
    return panels_after(ctx, changing(ctx, report_id, body.revision, rule))
