"""Two patients side by side, before they are merged; and possible duplicates of a patient."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum

from sqlalchemy import func, select

from tetkik.errors import Conflict, NotFound
from tetkik.records.audit_chain import Action
from tetkik.records.cases import patients
from tetkik.records.cases.patients import (
    Person,
    all_records_of,
    lock_links,
    records_of,
    survivor_of,
    survivors_of,
)
from tetkik.records.database import Transaction
from tetkik.records.ids import is_id
from tetkik.records.people.access import visible_cases
from tetkik.records.reports.drafts import drop_foreign_priors
from tetkik.records.reports.withdrawal_queries import Withdrawn, now_of_cases
from tetkik.records.schema.cases import Case, Patient, PatientLink
from tetkik.records.schema.reports import ReportVersion
from tetkik.turkish import fold
from tetkik.values.common import DESCRIBED
from tetkik.values.states import CaseState, LinkReason, SplitReason

MOST_CASES = 12
"""Cases of a record that a comparison lists, the newest; the rest are counted."""
_MOST_ALIKE = 10


class PatientTrait(StrEnum):
    """What two records are compared by."""

    NAME = "name"
    TCKN = "tckn"
    NUMBER = "number"
    BIRTH_DATE = "birth_date"
    SEX = "sex"


class Agreement(StrEnum):
    """How two records agree on one thing."""

    SAME = "same"
    ALIKE = "alike"
    """Written differently: `Gülçin ŞAHİN` and `GULCIN SAHIN`."""
    ONE = "one"
    """Only one of them says it."""
    DIFFERENT = "different"


@dataclass(frozen=True, slots=True)
class RecordCase:
    """A case of a record."""

    __pydantic_config__ = DESCRIBED

    id: str
    number: str
    state: CaseState
    """Where it is on its way."""
    department: str | None
    created_at: datetime
    signed: int
    """How many signed versions of reports it has."""
    withdrawn: Withdrawn | None
    """Who took a report of it back, where it was not signed anew since; else None."""


@dataclass(frozen=True, slots=True)
class PatientRecord:
    """One record of a patient, with the newest cases that the actor may see; the surviving one is not
    replaced.
    """

    id: str
    person: Person
    created_at: datetime
    replaced_by: str | None
    reason: LinkReason | None
    linked_at: datetime | None
    cases: tuple[RecordCase, ...]
    count: int


@dataclass(frozen=True, slots=True)
class PatientComparison:
    """Two patients side by side.

    Traits are left out that neither says. The survivor is the record that had better stand for both: it has
    the identity number, or says more. An obstacle is that two identity numbers say that they are two people.
    `seen` names what was shown, so that a link is made of nothing else.
    """

    one: tuple[PatientRecord, ...]
    other: tuple[PatientRecord, ...]
    traits: tuple[tuple[PatientTrait, Agreement], ...]
    survivor: str
    obstacle: bool
    seen: str = field(repr=False)


def load_records(tx: Transaction, patient_id: str) -> tuple[PatientRecord, ...]:
    """Every record of a patient, the surviving one first; the (write) transaction's trail notes the look."""
    found = _records(tx, patient_id)
    tx.audit(Action.PATIENT_OPENED, patient_id=found[0].id)
    return found


def find_possible_duplicates(tx: Transaction, patient_id: str) -> tuple[patients.Match, ...]:
    """Other patients who may be the same person: by number or name, and with nothing against it."""
    person = patients.load_person(tx, patient_id)
    meant = {*patients.find_by_number(tx, person)}
    if len(fold(person.name).split()) > 1:
        meant |= set(survivors_of(tx, patients.find(tx, person.name)).values())
    meant.discard(survivor_of(tx, patient_id))
    found = patients.load_matches(tx, tuple(sorted(meant, reverse=True)[: 2 * patients.MOST_MATCHES]))
    possible = [match for match in found if not _contradict(person, match.person)]
    return tuple(possible[:_MOST_ALIKE])


def compare_patients(tx: Transaction, one_id: str, other_id: str) -> PatientComparison:
    """Two patients side by side; the (write) transaction's trail notes the look at both.

    Raises:
        Conflict: they are one patient already.
    """
    found = compare_unaudited(tx, one_id, other_id)
    for side in (found.one, found.other):
        tx.audit(Action.PATIENT_OPENED, patient_id=side[0].id, compared=True)
    return found


