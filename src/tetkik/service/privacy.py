"""Requests of patients about their own data: find by an exact number, export, erase. POST alone."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import IO, Annotated

from fastapi import APIRouter, Form
from fastapi.responses import HTMLResponse, Response, StreamingResponse

from tetkik.errors import InputError, TetkikError
from tetkik.language import Sentence
from tetkik.records.lifecycle import erasure
from tetkik.records.lifecycle.erasure import DataSubject, Erasure, ErasureReason
from tetkik.records.lifecycle.patient_export import export_patient
from tetkik.service.kit.access.authorization import RequestContext, allowed
from tetkik.service.kit.http.responses import download_headers
from tetkik.service.kit.rendering.templates import NavigationEntry
from tetkik.values.access import Permission

pages = APIRouter(prefix="/admin/privacy")
NAVIGATION = (
    NavigationEntry("/admin/privacy", Permission.PRIVACY, "lock", Sentence("Privacy"), "g d", position=90),
)

Officer = Annotated[RequestContext, allowed(Permission.PRIVACY)]
_GROUNDS = (ErasureReason.REQUEST, ErasureReason.COURT, ErasureReason.MISTAKE)
_PIECE = 1 << 20
_IN_MEMORY = 64 << 20
"""Bytes of an export that are held in memory; a larger one lies in a nameless file until it is sent."""


@pages.get("")
def page(ctx: Officer) -> HTMLResponse:
    return _page(ctx)


@pages.post("/find")
def find(ctx: Officer, number: Annotated[str, Form(max_length=64)]) -> HTMLResponse:
    with ctx.write() as tx:
        found = erasure.find_subjects(tx, number.strip()) if number.strip() else ()
    return _page(ctx, found=found, looked=True)


@pages.post("/{patient_id}/export")
def export(ctx: Officer, patient_id: str) -> Response:
    # Nameless and closed with the answer: nothing of it stays on the disk.
    file = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY, dir=str(ctx.records.files.temporary))  # noqa: SIM115
    try:
        export_patient(ctx.records, patient_id, file, actor=ctx.actor, language=ctx.language)
        file.seek(0)
    except BaseException:
        file.close()
        raise
    name = f"export-{datetime.now(UTC):%Y%m%d-%H%M%S}.zip"
    return StreamingResponse(_pieces(file), media_type="application/zip", headers=download_headers(name))


@pages.post("/{patient_id}/erase")
def erase(
    ctx: Officer,
    patient_id: str,
    ground: Annotated[ErasureReason, Form()],
    reference: Annotated[str, Form(max_length=60)] = "",
    sure: Annotated[bool, Form()] = False,
) -> HTMLResponse:
    """Erase one patient, as far as the law allows it."""
    try:
        if not sure or ground not in _GROUNDS or not reference.strip():
            raise InputError(
                "An erasure needs a reason, the number of the request, and your word that it is the right "
                "person; give all three."
            )
        done = erasure.erase(
            ctx.records,
            patient_id,
            ground,
            years=ctx.settings.retention_years,
            reference=reference.strip(),
            actor=ctx.actor,
        )
    except TetkikError as error:
        return _page(ctx, error=error)
    return _page(ctx, done=done)


def _page(
    ctx: RequestContext,
    *,
    found: tuple[DataSubject, ...] = (),
    looked: bool = False,
    done: Erasure | None = None,
    error: TetkikError | None = None,
) -> HTMLResponse:
    with ctx.read() as tx:
        waiting = erasure.list_postponed_erasures(tx)
    return ctx.render(
        "patients/privacy.html.jinja",
        found=found,
        looked=looked,
        done=done,
        error=error,
        waiting=waiting,
        years=ctx.settings.retention_years,
        grounds=_GROUNDS,
    )


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    try:
        while piece := file.read(_PIECE):
            yield piece
    finally:
        file.close()
