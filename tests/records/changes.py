"""Changes of a draft, each within the one transaction of a test: read, judged and written."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from tetkik.records.database import Transaction
from tetkik.records.reports import drafts, measurements, templates
from tetkik.records.reports.edit_conflicts import WorkingDraft
from tetkik.rules import editing, judging
from tetkik.rules.editing import Choice, DraftEdit
from tetkik.rules.judging import Detail
from tetkik.values import Judgement


def save(tx: Transaction, report_id: str, revision: int, edit: DraftEdit) -> WorkingDraft:
    return drafts.change(tx, report_id, revision, partial(editing.save, edit))


def decide(tx: Transaction, report_id: str, revision: int, choices: Sequence[Choice]) -> WorkingDraft:
    return drafts.change(tx, report_id, revision, partial(editing.decide, choices))


def judge(
    tx: Transaction,
    report_id: str,
    revision: int,
    label: str,
    judgement: Judgement | None,
    detail: Detail | None = None,
    *,
    sentences_follow: bool = True,
) -> WorkingDraft:
    """One finding."""
    about = (tx, report_id, revision, [label], judgement)
    return judge_all(*about, detail=detail, sentences_follow=sentences_follow)


def judge_all(
    tx: Transaction,
    report_id: str,
    revision: int,
    labels: Sequence[str],
    judgement: Judgement | None,
    **how: Any,
) -> WorkingDraft:
    return drafts.judge(tx, report_id, revision, partial(judging.judge, labels, judgement, **how))


def undo(tx: Transaction, report_id: str, revision: int) -> WorkingDraft:
    return drafts.judge(tx, report_id, revision, judging.undo)


def move(tx: Transaction, report_id: str, revision: int, measurement_id: str, **changed: Any) -> WorkingDraft:
    """The points or the label of a measurement."""
    return drafts.change(tx, report_id, revision, partial(measurements.change, measurement_id, **changed))


def unmeasure(tx: Transaction, report_id: str, revision: int, measurement_id: str) -> WorkingDraft:
    return drafts.change(tx, report_id, revision, partial(measurements.remove, measurement_id))


def take(tx: Transaction, report_id: str, revision: int, template_id: str) -> WorkingDraft:
    rule = partial(
        templates.take, templates.template_of(tx, template_id), templates.imaged_study(tx, report_id)
    )
    return drafts.change(tx, report_id, revision, rule)
