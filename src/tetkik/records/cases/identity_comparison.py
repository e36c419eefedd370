"""What a file says of its patient, compared with what a record says."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from tetkik.privacy.numbers import is_tckn
from tetkik.records.cases import patients
from tetkik.records.cases.patients import Person
from tetkik.records.database import Transaction
from tetkik.turkish import fold
from tetkik.values import Identity


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


def _names(identity: Identity, person: Person) -> bool:
    """Whether a file says name or number of a record, and nothing against it."""
    filed = person_from_identity(identity)
    numbers = {fold(one) for one in (person.tckn, person.number) if one}
    named = bool(filed.name and person.name) or fold(filed.tckn or filed.number) in numbers
    return named and not compare_identity(person, identity)


def _same_name(one: str, other: str) -> bool:
    words, others = set(fold(one).split()), set(fold(other).split())
    return not words or not others or words <= others or others <= words
