"""A fresh draft on request: in another language, by a language model, or after findings were judged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from tetkik.errors import Conflict
from tetkik.records.audit_chain import Action
from tetkik.records.database import Transaction
from tetkik.records.images.images import StoredImage, load_image
from tetkik.records.reports import reviews
from tetkik.records.reports.draft_marks import as_judged, checked
from tetkik.records.reports.edit_conflicts import (
    WorkingDraft,
    bump_revision,
    for_change,
    record_change,
    view_of,
)
from tetkik.records.reports.identity import identity_for
from tetkik.records.reports.report_inputs import Working, judged_frame, keep_material, keep_working
from tetkik.rules import judging
from tetkik.values import Author, Draft, FindingsResult, Identity, Judgement, ReportInput


@dataclass(frozen=True, slots=True)
class RedraftInput:
    """What a fresh draft is made from, apart from any transaction: a language model takes its time."""

    result: FindingsResult
    """What there is to say of the image, as the radiologist has judged it."""
    inputs: ReportInput
    prior: FindingsResult | None
    identity: Identity = field(repr=False)
    image: StoredImage
    """The one that stands for the study."""
    frame: int | None
    """The one of its frames that the findings are of; None where that is not known."""


def redraft_input(tx: Transaction, report_id: str, revision: int) -> RedraftInput:
    """What to write a fresh draft from; `Conflict` where no model has looked at the image."""
    row, _, material = for_change(tx, report_id, revision)
    if material.result is None:
        raise Conflict("No model has read this image, so there is nothing to write a draft from.")
    result = as_judged(material.result, reviews.judged(tx, row.id))
    identity = identity_for(tx, row.patient_id, material.identity)
    image = load_image(tx, row.image_id)
    frame = judged_frame(tx, row, image)
    return RedraftInput(result, material.inputs, material.prior, identity, image, frame)


def rewrite(tx: Transaction, report_id: str, revision: int, draft: Draft) -> WorkingDraft:
    """Put a fresh draft of the machine in the place of the one at hand, as a person requested."""
    row, before, material = for_change(tx, report_id, revision)
    judged = reviews.judged(tx, row.id)
    made_up = {label for label, judgement in judged.items() if judgement is Judgement.ADDED}
    evidence = tuple(
        replace(basis, probability=None) if basis.key in made_up else basis for basis in draft.evidence
    )
    draft = replace(draft, evidence=evidence)
    # The earlier image may have been judged anew while the draft was written.
    sentences = tuple(replace(item, author=Author.MACHINE) for item in draft.sentences)
    draft = replace(draft, sentences=sentences)
    material = replace(material, draft=draft)
    sides = {basis.key: basis.side for basis in before.draft.evidence}
    for label in _standing(material.result, judged):
        draft = judging.confirm(draft, label, None, judging.Detail(sides.get(label)))
    content = checked(material, replace(before.content, draft=draft), judged)
    keep_material(tx, row, material)
    row.language, row.writer = draft.language, draft.writer
    working = Working(content)
    keep_working(tx, row, working)
    bump_revision(tx, row)
    record_change(tx, row, Action.DRAFT_WRITTEN, writer=draft.writer, asked=True)
    return view_of(tx, row, working, material)


def _standing(result: FindingsResult | None, judged: Mapping[str, Judgement]) -> list[str]:
    """The findings that a person says are there: a fresh draft says so definitely."""
    positive = {item.label for item in result.findings if item.positive} if result is not None else set()
    return [
        label
        for label, judgement in judged.items()
        if judgement is Judgement.ADDED or (judgement is Judgement.ACCEPTED and label in positive)
    ]
