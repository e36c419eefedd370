"""A fresh draft on request: in another language, by a language model, or after findings were judged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tetkik.errors import Conflict
from tetkik.records.audit_chain import Action
from tetkik.records.database import Transaction
from tetkik.records.images.images import StoredImage, load_image
from tetkik.records.reports.edit_conflicts import (
    WorkingDraft,
    bump_revision,
    for_change,
    record_change,
    view_of,
)
from tetkik.records.reports.identity import identity_for
from tetkik.records.reports.report_inputs import judged_frame, keep_material, keep_working
from tetkik.rules.judging import rewritten
from tetkik.rules.marks import Assessment, as_judged, checked
from tetkik.values import Draft, FindingsResult, Identity, ReportInput


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
    row, state = for_change(tx, report_id, revision)
    material = state.material
    if material.result is None:
        raise Conflict("No model has read this image, so there is nothing to write a draft from.")
    result = as_judged(material.result, state.judged)
    identity = identity_for(tx, row.patient_id, material.identity)
    image = load_image(tx, row.image_id)
    frame = judged_frame(tx, row, image)
    return RedraftInput(result, material.inputs, material.prior, identity, image, frame)


def rewrite(
    tx: Transaction, report_id: str, revision: int, draft: Draft, known: Sequence[Assessment] = ()
) -> WorkingDraft:
    """Put a fresh draft of the machine in the place of the one at hand, as a person requested."""
    row, before = for_change(tx, report_id, revision)
    state = rewritten(draft, before).state
    # The earlier image may have been judged anew while the draft was written.
    state = state.with_content(checked(state, known))
    keep_material(tx, row, state.material)
    row.language, row.writer = draft.language, draft.writer
    keep_working(tx, row, state.working)
    bump_revision(tx, row)
    record_change(tx, row, Action.DRAFT_WRITTEN, writer=draft.writer, asked=True)
    return view_of(tx, row, state)
