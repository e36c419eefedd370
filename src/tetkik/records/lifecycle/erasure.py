"""Erasure of a patient on their request (KVKK article 7, GDPR article 17), as far as the law allows it.

Everything goes at once but for signed reports, which a hospital has to keep for a time; with them stay the
images that they are about and the patient's key. Once that time is over the rest goes: the key is destroyed,
so that copies of rows and files that lie elsewhere cannot be read either. Records that were joined into one
patient go together, each by its own signed reports. The audit trail keeps who did what
and when; what its entries say of the patient is emptied, and the chain still holds.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import (
    ColumnElement,
    Delete,
    LargeBinary,
    Update,
    cast,
    delete,
    func,
    or_,
    select,
    text,
    update,
)

from tetkik.errors import Conflict, InputError, NotFound
from tetkik.records.audit_chain import Action
from tetkik.records.cases.patients import (
    Person,
    load_people,
    lock_links,
    records_of,
    survivors_of,
    unlink_erased,
)
from tetkik.records.database import Records, Transaction
from tetkik.records.images.images import ERASED_FILE
from tetkik.records.lifecycle import erasure_log, idempotent_responses
from tetkik.records.lifecycle.key_rotation import finish_erasures, is_unfinished, note_erased_key
from tetkik.records.schema.cases import (
    Assignment,
    Blob,
    Case,
    CaseMark,
    Claim,
    Complaint,
    Image,
    Patient,
    PatientIndex,
    Study,
)
from tetkik.records.schema.models import CriticalResult, Job, Run, Score
from tetkik.records.schema.orders import Encounter, Order, OutboxItem, ReceivedFile, ReceivedStudy
from tetkik.records.schema.people import BrokenGlass
from tetkik.records.schema.reports import (
    Delivery,
    FindingReview,
    Report,
    ReportVersion,
    SignatureRow,
    WithdrawalRow,
)
from tetkik.records.schema.trail import AuditRow, IdempotentRequest
from tetkik.values.access import SYSTEM, Actor
from tetkik.values.states import CaseState, OrderState, ReceivedFileState, ReceivedState

# What erasure and retention remove from a case; what stays says nothing about anybody.
#
# Stay: that there was a case and when, departments and urgency that triage and a person chose, every score
# of every run, and what radiologists said of findings: the figures of the models, without a patient.


_AT_ONCE = 4
"""Files that are removed in one transaction: the locks of it last as long as the storage takes."""
_PASSING = (Assignment, Claim, CaseMark, CriticalResult, Job)


@dataclass(frozen=True, slots=True)
class Retained:
    """What the law keeps of a patient."""

    versions: frozenset[str] = frozenset()
    images: frozenset[str] = frozenset()


def find_retained(tx: Transaction, patient_id: str) -> Retained:
    """The signed versions of a patient, and what belongs to them."""
    of_patient = ReportVersion.patient_id == patient_id
    rows = tx.session.execute(
        select(ReportVersion.id, Report.study_id, Report.image_id)
        .join(Report, Report.id == ReportVersion.report_id)
        .where(of_patient)
    ).all()
    studies = {row.study_id for row in rows}
    of_studies = tx.session.scalars(select(Image.id).where(Image.study_id.in_(studies)))
    return Retained(
        frozenset(row.id for row in rows), frozenset({*of_studies, *(row.image_id for row in rows)})
    )


def erase_cases(tx: Transaction, patient_id: str, case_ids: Sequence[str], kept: Retained) -> set[str]:
    """Take everything of the patient out of cases, but for what is kept.

    Gives the names of stored files that nothing refers to any more, to be removed after the transaction.
    """
    tx.session.flush()
    before = list_patient_files(tx, patient_id)
    _empty_words(tx, case_ids)
    _empty_images(tx, case_ids, kept)
    tx.session.execute(delete(IdempotentRequest).where(IdempotentRequest.patient_id == patient_id))
    tx.session.execute(
        update(Case)
        .where(Case.id.in_(case_ids))
        .values(question=None, state=CaseState.CLOSED, restricted=True, emptied_at=tx.now, updated_at=tx.now)
    )
    tx.session.expire_all()
    return before - list_patient_files(tx, patient_id)


def clear_moved_case(tx: Transaction, patient_id: str, case_id: str) -> set[str]:
    """Take everything out of a case that goes on as another patient's, its figures included.

    They are made again there, and nothing is counted twice. What was signed and withdrawn stays as it was
    signed, with its pictures, as the law wants it; so do the reasons of those who broke the glass. Gives the
    names of files as `erase_cases` does.
    """
    tx.session.flush()
    before = list_patient_files(tx, patient_id)
    signed = frozenset(tx.session.scalars(select(ReportVersion.id).where(ReportVersion.case_id == case_id)))
    reports = select(Report.id).where(Report.case_id == case_id)
    of_case = select(Image.id).where(Image.case_id == case_id)
    idempotent_responses.forget_responses(
        tx, patient_id, {case_id, *tx.session.scalars(reports), *tx.session.scalars(of_case)}
    )
    runs = select(Run.id).where(Run.case_id == case_id)
    _empty_images(tx, [case_id], Retained(versions=signed))
    emptied = update(Report).where(Report.case_id == case_id)
    tx.apply(
        update(Image).where(Image.case_id == case_id).values(created_by=None),
        emptied.values(machine=None, draft=None, amending=None, run_id=None),
        delete(FindingReview).where(FindingReview.report_id.in_(reports)),
        delete(Score).where(Score.run_id.in_(runs)),
        delete(Run).where(Run.case_id == case_id),
        # Its study was another patient's: the order waits for its own.
        update(Order).where(Order.case_id == case_id).values(case_id=None, state=OrderState.ARRIVED),
        *(delete(table).where(table.case_id == case_id) for table in (Complaint, *_PASSING)),
    )
    tx.session.expire_all()
    return before - list_patient_files(tx, patient_id)


def find_referenced_files(tx: Transaction, names: Collection[str]) -> set[str]:
    """Those of these stored files that a row refers to."""
    found: set[str] = set()
    for table in (Image, Blob):
        found.update(tx.session.scalars(select(table.file).where(table.file.in_(names))))
    return found


def remove_unnamed_files(records: Records, patient_ids: Collection[str], names: Collection[str]) -> None:
    """Remove those of these files of patients that no row names, once the rows are gone for good.

    Whoever uploads one of them for the same patient at this very moment comes before or after.
    """
    ordered = sorted(names)
    for begin in range(0, len(ordered), _AT_ONCE):
        some = ordered[begin : begin + _AT_ONCE]
        with records.write(SYSTEM) as tx:
            wanted = select(Patient.id).where(Patient.id.in_(patient_ids)).order_by(Patient.id)
            tx.session.execute(wanted.with_for_update()).all()
            tx.files.remove_all(set(some) - find_referenced_files(tx, some))


def _empty_words(tx: Transaction, case_ids: Sequence[str]) -> None:
    """Complaints, answers, drafts, reasons; and what is under way."""
    tx.apply(
        update(Complaint).where(Complaint.case_id.in_(case_ids)).values(text=None, answer=None),
        update(Run).where(Run.case_id.in_(case_ids)).values(answer=None),
        update(Report).where(Report.case_id.in_(case_ids)).values(machine=None, draft=None, amending=None),
        update(BrokenGlass).where(BrokenGlass.case_id.in_(case_ids)).values(reason=None),
        delete(Order).where(Order.case_id.in_(case_ids)),
        *(delete(table).where(table.case_id.in_(case_ids)) for table in (*_PASSING, OutboxItem)),
        *forget_received(ReceivedStudy.case_id.in_(case_ids)),
    )


def forget_received(of: ColumnElement[bool]) -> tuple[Update, Update]:
    """Empty received studies; what the spool still has of them goes when the importer next looks at it."""
    files = update(ReceivedFile).where(ReceivedFile.received_id.in_(select(ReceivedStudy.id).where(of)))
    return (
        files.values(state=ReceivedFileState.IMPORTED, instance_digest=b"", fault=None),
        update(ReceivedStudy)
        .where(of)
        .values(
            state=ReceivedState.IMPORTED,
            content=None,
            fault=None,
            order_id=None,
            uid_digest=cast(ReceivedStudy.id, LargeBinary),  # unique, and of nobody
        ),
    )


def _empty_images(tx: Transaction, case_ids: Sequence[str], kept: Retained) -> None:
    of_cases = select(Image.id).where(Image.case_id.in_(case_ids))
    going = (Image.case_id.in_(case_ids), Image.id.not_in(kept.images))
    with_kept = select(Image.study_id).where(Image.id.in_(kept.images))
    studies = update(Study).where(Study.case_id.in_(case_ids), Study.id.not_in(with_kept))
    tx.apply(
        delete(Blob).where(Blob.image_id.in_(of_cases), Blob.label.not_in(kept.versions)),
        update(Image).where(*going).values(tags=None, file=ERASED_FILE + Image.id),
        studies.values(tags=None, uid_digest=None, accession_digest=None),
    )


def list_patient_files(tx: Transaction, patient_id: str) -> set[str]:
    """Names of the stored files of a patient's images and of what was made of them."""
    found: set[str] = set()
    for table in (Image, Blob):
        found.update(tx.session.scalars(select(table.file).where(table.patient_id == patient_id)))
    return {name for name in found if not name.startswith(ERASED_FILE)}


