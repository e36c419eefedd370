"""Measurements in the reading view: each change names the revision it was made on, as the text does."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, Field

from tetkik.records.reports import measuring
from tetkik.service.api.measurement_shapes import MeasurementChanged, MeasurementSent
from tetkik.service.house import InHouse
from tetkik.service.pages.reading_draft import (
    CaseId,
    Edits,
    PanelRoute,
    ReportId,
    Revision,
    panels_of,
    shown_panels,
)

router = APIRouter(prefix="/read/{case_id}/{report_id}/measurements", route_class=PanelRoute)

MeasurementId = Annotated[str, Field(max_length=26)]


class Measure(MeasurementSent):
    """A new measurement of the viewer."""

    revision: Revision


class Change(MeasurementChanged):
    """What changes of a measurement; None stays."""

    revision: Revision
    id: MeasurementId


class Remove(BaseModel):
    """A measurement that goes."""

    revision: Revision
    id: MeasurementId


@router.post("")
def measure(
    request: Request, house: InHouse, actor: Edits, case_id: CaseId, report_id: ReportId, body: Measure
) -> HTMLResponse:
    """Keep a new length or angle."""
    with house.records.write(actor) as tx:
        seen = panels_of(tx, measuring.add(tx, report_id, body.revision, body.value()))
    return shown_panels(request, seen)


@router.post("/change")
def change(
    request: Request, house: InHouse, actor: Edits, case_id: CaseId, report_id: ReportId, body: Change
) -> HTMLResponse:
    """Move the points of a measurement, or name it."""
    with house.records.write(actor) as tx:
        after = measuring.change(
            tx, report_id, body.revision, body.id, points=body.places(), label=body.label
        )
        seen = panels_of(tx, after)
    return shown_panels(request, seen)


@router.post("/remove")
def remove(
    request: Request, house: InHouse, actor: Edits, case_id: CaseId, report_id: ReportId, body: Remove
) -> HTMLResponse:
    """Take a measurement away."""
    with house.records.write(actor) as tx:
        seen = panels_of(tx, measuring.remove(tx, report_id, body.revision, body.id))
    return shown_panels(request, seen)
