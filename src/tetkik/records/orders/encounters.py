"""Encounters: visits and stays of a patient, from the hospital's messages, which may come in any order.

Whoever tells of an encounter says when it happened (HL7 EVN-2, with the clock of the sender put right); a
message that is older than what is known changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import select

from tetkik.records.audit_chain import Action
from tetkik.records.cases import patients
from tetkik.records.database import Transaction
from tetkik.records.ids import new_id
from tetkik.records.schema import Encounter


def open_encounter(
    tx: Transaction, patient_id: str, number: str, department: str | None, at: datetime
) -> str:
    """Say that an encounter is open since `at`, or in another department, or open again; gives its id."""
    row = _find_or_create(tx, patient_id, number, at)
    if at >= row.told_at:
        was_open = row.opened_at is not None and row.closed_at is None
        moved = was_open and row.department != department
        row.department, row.closed_at, row.told_at = department, None, at
        row.opened_at = row.opened_at or at
        if not was_open or moved:
            tx.audit(Action.ENCOUNTER_OPENED, patient_id=patient_id, object_id=row.id, department=department)
    tx.session.flush()
    return row.id


def close_encounter(tx: Transaction, patient_id: str, number: str, at: datetime) -> str:
    """Say that an encounter is over since `at`, whether or not its beginning was told; gives its id."""
    row = _find_or_create(tx, patient_id, number, at)
    if at >= row.told_at:
        if row.closed_at is None:
            tx.audit(Action.ENCOUNTER_CLOSED, patient_id=patient_id, object_id=row.id)
        row.closed_at = row.told_at = at
    tx.session.flush()
    return row.id


def find_holder(tx: Transaction, patient_ids: Iterable[str], number: str) -> str | None:
    """The one of a patient's records that an encounter was told for; None where none has it."""
    digest = tx.vault.digest("encounter", number)
    wanted = (Encounter.patient_id.in_(tuple(patient_ids)), Encounter.number_digest == digest)
    return tx.session.scalar(select(Encounter.patient_id).where(*wanted).order_by(Encounter.id).limit(1))


def _find_or_create(tx: Transaction, patient_id: str, number: str, at: datetime) -> Encounter:
    patients.require_not_erased(tx, patient_id)
    digest = tx.vault.digest("encounter", number)
    same = (Encounter.patient_id == patient_id, Encounter.number_digest == digest)
    row = tx.session.scalar(select(Encounter).where(*same).with_for_update())
    if row is None:
        row = Encounter(id=new_id(), patient_id=patient_id, number_digest=digest, told_at=at)
        tx.session.add(row)
    return row
