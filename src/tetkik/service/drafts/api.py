"""Drafts: read, edit, decide, judge, write afresh. The ETag is the revision; every change names it."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Path
from fastapi.responses import Response

from tetkik.documents.pdf import to_pdf
from tetkik.records.audit_chain import Action
from tetkik.records.database import Transaction
from tetkik.records.images import images
from tetkik.records.reports import drafts, measurements, signing
from tetkik.rules import editing
from tetkik.rules.editing import Change
from tetkik.rules.judging import undo as undo_judging
from tetkik.service.drafts import shapes
from tetkik.service.drafts.redrafting import fresh_draft, streamed
from tetkik.service.drafts.revisions import (
    DraftRoute,
    assessed,
    assessed_measurement,
    changed,
    changing,
    of_template,
    statistics_of_moved,
    with_statistics,
)
from tetkik.service.kit.access.authorization import RequestContext, allowed
from tetkik.service.kit.background.image_decoder import DecoderDep
from tetkik.service.kit.http.idempotency import IdempotentDep
from tetkik.service.kit.http.responses import MATCHED, Revision, download_headers
from tetkik.values import Permission
from tetkik.workflow.reports import hospital_of

router = APIRouter(prefix="/drafts", tags=["drafts"], route_class=DraftRoute)
Reader = Annotated[RequestContext, allowed(Permission.DRAFT_READ)]
Editor = Annotated[RequestContext, allowed(Permission.DRAFT_EDIT)]
ReportId = Annotated[str, Path(max_length=26, description="Of the report.")]


@router.post("", status_code=201, response_model=shapes.DraftShape)
def write_by_hand(ctx: Editor, sent: shapes.ByHandSent, once: IdempotentDep) -> Response:
    """Begin a report without a model's draft."""

    def work(tx: Transaction) -> shapes.DraftShape:
        image = images.load_visible_image(tx, sent.image_id)
        known = images.load_metadata(tx, image)
        begun = drafts.write_by_hand(
            tx, sent.image_id, sent.language, identity=known.identity, tags=known.tags
        )
        return shapes.DraftShape.of(begun, ctx.language)

    return once.run(ctx.records, ctx.actor, work).response()


@router.get("/{report_id}", response_model=shapes.DraftShape)
def read(ctx: Reader, report_id: ReportId) -> Response:
    """The draft as it stands; the header ETag names its revision."""
    return changed(ctx, lambda tx: drafts.open_draft(tx, report_id))


@router.put("/{report_id}", response_model=shapes.DraftShape, responses=MATCHED)
def save(ctx: Editor, report_id: ReportId, revision: Revision, sent: shapes.DraftSent) -> Response:
    """Keep the whole text; what stands as it stood keeps its evidence and its decisions."""
    return changed(ctx, changing(ctx, report_id, revision, partial(editing.save, sent.value())))


@router.post("/{report_id}/decisions", response_model=shapes.DraftShape, responses=MATCHED)
def decide(ctx: Editor, report_id: ReportId, revision: Revision, sent: shapes.DecisionsSent) -> Response:
    """Decide about objections of the grounding check; kept with who and when."""
    choices = [one.value(one.sentence) for one in sent.decisions]
    return changed(ctx, changing(ctx, report_id, revision, partial(editing.decide, choices)))


@router.post("/{report_id}/reviews", response_model=shapes.DraftShape, responses=MATCHED)
def judge(ctx: Editor, report_id: ReportId, revision: Revision, sent: shapes.ReviewSent) -> Response:
    """Accept, reject or add a finding: kept for retraining, and the words of the draft follow.

    An accepted or added one is stated definitely, with the side and the size that are given; a rejected one
    loses its words. What a person wrote or changed stays, and gets a hint.
    """
    return changed(ctx, changing(ctx, report_id, revision, sent.rule(), drafts.judge))


@router.post("/{report_id}/reviews/accepted", response_model=shapes.DraftShape, responses=MATCHED)
def accept_all(ctx: Editor, report_id: ReportId, revision: Revision, sent: shapes.ReviewsSent) -> Response:
    """Accept several findings at once: those that `blocking` names, as they were shown."""
    return changed(ctx, changing(ctx, report_id, revision, sent.rule(), drafts.judge))


@router.delete("/{report_id}/reviews/last", response_model=shapes.DraftShape, responses=MATCHED)
def undo(ctx: Editor, report_id: ReportId, revision: Revision) -> Response:
    """Take the last judging back, with the words that it wrote or took out."""
    return changed(ctx, changing(ctx, report_id, revision, undo_judging, drafts.judge))