def compare_unaudited(tx: Transaction, one_id: str, other_id: str) -> PatientComparison:
    """`compare_patients`, for the program's own use: nobody looks, and the trail notes nothing."""
    one, other = _records(tx, one_id), _records(tx, other_id)
    if one[0].id == other[0].id:
        raise Conflict("These two records are one patient already; load the page again.")
    first, second = one[0].person, other[0].person
    best = max(one[0], other[0], key=lambda record: (_weight(record.person), record.id == one[0].id))
    return PatientComparison(
        one,
        other,
        tuple(_traits(first, second)),
        best.id,
        _are_two(one, other),
        _seen(tx, one, other),
    )


def _records(tx: Transaction, patient_id: str) -> tuple[PatientRecord, ...]:
    if not is_id(patient_id) or tx.session.get(Patient, patient_id) is None:
        raise NotFound("There is no such patient; look for the number again.")
    survivor = survivor_of(tx, patient_id)
    patients.require_not_erased(tx, survivor)
    return tuple(_record(tx, one) for one in records_of(tx, survivor))


def _record(tx: Transaction, patient_id: str) -> PatientRecord:
    row, of = tx.session.get_one(Patient, patient_id), tx.session.get(PatientLink, patient_id)
    theirs = (Case.patient_id == patient_id, Case.state != CaseState.MOVED)
    signed = select(func.count()).where(ReportVersion.case_id == Case.id).correlate(Case).scalar_subquery()
    shown = tx.session.execute(
        select(Case, signed).where(*theirs, visible_cases(tx)).order_by(Case.id.desc()).limit(MOST_CASES)
    ).all()
    back = now_of_cases(tx, [case.id for case, _ in shown])
    cases = tuple(
        RecordCase(
            case.id, case.number, case.state, case.department, case.created_at, count, back.get(case.id)
        )
        for case, count in shown
    )
    count = tx.session.scalar(select(func.count()).select_from(Case).where(*theirs))
    return PatientRecord(
        patient_id,
        patients.load_registered_person(tx, patient_id),
        row.created_at,
        of.survivor_id if of is not None else None,
        of.reason if of is not None else None,
        of.created_at if of is not None else None,
        cases,
        count or 0,
    )


def _traits(one: Person, other: Person) -> Iterator[tuple[PatientTrait, Agreement]]:
    for trait in PatientTrait:
        first, second = (str(getattr(person, trait) or "") for person in (one, other))
        if first or second:
            yield trait, _agreement(first, second)


def _agreement(first: str, second: str) -> Agreement:
    if not (first and second):
        return Agreement.ONE
    if first == second:
        return Agreement.SAME
    return Agreement.ALIKE if fold(first).split() == fold(second).split() else Agreement.DIFFERENT


def _are_two(one: Sequence[PatientRecord], other: Sequence[PatientRecord]) -> bool:
    """Whether identity numbers say so; the records that the two stand for have a word in it, too."""
    first, second = ({record.person.tckn for record in side} - {""} for side in (one, other))
    return bool(first and second and not first & second)


def _contradict(one: Person, other: Person) -> bool:
    """Whether two records cannot well be of one person: another identity number, or another day of birth."""
    return any(
        first and second and first != second
        for first, second in ((one.tckn, other.tckn), (one.birth_date, other.birth_date))
    )


def _weight(person: Person) -> tuple[bool, int]:
    """What a record has to stand for another: the identity number, and how much it says."""
    fields = (person.name, person.number, person.birth_date, person.sex)
    return bool(person.tckn), sum(1 for item in fields if item)


def _seen(tx: Transaction, *sides: tuple[PatientRecord, ...]) -> str:
    """Keyed, so that nobody can tell from it what the records say; the same whichever side comes first."""
    shown = sorted(
        [record.id, record.replaced_by or "", asdict(record.person)] for side in sides for record in side
    )
    content = json.dumps(shown).encode()
    return tx.vault.digest("compared", hashlib.sha256(content).hexdigest()).hex()


# Merging two records of one person, and splitting them again: nothing is copied or encrypted again.
#
# Reception registers an unconscious patient, and later the identity number is known and has a record; or one
# person is registered twice, with Turkish letters and without. A link says which record stands for both
# (`patient_links`), and undoing it gives back exactly what was.
#
# seen = compare_patients(tx, unknown, gulcin).seen link(tx, unknown, gulcin, LinkReason.IDENTIFIED, seen)
# unlink(tx, unknown, SplitReason.OTHER_PERSON)


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
