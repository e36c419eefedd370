"""The figures of a department over a period: how long reports take, how many, by whom, what was corrected.

Counts and times alone, of studies that are still there: what was erased is in no figure. Every query walks
one index of time and is bounded by `MOST`.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

import numpy as np
from sqlalchemy import ColumnElement, Float, Select, case, func, literal, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import InstrumentedAttribute
from sqlalchemy.sql.functions import FunctionElement

from tetkik.records.cases.filter_index import study_stands
from tetkik.records.database import Transaction
from tetkik.records.reports.reports import first_of_a_draft
from tetkik.records.schema.base import within
from tetkik.records.schema.cases import Case, Study
from tetkik.records.schema.models import FAILED_JOB, OPEN_JOB, Job
from tetkik.records.schema.reports import FindingReview, Report, ReportVersion, SignatureRow
from tetkik.statistics.intervals import Interval, wilson_interval
from tetkik.values.states import CaseState, Judgement

# How far radiologists agree with the models, week by week: in counts, without anybody's name.


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


MOST = 200_000
"""Rows that a figure is made of at most, the newest ones."""
HOURS = 24
_CHUNK = 500
_FETCHED = 1_000


@dataclass(frozen=True, slots=True)
class Waiting:
    """How long something took, in minutes."""

    n: int
    median: float | None
    """None of none."""
    p90: float | None
    """The time within which nine of ten were through."""

    @classmethod
    def of(cls, minutes: Sequence[float]) -> Waiting:
        if not minutes:
            return cls(0, None, None)
        median, p90 = np.percentile(minutes, (50, 90))
        return cls(len(minutes), float(median), float(p90))


@dataclass(frozen=True, slots=True)
class ModalityFigures:
    modality: str
    """DICOM's code; empty where the file said none."""
    studies: int
    """That arrived in the period."""
    signed: Waiting


@dataclass(frozen=True, slots=True)
class ReaderFigures:
    user_id: str
    name: str
    signed: Waiting
    """First signatures of the period, from the arrival of the study."""
    corrected: Count
    """Of the drafts of a model that this person signed."""


@dataclass(frozen=True, slots=True)
class HourFigures:
    """Of the studies that arrive in one hour of the day, here."""

    hour: int
    arrived: int
    signed: Waiting


@dataclass(frozen=True, slots=True)
class DepartmentStatistics:
    arrived: int
    drafted: Waiting
    """From the arrival of the study to the draft."""
    signed: Waiting
    """From the arrival of the study to the first signature."""
    corrected: Count
    modalities: tuple[ModalityFigures, ...]
    """The most frequent first."""
    readers: tuple[ReaderFigures, ...]
    """Likewise."""
    hours: tuple[HourFigures, ...]
    cut: bool
    """Whether there was more than is counted here."""


def department_statistics(tx: Transaction, since: datetime, until: datetime) -> DepartmentStatistics:
    """What arrived, was drafted and was signed from `since` on and before `until`."""
    arrivals = _bounded(
        tx, _studies().where(*within(Study.created_at, since, until)).order_by(Study.created_at.desc())
    )
    drafts = _bounded(
        tx, _drafts().where(*within(Report.created_at, since, until)).order_by(Report.created_at.desc())
    )
    signatures = _bounded(tx, _signatures(since, until))
    study_of = {report_id: study_id for report_id, study_id, _ in drafts}
    earlier = [report_id for _, report_id, *_ in signatures if report_id not in study_of]
    study_of |= {row.id: row.study_id for row in _each(tx, _drafts(), Report.id, earlier)}
    # Once each, and not beside every draft: most studies of drafts and signatures arrived in the period, too.
    about = {study_id: (arrived, modality) for study_id, arrived, modality in arrivals}
    earlier = list({one for one in study_of.values() if one not in about})
    about |= {row.id: row[1:] for row in _each(tx, _studies(), Study.id, earlier)}
    of_modality: dict[str, list[float]] = defaultdict(list)
    of_reader: dict[str, list[float]] = defaultdict(list)
    of_hour: dict[int, list[float]] = defaultdict(list)
    corrected: dict[str, Counter[bool]] = defaultdict(Counter)
    names: dict[str, str] = {}
    for signed_at, report_id, user_id, name, number, changed, of_a_model in signatures:
        study_id = study_of.get(report_id)
        if study_id not in about:
            continue  # it is gone
        arrived_at, modality = about[study_id]
        if of_a_model:
            corrected[user_id][changed] += 1
        if number > 1:
            continue
        minutes = _minutes(arrived_at, signed_at)
        of_modality[modality or ""].append(minutes)
        of_reader[user_id].append(minutes)
        of_hour[_hour(arrived_at)].append(minutes)
        names.setdefault(user_id, name)  # the newest, where it has changed
    counts = {one: Count(found[True], found.total()) for one, found in corrected.items()}
    studies = Counter(modality or "" for _, _, modality in arrivals)
    arrived = Counter(_hour(at) for _, at, _ in arrivals)
    return DepartmentStatistics(
        arrived=len(arrivals),
        drafted=Waiting.of([_minutes(about[one][0], at) for _, one, at in drafts if one in about]),
        signed=Waiting.of([minutes for times in of_reader.values() for minutes in times]),
        corrected=sum(counts.values(), Count()),
        modalities=tuple(
            ModalityFigures(one, studies[one], Waiting.of(of_modality[one]))
            for one in sorted(studies.keys() | of_modality, key=lambda one: (-studies[one], one))
        ),
        readers=tuple(
            ReaderFigures(one, names[one], Waiting.of(of_reader[one]), counts.get(one, Count()))
            for one in sorted(names, key=lambda one: (-len(of_reader[one]), names[one]))
        ),
        hours=tuple(HourFigures(one, arrived[one], Waiting.of(of_hour[one])) for one in range(HOURS)),
        cut=any(len(rows) >= MOST for rows in (arrivals, drafts, signatures)),
    )


