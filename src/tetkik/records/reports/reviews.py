"""What radiologists say of a model's findings: accepted, rejected, or added where the model missed one.

Kept for retraining; the rows name no patient and outlive an erasure.
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import select

from tetkik.records.audit_chain import Action
from tetkik.records.cases.priority import update_worklist
from tetkik.records.database import Transaction
from tetkik.records.images import runs
from tetkik.records.reports.report_inputs import ReviewedFinding
from tetkik.records.schema import FindingReview, Report
from tetkik.rules.draft_state import Material
from tetkik.rules.judging import finding_of, found_by_model
from tetkik.values import Finding, Judgement


def reviews_of(tx: Transaction, report_id: str) -> tuple[ReviewedFinding, ...]:
    wanted = select(FindingReview).where(FindingReview.report_id == report_id).order_by(FindingReview.label)
    return tuple(row.to_value(ReviewedFinding) for row in tx.session.scalars(wanted))


def judged(tx: Transaction, report_id: str) -> Mapping[str, Judgement]:
    """The judgement of each label that has one."""
    return {item.label: item.judgement for item in reviews_of(tx, report_id)}


def keep(tx: Transaction, row: Report, material: Material, label: str, judgement: Judgement | None) -> None:
    """Keep what the actor says of one finding; None takes it back."""
    finding = finding_of(material.result, label)
    before = tx.session.get(FindingReview, (row.id, label))
    if judgement is None:
        if before is not None:
            tx.session.delete(before)
    else:
        positive = found_by_model(finding, judgement)
        review = before or FindingReview(report_id=row.id, label=label)
        review.run_id = _run_that_says(tx, row, finding)
        review.judgement, review.model_positive = judgement, positive
        review.user_id, review.at = tx.actor.user_id or "", tx.now
        tx.session.add(review)
    update_worklist(tx, row.case_id)
    tx.audit_about(Action.FINDING_REVIEWED, row, label=label, judgement=judgement)


def _run_that_says(tx: Transaction, row: Report, finding: Finding) -> str | None:
    """The run over the image of the study that says it; that of the image that stands for the study else."""
    if finding.image_id in (None, row.image_id):
        return row.run_id
    newest = runs.load_latest_run(tx, finding.image_id)
    return newest.id if newest is not None else row.run_id
