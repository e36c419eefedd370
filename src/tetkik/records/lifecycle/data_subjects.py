"""Who a request under KVKK article 11 or GDPR articles 15 to 20 is about: found by an exact number alone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select

from tetkik.errors import NotFound
from tetkik.records.audit_chain import Action
from tetkik.records.cases.patient_links import records_of, survivors_of
from tetkik.records.cases.patients import Person, load_people
from tetkik.records.database import Transaction
from tetkik.records.lifecycle.erasure import KEPT_INDEX
from tetkik.records.schema import Case, Patient, PatientIndex, ReportVersion

_KINDS = ("tckn", "number")


@dataclass(frozen=True, slots=True)
class DataSubject:
    patient_id: str
    """Of the record; of several that are one, the surviving one."""
    person: Person
    also: tuple[Person, ...]
    """What records say that this one stands for; they are exported and erased with it."""
    cases: int
    reports: int
    erase_after: datetime | None
    """When signed reports go; None where no erasure was asked for."""


@dataclass(frozen=True, slots=True)
class PostponedErasure:
    patient_id: str
    erase_after: datetime
    reports: int


def find_subjects(tx: Transaction, number: str) -> tuple[DataSubject, ...]:
    """Patients whose TCKN or hospital number is exactly this in any of their records.

    Those kept for the law alone are included.

    The search is an entry of the audit trail.
    """
    found: set[str] = set()
    for kind in _KINDS:
        kinds = PatientIndex.kind.in_((kind, KEPT_INDEX + kind))
        same = PatientIndex.digest == tx.vault.digest(kind, number)
        found.update(tx.session.scalars(select(PatientIndex.patient_id).where(kinds, same)))
    survivors = sorted(set(survivors_of(tx, found).values()))
    tx.audit(Action.PATIENT_SEARCHED, found=len(survivors), purpose="privacy")
    return tuple(load_subject(tx, patient_id) for patient_id in survivors)


def load_subject(tx: Transaction, patient_id: str) -> DataSubject:
    """One of them by the id of the record."""
    missing = NotFound("There is no such patient; look for the number again.")
    row = tx.find(Patient, patient_id, missing)
    records, people = records_of(tx, patient_id), load_people(tx, patient_id)
    if not people:
        raise missing
    cases, reports = (tx.count(table, table.patient_id.in_(records)) for table in (Case, ReportVersion))
    return DataSubject(records[0], people[0], people[1:], cases, reports, row.erase_after)


def list_postponed_erasures(tx: Transaction) -> tuple[PostponedErasure, ...]:
    """Erasures that wait for the law, the next one first."""
    count = select(func.count()).where(ReportVersion.patient_id == Patient.id).scalar_subquery()
    rows = tx.session.execute(
        select(Patient.id, Patient.erase_after, count)
        .where(Patient.erase_after.is_not(None), Patient.key.is_not(None))
        .order_by(Patient.erase_after, Patient.id)
    )
    return tuple(PostponedErasure(*row) for row in rows)
