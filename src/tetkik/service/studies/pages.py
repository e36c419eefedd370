"""Upload: drag files in, see what becomes of each; into a case, or by what a DICOM file says."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Query
from fastapi.responses import HTMLResponse, RedirectResponse

from tetkik.errors import Forbidden, NotFound
from tetkik.language import Sentence
from tetkik.records.audit_chain import Action
from tetkik.records.cases import cases
from tetkik.records.cases.cases import CaseView
from tetkik.records.database import Transaction
from tetkik.records.images import images, jobs
from tetkik.records.images.jobs import JobKind
from tetkik.records.people.visibility import load_visible_case
from tetkik.service.cases.pages import locked
from tetkik.service.kit.access.authorization import RequestContext, allowed
from tetkik.service.kit.background.image_decoder import DecoderDep
from tetkik.service.kit.rendering.navigation import NavigationEntry
from tetkik.values import CaseState, Permission, Priority

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
            case = cases.load_case(tx, case_id) if case_id is not None else None
            there = images.list_images(tx, case.id) if case is not None else ()
            waiting = _waiting(tx) if case is None else ()
    except Forbidden:
        return locked(ctx, case_id or "")
    return ctx.render("studies/upload.html.jinja", case=case, images=there, waiting=waiting)


@router.post("/upload/{image_id}/frame")
def read_frame(
    ctx: Sender, decoder: DecoderDep, image_id: str, frame: Annotated[int, Form(ge=1, le=2**31 - 1)]
) -> RedirectResponse:
    """Have the model read another frame of an image; a draft that a person has changed stays."""
    with ctx.write() as tx:
        image = images.load_visible_image(tx, image_id)
        case = load_visible_case(tx, image.case_id)
        jobs.add_job(tx, JobKind.READ_IMAGE, image, Priority(case.priority), frame=frame)
    decoder.work_available.set()
    return RedirectResponse(f"/read/{image.case_id}?image={image.id}", 303)


def _waiting(tx: Transaction) -> tuple[CaseView, ...]:
    """The newest cases that wait for an image and are open to the actor, with their patients."""
    found = []
    for line in cases.list_cases(tx, state=CaseState.WAITING, limit=_WAITING):
        try:
            found.append(cases.load_case(tx, line.id, audit=False))
        except (Forbidden, NotFound):
            continue  # restricted: the list does not say whose it is; or erased
    if found:
        tx.audit(Action.CASES_LISTED, count=len(found))
    return tuple(found)