def _bounded(tx: Transaction, query: Select[*tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    # Past the session, which keeps nothing of columns and takes as long again; and as plain tuples, for the
    # garbage collector walks 200,000 rows again and again.
    found = tx.session.connection().execute(query.limit(MOST), execution_options={"yield_per": _FETCHED})
    return [tuple(row) for part in found.partitions() for row in part]


def _each(
    tx: Transaction, query: Select[*tuple[Any, ...]], column: InstrumentedAttribute[str], ids: Sequence[str]
) -> Iterator[Any]:
    """The rows of these ids."""
    for begin in range(0, len(ids), _CHUNK):
        yield from tx.session.execute(query.where(column.in_(ids[begin : begin + _CHUNK])))


def _studies() -> Select[*tuple[Any, ...]]:
    """When each arrived and how it was made.

    Of studies that have an image, in cases that were neither emptied nor moved: there they count again.
    """
    return (
        select(Study.id, _seconds(Study.created_at), Study.modality)
        .join(Case, Case.id == Study.case_id)
        .where(Case.state != CaseState.MOVED, Case.emptied_at.is_(None), study_stands())
    )


def _drafts() -> Select[*tuple[Any, ...]]:
    return select(Report.id, Report.study_id, _seconds(Report.created_at))


def _signatures(since: datetime, until: datetime) -> Select[*tuple[Any, ...]]:
    """With whether the draft of a model was signed, and had been changed before.

    Without a look at the study: on SQLite its id stands behind the sealed drafts of the report.
    """
    signed = ReportVersion.created_at
    return (
        select(
            _seconds(signed),
            ReportVersion.report_id,
            SignatureRow.user_id,
            SignatureRow.name,
            ReportVersion.number,
            ReportVersion.corrected,
            first_of_a_draft(),
        )
        .join(SignatureRow, SignatureRow.version_id == ReportVersion.id)
        .where(*within(signed, since, until))
        .order_by(signed.desc())
    )


class _seconds(FunctionElement[float]):  # noqa: N801 - a function of SQL
    """Seconds since 1970 of a moment: a number is read many times faster than a moment."""

    type = Float()
    inherit_cache = True


@compiles(_seconds)
def _of_postgresql(element: Any, compiler: Any, **given: Any) -> str:
    return f"EXTRACT(EPOCH FROM {compiler.process(element.clauses, **given)})"


@compiles(_seconds, "sqlite")
def _of_sqlite(element: Any, compiler: Any, **given: Any) -> str:
    return f"((julianday({compiler.process(element.clauses, **given)}) - 2440587.5) * 86400.0)"


def _minutes(start: float, end: float) -> float:
    return max(0.0, (float(end) - float(start)) / 60)


def _hour(at: float) -> int:
    """The hour of a moment in the time zone of this machine."""
    return _hour_of_quarter(int(at) // 900)


@lru_cache(maxsize=100_000)
def _hour_of_quarter(quarter: int) -> int:
    # Zones differ by quarters of an hour.
    return time.localtime(quarter * 900).tm_hour
