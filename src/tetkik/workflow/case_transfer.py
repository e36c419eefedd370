"""Case transfer: a case that was opened for the wrong patient becomes a case of the right one.

Complaint, question, choices and waiting time go along; the images, those that were removed as well, are
stored again under the right patient's key. Whatever was made of them (runs, heatmaps, drafts) is made again
by the usual jobs. The first case is left as a number with a link: its words and rows are gone in the same
transaction, its files right after it. Transferring again, to the first patient, is the way back.

    with records.read(actor) as tx:
        prepare_images(tx, case_id, patient_id)                   # on the disk, before anybody waits
    with records.write(actor) as tx:
        seen = preview_transfer(tx, case_id, patient_id).seen     # both people; the trail records the look
    with records.write(actor) as tx:
        done = transfer_case(tx, case_id, patient_id, reason, seen)
    remove_leftover_files(records, done)
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, fields

from sqlalchemy import func, select, update

from tetkik.errors import Conflict, Forbidden
from tetkik.records.audit_chain import Action
from tetkik.records.cases import cases, complaints, identity_comparison, patients, transfers
from tetkik.records.cases.locks import lock_jobs, lock_reports
from tetkik.records.cases.patients import Match, Person, lock_links, records_of, survivor_of
from tetkik.records.database import Records, Transaction
from tetkik.records.ids import new_id
from tetkik.records.images import copying, images, jobs, received_decisions
from tetkik.records.images.images import StoredImage
from tetkik.records.images.jobs import JobKind
from tetkik.records.lifecycle import erasure
from tetkik.records.lifecycle.key_rotation import truncate_sqlite_log
from tetkik.records.people.access import load_visible_case, visible_cases
from tetkik.records.reports.drafts import drop_foreign_priors
from tetkik.records.reports.withdrawal import has_standing_report
from tetkik.records.schema import Assignment, Case, CaseMove, Claim, CriticalResult, Report
from tetkik.records.worklist import claims
from tetkik.records.worklist.claims import Reader
from tetkik.values import CaseState, MoveReason, Permission, Priority
from tetkik.values.radiograph import Difference
from tetkik.workflow import patients as patient_comparison
from tetkik.workflow.patients import PatientComparison


@dataclass(frozen=True, slots=True)
class TransferPreview:
    """What a person looks at before a case is moved.

    `differs` is where its images contradict the record that they go to, `written` whether a person has
    written in a draft, which is dropped. `seen` names what was shown, so that nothing else is moved.
    """

    people: PatientComparison
    differs: tuple[Difference, ...]
    images: int
    reader: Reader | None
    written: bool
    seen: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class CompletedTransfer:
    """What a move came to; to `files` nothing refers any more."""

    case_id: str
    number: str
    former: str
    reason: MoveReason
    left: str
    files: frozenset[str] = field(repr=False)


def preview_transfer(tx: Transaction, case_id: str, patient_id: str) -> TransferPreview:
    """The two people side by side, and what goes along; the (write) transaction's trail notes the look at
    both.

    Raises:
        Conflict: the two are one patient; the case is closed, was moved, or has a signed report that stands.
    """
    found = _looked(tx, _movable(tx, case_id), patient_id)
    for side in (found.people.one, found.people.other):
        tx.audit(Action.PATIENT_OPENED, patient_id=side[0].id, compared=True)
    return found


def register_recipient(tx: Transaction, case_id: str, person: Person) -> str:
    """A record for the right patient where there is none yet; gives its id.

    Raises:
        InputError: neither name nor number, or one that cannot be.
        Conflict: as in `preview_transfer`; or a patient with the same number is known already.
    """
    _movable(tx, case_id)
    patient_id = cases.register_patient(tx, person)
    written = ",".join(item.name for item in fields(Person) if getattr(person, item.name))
    tx.audit(Action.PATIENT_CHANGED, patient_id=patient_id, fields=written)
    return patient_id


def require_transferable(tx: Transaction, case_id: str) -> None:
    """Say what stands in the way of moving a case, before anybody looks for the right patient."""
    _movable(tx, case_id)


def search_recipients(tx: Transaction, case_id: str, words: str) -> tuple[Match, ...]:
    """Patients by name or number to whom the actor may move a case; the (write) trail notes the search."""
    here = survivor_of(tx, _movable(tx, case_id).patient_id)
    found = patients.search(tx, words)
    return tuple(one for one in found if one.id != here and _sees_all(tx, records_of(tx, one.id)))


def prepare_images(tx: Transaction, case_id: str, patient_id: str) -> None:
    """Bring the images to the disk under the right patient's key, before the transaction others wait for."""
    _looked(tx, _movable(tx, case_id), patient_id)
    for removed in (False, True):
        for image in images.list_images(tx, case_id, removed=removed):
            copying.reencrypt_file(tx, image, survivor_of(tx, patient_id))


