"""Merging two records of one person, and splitting them again: nothing is copied or encrypted again.

Reception registers an unconscious patient, and later the identity number is known and has a record; or one
person is registered twice, with Turkish letters and without. A link says which record stands for both
(`patient_links`), and undoing it gives back exactly what was.

    seen = compare_patients(tx, unknown, gulcin).seen
    link(tx, unknown, gulcin, LinkReason.IDENTIFIED, seen)
    unlink(tx, unknown, SplitReason.OTHER_PERSON)
"""

from __future__ import annotations

from sqlalchemy import select

from tetkik.errors import Conflict, NotFound
from tetkik.records.audit_chain import Action
from tetkik.records.cases.patient_links import all_records_of, lock_links
from tetkik.records.database import Transaction
from tetkik.records.ids import is_id
from tetkik.records.reports.drafts import drop_foreign_priors
from tetkik.records.schema import Case, Patient, PatientLink
from tetkik.values import CaseState, LinkReason, SplitReason
from tetkik.workflow.patient_comparison import compare_unaudited

_ENDED = tuple(state for state in CaseState if state.ended)


def link(tx: Transaction, replaced: str, survivor: str, reason: LinkReason, seen: str) -> None:
    """Let one record stand for another; both keep what they say, their cases and their keys.

    With the one that is replaced go those that it stands for.

    Raises:
        Conflict: they are one already; one of them is not the surviving record of its patient, or has changed
            since the person looked; or two identity numbers say that they are two people.
    """
    lock_links(tx, replaced, survivor)
    before = compare_unaudited(tx, replaced, survivor)
    if before.one[0].id != replaced or before.other[0].id != survivor:
        raise Conflict("Another record stands for one of the two already; compare that one instead.")
    if before.seen != seen:
        raise Conflict("One of the two records has changed since you looked; compare them again.")
    if before.obstacle:
        raise Conflict(
            "The two records have two different identity numbers, so they are two people; if one number is "
            "wrong, correct it first."
        )
    tx.session.add(
        PatientLink(
            patient_id=replaced,
            survivor_id=survivor,
            reason=reason,
            created_at=tx.now,
            created_by=tx.actor.user_id,
        )
    )
    tx.session.flush()
    # An entry for each, so that each record's part of the trail is whole, and goes with it at erasure.
    tx.audit(Action.PATIENT_LINKED, patient_id=survivor, replaces=replaced, reason=reason.value)
    tx.audit(Action.PATIENT_LINKED, patient_id=replaced, replaced_by=survivor, reason=reason.value)
    _announce(tx, replaced, survivor)


def unlink(tx: Transaction, replaced: str, reason: SplitReason) -> str:
    """Take a record out of another's stead: it is again what it was; gives the id of that other.

    Cases that were opened meanwhile stay with the record that they were opened for. A draft that was compared
    with an image of the other is checked again.

    Raises:
        Conflict: no other record stands for this one.
    """
    lock_links(tx, replaced)
    if not is_id(replaced) or tx.session.get(Patient, replaced) is None:
        raise NotFound("There is no such patient; look for the number again.")
    row = tx.session.get(PatientLink, replaced)
    if row is None:
        raise Conflict("No other record stands for this one; load the page again.")
    survivor = row.survivor_id
    tx.session.delete(row)
    tx.session.flush()
    tx.audit(Action.PATIENT_UNLINKED, patient_id=survivor, replaces=replaced, reason=reason.value)
    tx.audit(Action.PATIENT_UNLINKED, patient_id=replaced, replaced_by=survivor, reason=reason.value)
    drop_foreign_priors(tx, all_records_of(tx, (replaced, survivor)))
    _announce(tx, replaced, survivor)
    return survivor


def _announce(tx: Transaction, *patient_ids: str) -> None:
    """Let open pages show whose the cases are now: those that are still worked on."""
    wanted = select(Case.id).where(
        Case.patient_id.in_(all_records_of(tx, patient_ids)), Case.state.not_in(_ENDED)
    )
    for case_id in tx.session.scalars(wanted):
        tx.announce("case", case_id)
