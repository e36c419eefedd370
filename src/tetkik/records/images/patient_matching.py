"""Whether an image is of a case's patient, and to whose case an image without one belongs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from sqlalchemy import select

from tetkik.privacy.numbers import is_tckn
from tetkik.records.cases import patients, transfers
from tetkik.records.cases.patient_links import records_of
from tetkik.records.cases.patients import Person
from tetkik.records.database import Transaction
from tetkik.records.images import copying
from tetkik.records.images.studies import find_case_with_study, find_patient_case_of_study
from tetkik.records.schema import Case, Image
from tetkik.turkish import fold
from tetkik.values import CaseState, Identity


class Trait(StrEnum):
    """What tells one patient from another."""

    NAME = "name"
    NUMBER = "number"
    BIRTH_DATE = "birth_date"


@dataclass(frozen=True, slots=True)
class Difference:
    """What a file and a record say differently of a patient."""

    trait: Trait
    file: str = field(repr=False)
    record: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Destination:
    """Where an image without a case belongs."""

    patient_id: str | None = None
    """Of the record of a known patient that the image goes to; None for one whom nobody knows."""
    case_id: str | None = None
    """A case of theirs that has the study, or waits for an image; None where a new one is needed."""


def person_from_identity(identity: Identity) -> Person:
    """Whom a file is about, as the records write it: `YILMAZ^AYŞE` is `AYŞE YILMAZ`.

    A Patient ID that is a Turkish identity number is kept as one; a date of birth that cannot be is left out.
    """
    family, _, rest = (identity.patient_name or "").split("=")[0].partition("^")
    name = " ".join(f"{rest} {family}".replace("^", " ").split())
    number = (identity.patient_id or "").strip()
    born = identity.birth_date or ""
    national = number.isascii() and is_tckn(number)
    return Person(
        name=name[: patients.LONGEST_NAME],
        tckn=number if national else "",
        number="" if national else number[: patients.LONGEST_NUMBER],
        birth_date=born if patients.day_of(born) is not None else "",
        sex=identity.sex,
    )


def compare_identity(person: Person, identity: Identity) -> tuple[Difference, ...]:
    """Where a file contradicts a record; what either does not say contradicts nothing.

    Names are compared as sets of words without marks on letters: a missing second name is no contradiction.
    """
    filed = person_from_identity(identity)
    found = []
    if not _same_name(filed.name, person.name):
        found.append(Difference(Trait.NAME, filed.name, person.name))
    number = filed.tckn or filed.number
    known = [one for one in (person.tckn, person.number) if one]
    comparable = not filed.tckn or bool(person.tckn)
    if number and known and comparable and fold(number) not in {fold(one) for one in known}:
        found.append(Difference(Trait.NUMBER, number, person.number or person.tckn))
    if filed.birth_date and person.birth_date and filed.birth_date != person.birth_date:
        found.append(Difference(Trait.BIRTH_DATE, filed.birth_date, person.birth_date))
    return tuple(found)


def compare_with_patient(tx: Transaction, patient_id: str, identity: Identity) -> tuple[Difference, ...]:
    """Where a file contradicts everything that is recorded of a patient.

    Of records that are one, a file may name any: it was perhaps made when the patient was known by that one.
    One that says too little to be named (nobody knew who it was) does not make every file the patient's.
    """
    found = compare_identity(patients.load_person(tx, patient_id), identity)
    others = patients.load_people(tx, patient_id)[1:] if found else ()
    return () if any(_names(identity, person) for person in others) else found


def find_destination(tx: Transaction, identity: Identity, sha256: str) -> Destination:
    """Where an image without a case belongs: where it lies already, with its study, or where one is awaited.

    A patient is taken for known only where the number is theirs and nothing contradicts it; of two who might
    be meant, neither is.
    """
    filed = person_from_identity(identity)
    meant = [
        patient_id
        for patient_id in dict.fromkeys(patients.find_by_number(tx, filed))
        if not compare_with_patient(tx, patient_id, identity)
    ]
    if len(meant) != 1:
        return Destination()
    records = records_of(tx, meant[0])
    for case_id in (
        _case_of_file(tx, records, sha256),
        find_patient_case_of_study(tx, records, identity.study_uid) if identity.study_uid else None,
    ):
        if case_id is not None and not tx.session.get_one(Case, case_id).state.ended:
            return _home_in(tx, case_id)
    gone_on = _case_gone_on(tx, records, identity, sha256)
    if gone_on is not None:
        return _home_in(tx, gone_on)
    waiting = tx.session.scalars(
        select(Case.id).where(Case.patient_id.in_(records), Case.state == CaseState.WAITING).limit(2)
    ).all()
    return _home_in(tx, waiting[0]) if len(waiting) == 1 else Destination(meant[0])


def _case_gone_on(tx: Transaction, records: Sequence[str], identity: Identity, sha256: str) -> str | None:
    """Another patient's case that was opened for these records by mistake and has the file or its study.

    Sent once more, the image names the wrong patient again: whoever sends it gets the difference.
    """
    strangers = transfers.find_successor_cases(tx, records)
    return copying.find_case_with_file(tx, strangers, sha256) or (
        find_case_with_study(tx, strangers, identity.study_uid) if identity.study_uid else None
    )


def _home_in(tx: Transaction, case_id: str) -> Destination:
    """A case, and the record that it is of: under that record's key its images are sealed."""
    return Destination(tx.session.get_one(Case, case_id).patient_id, case_id)


def _case_of_file(tx: Transaction, records: Sequence[str], sha256: str) -> str | None:
    """The newest case of these records that holds a file already; each record keeps it under another name."""
    files = [tx.vault.file_name(patient_id, sha256) for patient_id in records]
    return tx.session.scalar(
        select(Image.case_id)
        .where(Image.patient_id.in_(records), Image.file.in_(files), Image.removed_at.is_(None))
        .order_by(Image.id.desc())
        .limit(1)
    )


def _names(identity: Identity, person: Person) -> bool:
    """Whether a file says name or number of a record, and nothing against it."""
    filed = person_from_identity(identity)
    numbers = {fold(one) for one in (person.tckn, person.number) if one}
    named = bool(filed.name and person.name) or fold(filed.tckn or filed.number) in numbers
    return named and not compare_identity(person, identity)


def _same_name(one: str, other: str) -> bool:
    words, others = set(fold(one).split()), set(fold(other).split())
    return not words or not others or words <= others or others <= words
