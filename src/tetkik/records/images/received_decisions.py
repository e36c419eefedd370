"""Whose a received study is: by its order, or by a person.

verdict = decide(tx, received_id, without_orders=False)   # the importer, once a study is complete
accept(tx, received_id, order_id=order_id)                # a person, for one that waits
undo(tx, received_id)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import delete, select

from tetkik.errors import Conflict, InputError
from tetkik.language import Sentence
from tetkik.records.audit_chain import Action
from tetkik.records.cases import cases, patients, transfers
from tetkik.records.cases.identity_comparison import compare_with_patient, person_from_identity
from tetkik.records.cases.locks import lock_row
from tetkik.records.cases.patients import records_of, survivor_of
from tetkik.records.database import Transaction
from tetkik.records.images import copying, receiving
from tetkik.records.images.receiving import ReceivedContent, ReceivedView
from tetkik.records.images.studies import find_case_with_study, find_patient_case_of_study
from tetkik.records.orders import orders
from tetkik.records.orders.matching import Verdict, match_study
from tetkik.records.schema.cases import Case, Complaint, Image
from tetkik.records.schema.orders import ReceivedFile, ReceivedStudy
from tetkik.values.radiograph import Identity, Trait
from tetkik.values.states import CaseState, ReceivedFileState, ReceivedState, RemovalReason

# To whose case an image without one belongs.


@dataclass(frozen=True, slots=True)
class Destination:
    """Where an image without a case belongs."""

    patient_id: str | None = None
    """Of the record of a known patient that the image goes to; None for one whom nobody knows."""
    case_id: str | None = None
    """A case of theirs that has the study, or waits for an image; None where a new one is needed."""


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


REJECTED_FOR = timedelta(days=30)
"""How long the files of a rejected study are kept: so long the rejection can be undone."""
_TAKEN_OUT = Sentence("This image was removed from the case; put it back on the page of its images.")
_DECIDABLE = (ReceivedState.DOUBTFUL, ReceivedState.REJECTED)


def decide(tx: Transaction, received_id: str, *, without_orders: bool = False) -> ReceivedView:
    """Say whose a complete study is, where that is beyond doubt; else it waits for a person.

    Args:
        without_orders: whether its sender makes studies that nobody orders: a case is opened for one.
    """
    row = receiving.lock(tx, received_id)
    if row.state is not ReceivedState.RECEIVING:
        return receiving.load_received(tx, received_id)
    content = receiving.open_content(tx, row)
    if row.prior_of is not None and _is_ordered(tx, content):
        row.prior_of = None  # it was sent to be read, and an archive has it as well
    if row.prior_of is not None:
        _decide_prior(tx, row, content)
    elif row.verdict is not None and row.case_id is not None and _is_open(tx, row.case_id):
        _put_into(tx, row, content, row.case_id)  # later images of a study that is in its case already
        row.state = ReceivedState.COMPLETE
    else:
        _decide_by_orders(tx, row, content, without_orders=without_orders)
    tx.session.flush()
    view = receiving.load_received(tx, received_id)
    receiving.audit_received(
        tx,
        view,
        Action.STUDY_RECEIVED,
        verdict=row.verdict,
        state=row.state.value,
        count=row.files,
        expected=row.expected,
        declared=content.declared or None,
        repaired=content.repaired,
        clock_ahead=content.clock_ahead,
    )
    return view


def doubt(tx: Transaction, received_id: str, fault: Sentence) -> None:
    """Let a study wait for a person, with the reason."""
    row = receiving.lock(tx, received_id)
    row.state, row.fault = ReceivedState.DOUBTFUL, receiving.pack_fault(fault)


def accept(
    tx: Transaction, received_id: str, *, order_id: str | None = None, patient_id: str | None = None
) -> ReceivedView:
    """A person says whose a study is: the order's, or a patient's without an order; its images follow.

    Raises:
        Conflict: it does not wait for a decision (any more).
        InputError: neither an order nor a patient is named.
    """
    row = receiving.lock(tx, received_id)
    _require(row, *_DECIDABLE)
    if order_id is None and patient_id is None:
        raise InputError("Choose the order or the patient that the study is of.").at("order_id")
    content = receiving.open_content(tx, row)
    if order_id is not None:
        _assign_order(tx, row, content, order_id)
    else:
        assert patient_id is not None
        row.order_id = None
        _assign(tx, row, content, survivor_of(tx, patient_id))
    row.verdict = row.verdict or Verdict.NONE.value
    return _decided(tx, row, ReceivedState.COMPLETE, "accepted")


def reject(tx: Transaction, received_id: str, reason: RemovalReason) -> ReceivedView:
    """A person says that a study does not belong here; its files go after `REJECTED_FOR`."""
    row = receiving.lock(tx, received_id)
    _require(row, ReceivedState.DOUBTFUL, ReceivedState.FAILED)
    if not row.imported:
        _leave_case(tx, row)
    return _decided(tx, row, ReceivedState.REJECTED, "rejected", reason=reason.value)


def undo(tx: Transaction, received_id: str) -> ReceivedView:
    """Take a decision back, as long as no image of the study is in a case.

    Raises:
        Conflict: images are; they are moved on the page of the case.
    """
    row = receiving.lock(tx, received_id)
    _require(row, ReceivedState.COMPLETE, ReceivedState.REJECTED, ReceivedState.IMPORTED)
    if row.imported or row.state is ReceivedState.IMPORTED:  # of the latter all may have been taken out
        raise Conflict("Images of this study are in a case; move them on the page of the case.")
    _leave_case(tx, row)
    return _decided(tx, row, ReceivedState.DOUBTFUL, "undone")


def lock_of_case(tx: Transaction, case_id: str) -> None:
    """Let no study come into a case until the transaction ends; before the case itself, as `decide` does."""
    rows = select(ReceivedStudy.id).where(ReceivedStudy.case_id == case_id).order_by(ReceivedStudy.id)
    tx.session.execute(rows.with_for_update()).all()


def follow_case(tx: Transaction, case_id: str, other: Case, copies: Mapping[str, str]) -> None:
    """Let studies go along with a case that becomes another patient's: what comes late goes there, too.

    Their files still name the first patient: a person has said whose they are.

    Args:
        copies: the id of each image's copy.
    """
    for row in tx.session.scalars(select(ReceivedStudy).where(ReceivedStudy.case_id == case_id)).all():
        content = receiving.open_content(tx, row)
        row.case_id, row.patient_id, row.order_id, row.prior_of = other.id, other.patient_id, None, None
        row.verdict, row.decided_by, row.decided_at = Verdict.NONE.value, tx.actor.user_id, tx.now
        receiving.seal_content(tx, row, replace(content, reasons=(), candidates=()))
        files = select(ReceivedFile).where(
            ReceivedFile.received_id == row.id, ReceivedFile.image_id.is_not(None)
        )
        for file in tx.session.scalars(files):
            file.image_id = copies.get(file.image_id or "", file.image_id)
    tx.session.flush()


def forget_erased(tx: Transaction, arrivals: Mapping[str, datetime]) -> None:
    """What came again since of these files: erased ones are forgotten, for they are new now.

    One whose image a person took out of its case is set aside with its reason.
    """
    erased = tx.session.scalars(select(ReceivedFile).where(ReceivedFile.instance_digest == b""))
    for row in erased:
        if row.name in arrivals and arrivals[row.name] > row.received_at:
            tx.session.delete(row)
    names = list(arrivals)
    for start in range(0, len(names), receiving.BATCH):
        taken_out = (Image.removed_at.is_not(None), Image.moved_to.is_(None))
        part = (ReceivedFile.name.in_(names[start : start + receiving.BATCH]), *taken_out)
        found = select(ReceivedFile).join(Image, Image.id == ReceivedFile.image_id).where(*part)
        for row in tx.session.scalars(found):
            if arrivals[row.name] > row.received_at:
                receiving.settle_file(tx, row.id, fault=_TAKEN_OUT)
                row.received_at, row.image_id = arrivals[row.name], None  # else it were new at the next look
                tx.session.get_one(ReceivedStudy, row.received_id).imported -= 1


def forget_refused(tx: Transaction, arrivals: Mapping[str, datetime]) -> None:
    """Forget refused files of these names that came again since: what was in their way may be gone."""
    wanted = list(arrivals)
    for start in range(0, len(wanted), receiving.BATCH):
        part = ReceivedFile.name.in_(wanted[start : start + receiving.BATCH])
        refused = ReceivedFile.state == ReceivedFileState.REFUSED
        for row in tx.session.scalars(select(ReceivedFile).where(part, refused)).all():
            if arrivals[row.name] > row.received_at:
                study = tx.session.get_one(ReceivedStudy, row.received_id, with_for_update=True)
                tx.session.delete(row)
                tx.session.flush()
                study.files -= 1
                study.refused -= 1
                if study.files == 0 and study.case_id is None and study.prior_of is None:
                    tx.session.delete(study)
                tx.session.flush()


def forget_rejected(tx: Transaction) -> tuple[str, ...]:
    """Remove studies whose rejection is final; gives the names of their files in the spool."""
    final = (
        ReceivedStudy.state == ReceivedState.REJECTED,
        ReceivedStudy.decided_at < tx.now - REJECTED_FOR,
        ReceivedStudy.last_at < tx.now - REJECTED_FOR,
    )
    due = select(ReceivedStudy.id).where(*final)
    names = tuple(tx.session.scalars(select(ReceivedFile.name).where(ReceivedFile.received_id.in_(due))))
    tx.apply(
        delete(ReceivedFile).where(ReceivedFile.received_id.in_(due)),
        delete(ReceivedStudy).where(*final),
    )
    return names


def forget_missing_priors(tx: Transaction, longest: timedelta) -> int:
    """Remove earlier studies that were asked for and of which nothing came."""
    return tx.apply(
        delete(ReceivedStudy).where(
            ReceivedStudy.prior_of.is_not(None),
            ReceivedStudy.files == 0,
            ReceivedStudy.first_at < tx.now - longest,
        )
    )


def _decide_by_orders(
    tx: Transaction, row: ReceivedStudy, content: ReceivedContent, *, without_orders: bool
) -> None:
    verdict = match_study(tx, content.facts)
    row.verdict, row.order_id = verdict.kind.value, verdict.order_id
    content = replace(content, reasons=verdict.reasons, candidates=verdict.candidates)
    receiving.seal_content(tx, row, content)
    if not content.others and verdict.kind is Verdict.MATCHED and verdict.order_id is not None:
        _assign_order(tx, row, content, verdict.order_id)
        row.state = ReceivedState.COMPLETE
    elif not content.others and verdict.kind is Verdict.NONE and without_orders:
        patient_id = verdict.patient_id or _newcomer(tx, content)
        if patient_id is not None:
            _assign(tx, row, content, patient_id)
        row.state = ReceivedState.COMPLETE if patient_id is not None else ReceivedState.DOUBTFUL
    else:
        row.state = ReceivedState.DOUBTFUL


def _is_ordered(tx: Transaction, content: ReceivedContent) -> bool:
    """Whether an order waits for a study, or got it, for all that an archive was asked for it."""
    verdict = match_study(tx, content.facts)
    if verdict.order_id is None:
        return False
    order = orders.load_order(tx, verdict.order_id)
    if verdict.kind is Verdict.MATCHED and order.case_id is not None:
        return True
    another = any(one.trait is Trait.ACCESSION for one in verdict.reasons)
    return order.state in orders.OPEN_STATES and not another


def _decide_prior(tx: Transaction, row: ReceivedStudy, content: ReceivedContent) -> None:
    """An earlier study is taken where it has the patient's number and nothing speaks against it.

    Archives of several hospitals give one number to several people: the number alone says nothing.
    """
    assert row.prior_of is not None
    patient_id = survivor_of(tx, row.prior_of)
    filed = person_from_identity(content.identity)
    fits = (
        not content.others
        and patient_id in patients.find_by_number(tx, filed)
        and bool(filed.name and filed.birth_date)
        and not compare_with_patient(tx, patient_id, content.identity)
    )
    row.verdict = (Verdict.MATCHED if fits else Verdict.DOUBTFUL).value
    if not fits:
        row.state, row.decided_at = ReceivedState.REJECTED, tx.now
        row.fault = receiving.pack_fault(
            Sentence("It was fetched as an earlier study of a patient, and names another one.")
        )
        return
    row.state = ReceivedState.COMPLETE
    if row.case_id is not None and _is_open(tx, row.case_id):
        _put_into(tx, row, content, row.case_id)
    else:
        _assign(tx, row, content, patient_id)


def _newcomer(tx: Transaction, content: ReceivedContent) -> str | None:
    """A record for a patient whom nobody knows; None where a number of theirs is somebody else's."""
    person = person_from_identity(content.identity)
    if not person.name or not (person.number or person.tckn) or patients.find_by_number(tx, person):
        return None
    return patients.create(tx, person)


