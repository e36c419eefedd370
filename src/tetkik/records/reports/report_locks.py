"""Whoever changes several reports of a patient holds all of them first, and the case after them.

Everybody takes them in the order of their images: two who judge two images of a case, or judge one while the
other is withdrawn, wait in turn and not for each other.
"""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import select

from tetkik.records.cases.patient_links import records_of
from tetkik.records.database import Transaction
from tetkik.records.schema import Image, Report


def lock_reports(tx: Transaction, patient_ids: Collection[str]) -> None:
    """Let nobody else change a report of these records until the transaction is through."""
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
        lock_reports(tx, records_of(tx, patient_id))