def transfer_case(
    tx: Transaction, case_id: str, patient_id: str, reason: MoveReason, seen: str, *, sure: bool = False
) -> CompletedTransfer:
    """Let a case go on as one of another patient: all of it, or nothing.

    Args:
        seen: of what the person looked at (`preview_transfer`).
        sure: whether a person has compared the two, where the images name another than the right one.

    Raises:
        Conflict: as in `preview_transfer`; one of the two or the case has changed since the person looked; or
            the images name another, and nobody has said that they are sure.
    """
    lock_links(tx, load_visible_case(tx, case_id).patient_id, patient_id)
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
    found = images.list_images(tx, case_id)
    other = _opened(tx, row, looked.people.other[0].id, found)
    complaints.copy_complaint(tx, case_id, other)
    copies = copying.copy_images(tx, other, found)
    removed = images.list_images(tx, case_id, removed=True)
    put_away = copying.copy_images(tx, other, removed)
    copied = zip((*found, *removed), (*copies, *put_away), strict=True)
    received_decisions.follow_case(tx, case_id, other, {one.id: copy.id for one, copy in copied})
    for copy in copies if looked.differs else ():
        identity = images.load_metadata(tx, copy).identity
        if differs := identity_comparison.compare_with_patient(tx, other.patient_id, identity):
            images.confirm_identity(tx, copy.id, [one.trait for one in differs])
    _let_wait(tx, found, copies, Priority(other.priority))
    tx.session.add(
        CaseMove(
            case_id=case_id, moved_to=other.id, reason=reason, created_at=tx.now, created_by=tx.actor.user_id
        )
    )
    _carry_critical_results(tx, row, other)
    _note(tx, row, other, reason, looked)
    files = erasure.clear_moved_case(tx, row.patient_id, case_id)
    row.state, row.question, row.urgency, row.updated_at = CaseState.MOVED, None, None, tx.now
    # What the drafts of the first patient's other cases say of the course leant on another's image.
    drop_foreign_priors(tx, records_of(tx, row.patient_id))
    tx.announce("moved", case_id)
    tx.announce("case", other.id)
    return CompletedTransfer(other.id, other.number, case_id, reason, row.patient_id, frozenset(files))


def remove_leftover_files(records: Records, done: CompletedTransfer) -> None:
    """Remove what the first patient's key could still open, once the move is through.

    Where the machine stops before it, the daily sweep removes the files.
    """
    erasure.remove_unnamed_files(records, [done.left], done.files)
    truncate_sqlite_log(records)


def _movable(tx: Transaction, case_id: str) -> Case:
    row = load_visible_case(tx, case_id)
    if tx.actor.user_id is not None and not tx.actor.may(Permission.CASE_READ):
        raise Forbidden("Your role does not allow this ({permission}).", permission=Permission.CASE_READ)
    transfers.require_open(tx, row)
    if has_standing_report(tx, case_id):
        raise Conflict("The case has a signed report that stands; withdraw the report first.")
    return row


def _looked(tx: Transaction, row: Case, patient_id: str) -> TransferPreview:
    people = patient_comparison.compare_unaudited(tx, row.patient_id, patient_id)
    if not _sees_all(tx, [one.id for one in people.other]):
        raise Forbidden("The other patient has cases that are not open to you; let reception move this one.")
    found = images.list_images(tx, row.id)
    differs = {
        one: None
        for image in found
        for one in identity_comparison.compare_with_patient(
            tx, patient_id, images.load_metadata(tx, image).identity
        )
    }
    wanted = select(Report.id).where(
        Report.case_id == row.id, Report.draft.is_not(None), Report.updated_by.is_not(None)
    )
    written = tx.session.scalar(wanted.limit(1)) is not None
    shown = json.dumps([people.seen, row.id, people.other[0].id, [image.id for image in found], written])
    return TransferPreview(
        people,
        tuple(differs),
        len(found),
        claims.reader_of_case(tx, row.id),
        written,
        tx.vault.digest("moved", hashlib.sha256(shown.encode()).hexdigest()).hex(),
    )


def _sees_all(tx: Transaction, patient_ids: Sequence[str]) -> bool:
    theirs = select(func.count()).select_from(Case).where(Case.patient_id.in_(patient_ids))
    return tx.session.scalar(theirs) == tx.session.scalar(theirs.where(visible_cases(tx)))


def _hold_work(tx: Transaction, case_id: str) -> None:
    """Let nobody else write in the case, in the order in which everybody locks: received studies, jobs,
    reports, the case.

    The reports of the first patient's other cases, too: those that had been compared are checked again.
    """
    row = tx.session.get_one(Case, case_id)
    received_decisions.lock_of_case(tx, case_id)
    lock_jobs(tx, case_id)
    lock_reports(tx, records_of(tx, row.patient_id))
    tx.session.refresh(row, with_for_update=True)


def _opened(tx: Transaction, row: Case, patient_id: str, found: Sequence[StoredImage]) -> Case:
    """The case of the right patient, as the desk had opened the other; it waits since then."""
    other = Case(
        id=new_id(),
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
    )
    cases.set_question(tx, other, tx.open_text(row, "question"))
    tx.session.add(other)
    tx.session.flush()
    return other


def _let_wait(
    tx: Transaction, before: Sequence[StoredImage], found: Sequence[StoredImage], priority: Priority
) -> None:
    """The usual work on each image, with the model and the frame that were asked for last."""
    for former, image in zip(before, found, strict=True):
        job = jobs.newest_job(tx, former.id)
        model, frame = (job.model, job.frame) if job is not None else (None, None)
        jobs.add_job(tx, JobKind.READ_IMAGE, image, priority, model, frame)


def _carry_critical_results(tx: Transaction, row: Case, other: Case) -> None:
    """Critical results go along with everything that was sent and said of them, and so does the reader."""
    for result in tx.session.scalars(select(CriticalResult).where(CriticalResult.case_id == row.id)).all():
        sealed = {name: tx.open_column(result, name) for name in ("words", "told_to")}
        result.case_id, result.patient_id = other.id, other.patient_id
        for name, content in sealed.items():
            tx.seal_column(result, name, content)
    tx.session.execute(update(Assignment).where(Assignment.case_id == row.id).values(case_id=other.id))
    tx.session.flush()


def _note(tx: Transaction, row: Case, other: Case, reason: MoveReason, looked: TransferPreview) -> None:
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