KEPT_INDEX = "kept-"
"""Before the kind of an index entry: found for the sake of the law alone, by nobody's daily search."""
_REFERENCE = re.compile(r"[\w./ -]{0,40}")
_YEAR = timedelta(days=365.25)


class ErasureReason(StrEnum):
    """Why somebody is erased; codes alone, for the trail keeps them."""

    REQUEST = "request"
    """The patient asked for it."""
    COURT = "court"
    """A court or the authority ordered it."""
    MISTAKE = "mistake"
    """The record should never have been made."""
    RETENTION = "retention"
    """Its time is over."""
    RESTORED = "restored"
    """A backup had brought back who was erased."""


@dataclass(frozen=True, slots=True)
class Erasure:
    patient_id: str
    complete: bool
    kept_until: datetime | None
    """When signed reports go, too; None where nothing is left."""
    kept_reports: int
    files: int


@dataclass(frozen=True, slots=True)
class _Erased:
    patient_id: str
    kept_until: datetime | None
    kept_reports: int
    files: frozenset[str]


def erase(
    records: Records,
    patient_id: str,
    ground: ErasureReason,
    *,
    years: int,
    reference: str = "",
    actor: Actor = SYSTEM,
) -> Erasure:
    """Erase a patient: at once, or all but the signed reports until the law lets them go.

    Every record of the patient goes, each as the law allows for its own signed reports, which are kept for
    `years` from the signature of the last; `Conflict` where nothing is left that may go. The `reference` is
    the number of the request in the hospital's register, no name.
    """
    if not _REFERENCE.fullmatch(reference):
        raise InputError(
            "The reference of an erasure is the number in your register: letters, digits and . / - up to 40; "
            "never a name."
        )
    if is_unfinished(records):
        finish_erasures(records)
    with records.write(actor) as tx:
        lock_links(tx, patient_id)
        going = records_of(tx, patient_id)
        erased = _erase_records(records, tx, going, ground, years, reference)
    done = _removed(records, patient_id, erased)
    finish_erasures(records)
    return done


