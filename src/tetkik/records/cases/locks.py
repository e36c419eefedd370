"""Row locks of a case, in the order that every writer keeps: patient links, jobs, reports, then the case."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import select

from tetkik.records.cases import patients
from tetkik.records.database import Transaction
from tetkik.records.people.access import load_visible_case
from tetkik.records.schema import Case, Image, Job, Report


def lock_jobs(tx: Transaction, case_id: str) -> None:
    """Let nobody else change the jobs of a case until the transaction ends."""
    tx.session.execute(select(Job.id).where(Job.case_id == case_id).order_by(Job.id).with_for_update()).all()


def lock_case(tx: Transaction, case_id: str) -> None:
    """Let nobody else change a case or its patient until the transaction ends.

    For a caller that compares the case with what a person had before their eyes, and then changes it.
    """
    row = load_visible_case(tx, case_id)
    patients.lock_links(tx, row.patient_id)
    lock_jobs(tx, case_id)
    tx.session.flush()
    tx.session.refresh(row, with_for_update={"key_share": True})


def lock_row(tx: Transaction, case_id: str) -> Case:
    """Let nobody else change a case, or add a row that names it, until the transaction ends.

    A transaction that adds such a row locks the case before: two who had added one each would wait for each
    other.
    """
    tx.session.flush()
    wanted = select(Case).where(Case.id == case_id).with_for_update()
    return tx.session.scalars(wanted.execution_options(populate_existing=True)).one()


def lock_reports(tx: Transaction, patient_ids: Collection[str]) -> None:
    """Let nobody else change a report of these records until the transaction is through.

    They are taken in the order of their images: two who judge two images of a case, or judge one while the
    other is withdrawn, wait in turn and not for each other.
    """
    wanted = select(Report.id).where(Report.patient_id.in_(patient_ids)).order_by(Report.image_id)
    tx.session.execute(wanted.with_for_update()).all()


def lock_reports_with(tx: Transaction, report_id: str) -> None:
    """Hold a report and every other one of its patient; one that is unknown holds nothing."""
    _lock_of_patient(tx, tx.session.scalar(select(Report.patient_id).where(Report.id == report_id)))


def lock_reports_for_image(tx: Transaction, image_id: str) -> None:
    """Hold every report of the patient of an image; one that is unknown holds nothing."""
    _lock_of_patient(tx, tx.session.scalar(select(Image.patient_id).where(Image.id == image_id)))


def _lock_of_patient(tx: Transaction, patient_id: str | None) -> None:
    if patient_id is not None:
        lock_reports(tx, patients.records_of(tx, patient_id))