def _assign_order(tx: Transaction, row: ReceivedStudy, content: ReceivedContent, order_id: str) -> None:
    order = orders.load_order(tx, order_id)
    row.order_id, row.prior_of = order.id, None  # what answers an order is read
    case_id = order.case_id if order.case_id is not None and _is_open(tx, order.case_id) else None
    if case_id is None:
        case_id = cases.open_case(
            tx,
            survivor_of(tx, order.patient_id),
            department=order.content.department or None,
            question=order.content.question,
        )
    if order.case_id is None:
        orders.link_case(tx, order.id, case_id)
    _put_into(tx, row, content, case_id)


def _assign(tx: Transaction, row: ReceivedStudy, content: ReceivedContent, patient_id: str) -> None:
    found = find_destination(tx, content.identity, "")
    case_id = found.case_id if found.patient_id == patient_id and row.prior_of is None else None
    _put_into(tx, row, content, case_id or cases.open_case(tx, patient_id))


def _put_into(tx: Transaction, row: ReceivedStudy, content: ReceivedContent, case_id: str) -> None:
    case = tx.session.get_one(Case, case_id)
    row.case_id, row.patient_id = case_id, case.patient_id
    receiving.seal_content(tx, row, content)


def take_up(tx: Transaction, case_id: str) -> None:
    """Take a case up again that was put away, for an image of a study of its own: not for less than that."""
    if _is_closed(tx, case_id):
        cases.reopen(tx, case_id)