def erase_record(
    records: Records, patient_id: str, ground: ErasureReason, *, years: int, actor: Actor = SYSTEM
) -> Erasure:
    """Erase one record alone, and take it out of the stead of others: what retention does.

    It is done once `finish_erasures` returns, which whoever erases many calls at the end.
    """
    with records.write(actor) as tx:
        lock_links(tx, patient_id)
        erased = _erase_records(records, tx, (patient_id,), ground, years)
    return _removed(records, patient_id, erased)


def erase_without_cases(
    records: Records, patient_id: str, before: datetime, *, actor: Actor = SYSTEM
) -> bool:
    """Erase a patient of whom nothing is kept any more but who they are; gives whether that was so.

    As `erase_record` does it.

    It is so where no report was signed and every case, in any of their records, was emptied, or went on as
    another patient's before that moment; and where there never was a case, and they are known since then.
    Nor is an order or an encounter kept.
    """
    with records.write(actor) as tx:
        lock_links(tx, patient_id)
        going = records_of(tx, patient_id)
        if _is_kept(tx, going, before):
            return False
        erased = _erase_records(records, tx, going, ErasureReason.RETENTION, 0)
    _removed(records, patient_id, erased)
    return True


def _is_kept(tx: Transaction, going: Sequence[str], before: datetime) -> bool:
    signed = select(ReportVersion.id).where(ReportVersion.patient_id.in_(going)).limit(1)
    cases = tx.session.scalars(select(Case).where(Case.patient_id.in_(going))).all()
    full = [case for case in cases if case.emptied_at is None]
    since = [case.updated_at for case in full]
    if not cases:
        since = list(tx.session.scalars(select(Patient.created_at).where(Patient.id.in_(going))))
    return (
        tx.session.scalar(signed) is not None
        or any(tx.count(table, table.patient_id.in_(going)) for table in (Order, Encounter))
        or any(case.state is not CaseState.MOVED for case in full)
        or any(moment >= before for moment in since)
    )


