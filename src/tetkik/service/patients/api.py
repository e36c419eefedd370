"""Records of one patient: looked at, compared with another's, joined into one, and taken apart again."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path
from fastapi.responses import Response

from tetkik.records.database import Transaction
from tetkik.records.reports.slow_work import written
from tetkik.service.kit.access.authorization import RequestContext, allowed
from tetkik.service.kit.http.idempotency import IdempotentDep
from tetkik.service.patients.shapes import Comparison, LinkShape, NewLink, PatientRecords, RecordShape
from tetkik.values import Permission, SplitReason
from tetkik.workflow import patient_comparison, patient_merge

router = APIRouter(prefix="/patients", tags=["patients"])
Merger = Annotated[RequestContext, allowed(Permission.PATIENTS_MERGE)]
PatientId = Annotated[str, Path(max_length=26, description="Of a record of the patient.")]


@router.get("/{patient_id}")
def read_patient(ctx: Merger, patient_id: PatientId) -> PatientRecords:
    """Every record of a patient, by any of them; the trail notes the look."""
    with ctx.write() as tx:
        found = patient_comparison.load_records(tx, patient_id)
    return PatientRecords(records=[RecordShape.of(record) for record in found])


@router.get("/{patient_id}/comparison/{other_id}")
def compare_patients(ctx: Merger, patient_id: PatientId, other_id: PatientId) -> Comparison:
    """Two patients side by side, to be looked at before their records are joined."""
    with ctx.write() as tx:
        return Comparison.of(patient_comparison.compare_patients(tx, patient_id, other_id))


@router.post("/{patient_id}/link", status_code=201, response_model=LinkShape)
def link_patient(ctx: Merger, patient_id: PatientId, wanted: NewLink, once: IdempotentDep) -> Response:
    """Let another record stand for this one; nothing of either is changed, and the link can be undone."""

    def work(tx: Transaction) -> LinkShape:
        patient_merge.link(tx, patient_id, wanted.survivor, wanted.reason, wanted.seen)
        return LinkShape(replaced=patient_id, survivor=wanted.survivor, reason=wanted.reason)

    return once.run(ctx.records, ctx.actor, work).response()


@router.delete("/{patient_id}/link", status_code=204)
def unlink_patient(ctx: Merger, patient_id: PatientId, reason: SplitReason) -> None:
    """Take this record out of the other's stead: it is again what it was."""
    written(ctx.write, lambda tx: patient_merge.unlink(tx, patient_id, reason))
