"""The worklist's filter index (table `case_marks`): the findings that stand and the modalities of each case.

Every function that stores an image or the answer of a model, judges a finding, or chooses a department
refreshes it in the same transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import product

from sqlalchemy import ColumnElement, delete, insert, select

from tetkik.records.database import Transaction
from tetkik.records.schema import Case, CaseMark, FindingReview, Image, Report, Run, Score, Study
from tetkik.values import Capability, Judgement, RunState

_JOINT = "|"


def mark_of(label: str | None, modality: str | None, department: str | None) -> str:
    """The mark of a case with this finding, an image of this modality, this department.

    Any of them may be left out; whatever a filter asks for together is one mark, so that one walk along one
    index answers it.
    """
    parts = (("finding", label), ("modality", modality), ("department", department))
    return _JOINT.join(f"{kind}:{value}" for kind, value in parts if value)


def modality_of(mark: str) -> str | None:
    """The modality that a mark tells of, and of nothing else; None of any other mark."""
    kind, _, value = mark.partition(":")
    return value if kind == "modality" and _JOINT not in value else None


def refresh_filter_index(tx: Transaction, case_id: str) -> None:
    """Let the marks of a case say what its images, what is found in each, and its department say."""
    case = tx.session.get_one(Case, case_id)
    tx.session.flush()
    known = set(tx.session.scalars(select(CaseMark.mark).where(CaseMark.case_id == case_id)))
    modalities = select(Study.modality).where(
        Study.case_id == case_id, Study.modality.is_not(None), study_stands()
    )
    found = load_case_findings(tx, load_newest_runs(tx, [case_id])).values()
    labels = {label for one in found for label in one.labels}
    wanted = marks_of(labels, {code for code in tx.session.scalars(modalities) if code}, case.department)
    if gone := known - wanted:
        tx.session.execute(delete(CaseMark).where(CaseMark.case_id == case_id, CaseMark.mark.in_(gone)))
    if fresh := sorted(wanted - known):
        place = {"state": case.state, "priority": case.priority, "waiting_since": case.waiting_since}
        # Not as objects of the session: the database itself moves the rows when the case moves on.
        tx.session.execute(insert(CaseMark), [{"case_id": case_id, "mark": mark} | place for mark in fresh])


def study_stands() -> ColumnElement[bool]:
    """That not every image of a study was removed; one without any, a moment ago begun, stands."""
    of_study = select(Image.id).where(Image.study_id == Study.id)
    return of_study.where(Image.removed_at.is_(None)).exists() | ~of_study.exists()


def marks_of(labels: Iterable[str], modalities: Iterable[str], department: str | None) -> set[str]:
    """Every mark of a case with these; a department alone needs none, for it has an index of its own."""
    return {
        mark_of(label, modality, chosen)
        for label, modality, chosen in product((None, *labels), (None, *modalities), {None, department})
        if label or modality
    }


@dataclass(frozen=True, slots=True)
class NewestRun:
    id: str
    case_id: str
    image_id: str
    study_id: str
    state: RunState


def load_newest_runs(
    tx: Transaction, case_ids: Sequence[str], *, answered: bool = False
) -> tuple[NewestRun, ...]:
    """The newest run of findings over each image of these cases; `answered` passes over those that failed."""
    states = [state for state in RunState if not (answered and state is RunState.FAILED)]
    rows = tx.session.execute(
        select(Run.id, Run.case_id, Run.image_id, Image.study_id, Run.state)
        .join(Image, Image.id == Run.image_id)
        .where(Run.case_id.in_(case_ids), Run.capability == Capability.FINDINGS, Run.state.in_(states))
        .where(Image.removed_at.is_(None))
        .order_by(Run.id)
    )
    newest = {row.image_id: NewestRun(*row) for row in rows}
    return tuple(newest.values())


@dataclass(frozen=True, slots=True)
class CaseFindings:
    """What is there in the images of a case: the radiologist's word where they gave one, else what the model
    may state by its held-out precision. What it only suggests raises nothing and stands in no list.
    """

    labels: dict[str, float | None] = field(default_factory=dict)
    """With the highest probability of the model; None where it gives none, or has not found it."""
    confirmed: set[str] = field(default_factory=set)
    """Of them, those that a radiologist accepted or added."""
    rejected: bool = False


def load_case_findings(tx: Transaction, runs: Iterable[NewestRun]) -> dict[str, CaseFindings]:
    """What is there, by the id of the case."""
    read = {run.image_id: run for run in runs}
    done = {run.id: run for run in read.values() if run.state is RunState.DONE}
    found = {run.case_id: CaseFindings() for run in read.values()}
    of_study = {run.study_id: run for run in read.values()}
    judged = {
        (row.study_id, row.label): row.judgement
        for row in tx.session.execute(
            select(Report.study_id, FindingReview.label, FindingReview.judgement)
            .join(FindingReview, FindingReview.report_id == Report.id)
            .where(Report.case_id.in_(found))
        )
    }
    scores = tx.session.execute(
        select(Score.run_id, Score.label, Score.probability, Score.asserted).where(
            Score.run_id.in_(done), Score.positive
        )
    )
    for row in scores:
        run = done[row.run_id]
        of_case = found[run.case_id]
        verdict = judged.get((run.study_id, row.label))
        if verdict is Judgement.REJECTED:
            found[run.case_id] = replace(of_case, rejected=True)
            continue
        if verdict is Judgement.ACCEPTED:
            of_case.confirmed.add(row.label)
        elif not row.asserted:
            continue
        of_case.labels[row.label] = max(of_case.labels.get(row.label) or 0.0, row.probability or 0.0) or None
    for (study_id, label), judgement in judged.items():
        run_there = of_study.get(study_id)
        if judgement is Judgement.ADDED and run_there is not None:
            found[run_there.case_id].labels.setdefault(label, None)
            found[run_there.case_id].confirmed.add(label)
    return found