def erase_again(records: Records, patient_ids: Iterable[str], *, years: int, actor: Actor = SYSTEM) -> int:
    """Erase whom a restored backup brought back; gives how many.

    Record by record: a link that the backup has may have been undone before the erasure.
    """
    with records.read() as tx:
        back = [
            patient_id
            for patient_id in patient_ids
            if (row := tx.session.get(Patient, patient_id)) is not None
            and row.key is not None
            and row.erase_after is None
        ]
    for patient_id in back:
        erase_record(records, patient_id, ErasureReason.RESTORED, years=years, actor=actor)
    if back:
        finish_erasures(records)
    return len(back)


def _erase_records(
    records: Records,
    tx: Transaction,
    patient_ids: Sequence[str],
    ground: ErasureReason,
    years: int,
    reference: str = "",
) -> list[_Erased]:
    """Erase those of a patient's records of which something can go, and refuse where that is none.

    The trail and the ledger tell of it before the commit, so that a crash between erases once more.
    """
    erased: list[_Erased] = []
    refusal: Conflict | None = None
    for patient_id in patient_ids:
        try:
            erased.append(_erase_record(tx, patient_id, years))
        except Conflict as error:
            refusal = error
    if refusal is not None and not erased:
        raise refusal
    unlink_erased(tx, patient_ids)
    for one in erased:
        tx.audit(
            Action.PATIENT_ERASED if one.kept_until is None else Action.ERASURE_POSTPONED,
            patient_id=one.patient_id,
            ground=ground.value,
            reference=reference or None,
            files=len(one.files),
            kept_reports=one.kept_reports,
            kept_until=one.kept_until.isoformat() if one.kept_until else None,
        )
    tx.session.flush()
    for one in erased:
        erasure_log.log_erasure(records.folder, tx.vault, one.patient_id, tx.now)
    return erased


def _erase_record(tx: Transaction, patient_id: str, years: int) -> _Erased:
    patient = _patient(tx, patient_id)
    until = _kept_until(tx, patient_id, years)
    if until is None or until <= tx.now:
        return _Erased(patient_id, None, 0, frozenset(_erase_all(tx, patient, until)))
    if patient.erase_after is not None:
        raise Conflict(
            "This patient's data were erased before; the signed reports are kept until {date}.",
            date=f"{patient.erase_after:%Y-%m-%d}",
        )
    files, kept = _erase_but_reports(tx, patient, until)
    return _Erased(patient_id, until, len(kept.versions), frozenset(files))


def _removed(records: Records, patient_id: str, erased: Sequence[_Erased]) -> Erasure:
    """Remove the files once the transaction is through, and sum up."""
    files = {name for one in erased for name in one.files}
    remove_unnamed_files(records, [one.patient_id for one in erased], files)
    until = max((one.kept_until for one in erased if one.kept_until is not None), default=None)
    return Erasure(patient_id, until is None, until, sum(one.kept_reports for one in erased), len(files))


def _patient(tx: Transaction, patient_id: str) -> Patient:
    missing = NotFound("There is no such patient; look for the number again.")
    patient = tx.find(Patient, patient_id, missing, lock=True)
    if patient.key is None:
        raise Conflict("This patient's data were erased before; nothing is left.")
    return patient


def _kept_until(tx: Transaction, patient_id: str, years: int) -> datetime | None:
    last = tx.session.scalar(
        select(func.max(ReportVersion.created_at)).where(ReportVersion.patient_id == patient_id)
    )
    return None if last is None else last + years * _YEAR


def _erase_but_reports(tx: Transaction, patient: Patient, until: datetime) -> tuple[set[str], Retained]:
    kept = find_retained(tx, patient.id)
    files = erase_cases(tx, patient.id, _cases(tx, patient.id), kept)
    own = PatientIndex.patient_id == patient.id
    numbers = PatientIndex.kind.in_(("tckn", "number"))
    tx.apply(
        *_forget_orders(patient.id),
        delete(PatientIndex).where(own, PatientIndex.kind == "phone"),
        update(PatientIndex).where(own, numbers).values(kind=text(f"'{KEPT_INDEX}' || kind")),
    )
    patient.erase_after = until
    return files, kept


