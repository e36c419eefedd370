"""Patients: who they are, sealed under their own key, and found by a keyed index."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

from sqlalchemy import delete, select

from tetkik.errors import NotFound
from tetkik.records.database import Transaction
from tetkik.records.ids import is_id, new_id
from tetkik.records.schema import Patient, PatientIndex
from tetkik.turkish import fold
from tetkik.values import Sex

_PLACE = "patients.identity"
_SHORTEST_PREFIX = 3


@dataclass(frozen=True, slots=True)
class Person:
    """Who a patient is. None of it shows in `repr`, so none of it gets into a log.

    Attributes:
        name: as it is spoken: `Gülçin ŞAHİN`.
        tckn: the 11 digits of the Turkish identity number.
        number: of the hospital (DICOM's Patient ID).
        birth_date: `YYYYMMDD`.
        sex: None where unknown.
    """

    name: str = field(default="", repr=False)
    tckn: str = field(default="", repr=False)
    number: str = field(default="", repr=False)
    birth_date: str = field(default="", repr=False)
    sex: Sex | None = field(default=None, repr=False)


def create(tx: Transaction, person: Person) -> str:
    """Keep a patient; gives the id."""
    patient_id = new_id()
    tx.session.add(Patient(id=patient_id, key=tx.vault.new_key(patient_id), identity=None, created_at=tx.now))
    tx.session.flush()
    _write(tx, patient_id, person)
    return patient_id


def change(tx: Transaction, patient_id: str, person: Person) -> None:
    """Correct who a patient is.

    Raises:
        NotFound: no such patient, or erased.
    """
    _write(tx, patient_id, person)


def person_of(tx: Transaction, patient_id: str) -> Person:
    """Who a patient is.

    Raises:
        NotFound: no such patient, or erased.
    """
    row = tx.session.get(Patient, patient_id) if is_id(patient_id) else None
    if row is None or row.identity is None:
        raise NotFound("The patient of this record was erased; nothing of it can be read any more.")
    known = tx.open_json(patient_id, _PLACE, patient_id, row.identity)
    return Person(**known | {"sex": Sex(known["sex"]) if known["sex"] else None})


def find(tx: Transaction, words: str) -> tuple[str, ...]:
    """Ids of patients whose TCKN or number is `words`, or whose name has every one of them.

    A word of a name may be its beginning, from three letters on; Turkish letters may be typed without marks.
    """
    exact = select(PatientIndex.patient_id).where(
        PatientIndex.kind.in_(("tckn", "number")),
        PatientIndex.digest.in_([tx.vault.digest(kind, words) for kind in ("tckn", "number")]),
    )
    found = list(tx.session.scalars(exact))
    parts = fold(words).split()
    if parts:
        named = select(PatientIndex.patient_id).where(PatientIndex.kind == "name")
        for part in parts:
            holds = select(PatientIndex.patient_id).where(
                PatientIndex.kind == "name", PatientIndex.digest == tx.vault.digest("name", part)
            )
            named = named.where(PatientIndex.patient_id.in_(holds))
        found += tx.session.scalars(named.distinct().limit(200))
    return tuple(dict.fromkeys(found))


def _write(tx: Transaction, patient_id: str, person: Person) -> None:
    tx.key(patient_id)
    row = tx.session.get_one(Patient, patient_id)
    row.identity = tx.seal_json(patient_id, _PLACE, patient_id, asdict(person))
    tx.session.execute(delete(PatientIndex).where(PatientIndex.patient_id == patient_id))
    for kind, text in _indexed(person):
        digest = tx.vault.digest(kind, text)
        tx.session.add(PatientIndex(patient_id=patient_id, kind=kind, digest=digest))
    tx.session.flush()


def _indexed(person: Person) -> set[tuple[str, str]]:
    """What a patient is found by; the beginnings of names, too."""
    entries = {("tckn", person.tckn), ("number", person.number)}
    for word in fold(person.name).split():
        entries |= {("name", word[:end]) for end in range(min(_SHORTEST_PREFIX, len(word)), len(word) + 1)}
    return {(kind, text) for kind, text in entries if text}
