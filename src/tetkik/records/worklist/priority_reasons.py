"""Why a case has its priority: a person's choice, a finding, or what triage found in the complaint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import select

from tetkik.records.cases import filter_index
from tetkik.records.database import Transaction
from tetkik.records.schema import Case, Complaint
from tetkik.values import CRITICAL_LABELS, NORMAL_LABELS, Priority, RunState, UrgencyLevel


@dataclass(frozen=True, slots=True)
class Positive:
    label: str
    probability: float | None
    """Calibrated; None where the model gives none, or a radiologist added it."""


@dataclass(frozen=True, slots=True)
class PriorityReason:
    """What asks for the priority of a case; all of it empty for one that nothing asks for."""

    chosen: bool = False
    """A person chose it, whatever is found."""
    findings: tuple[Positive, ...] = ()
    """That ask for it, most probable first."""
    urgency: UrgencyLevel | None = None
    """Of the complaint, where that asks for it."""
    rules: tuple[str, ...] = ()
    """Ids of the rules of triage that gave that level."""
    by_person: bool = False
    """Whether a person set that level."""
    not_assessed: bool = False
    """Whether it is urgent because the complaint could not be assessed."""


def load_reason(tx: Transaction, case_id: str) -> PriorityReason:
    """Why a case has its priority; the caller has asked whether it may be seen."""
    return load_reasons(tx, [tx.session.get_one(Case, case_id)])[case_id]


def load_reasons(tx: Transaction, rows: Sequence[Case]) -> dict[str, PriorityReason]:
    """Why cases have their priorities, by the id of the case."""
    pressing = [row for row in rows if row.priority < Priority.ROUTINE]
    ids = [row.id for row in pressing if row.priority_chosen is None]
    runs = filter_index.load_newest_runs(tx, ids)
    if any(run.state is RunState.FAILED for run in runs):  # what the model had said before stands
        runs = filter_index.load_newest_runs(tx, ids, answered=True)
    found = filter_index.load_case_findings(tx, runs)
    complaints = {
        row.case_id: row
        for row in tx.session.execute(
            select(Complaint.case_id, Complaint.urgency_rules, Complaint.urgency_chosen)
            .where(Complaint.case_id.in_(ids))
            .order_by(Complaint.id)
        )
    }
    reasons = dict.fromkeys((row.id for row in rows), PriorityReason())
    for row in pressing:
        if row.priority_chosen is not None:
            reasons[row.id] = PriorityReason(chosen=True)
            continue
        labels = found[row.id].labels if row.id in found else {}
        complaint = complaints.get(row.id)
        urgency = row.urgency if row.urgency and Priority.of_urgency(row.urgency) == row.priority else None
        by_person = complaint is not None and complaint.urgency_chosen is not None
        rules = tuple((complaint.urgency_rules or "").split()) if urgency and complaint else ()
        reasons[row.id] = PriorityReason(
            findings=pressing_findings(Priority(row.priority), labels),
            urgency=urgency,
            rules=() if by_person else rules,
            by_person=bool(urgency) and by_person,
            not_assessed=row.priority == Priority.URGENT and complaint is not None and row.urgency is None,
        )
    return reasons


def pressing_findings(priority: Priority, labels: Mapping[str, float | None]) -> tuple[Positive, ...]:
    """The findings that ask for a priority, most probable first."""
    if Priority.of_findings(labels) != priority:
        return ()
    wanted = {*CRITICAL_LABELS} if priority is Priority.CRITICAL else {*labels} - {*NORMAL_LABELS}
    return sorted_findings({label: value for label, value in labels.items() if label in wanted})


def sorted_findings(labels: Mapping[str, float | None]) -> tuple[Positive, ...]:
    """Findings, the critical ones first, then the most probable; nothing found, only where that is all."""
    labels = {label: value for label, value in labels.items() if label not in NORMAL_LABELS} or labels
    order = sorted(
        labels.items(), key=lambda pair: (pair[0] not in CRITICAL_LABELS, -(pair[1] or 0.0), pair[0])
    )
    return tuple(Positive(label, probability) for label, probability in order)
