"""Links between records of one person: each record keeps its key and its content, and one represents all.

What HL7 calls a merge (ADT^A40; `replaced-by` in https://hl7.org/fhir/R4B/patient.html#links) is a row here:
it points from the record that is replaced to the one that survives it. Only a record that no other replaces
may be replaced, so the rows are trees: no circle can close, and each tree has one record at its root.

    patients.create(tx, unknown)            # a
    patients.create(tx, gulcin)             # b
    survivor_of(tx, a)                      # a; after a link from a to b it is b
    records_of(tx, a)                       # (b, a)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import select

from tetkik.records.database import Transaction
from tetkik.records.schema import Patient, PatientLink


def survivor_of(tx: Transaction, patient_id: str) -> str:
    """The record that stands for this one: itself where nobody has replaced it."""
    return survivors_of(tx, (patient_id,))[patient_id]


def survivors_of(tx: Transaction, patient_ids: Iterable[str]) -> dict[str, str]:
    """For each of many records the one that stands for it; one query for all, and one more a generation."""
    found = {patient_id: patient_id for patient_id in patient_ids}
    open_ids = set(found)
    while open_ids:
        rows = tx.session.execute(
            select(PatientLink.patient_id, PatientLink.survivor_id).where(
                PatientLink.patient_id.in_(open_ids)
            )
        )
        after = {row.patient_id: row.survivor_id for row in rows}
        found = {patient_id: after.get(last, last) for patient_id, last in found.items()}
        open_ids = set(after.values())
    return found


def records_of(tx: Transaction, patient_id: str) -> tuple[str, ...]:
    """Every record of the person whom this record is about: the surviving one first, the others by age."""
    survivors = _tree(tx, (patient_id,))
    first = patient_id
    while first in survivors:
        first = survivors[first]
    return (first, *sorted(survivors))


def all_records_of(tx: Transaction, patient_ids: Sequence[str]) -> tuple[str, ...]:
    """Every record of everybody whom these records are about."""
    survivors = _tree(tx, patient_ids)
    return tuple(sorted({*patient_ids, *survivors, *survivors.values()}))


def lock_links(tx: Transaction, *patient_ids: str) -> None:
    """Let no link of the people whom these records are about change until the transaction is through.

    Records are joined at the roots of their trees alone, and whoever changes a tree holds its root first:
    that lock is enough. Roots are locked in the order of their ids, so that two who lock the same wait in
    turn. Rows that refer to a patient may be added meanwhile: whoever signs holds the report first, and the
    two would wait for each other.
    """
    while True:
        roots = set(survivors_of(tx, patient_ids).values())
        wanted = select(Patient.id).where(Patient.id.in_(roots)).order_by(Patient.id)
        tx.session.execute(wanted.with_for_update(key_share=True)).all()
        if set(survivors_of(tx, patient_ids).values()) == roots:
            return


def unlink_erased(tx: Transaction, patient_ids: Iterable[str]) -> None:
    """Undo the links between the living and the erased: what is kept for the law stands for nobody else."""
    tx.session.flush()
    ids = set(patient_ids)
    touched = select(PatientLink).where(PatientLink.patient_id.in_(ids) | PatientLink.survivor_id.in_(ids))
    for link in tx.session.scalars(touched).all():
        if not all(_kept_for_the_law(tx, one) for one in (link.patient_id, link.survivor_id)):
            tx.session.delete(link)
    tx.session.flush()


def _kept_for_the_law(tx: Transaction, patient_id: str) -> bool:
    row = tx.session.get_one(Patient, patient_id)
    return row.key is not None and row.erase_after is not None


def _tree(tx: Transaction, patient_ids: Iterable[str]) -> dict[str, str]:
    """Every record that is replaced in the trees of these, with the one that replaces it.

    One query where there is no link, and one more a step away.
    """
    found: dict[str, str] = {}
    open_ids = known = set(patient_ids)
    while open_ids:
        touched = PatientLink.patient_id.in_(open_ids) | PatientLink.survivor_id.in_(open_ids)
        rows = tx.session.execute(select(PatientLink.patient_id, PatientLink.survivor_id).where(touched))
        found |= {row.patient_id: row.survivor_id for row in rows}
        open_ids = (found.keys() | set(found.values())) - known
        known = known | open_ids
    return found
