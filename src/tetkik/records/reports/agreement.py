"""How far radiologists agree with the models, week by week: in counts, without anybody's name."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, case, func, literal, select
from sqlalchemy.orm import InstrumentedAttribute

from tetkik.records.database import Transaction
from tetkik.records.reports.reports import first_of_a_draft
from tetkik.records.schema import FindingReview, Job, ReportVersion
from tetkik.records.schema.base import within
from tetkik.records.schema.models import FAILED_JOB, OPEN_JOB
from tetkik.statistics import Interval, wilson_interval
from tetkik.values import Judgement

WEEKS = 12


@dataclass(frozen=True, slots=True)
class Count:
    """So many of so many."""

    hits: int = 0
    total: int = 0

    @property
    def share(self) -> float | None:
        """0 to 1; None of none."""
        return self.hits / self.total if self.total else None

    @property
    def interval(self) -> Interval | None:
        """95% interval of the share (Wilson); None of none."""
        return wilson_interval(self.hits, self.total)

    def __add__(self, other: Count) -> Count:
        return Count(self.hits + other.hits, self.total + other.total)


@dataclass(frozen=True, slots=True)
class LabelAgreement:
    label: str
    weeks: tuple[Count, ...]
    asserted: Count
    """Confirmed of those that the model had called present: its precision here."""
    missed: int
    """Findings that the model had not called and a radiologist added."""

    @property
    def all(self) -> Count:
        """Agreed of judged, all weeks together."""
        return sum(self.weeks, Count())

    @property
    def called(self) -> Count:
        """Called by the model of those that radiologists say are there: its sensitivity, as far as judged."""
        return Count(self.asserted.hits, self.asserted.hits + self.missed)

    @property
    def kappa(self) -> float | None:
        """Cohen's kappa of model and radiologist; None where either says the same of every image."""
        total, hits = self.all.total, self.asserted.hits
        called, there = self.asserted.total, hits + self.missed
        if not total:
            return None
        chance = (called * there + (total - called) * (total - there)) / total**2
        return None if chance >= 1 else (self.all.hits / total - chance) / (1 - chance)


@dataclass(frozen=True, slots=True)
class Weeks:
    starts: tuple[datetime, ...]
    """When each begins, the oldest first; the last ends now."""
    end: datetime


def weeks_until(end: datetime, number: int = WEEKS) -> Weeks:
    """The last weeks up to `end`, each of seven days."""
    return Weeks(tuple(end - timedelta(weeks=back) for back in range(number, 0, -1)), end)


def agreement(tx: Transaction, weeks: Weeks) -> tuple[LabelAgreement, ...]:
    """How radiologists judged each finding, those most often judged first."""
    week = _week_of(FindingReview.at, weeks)
    positive_then = func.coalesce(FindingReview.model_positive, False)
    rows = tx.session.execute(
        select(FindingReview.label, week, FindingReview.judgement, positive_then, func.count())
        .where(*within(FindingReview.at, weeks.starts[0], weeks.end))
        .group_by(FindingReview.label, week, FindingReview.judgement, positive_then)
    )
    found: dict[str, list[tuple[int, Judgement, bool, int]]] = defaultdict(list)
    for label, at, judgement, positive, count in rows:
        found[label].append((at, judgement, bool(positive), count))
    answers = [_of_label(label, parts, len(weeks.starts)) for label, parts in found.items()]
    return tuple(sorted(answers, key=lambda one: (-one.all.total, one.label)))


def _of_label(label: str, parts: Sequence[tuple[int, Judgement, bool, int]], weeks: int) -> LabelAgreement:
    by_week = [Count()] * weeks
    asserted, missed = Count(), 0
    for week, judgement, positive, count in parts:
        agreed = count if judgement is Judgement.ACCEPTED else 0
        by_week[week] += Count(agreed, count)
        if judgement is Judgement.ADDED:
            missed += count
        elif positive:
            asserted += Count(agreed, count)
    return LabelAgreement(label, tuple(by_week), asserted, missed)


def corrected_drafts(tx: Transaction, weeks: Weeks) -> tuple[Count, ...]:
    """Reports whose draft a person changed before the first signature, of all signed, by week."""
    week = _week_of(ReportVersion.created_at, weeks)
    counts = [Count()] * len(weeks.starts)
    query = (
        select(week, ReportVersion.corrected, func.count())
        .where(first_of_a_draft(), *within(ReportVersion.created_at, weeks.starts[0], weeks.end))
        .group_by(week, ReportVersion.corrected)
    )
    for at, corrected, count in tx.session.execute(query):
        counts[at] += Count(count if corrected else 0, count)
    return tuple(counts)


@dataclass(frozen=True, slots=True)
class Queue:
    waiting: int
    oldest: datetime | None
    failed: int


def queue(tx: Transaction) -> Queue:
    """What waits right now."""
    counted = select(func.count(), func.min(Job.created_at)).where(OPEN_JOB)
    waiting, oldest = tx.session.execute(counted).one()
    return Queue(waiting, oldest, tx.count(Job, FAILED_JOB))


def _week_of(moment: InstrumentedAttribute[datetime], weeks: Weeks) -> ColumnElement[int]:
    """The number of the week that a row belongs to, counted by the database."""
    ends = (*weeks.starts[1:], weeks.end)
    return case(*((moment < end, literal(number)) for number, end in enumerate(ends)), else_=literal(0))
