"""The priority of a case: by triage and the findings, unless a person has chosen one.

Every function that stores the answer of a model, judges a finding, withdraws a report or reopens a case calls
`update_worklist` after its writes, in the same transaction; nothing else writes the column.
"""

from __future__ import annotations

from sqlalchemy import update

from tetkik.records.audit_chain import Action
from tetkik.records.cases import complaints, filter_index
from tetkik.records.cases.locks import lock_jobs, lock_row
from tetkik.records.cases.transfers import require_open
from tetkik.records.database import Transaction
from tetkik.records.people.access import load_visible_case
from tetkik.records.schema import Case, Job
from tetkik.values import JobState, Priority, UrgencyLevel


def initial_priority(urgency: UrgencyLevel | None, chosen: Priority | None, *, complaint: bool) -> Priority:
    """The priority of a case before any model has seen an image; `complaint` says whether it has one.

    A complaint whose urgency could not be assessed counts as sarı: an emergency may stand behind it.
    """
    if chosen is not None:
        return chosen
    if urgency is not None:
        return Priority.of_urgency(urgency)
    return Priority.URGENT if complaint else Priority.ROUTINE


def update_worklist(tx: Transaction, case_id: str) -> None:
    """Bring the filter index of a case up to date, and its priority: it falls with a rejected finding.

    A finding counts while nobody has rejected it, and one that the radiologist added counts, too. An attempt
    that failed leaves standing what the model had said before. The priority of an ended case stays as it is.
    """
    row = lock_row(tx, case_id)  # two who judge or read two images count what the other has just said
    filter_index.refresh_filter_index(tx, case_id)
    due = Priority(row.priority_chosen) if row.priority_chosen is not None else _found(tx, row)
    if not row.state.ended and due != row.priority:
        _set(tx, row, due, "followed")


def choose_priority(tx: Transaction, case_id: str, chosen: Priority | None) -> None:
    """Say oneself how soon a case is read; that holds whatever is found. None lets it follow the findings."""
    row = lock_open_case(tx, case_id)
    row.priority_chosen = chosen
    due = chosen if chosen is not None else _found(tx, row)
    _reorder(tx, row, due, "chosen" if chosen is not None else "followed")


def follow_urgency(tx: Transaction, row: Case, before: UrgencyLevel | None) -> None:
    """Let the priority follow an urgency that a person changed; for a case of `lock_open_case`.

    It falls only where the urgency fell: a case that was moved here may wait for its images to be read again.
    """
    due = _found(tx, row)
    if _severity(row.urgency) > _severity(before):
        due = min(due, Priority(row.priority))
    if row.priority_chosen is None and due != row.priority:
        _reorder(tx, row, due, "followed")


def lock_open_case(tx: Transaction, case_id: str) -> Case:
    """An open case that the actor may see, as it is now: whoever moves or judges comes before or after."""
    row = load_visible_case(tx, case_id)
    tx.session.flush()
    lock_jobs(tx, case_id)
    tx.session.refresh(row, with_for_update={"key_share": True})
    require_open(tx, row)
    return row


def _reorder(tx: Transaction, row: Case, due: Priority, what: str) -> None:
    """The case, and what waits to be done for it."""
    waiting = update(Job).where(Job.case_id == row.id, Job.state == JobState.QUEUED)
    tx.session.execute(waiting.values(priority=due))
    _set(tx, row, due, what)


def _set(tx: Transaction, row: Case, due: Priority, what: str) -> None:
    before, row.priority = row.priority, due
    row.updated_at = tx.now
    tx.session.flush()
    tx.audit_about(Action.CASE_CHANGED, row, field="priority", what=what, priority=int(due), before=before)
    tx.announce("case", row.id)


def _severity(level: UrgencyLevel | None) -> int:
    """That of sarı where the text could not be assessed."""
    return (level or UrgencyLevel.SARI).severity


def _found(tx: Transaction, row: Case) -> Priority:
    """What triage and the findings that stand ask for."""
    runs = filter_index.load_newest_runs(tx, [row.id], answered=True)
    labels = {label for found in filter_index.load_case_findings(tx, runs).values() for label in found.labels}
    complaint = complaints.complaint_row(tx, row.id) is not None
    return min(initial_priority(row.urgency, None, complaint=complaint), Priority.of_findings(labels))
