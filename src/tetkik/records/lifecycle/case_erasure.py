"""What erasure and retention remove from a case; what stays says nothing about anybody.

Stay: that there was a case and when, departments and urgency that triage and a person chose, every score
of every run, and what radiologists said of findings: the figures of the models, without a patient.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, LargeBinary, Update, cast, delete, select, update

from tetkik.records.database import Records, Transaction
from tetkik.records.images.images import ERASED_FILE
from tetkik.records.lifecycle import idempotent_responses
from tetkik.records.schema import (
    Assignment,
    Blob,
    BrokenGlass,
    Case,
    CaseMark,
    Claim,
    Complaint,
    CriticalResult,
    FindingReview,
    IdempotentRequest,
    Image,
    Job,
    Order,
    OutboxItem,
    Patient,
    ReceivedFile,
    ReceivedStudy,
    Report,
    ReportVersion,
    Run,
    Score,
    Study,
)
from tetkik.values import SYSTEM, CaseState, OrderState, ReceivedFileState, ReceivedState

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
