"""What radiologists say of a model's findings: accepted, rejected, or added where the model missed one.

Kept for retraining; the rows name no patient and outlive an erasure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from sqlalchemy import select

from tetkik.records.audit_chain import Action
from tetkik.records.cases.patients import records_of
from tetkik.records.cases.priority import update_worklist
from tetkik.records.database import Transaction
from tetkik.records.images import runs
from tetkik.records.reports.report_inputs import (
    ReviewedFinding,
    keep_material,
    keep_working,
    material_of,
    working_of,
)
from tetkik.records.schema import FindingReview, Report
from tetkik.rules.draft_state import DraftState, Material
from tetkik.rules.judging import finding_of, found_by_model
from tetkik.rules.marks import Assessment, as_judged, checked
from tetkik.values import Finding, FindingsResult, Judgement, RunState


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


# What is judged of an image reaches the later drafts that compare with it: their marks, never their words.
#
# The revision of such a draft stays, for nobody has written in it: whoever writes there is not refused, and
# what they save next is checked against the same facts. A draft with open marks is not signed, so nobody
# signs a comparison that does not hold any more.


COMPARED = "draft.compared"
"""The event that tells the open pages of a draft that its comparison was checked again."""


def recheck(tx: Transaction, report_id: str, known: Sequence[Assessment] = ()) -> None:
    """Check the drafts again that compare with the image of a report, after its findings were judged."""
    row = tx.session.get_one(Report, report_id)
    for later, state in compared_anew(tx, row, judged(tx, row.id), lock=True):
        keep_material(tx, later, state.material)
        content = checked(state, known)
        if content == state.working.content:
            continue
        keep_working(tx, later, replace(state.working, content=content))
        marks = content.draft.open_marks
        tx.session.flush()
        tx.audit_about(Action.DRAFT_CHANGED, later, revision=later.revision, open_marks=marks, why="prior")
        tx.announce(COMPARED, later.case_id)


def compared_anew(
    tx: Transaction, row: Report, judged_now: Mapping[str, Judgement], *, lock: bool = False
) -> Iterator[tuple[Report, DraftState]]:
    """Drafts that compare with the image of a report, each with what people judged of that image.

    They are about later images of the same patient, in the order in which the images came.
    """
    wanted = (
        select(Report)
        .where(
            Report.patient_id.in_(records_of(tx, row.patient_id)),
            Report.image_id > row.image_id,
            Report.draft.is_not(None),
        )
        .order_by(Report.image_id)
    )
    if lock:
        wanted = wanted.with_for_update().execution_options(populate_existing=True)
    for later in tx.session.scalars(wanted).all():
        material, working = material_of(tx, later), working_of(tx, later)
        compared = _compared_with(tx, row, material.prior)
        if compared is None or working is None:
            continue
        prior = as_judged(compared, judged_now)
        if prior != material.prior:
            state = DraftState(working, replace(material, prior=prior), judged(tx, later.id))
            yield later, state


def _compared_with(tx: Transaction, row: Report, prior: FindingsResult | None) -> FindingsResult | None:
    """What the models found in the study of a report, where it is the one that a draft compares with."""
    if prior is None:
        return None
    own = material_of(tx, row).result
    candidates = [own] if own is not None else []
    for run in runs.list_runs(tx, row.image_id):
        if run.state is RunState.DONE:
            candidates.append(runs.load_result(tx, run.id))
    named = (prior.sha256, prior.model)
    return next((found for found in candidates if (found.sha256, found.model) == named), None)