def _erase_all(tx: Transaction, patient: Patient, until: datetime | None) -> set[str]:
    patient_id = patient.id
    if patient.key is not None:
        note_erased_key(tx)
    # The order is the one that the database's own triggers demand: only who has no key loses signed reports.
    patient.key, patient.identity, patient.erased_at = None, None, tx.now
    if until is not None:
        patient.erase_after = min(until, tx.now - timedelta(seconds=1))
    versions = select(ReportVersion.id).where(ReportVersion.patient_id == patient_id)
    tx.apply(
        delete(WithdrawalRow).where(WithdrawalRow.version_id.in_(versions)),
        delete(SignatureRow).where(SignatureRow.version_id.in_(versions)),
        delete(ReportVersion).where(ReportVersion.patient_id == patient_id),
    )
    files = erase_cases(tx, patient_id, _cases(tx, patient_id), Retained())
    reports = select(Report.id).where(Report.patient_id == patient_id)
    tx.apply(
        *_forget_orders(patient_id),
        delete(Delivery).where(Delivery.report_id.in_(reports)),
        delete(PatientIndex).where(PatientIndex.patient_id == patient_id),
        update(AuditRow).where(AuditRow.patient_id == patient_id).values(content=None, salt=None),
    )
    return files


def _forget_orders(patient_id: str) -> Iterator[Delete | Update]:
    """Orders, encounters, what was fetched; a signed report says what it needs of its order."""
    yield from (delete(table).where(table.patient_id == patient_id) for table in (Order, Encounter))
    yield from forget_received(
        or_(ReceivedStudy.prior_of == patient_id, ReceivedStudy.patient_id == patient_id)
    )


def _cases(tx: Transaction, patient_id: str) -> list[str]:
    return list(tx.session.scalars(select(Case.id).where(Case.patient_id == patient_id)))


# Who a request under KVKK article 11 or GDPR articles 15 to 20 is about: found by an exact number alone.


_KINDS = ("tckn", "number")


@dataclass(frozen=True, slots=True)
class DataSubject:
    patient_id: str
    """Of the record; of several that are one, the surviving one."""
    person: Person
    also: tuple[Person, ...]
    """What records say that this one stands for; they are exported and erased with it."""
    cases: int
    reports: int
    erase_after: datetime | None
    """When signed reports go; None where no erasure was asked for."""


@dataclass(frozen=True, slots=True)
class PostponedErasure:
    patient_id: str
    erase_after: datetime
    reports: int


def find_subjects(tx: Transaction, number: str) -> tuple[DataSubject, ...]:
    """Patients whose TCKN or hospital number is exactly this in any of their records.

    Those kept for the law alone are included.

    The search is an entry of the audit trail.
    """
    found: set[str] = set()
    for kind in _KINDS:
        kinds = PatientIndex.kind.in_((kind, KEPT_INDEX + kind))
        same = PatientIndex.digest == tx.vault.digest(kind, number)
        found.update(tx.session.scalars(select(PatientIndex.patient_id).where(kinds, same)))
    survivors = sorted(set(survivors_of(tx, found).values()))
    tx.audit(Action.PATIENT_SEARCHED, found=len(survivors), purpose="privacy")
    return tuple(load_subject(tx, patient_id) for patient_id in survivors)


def load_subject(tx: Transaction, patient_id: str) -> DataSubject:
    """One of them by the id of the record."""
    missing = NotFound("There is no such patient; look for the number again.")
    row = tx.find(Patient, patient_id, missing)
    records, people = records_of(tx, patient_id), load_people(tx, patient_id)
    if not people:
        raise missing
    cases, reports = (tx.count(table, table.patient_id.in_(records)) for table in (Case, ReportVersion))
    return DataSubject(records[0], people[0], people[1:], cases, reports, row.erase_after)


def list_postponed_erasures(tx: Transaction) -> tuple[PostponedErasure, ...]:
    """Erasures that wait for the law, the next one first."""
    count = select(func.count()).where(ReportVersion.patient_id == Patient.id).scalar_subquery()
    rows = tx.session.execute(
        select(Patient.id, Patient.erase_after, count)
        .where(Patient.erase_after.is_not(None), Patient.key.is_not(None))
        .order_by(Patient.erase_after, Patient.id)
    )
    return tuple(PostponedErasure(*row) for row in rows)
