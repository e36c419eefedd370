"""Admission: a known, new or unknown patient gets a case, in one transaction."""

from __future__ import annotations

from dataclasses import dataclass, field

from tetkik.errors import Conflict, InputError
from tetkik.records.cases import cases, patients
from tetkik.records.cases.complaints import TriagedComplaint, UrgencyChoice
from tetkik.records.cases.patients import Person
from tetkik.records.database import Transaction


class PatientKnown(Conflict):
    """A patient who is to be new has a record already."""


@dataclass(frozen=True, slots=True)
class Admission:
    """Everything that opens a case."""

    patient_id: str | None = None
    """Of a known patient; None for a new one."""
    person: Person | None = None
    unknown: bool = False
    complaint: TriagedComplaint | None = None
    department: str | None = None
    question: str = field(default="", repr=False)
    restricted: bool = False
    urgency: UrgencyChoice | None = None
    """Where a person sets another level than triage."""


def admit(tx: Transaction, admission: Admission) -> str:
    """Open a case for a patient; `PatientKnown` where one has the same number. Gives its id."""
    return cases.open_case(
        tx,
        admission.patient_id or register_patient(tx, admission.person, unknown=admission.unknown),
        complaint=admission.complaint,
        department=admission.department,
        question=admission.question,
        restricted=admission.restricted,
        urgency=admission.urgency,
    )


def register_patient(tx: Transaction, person: Person | None, *, unknown: bool = False) -> str:
    """A record for somebody who has none, and whose number nobody has (`PatientKnown`); gives its id."""
    person = patients.validate_person(person or Person())
    if not person.known and not unknown:
        raise InputError("Give the patient's name or a number, or say that the patient is unknown.").at(
            "name"
        )
    if patients.find_by_number(tx, person):
        raise PatientKnown(
            "A patient with this identity number or hospital number is known; choose that patient instead."
        ).at("words")
    return patients.create(tx, person)
