"""A draft as whoever edits it sees it; and who was faster, where somebody was."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from tetkik.errors import Conflict, NotFound
from tetkik.records.audit_chain import Action
from tetkik.records.cases.transfers import require_not_moved
from tetkik.records.database import Transaction
from tetkik.records.ids import is_id
from tetkik.records.people import access
from tetkik.records.reports import reviews, withdrawal_queries
from tetkik.records.reports.draft_marks import authored
from tetkik.records.reports.readiness import Blocker, blockers_of
from tetkik.records.reports.report_inputs import (
    MarkDecision,
    Material,
    ReviewedFinding,
    Working,
    material_of,
    working_of,
)
from tetkik.records.reports.withdrawal_queries import Withdrawn
from tetkik.records.schema import Case, Report, User
from tetkik.values import Author, Draft, FindingsResult, Measurement, ReportContent, ReportState

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
    content: ReportContent = field(repr=False)
    blockers: tuple[Blocker, ...]
    """What keeps it from being signed."""
    undo: tuple[str, ...]
    """The findings of the last judging, which can be undone; empty where nothing can."""
    decisions: tuple[MarkDecision, ...] = field(repr=False)
    verdicts: tuple[ReviewedFinding, ...]
    result: FindingsResult | None = field(repr=False)
    amending: str | None = field(repr=False)
    withdrawn: Withdrawn | None
    updated_at: datetime
    updated_by: str | None
    """The name of whoever saved; None for the machine."""

    @property
    def draft(self) -> Draft:
        return self.content.draft

    @property
    def by_person(self) -> tuple[bool, ...]:
        """For each sentence, whether a person wrote or changed it."""
        return tuple(item.author in (Author.EDITED, Author.PERSON) for item in self.draft.sentences)

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


def unpacked(tx: Transaction, row: Report) -> tuple[Working, Material]:
    """The draft in a row, and what the machine gave."""
    working = working_of(tx, row)
    if working is None:
        require_not_moved(tx, row.case_id)
        raise Conflict("This report is signed, and a signed report does not change; amend it instead.")
    material = material_of(tx, row)
    return working.with_draft(authored(material, working.draft)), material


def view_of(tx: Transaction, row: Report, working: Working, material: Material) -> WorkingDraft:
    """The draft of a row as whoever edits it sees it."""
    reviewed = reviews.reviews_of(tx, row.id)
    judged = {item.label: item.judgement for item in reviewed}
    author = tx.session.get(User, row.updated_by) if row.updated_by is not None else None
    return row.to_value(
        WorkingDraft,
        report_id=row.id,
        number=number_of(tx, row),
        content=working.content,
        blockers=blockers_of(tx, row, working.draft, material.result, judged),
        undo=tuple(label for label, _ in working.undo.judgements) if working.undo is not None else (),
        decisions=working.decisions,
        verdicts=reviewed,
        result=material.result,
        amending=reason_of(tx, row),
        withdrawn=withdrawal_queries.now_of_reports(tx, [row.id]).get(row.id),
        updated_by=author.name if author is not None else None,
    )


def reason_of(tx: Transaction, row: Report) -> str | None:
    """Why a report is being amended; None where it is not."""
    return tx.open_text(row, "amending") or None


def number_of(tx: Transaction, row: Report) -> str:
    """The number of a report: of its case, and its place among the reports of the case."""
    case = tx.session.get_one(Case, row.case_id)
    return f"{case.number}-{tx.count(Report, Report.case_id == row.case_id, Report.id <= row.id)}"


def for_change(tx: Transaction, report_id: str, revision: int) -> tuple[Report, Working, Material]:
    """The row of a draft that is to be changed, locked, with its text and what the machine gave."""
    row = row_of(tx, report_id, lock=True)
    working, material = unpacked(tx, row)
    if row.revision != revision:
        raise EditConflict(view_of(tx, row, working, material))
    return row, working, material


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
