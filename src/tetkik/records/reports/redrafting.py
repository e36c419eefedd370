"""A fresh draft on request: in another language, by a language model, or after findings were judged."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from tetkik.errors import Conflict
from tetkik.records.audit_chain import Action
from tetkik.records.database import Transaction
from tetkik.records.reports import reviews
from tetkik.records.reports.checking import as_seen, checked
from tetkik.records.reports.identity import identity_for
from tetkik.records.reports.material import Working, keep_material, keep_working
from tetkik.records.reports.working import WorkingDraft, draft_from, for_change, grown, noted
from tetkik.values import Draft, FindingsResult, Identity, Judgement, ReportInput


@dataclass(frozen=True, slots=True)
class Ground:
    """What a fresh draft is made from, apart from any transaction: a language model takes its time.

    Attributes:
        result: what there is to say of the image, as the radiologist has judged it.
        inputs: history, caption, technique, warnings.
        prior: the findings of an earlier image.
        identity: of the patient, which no language model gets to see.
    """

    result: FindingsResult
    inputs: ReportInput
    prior: FindingsResult | None
    identity: Identity = field(repr=False)


def ground_of(tx: Transaction, report_id: str, revision: int) -> Ground:
    """What to write a fresh draft from.

    Raises:
        EditConflict: somebody else saved in between.
        Conflict: no model has looked at the image, or the report is signed.
    """
    row, _, material = for_change(tx, report_id, revision)
    if material.result is None:
        raise Conflict("No model has read this image, so there is nothing to write a draft from.")
    result = as_seen(material.result, reviews.judged(tx, row.id))
    identity = identity_for(tx, row.patient_id, material.identity)
    return Ground(result, material.inputs, material.prior, identity)


def rewrite(tx: Transaction, report_id: str, revision: int, draft: Draft) -> WorkingDraft:
    """Put a fresh draft of the machine in the place of the one at hand; a person asked for it.

    Args:
        tx: the transaction.
        report_id: which report.
        revision: that the person had before their eyes.
        draft: by the composer or a language model.

    Raises:
        EditConflict: somebody else saved in between; nothing was written.
    """
    row, before, material = for_change(tx, report_id, revision)
    judged = reviews.judged(tx, row.id)
    made_up = {label for label, judgement in judged.items() if judgement is Judgement.ADDED}
    evidence = tuple(
        replace(basis, probability=None) if basis.key in made_up else basis for basis in draft.evidence
    )
    draft = replace(draft, evidence=evidence)
    material = replace(material, draft=draft)
    # The earlier image may have been judged anew while the draft was written.
    draft = checked(material, draft, judged, before.measurements)
    keep_material(tx, row, material)
    row.language, row.writer = draft.language, draft.writer
    keep_working(tx, row, Working(draft, measurements=before.measurements))
    grown(tx, row)
    noted(tx, row, Action.DRAFT_WRITTEN, writer=draft.writer, asked=True)
    return draft_from(tx, row)
