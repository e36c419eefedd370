"""What every route that changes a draft shares: the revision it was made on, and who was faster."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import replace
from functools import partial
from typing import Any

from fastapi import Request
from fastapi.responses import JSONResponse, Response
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool

from tetkik.errors import TetkikError
from tetkik.imaging.region import Region
from tetkik.language import Sentence
from tetkik.records.audit_chain import Action
from tetkik.records.database import Transaction
from tetkik.records.images import images
from tetkik.records.reports import drafts, measurements, templates
from tetkik.records.reports.edit_conflicts import EditConflict, WorkingDraft
from tetkik.records.reports.measurements import NewMeasurement
from tetkik.rules import marks
from tetkik.rules.editing import Rule
from tetkik.rules.readiness import NotReady
from tetkik.service.drafts.shapes import BlockerShape, DraftShape
from tetkik.service.kit.access.authentication import identify
from tetkik.service.kit.access.authorization import RequestContext
from tetkik.service.kit.background.image_decoder import ImageDecoder
from tetkik.service.kit.context import context_of
from tetkik.service.kit.http.problems import problem_of
from tetkik.service.kit.rendering.templates import language_of
from tetkik.values.measurement import Point, RegionStatistics


class DraftRoute(APIRoute):
    """A route that tells whoever comes second who was faster, with the draft as it is now."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            try:
                return await handler(request)
            except EditConflict as conflict:
                await run_in_threadpool(_audit_shown, request, conflict)
                return self.respond_to_conflict(request, conflict)
            except NotReady as refusal:
                return not_ready_response(request, refusal)

        return handle

    def respond_to_conflict(self, request: Request, conflict: EditConflict) -> Response:
        return conflict_response(request, conflict)


def _audit_shown(request: Request, conflict: EditConflict) -> None:
    """Note in the trail that whoever came second opened the draft: the answer shows it to them."""
    current = conflict.current
    with context_of(request).records.write(identify(request).actor) as tx:
        tx.audit(
            Action.DRAFT_OPENED,
            case_id=current.case_id,
            patient_id=current.patient_id,
            object_id=current.report_id,
        )


def conflict_response(request: Request, conflict: EditConflict) -> Response:
    """That somebody else saved first: 412 where If-Match named another revision, 409 where the body did."""
    language, current = language_of(request), conflict.current
    status = 412 if "if-match" in request.headers else 409
    problem = problem_of(request, status, Sentence(conflict.template, conflict.values), "EditConflict")
    content = problem.model_dump(exclude_none=True) | {
        "revision": current.revision,
        "saved_by": current.updated_by,
        "saved_at": current.updated_at.isoformat(),
        "current": DraftShape.of(current, language).model_dump(mode="json"),
    }
    return JSONResponse(content, status, headers=etag(current), media_type="application/problem+json")


def not_ready_response(request: Request, refusal: NotReady) -> Response:
    """That something is still to be decided before the signature, with the list of it."""
    language = language_of(request)
    problem = problem_of(request, 409, Sentence(refusal.template, refusal.values), "NotReady")
    blocking = [BlockerShape.of(item, language).model_dump(mode="json") for item in refusal.blockers]
    content = problem.model_dump(exclude_none=True) | {"blocking": blocking}
    return JSONResponse(content, 409, media_type="application/problem+json")


def etag(draft: WorkingDraft) -> dict[str, str]:
    """The header that names a revision; no cache keeps a draft."""
    return {"ETag": f'"{draft.revision}"', "Cache-Control": "no-store"}


def draft_response(request: Request, draft: WorkingDraft, status: int = 200) -> Response:
    shape = DraftShape.of(draft, language_of(request))
    return Response(shape.model_dump_json(), status, headers=etag(draft), media_type="application/json")


def changed(ctx: RequestContext, work: Callable[[Transaction], WorkingDraft]) -> Response:
    """The draft after something was done to it in a transaction."""
    with ctx.write() as tx:
        working = work(tx)
    return draft_response(ctx.request, working)


def assessed(ctx: RequestContext, report_id: str, rule: Rule) -> drafts.Known:
    """What comes of reading a draft after a change, before the transaction for which others wait.

    Nothing where the change cannot be made: the transaction says why.
    """
    try:
        with ctx.read() as tx:
            grounds = drafts.foresee(tx, report_id, rule)
    except TetkikError:
        return ()
    return tuple(map(marks.assess, grounds))


def changing(
    ctx: RequestContext,
    report_id: str,
    revision: int,
    rule: Rule,
    do: Callable[[Transaction, str, int, Rule, drafts.Known], WorkingDraft] = drafts.change,
) -> Callable[[Transaction], WorkingDraft]:
    """The work of a transaction that changes a draft by a rule, with everything read beforehand."""
    known = assessed(ctx, report_id, rule)
    return lambda tx: do(tx, report_id, revision, rule, known)


def assessed_measurement(ctx: RequestContext, report_id: str, new: NewMeasurement) -> drafts.Known:
    """What comes of reading a draft with a new measurement; as `assessed`."""
    try:
        with ctx.read() as tx:
            made = measurements.measured(tx, report_id, new)
    except TetkikError:
        return ()
    return assessed(ctx, report_id, partial(measurements.added, made))


def of_template(ctx: RequestContext, report_id: str, template_id: str) -> Rule:
    """The rule by which a draft takes a template's sentences."""
    with ctx.read() as tx:
        study = templates.imaged_study(tx, report_id)
        return partial(templates.take, templates.template_of(tx, template_id), study)


# The pixels of a region: counted by the server, before the transaction that keeps the figures.


def with_statistics(ctx: RequestContext, decoder: ImageDecoder, new: NewMeasurement) -> NewMeasurement:
    """A region with the statistics of its pixels; anything else as it is."""
    if not new.kind.is_region:
        return new
    with ctx.read() as tx:
        image = images.load_visible_image(tx, new.image_id)
        images.check_frame(image, new.frame)
        described = measurements.measured_image(tx, image, new.frame)
        points = measurements.exact_points(new.kind, described, new.points)
    found = decoder.region(image, Region(new.kind, points, described.frame or 1))
    return replace(new, statistics=found)


def statistics_of_moved(
    ctx: RequestContext,
    decoder: ImageDecoder,
    report_id: str,
    measurement_id: str,
    points: list[Point] | None,
) -> RegionStatistics | None:
    """The statistics of a region at other points; None where it does not move, or is no region."""
    if points is None:
        return None
    with ctx.read() as tx:
        found = measurements.find_measurement(tx, report_id, measurement_id)
        if not found.kind.is_region:
            return None
        image = images.load_visible_image(tx, found.image.id)
        exact = measurements.exact_points(found.kind, found.image, points)
    return decoder.region(image, Region(found.kind, exact, found.image.frame or 1))