def put_away(tx: Transaction, case_id: str) -> None:
    """Close a case where that is not done."""
    if not _is_closed(tx, case_id):
        cases.close(tx, case_id)


def _is_closed(tx: Transaction, case_id: str) -> bool:
    """Whether a case is put away, until the transaction ends: two studies of it may come in at once."""
    return lock_row(tx, case_id).state is CaseState.CLOSED


def _is_open(tx: Transaction, case_id: str) -> bool:
    """Whether images may come into a case; one that was put away is taken up again for them."""
    case = tx.session.get_one(Case, case_id)
    return case.state is not CaseState.MOVED and case.emptied_at is None


def _leave_case(tx: Transaction, row: ReceivedStudy) -> None:
    """Take a study out of its case; one that was opened for it is put away, and the order waits again."""
    if row.case_id is None:
        return
    content, case = receiving.open_content(tx, row), tx.session.get_one(Case, row.case_id)
    if case.state is CaseState.WAITING and _is_opened_for(tx, case, row):
        if row.order_id is not None:
            orders.unlink_case(tx, row.order_id)
        cases.close(tx, case.id)
    row.case_id = row.patient_id = None
    receiving.seal_content(tx, row, content)


def _is_opened_for(tx: Transaction, case: Case, row: ReceivedStudy) -> bool:
    """Whether a person's decision about this study opened a case, or no person did and nothing is in it."""
    if case.created_at == row.decided_at:
        return True
    others = tx.count(ReceivedStudy, ReceivedStudy.case_id == case.id, ReceivedStudy.id != row.id)
    held = tx.count(Image, Image.case_id == case.id) + tx.count(Complaint, Complaint.case_id == case.id)
    return case.created_by is None and not others + held


def _require(row: ReceivedStudy, *states: ReceivedState) -> None:
    if row.state not in states:
        raise Conflict("Somebody else has decided about this study meanwhile; look at it again.")


def _decided(
    tx: Transaction, row: ReceivedStudy, state: ReceivedState, decision: str, **detail: str
) -> ReceivedView:
    row.state, row.decided_by, row.decided_at = state, tx.actor.user_id, tx.now
    row.fault = None
    tx.session.flush()
    view = receiving.load_received(tx, row.id)
    receiving.audit_received(tx, view, Action.STUDY_DECIDED, decision=decision, **detail)
    return view