@router.post("/{report_id}/identity", response_model=shapes.DraftShape, responses=MATCHED)
def confirm_identity(ctx: Editor, report_id: ReportId, revision: Revision) -> Response:
    """Confirm that the image is this patient's, though its file names another person; audited."""
    known = assessed(ctx, report_id, Change)
    return changed(ctx, lambda tx: drafts.confirm_identity(tx, report_id, revision, known))


@router.post("/{report_id}/redraft", response_model=shapes.DraftShape, responses=MATCHED)
def redraft(
    ctx: Editor, decoder: DecoderDep, report_id: ReportId, revision: Revision, sent: shapes.RedraftSent
) -> Response:
    """Write the draft afresh, in either language, by the composer or a language model; edits are lost."""
    fresh = fresh_draft(ctx.app, ctx.actor, report_id, revision, sent, decoder)
    known = assessed(ctx, report_id, fresh.rule)
    return changed(ctx, lambda tx: fresh.keep(tx, known))


@router.post(
    "/{report_id}/redraft/stream",
    response_class=Response,
    responses=MATCHED | {200: {"content": {"text/event-stream": {}}, "description": "Server-sent events."}},
)
def redraft_stream(
    ctx: Editor, decoder: DecoderDep, report_id: ReportId, revision: Revision, sent: shapes.RedraftSent
) -> Response:
    """The same as server-sent events: `asked` and `text` while a model writes, then `done` or `fault`.

    `asked` has the number of the try: the text of the one before could not be used. Whoever closes the stream
    before its end stops the language model, and the draft stays as it was; `end` says that the session is
    over or locked, with the same effect.
    """
    return streamed(ctx, decoder, report_id, revision, sent)


@router.post("/{report_id}/template", response_model=shapes.DraftShape, responses=MATCHED)
def take_template(
    ctx: Editor, report_id: ReportId, revision: Revision, sent: shapes.TemplateSent
) -> Response:
    """Put a template's sentences around those of the draft."""
    return changed(ctx, changing(ctx, report_id, revision, of_template(ctx, report_id, sent.template_id)))


@router.get(
    "/{report_id}/preview.pdf",
    response_class=Response,
    responses={200: {"content": {"application/pdf": {}}, "description": "Marked as unsigned on every page."}},
)
def preview(ctx: Reader, decoder: DecoderDep, report_id: ReportId) -> Response:
    """The draft as a PDF that says on every page that nobody has signed it."""

    with ctx.read() as tx:
        foreseen = signing.foresee(tx, report_id)
    picture = foreseen.drawn(decoder.report_picture)
    with ctx.write() as tx:
        found = drafts.draft_of(tx, report_id)
        document = signing.document_of(tx, report_id, hospital_of(ctx.settings), picture)
        tx.audit(
            Action.DOCUMENT_EXPORTED,
            case_id=found.case_id,
            patient_id=found.patient_id,
            object_id=report_id,
            format="pdf",
            version=0,
        )
    headers = download_headers(f"draft-{found.number}.pdf", inline=True)
    return Response(to_pdf(document), headers=headers, media_type="application/pdf")


measurement_router = APIRouter(
    prefix="/drafts/{report_id}/measurements", tags=["drafts"], route_class=DraftRoute
)
MeasurementId = Annotated[str, Path(max_length=26, description="Of the measurement.")]


@measurement_router.post("", response_model=shapes.DraftShape, responses=MATCHED)
def measure(
    ctx: Editor,
    decoder: DecoderDep,
    report_id: ReportId,
    revision: Revision,
    sent: shapes.MeasurementSent,
) -> Response:
    """Keep a measurement, an arrow or a text; sent twice, the second names a revision that is past."""
    new = with_statistics(ctx, decoder, sent.value())
    known = assessed_measurement(ctx, report_id, new)
    return changed(ctx, lambda tx: measurements.add(tx, report_id, revision, new, known))


@measurement_router.patch("/{measurement_id}", response_model=shapes.DraftShape, responses=MATCHED)
def change(
    ctx: Editor,
    decoder: DecoderDep,
    report_id: ReportId,
    measurement_id: MeasurementId,
    revision: Revision,
    sent: shapes.MeasurementChanged,
) -> Response:
    """Move the points of a measurement, or name it."""
    points = sent.places()
    found = statistics_of_moved(ctx, decoder, report_id, measurement_id, points)
    rule = partial(measurements.change, measurement_id, points=points, label=sent.label, statistics=found)
    return changed(ctx, changing(ctx, report_id, revision, rule))


@measurement_router.delete("/{measurement_id}", response_model=shapes.DraftShape, responses=MATCHED)
def remove(ctx: Editor, report_id: ReportId, measurement_id: MeasurementId, revision: Revision) -> Response:
    """Take a measurement away; a sentence that says its size is objected to from then on."""
    return changed(ctx, changing(ctx, report_id, revision, partial(measurements.remove, measurement_id)))
