"""Row locks of a case, in the order that every writer keeps: patient links, jobs, reports, then the case."""

from __future__ import annotations

from sqlalchemy import select

from tetkik.records.cases import patient_links
from tetkik.records.database import Transaction
from tetkik.records.people.visibility import load_visible_case
from tetkik.records.schema import Job


def lock_jobs(tx: Transaction, case_id: str) -> None:
    """Let nobody else change the jobs of a case until the transaction ends."""
    tx.session.execute(select(Job.id).where(Job.case_id == case_id).order_by(Job.id).with_for_update()).all()


def lock_case(tx: Transaction, case_id: str) -> None:
    """Let nobody else change a case or its patient until the transaction ends.

    For a caller that compares the case with what a person had before their eyes, and then changes it.
    """
    row = load_visible_case(tx, case_id)
    patient_links.lock_links(tx, row.patient_id)
    lock_jobs(tx, case_id)
    tx.session.flush()
    tx.session.refresh(row, with_for_update={"key_share": True})
