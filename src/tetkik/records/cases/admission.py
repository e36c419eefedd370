"""Admission: a known, new or unknown patient gets a case, in one transaction."""

from __future__ import annotations

from dataclasses import dataclass, field

from tetkik.errors import Conflict, InputError
from tetkik.records.cases import cases, patients
from tetkik.records.cases.complaints import TriagedComplaint
from tetkik.records.cases.patients import Person
from tetkik.records.database import Transaction


@dataclass(frozen=True, slots=True)
class Admission:
    """Everything that opens a case.

    Attributes:
        patient_id: of a known patient; None for a new one.
        person: who a new patient is; None where a known one was chosen.
        unknown: whether it is said that nobody knows who the patient is.
        complaint: what the patient says, with the model's answer; None without one.
        department: that a person chose; None where nobody has yet.
        restricted: whether the case opens only with a reason.
    """

    patient_id: str | None = None
    person: Person | None = None
    unknown: bool = False
    complaint: TriagedComplaint | None = None
    department: str | None = None
    question: str = field(default="", repr=False)
    restricted: bool = False


def admit(tx: Transaction, admission: Admission) -> str:
    """Open a case for a patient; gives its id.

    Raises:
        InputError: neither a known patient, nor a name or number, nor the word that the patient is unknown;
            or a number or date that cannot be.
        Conflict: a patient with the same number is known already.
        NotFound: the chosen patient was erased.
    """
    return cases.open_case(
        tx,
        admission.patient_id or register_patient(tx, admission.person, unknown=admission.unknown),
        complaint=admission.complaint,
        department=admission.department,
        question=admission.question,
        restricted=admission.restricted,
    )


def register_patient(tx: Transaction, person: Person | None, *, unknown: bool = False) -> str:
    """A record for somebody who has none; gives its id.

    Args:
        person: who it is; None where nothing is known.
        unknown: whether it is said that nobody knows who it is.

    Raises:
        InputError: neither name nor number, nor the word that the patient is unknown; or a number or date
            that cannot be.
        Conflict: a patient with the same number is known already.
    """
    person = patients.validate_person(person or Person())
    if not person.known and not unknown:
        raise InputError("Give the patient's name or a number, or say that the patient is unknown.")
    if patients.find_by_number(tx, person):
        raise Conflict(
            "A patient with this identity number or hospital number is known; choose that patient instead."
        )
    return patients.create(tx, person)
