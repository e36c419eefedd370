"""A case that was opened for the wrong patient goes on as a case of the right one, and nothing stays behind.

What was said and asked, who chose what, and since when the patient waits go along; the images are stored anew
under the right patient's key. Whatever was made of them (runs, heatmaps, drafts) is made anew by the usual
work. The first case is left as a number with a link: its words and rows are gone in the same transaction, its
files right after it. Moving again, to the first patient, is the way back.

    with records.read(actor) as tx:
        moving.prepare(tx, case_id, patient_id)                 # the images on the disk, before anybody waits
    with records.write(actor) as tx:
        seen = moving.looked_at(tx, case_id, patient_id).seen   # both people; the trail notes the look
    with records.write(actor) as tx:
        done = moving.move(tx, case_id, patient_id, reason, seen)
    moving.forget(records, done)
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, fields

from sqlalchemy import func, select

from tetkik.errors import Conflict, Forbidden
from tetkik.records.cases import admission, cases, comparing, complaints, matching, moves, patients
from tetkik.records.cases.comparing import Compared, Record
from tetkik.records.cases.matching import Difference
from tetkik.records.cases.patient_links import hold, records_of, survivor_of
from tetkik.records.cases.patients import Match, Person
from tetkik.records.database import Records, Transaction
from tetkik.records.ids import new_id
from tetkik.records.images import carrying, images, jobs
from tetkik.records.images.images import StoredImage
from tetkik.records.images.jobs import JobKind
from tetkik.records.keeping import emptying
from tetkik.records.keeping.erasure import forget_pages
from tetkik.records.people.visibility import see, visible
from tetkik.records.reports.prior_removal import drop_foreign_priors
from tetkik.records.reports.report_locks import lock_reports
from tetkik.records.reports.withdrawing import has_standing_report
from tetkik.records.schema import Case, CaseMove, Claim, Patient, Report
from tetkik.records.trail.chain import Action
from tetkik.records.worklist import claims
from tetkik.records.worklist.claims import Reader
from tetkik.values import SYSTEM, CaseState, MoveReason, Permission, Priority


@dataclass(frozen=True, slots=True)
class Looked:
    """What a person looks at before a case is moved.

    Attributes:
        people: the patient of the case and the one whom it goes to, side by side.
        differs: where its images contradict the record of the one whom they go to.
        images: how many go along.
        reader: who is reading the case right now; None where nobody is.
        written: whether a person has written in a draft, which is dropped.
        seen: names what was shown, so that what is moved is what was seen and nothing else.
    """

    people: Compared
    differs: tuple[Difference, ...]
    images: int
    reader: Reader | None
    written: bool
    seen: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Done:
    """What a move came to.

    Attributes:
        case_id: the case of the right patient.
        number: what people call it.
        former: the case of the wrong one.
        reason: why it was moved.
        left: the wrong patient.
        files: names of stored files that nothing refers to any more, for `forget`.
    """

    case_id: str
    number: str
    former: str
    reason: MoveReason
    left: str
    files: frozenset[str] = field(repr=False)


def looked_at(tx: Transaction, case_id: str, patient_id: str) -> Looked:
    """The two people side by side, and what goes along; the trail notes the look at both.

    Args:
        tx: a `write` transaction.
        case_id: that was opened for the wrong patient.
        patient_id: of any record of the right one.

    Raises:
        NotFound: no such case or patient, or erased.
        Forbidden: a case of one of the two that the actor may not open.
        Conflict: the two are one patient; the case is closed, was moved, or has a signed report that stands.
    """
    found = _looked(tx, _movable(tx, case_id), patient_id)
    for side in (found.people.one, found.people.other):
        tx.audit(Action.PATIENT_OPENED, patient_id=side[0].id, compared=True)
    return found


def register(tx: Transaction, case_id: str, person: Person) -> str:
    """A record for the right patient where the house has none yet; gives its id.

    Args:
        tx: a `write` transaction.
        case_id: that was opened for the wrong patient.
        person: who the right one is.

    Raises:
        NotFound: no such case.
        Forbidden: one that the actor may not open.
        InputError: neither name nor number, or one that cannot be.
        Conflict: as in `looked_at`; or a patient with the same number is known already.
    """
    _movable(tx, case_id)
    patient_id = admission.registered(tx, person)
    written = ",".join(item.name for item in fields(Person) if getattr(person, item.name))
    tx.audit(Action.PATIENT_CHANGED, patient_id=patient_id, fields=written)
    return patient_id


def refuse_unmovable(tx: Transaction, case_id: str) -> None:
    """Say what stands in the way of moving a case, before anybody looks for the right patient.

    Raises:
        NotFound: no such case.
        Forbidden: one that the actor may not open.
        Conflict: it is closed, was moved, or has a signed report that stands.
    """
    _movable(tx, case_id)


def candidates(tx: Transaction, case_id: str, words: str) -> tuple[Match, ...]:
    """Patients by name or number to whom the actor may move a case; the trail notes the search.

    Args:
        tx: a `write` transaction.
        case_id: that was opened for the wrong patient.
        words: as for `patients.search`.

    Raises:
        NotFound: no such case.
        Forbidden: one that the actor may not open.
        Conflict: as in `looked_at`.
    """
    here = survivor_of(tx, _movable(tx, case_id).patient_id)
    found = patients.search(tx, words)
    return tuple(one for one in found if one.id != here and _sees_all(tx, records_of(tx, one.id)))


def prepare(tx: Transaction, case_id: str, patient_id: str) -> None:
    """Bring the images to the disk under the right patient's key, before the transaction others wait for.

    Raises:
        NotFound: no such case or patient, or erased.
        Forbidden: a case of one of the two that the actor may not open.
        Conflict: as in `looked_at`.
        RecordsError: a file is missing or damaged.
        OSError: the disk is full or gone.
    """
    _looked(tx, _movable(tx, case_id), patient_id)
    for image in images.of_case(tx, case_id):
        carrying.stored_anew(tx, image, survivor_of(tx, patient_id))


def move(
    tx: Transaction, case_id: str, patient_id: str, reason: MoveReason, seen: str, *, sure: bool = False
) -> Done:
    """Let a case go on as one of another patient: all of it, or nothing.

    Args:
        tx: a `write` transaction.
        case_id: that was opened for the wrong patient.
        patient_id: of any record of the right one.
        reason: why.
        seen: of what the person looked at (`looked_at`).
        sure: whether a person has compared the two, where the images name another than the right one.

    Raises:
        NotFound: no such case or patient, or erased.
        Forbidden: a case of one of the two that the actor may not open.
        Conflict: as in `looked_at`; one of the two or the case has changed since the person looked; or the
            images name another, and nobody has said that they are sure.
        RecordsError: a file is missing or damaged.
    """
    hold(tx, see(tx, case_id).patient_id, patient_id)
    _hold_work(tx, case_id)
    row = _movable(tx, case_id)
    looked = _looked(tx, row, patient_id)
    if looked.seen != seen:
        raise Conflict(
            "The case or one of the two patients has changed since you looked; compare them again."
        )
    if looked.differs and not sure:
        raise Conflict(
            "The images say that they are of another patient than the one whom they go to; compare the two, "
            "and move the case only if you are sure."
        )
    found = images.of_case(tx, case_id)
    other = _opened(tx, row, looked.people.other[0].id, found)
    complaints.carry(tx, case_id, other)
    _let_wait(tx, found, carrying.carried(tx, other, found), Priority(other.priority))
    tx.session.add(
        CaseMove(
            case_id=case_id, moved_to=other.id, reason=reason, created_at=tx.now, created_by=tx.actor.user_id
        )
    )
    _note(tx, row, other, reason, looked)
    files = emptying.leave(tx, row.patient_id, case_id)
    row.state, row.question, row.urgency, row.updated_at = CaseState.MOVED, None, None, tx.now
    # What the drafts of the first patient's other cases say of the course leant on another's image.
    drop_foreign_priors(tx, records_of(tx, row.patient_id))
    tx.announce("moved", case_id)
    tx.announce("case", other.id)
    return Done(other.id, other.number, case_id, reason, row.patient_id, frozenset(files))


def forget(records: Records, done: Done) -> None:
    """Remove what the first patient's key could still open, once the move is through.

    Where the machine stops before it, the daily sweep removes the files. Whoever uploads one of them for the
    first patient at this very moment comes before or after.
    """
    with records.write(SYSTEM) as tx:
        tx.session.execute(select(Patient.id).where(Patient.id == done.left).with_for_update()).all()
        for name in done.files - emptying.named(tx, done.files):
            tx.files.remove(name)
    forget_pages(records)


def _movable(tx: Transaction, case_id: str) -> Case:
    row = see(tx, case_id)
    if tx.actor.user_id is not None and not tx.actor.may(Permission.CASE_READ):
        raise Forbidden("Your role does not allow this ({permission}).", permission=Permission.CASE_READ)
    moves.refuse_ended(tx, row)
    if has_standing_report(tx, case_id):
        raise Conflict("The case has a signed report that stands; withdraw the report first.")
    return row


def _looked(tx: Transaction, row: Case, patient_id: str) -> Looked:
    people = comparing.compared_silently(tx, row.patient_id, patient_id)
    _refuse_unseen(tx, people.other)
    found = images.of_case(tx, row.id)
    differs = {
        one: None
        for image in found
        for one in matching.differences_of(tx, patient_id, images.described(tx, image).identity)
    }
    wanted = select(Report.id).where(
        Report.case_id == row.id, Report.draft.is_not(None), Report.updated_by.is_not(None)
    )
    written = tx.session.scalar(wanted.limit(1)) is not None
    shown = json.dumps([people.seen, row.id, people.other[0].id, [image.id for image in found], written])
    return Looked(
        people,
        tuple(differs),
        len(found),
        claims.reader_of(tx, row.id),
        written,
        tx.vault.digest("moved", hashlib.sha256(shown.encode()).hexdigest()).hex(),
    )


def _sees_all(tx: Transaction, patient_ids: Sequence[str]) -> bool:
    theirs = select(func.count()).select_from(Case).where(Case.patient_id.in_(patient_ids))
    return tx.session.scalar(theirs) == tx.session.scalar(theirs.where(visible(tx)))


def _refuse_unseen(tx: Transaction, side: Sequence[Record]) -> None:
    """Whoever moves a case sees every case of the one whom it goes to."""
    if not _sees_all(tx, [one.id for one in side]):
        raise Forbidden("The other patient has cases that are not open to you; let reception move this one.")


def _hold_work(tx: Transaction, case_id: str) -> None:
    """Let nobody else write in the case: jobs, then reports, then the case, as everybody locks them.

    The reports of the first patient's other cases, too: those that had been compared are checked again.
    """
    row = tx.session.get_one(Case, case_id)
    jobs.hold(tx, case_id)
    lock_reports(tx, records_of(tx, row.patient_id))
    tx.session.refresh(row, with_for_update=True)


def _opened(tx: Transaction, row: Case, patient_id: str, found: Sequence[StoredImage]) -> Case:
    """The case of the right patient, as the desk had opened the other; it waits since then."""
    case_id = new_id()
    other = Case(
        id=case_id,
        number=cases.next_number(tx),
        patient_id=patient_id,
        state=CaseState.PROCESSING if found else CaseState.WAITING,
        priority=row.priority,  # the images are the same: it falls with an answer, not with the move
        priority_chosen=row.priority_chosen,
        urgency=row.urgency,
        department=row.department,
        restricted=row.restricted,
        waiting_since=row.waiting_since,
        created_at=row.created_at,
        created_by=row.created_by,
        updated_at=tx.now,
        question=cases.sealed_question(tx, patient_id, case_id, cases.question_of(tx, row)),
    )
    tx.session.add(other)
    tx.session.flush()
    return other


def _let_wait(
    tx: Transaction, before: Sequence[StoredImage], found: Sequence[StoredImage], priority: Priority
) -> None:
    """The usual work on each image, with the model and the frame that were asked for last."""
    for former, image in zip(before, found, strict=True):
        asked = jobs.of_image(tx, former.id)
        model, frame = (asked.model, asked.frame) if asked is not None else (None, None)
        jobs.add(tx, JobKind.READ_IMAGE, image, priority, model, frame)


def _note(tx: Transaction, row: Case, other: Case, reason: MoveReason, looked: Looked) -> None:
    """In the trail of either patient: each entry goes with its own at erasure."""
    confirmed = ",".join(dict.fromkeys(one.trait.value for one in looked.differs)) or None
    for case, end in ((other, {"moved_from": row.number}), (row, {"moved_to": other.number})):
        tx.audit(
            Action.CASE_MOVED,
            case_id=case.id,
            patient_id=case.patient_id,
            reason=reason.value,
            images=looked.images,
            confirmed=confirmed,
            **end,
        )
    claim = tx.session.get(Claim, row.id)
    if claim is not None:
        tx.audit(Action.CLAIM_RELEASED, case_id=row.id, patient_id=row.patient_id, taken_from=claim.user_id)
