"""A draft as whoever edits it sees it; and who was faster, where somebody was."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import func, select

from tetkik.errors import Conflict, NotFound
from tetkik.records.audit_chain import Action
from tetkik.records.cases.transfers import require_not_moved
from tetkik.records.database import Transaction
from tetkik.records.ids import is_id
from tetkik.records.people import visibility
from tetkik.records.reports import reviews, withdrawal_queries
from tetkik.records.reports.draft_marks import written_by_machine
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
from tetkik.values import Draft, FindingsResult, Measurement, ReportContent, ReportState

_MACHINE = "Tetkik"


@dataclass(frozen=True, slots=True)
class WorkingDraft:
    """A draft at one revision.

    Attributes:
        run_id: of the model; None without one.
        number: as people call the report, such as `2026-000123-1`.
        state: of the report: a draft, or signed and being amended, or withdrawn and written anew.
        version: of the last signed one; 0 before the first.
        content: what is written, with its marks, and what was measured.
        by_person: for each sentence, whether a person wrote or changed it.
        result: what the model found; None without one.
        amending: why it is being amended; None where it is not.
        withdrawn: who took the last signed version back, when and why; None where nobody did.
        updated_by: the name of whoever saved; None for the machine.
    """

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
    by_person: tuple[bool, ...]
    decisions: tuple[MarkDecision, ...] = field(repr=False)
    verdicts: tuple[ReviewedFinding, ...]
    result: FindingsResult | None = field(repr=False)
    amending: str | None = field(repr=False)
    withdrawn: Withdrawn | None
    updated_at: datetime
    updated_by: str | None

    @property
    def draft(self) -> Draft:
        """Its sentences with their marks."""
        return self.content.draft

    @property
    def measurements(self) -> tuple[Measurement, ...]:
        """What people measured in the image."""
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
    """The row of a report whose case the actor may open.

    Args:
        lock: whether nobody else may change it until the transaction ends.

    Raises:
        NotFound: no such report.
        Forbidden: of a case that the actor may not open.
        Moved: the case goes on as another one, and its drafts were dropped.
    """
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
    visibility.load_visible_case(tx, row.case_id)
    return row


def unpacked(tx: Transaction, row: Report) -> tuple[Working, Material]:
    """The draft in a row, and what the machine gave.

    Raises:
        Conflict: the report is signed and nobody is amending it.
        Moved: the case goes on as another one, and its drafts were dropped.
    """
    working = working_of(tx, row)
    if working is None:
        require_not_moved(tx, row.case_id)
        raise Conflict("This report is signed, and a signed report does not change; amend it instead.")
    return working, material_of(tx, row)


def view_of(tx: Transaction, row: Report, working: Working, material: Material) -> WorkingDraft:
    """The draft of a row as whoever edits it sees it."""
    author = tx.session.get(User, row.updated_by) if row.updated_by is not None else None
    return WorkingDraft(
        report_id=row.id,
        case_id=row.case_id,
        patient_id=row.patient_id,
        image_id=row.image_id,
        run_id=row.run_id,
        number=number_of(tx, row),
        state=row.state,
        version=row.version,
        revision=row.revision,
        content=working.content,
        by_person=tuple(not written_by_machine(material, item) for item in working.draft.sentences),
        decisions=working.decisions,
        verdicts=reviews.reviews_of(tx, row.id),
        result=material.result,
        amending=reason_of(tx, row),
        withdrawn=withdrawal_queries.now_of_reports(tx, [row.id]).get(row.id),
        updated_at=row.updated_at,
        updated_by=author.name if author is not None else None,
    )


def reason_of(tx: Transaction, row: Report) -> str | None:
    """Why a report is being amended; None where it is not."""
    if row.amending is None:
        return None
    return tx.open(row.patient_id, "reports.amending", row.id, row.amending).decode()


def number_of(tx: Transaction, row: Report) -> str:
    """The number of a report: of its case, and its place among the reports of the case."""
    case = tx.session.get_one(Case, row.case_id)
    before = select(func.count()).where(Report.case_id == row.case_id, Report.id <= row.id)
    return f"{case.number}-{tx.session.scalar(before)}"


def for_change(tx: Transaction, report_id: str, revision: int) -> tuple[Report, Working, Material]:
    """The row of a draft that is to be changed, locked, with its text and what the machine gave.

    Raises:
        EditConflict: it is at another revision by now.
        Conflict: the report is signed and nobody is amending it.
    """
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
    tx.audit(action, case_id=row.case_id, patient_id=row.patient_id, object_id=row.id, **detail)
    tx.announce(event, row.case_id)
