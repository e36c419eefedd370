"""A draft as whoever edits it sees it; and who was faster, where somebody was."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from tetkik.errors import Conflict, NotFound
from tetkik.records.audit_chain import Action
from tetkik.records.cases.identity_comparison import compare_with_patient
from tetkik.records.cases.transfers import require_not_moved
from tetkik.records.database import Transaction
from tetkik.records.ids import is_id
from tetkik.records.images import images
from tetkik.records.people import access
from tetkik.records.reports import reviews, withdrawal_queries
from tetkik.records.reports.report_inputs import ReviewedFinding, material_of, working_of
from tetkik.records.reports.withdrawal_queries import Withdrawn
from tetkik.records.schema import Case, Report, User
from tetkik.rules.draft_state import DraftState, MarkDecision
from tetkik.rules.marks import authored
from tetkik.rules.readiness import Blocker, Readiness, blockers_of
from tetkik.values import (
    Difference,
    Draft,
    FindingsResult,
    Judgement,
    Measurement,
    ReportContent,
    ReportState,
)

_MACHINE = "Tetkik"


@dataclass(frozen=True, slots=True)
class WorkingDraft:
    report_id: str
    case_id: str
    patient_id: str
    image_id: str
    run_id: str | None
    number: str
    state: ReportState
    version: int
    revision: int
    draft_state: DraftState = field(repr=False)
    differences: tuple[Difference, ...] = field(repr=False)
    """Where the file of its image contradicts the record, and nobody allowed it."""
    verdicts: tuple[ReviewedFinding, ...]
    amending: str | None = field(repr=False)
    withdrawn: Withdrawn | None
    updated_at: datetime
    updated_by: str | None
    """The name of whoever saved; None for the machine."""

    @property
    def content(self) -> ReportContent:
        return self.draft_state.working.content

    @property
    def draft(self) -> Draft:
        return self.draft_state.draft

    @property
    def decisions(self) -> tuple[MarkDecision, ...]:
        return self.draft_state.working.decisions

    @property
    def judged(self) -> Mapping[str, Judgement]:
        """The judgement of each label that has one."""
        return self.draft_state.judged

    @property
    def result(self) -> FindingsResult | None:
        return self.draft_state.material.result

    @property
    def undo(self) -> tuple[str, ...]:
        """The findings of the last judging, which can be undone; empty where nothing can."""
        step = self.draft_state.working.undo
        return tuple(label for label, _ in step.judgements) if step is not None else ()

    @property
    def blockers(self) -> tuple[Blocker, ...]:
        """What keeps it from being signed: its text is read for that, best after the transaction."""
        return blockers_of(Readiness.of(self.draft_state), self.differences)

    @property
    def by_person(self) -> tuple[bool, ...]:
        """For each sentence, whether a person wrote or changed it."""
        return tuple(item.by_person for item in self.draft.sentences)

    @property
    def measurements(self) -> tuple[Measurement, ...]:
        return self.content.measurements


class EditConflict(Conflict):
    """Somebody else saved first."""

    def __init__(self, current: WorkingDraft) -> None:
        self.current = current
        super().__init__(
            "{name} saved this draft at {time}, after you had opened it; nothing was overwritten: look at "
            "the text as it is now, and save again.",
            name=current.updated_by or _MACHINE,
            time=f"{current.updated_at.astimezone():%H:%M}",
        )


def row_of(tx: Transaction, report_id: str, *, lock: bool = False) -> Report:
    """The row of a report whose case the actor may open; locked, nobody else changes it meanwhile."""
    row = None
    if lock:
        tx.session.flush()
    if is_id(report_id):
        # Locked, it is as it is now, and not as this transaction may have read it before.
        row = tx.session.get(Report, report_id, with_for_update=lock or None, populate_existing=lock)
    if row is None:
        raise NotFound("There is no such report; look for it in the list of reports.")
    if row.draft is None and not row.version:
        # Before anything else: who wrote here may not see the case any more, and has to learn where it went.
        require_not_moved(tx, row.case_id)
    access.load_visible_case(tx, row.case_id)
    return row


def state_of(tx: Transaction, row: Report) -> DraftState:
    """The draft in a row, what the machine gave, and what was judged."""
    working = working_of(tx, row)
    if working is None:
        require_not_moved(tx, row.case_id)
        raise Conflict("This report is signed, and a signed report does not change; amend it instead.")
    material = material_of(tx, row)
    working = working.with_draft(authored(material, working.draft))
    return DraftState(working, material, reviews.judged(tx, row.id))


def view_of(tx: Transaction, row: Report, state: DraftState) -> WorkingDraft:
    """The draft of a row as whoever edits it sees it."""
    author = tx.session.get(User, row.updated_by) if row.updated_by is not None else None
    return row.to_value(
        WorkingDraft,
        report_id=row.id,
        number=number_of(tx, row),
        draft_state=state,
        differences=unconfirmed(tx, row),
        verdicts=reviews.reviews_of(tx, row.id),
        amending=reason_of(tx, row),
        withdrawn=withdrawal_queries.now_of_reports(tx, [row.id]).get(row.id),
        updated_by=author.name if author is not None else None,
    )


def unconfirmed(tx: Transaction, row: Report) -> tuple[Difference, ...]:
    """Where the file of the image that stands for the study contradicts the record, and nobody allowed it.

    Each further file was compared when it came; one that differs gets in only by somebody's word.
    """
    known = images.load_metadata(tx, images.load_image(tx, row.image_id))
    differs = compare_with_patient(tx, row.patient_id, known.identity)
    return tuple(item for item in differs if item.trait not in known.confirmed)


def reason_of(tx: Transaction, row: Report) -> str | None:
    """Why a report is being amended; None where it is not."""
    return tx.open_text(row, "amending") or None


def number_of(tx: Transaction, row: Report) -> str:
    """The number of a report: of its case, and its place among the reports of the case."""
    case = tx.session.get_one(Case, row.case_id)
    return f"{case.number}-{tx.count(Report, Report.case_id == row.case_id, Report.id <= row.id)}"


def for_change(tx: Transaction, report_id: str, revision: int) -> tuple[Report, DraftState]:
    """The row of a draft that is to be changed, locked, with the draft in it."""
    row = row_of(tx, report_id, lock=True)
    state = state_of(tx, row)
    if row.revision != revision:
        raise EditConflict(view_of(tx, row, state))
    return row, state


def bump_revision(tx: Transaction, row: Report) -> None:
    """Count the revision up, in the name of the actor."""
    row.revision += 1
    row.updated_at = tx.now
    row.updated_by = tx.actor.user_id


def record_change(
    tx: Transaction, row: Report, action: Action, *, event: str = "draft", **detail: str | int | bool | None
) -> None:
    """Write an audit entry about a report, and announce the event to the open pages."""
    tx.session.flush()
    tx.audit_about(action, row, **detail)
    tx.announce(event, row.case_id)
