"""Measurements of a draft: make, move, name, remove; each change names the revision it was made on."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request
from fastapi.responses import Response

from tetkik.records.reports import measuring
from tetkik.service.access.guard import allowed
from tetkik.service.api.draft_edits import EDITS, DraftRoute, Revision, answered
from tetkik.service.api.draft_shapes import DraftShape
from tetkik.service.api.measurement_shapes import MeasurementChanged, MeasurementSent
from tetkik.service.house import InHouse
from tetkik.values import Actor, Permission

router = APIRouter(prefix="/drafts/{report_id}/measurements", tags=["drafts"], route_class=DraftRoute)
Editor = Annotated[Actor, allowed(Permission.DRAFT_EDIT)]
ReportId = Annotated[str, Path(max_length=26, description="Of the report.")]
MeasurementId = Annotated[str, Path(max_length=26, description="Of the measurement.")]


@router.post("", response_model=DraftShape, responses=EDITS)
def measure(
    request: Request,
    house: InHouse,
    actor: Editor,
    report_id: ReportId,
    revision: Revision,
    sent: MeasurementSent,
) -> Response:
    """Keep a new length or angle; sent twice, the second names a revision that is past."""
    with house.records.write(actor) as tx:
        return answered(request, measuring.add(tx, report_id, revision, sent.value()))


@router.patch("/{measurement_id}", response_model=DraftShape, responses=EDITS)
def change(
    request: Request,
    house: InHouse,
    actor: Editor,
    report_id: ReportId,
    measurement_id: MeasurementId,
    revision: Revision,
    sent: MeasurementChanged,
) -> Response:
    """Move the points of a measurement, or name it."""
    with house.records.write(actor) as tx:
        after = measuring.change(
            tx, report_id, revision, measurement_id, points=sent.places(), label=sent.label
        )
        return answered(request, after)


@router.delete("/{measurement_id}", response_model=DraftShape, responses=EDITS)
def remove(
    request: Request,
    house: InHouse,
    actor: Editor,
    report_id: ReportId,
    measurement_id: MeasurementId,
    revision: Revision,
) -> Response:
    """Take a measurement away; a sentence that says its size is objected to from then on."""
    with house.records.write(actor) as tx:
        return answered(request, measuring.remove(tx, report_id, revision, measurement_id))
