"""Whose report it is: who the records say the patient is, and which study the file says it comes from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from tetkik.records.cases import patients
from tetkik.records.cases.identity_comparison import person_from_identity
from tetkik.records.database import Transaction
from tetkik.values import Identity


def identity_for(tx: Transaction, patient_id: str, file: Identity) -> Identity:
    """The identity of a report: the record's where it knows, the file's for everything else.

    Of records that are one it is the surviving one's; numbers and names of the others go along as former.
    """
    person = patients.load_person(tx, patient_id)
    filed = person_from_identity(file)
    number = person.number or filed.number or None
    name = dicom_name(person.name) or file.patient_name
    former = patients.load_people(tx, patient_id)[1:]
    nationals = (person.tckn, *(one.tckn for one in former), filed.tckn, file.national_id)
    return replace(
        file,
        patient_id=number,
        patient_name=name,
        birth_date=person.birth_date or file.birth_date,
        sex=person.sex or file.sex,
        other_ids=_others((one.number for one in former), number),
        other_names=_others((dicom_name(one.name) for one in former), name),
        national_id=next(filter(None, nationals), None),
    )


def _others(former: Iterable[str], now: str | None) -> tuple[str, ...]:
    return tuple(dict.fromkeys(one for one in former if one and one != now))


def said_name(*parts: str) -> str:
    """Title and name as they are read."""
    return " ".join(part for part in parts if part)


def dicom_name(name: str) -> str:
    """A name as people write it, as DICOM does: the last word is taken for the family's (PS3.5, 6.2.1)."""
    words = name.replace("^", " ").replace("=", " ").split()
    return "^".join((words[-1], " ".join(words[:-1]))).rstrip("^") if words else ""
