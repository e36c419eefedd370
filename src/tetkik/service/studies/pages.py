"""Upload: drag files in, see what becomes of each; into a case, or by what a DICOM file says."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Form, Query
from fastapi.responses import HTMLResponse, RedirectResponse

from tetkik.errors import Forbidden
from tetkik.language import Sentence
from tetkik.records.audit_chain import Action
from tetkik.records.cases import cases
from tetkik.records.database import Transaction
from tetkik.records.images import images, jobs
from tetkik.records.images.jobs import JobKind
from tetkik.records.people.visibility import load_visible_case
from tetkik.records.worklist import case_contents, case_events, claims
from tetkik.service.cases.pages import locked
from tetkik.service.kit.access.authorization import RequestContext, allowed
from tetkik.service.kit.background.image_decoder import DecoderDep
from tetkik.service.kit.rendering.navigation import NavigationEntry
from tetkik.service.reception.lists_pages import load_waiting
from tetkik.values import Permission, Priority

router = APIRouter()
NAVIGATION = (
    NavigationEntry("/upload", Permission.IMAGE_UPLOAD, "upload", Sentence("Upload"), "g u", position=20),
)

Sender = Annotated[RequestContext, allowed(Permission.IMAGE_UPLOAD)]
_WAITING = 12


@router.get("/upload")
def upload_page(
    ctx: Sender, case_id: Annotated[str | None, Query(alias="case", max_length=26)] = None
) -> HTMLResponse:
    try:
        with ctx.write() as tx:
            shown: dict[str, Any] = {"seq": case_events.newest_sequence(tx), "case": None}
            if case_id is not None:
                shown |= _panel(tx, case_id, audit=True)
            else:
                shown |= {"waiting": load_waiting(tx, _WAITING)}
                tx.audit(Action.CASES_LISTED, count=len(shown["waiting"]))
    except Forbidden:
        return locked(ctx, case_id or "")
    return ctx.render("studies/upload.html.jinja", **shown)


@router.get("/upload/waiting")
def waiting(ctx: Sender) -> HTMLResponse:
    """The cases to choose from, after something happened; the audit entry of the page covers it."""
    with ctx.read() as tx:
        return ctx.render("studies/waiting.html.jinja", waiting=load_waiting(tx, _WAITING))


@router.get("/upload/{case_id}/panel")
def panel(ctx: Sender, case_id: str) -> HTMLResponse:
    """The case beside the upload, after something happened to it; the audit entry of the page covers it."""
    with ctx.read() as tx:
        return ctx.render("studies/case_panel.html.jinja", **_panel(tx, case_id))


@router.post("/upload/{image_id}/frame")
def read_frame(
    ctx: Sender, decoder: DecoderDep, image_id: str, frame: Annotated[int, Form(ge=1, le=2**31 - 1)]
) -> RedirectResponse:
    """Have the model read another frame of an image; a draft that a person has changed stays."""
    with ctx.write() as tx:
        image = images.load_visible_image(tx, image_id)
        case = load_visible_case(tx, image.case_id)
        jobs.add_job(tx, JobKind.READ_IMAGE, image, Priority(case.priority), frame=frame)
        if ctx.actor.may(Permission.CLAIM):
            claims.claim_to_read(tx, case.id)
    decoder.work_available.set()
    return RedirectResponse(f"/read/{image.case_id}?image={image.id}", 303)


def _panel(tx: Transaction, case_id: str, *, audit: bool = False) -> dict[str, Any]:
    case = cases.load_case(tx, case_id, audit=audit)
    studies = case_contents.load_contents(tx, case.id).studies
    return {"case": case, "images": images.list_images(tx, case.id), "studies": studies}
