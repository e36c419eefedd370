"""The figures of a department over a period: how long reports take, how many, by whom, what was corrected.

Counts and times alone, of studies that are still there: what was erased is in no figure. Every query walks
one index of time and is bounded by `MOST`.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from sqlalchemy import Float, Select, func, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from tetkik.records.database import Transaction
from tetkik.records.reports.agreement import Count
from tetkik.records.reports.reports import first_of_a_draft
from tetkik.records.schema import Image, Report, ReportVersion, SignatureRow, Study
from tetkik.records.schema.base import within

MOST = 200_000
"""Rows that a figure is made of at most, the newest ones."""
HOURS = 24


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
    arrivals = _bounded(tx, _arrivals(since, until))
    drafts = _bounded(tx, _drafts(since, until))
    signatures = _bounded(tx, _signatures(since, until))
    corrected = _corrected(tx, since, until)
    of_modality: dict[str, list[float]] = defaultdict(list)
    of_reader: dict[str, list[float]] = defaultdict(list)
    of_hour: dict[int, list[float]] = defaultdict(list)
    names: dict[str, str] = {}
    for signed_at, arrived_at, modality, user_id, name in signatures:
        minutes = _minutes(arrived_at, signed_at)
        of_modality[modality or ""].append(minutes)
        of_reader[user_id].append(minutes)
        of_hour[_hour(arrived_at)].append(minutes)
        names.setdefault(user_id, name)  # the newest, where it has changed
    studies = Counter(modality or "" for _, modality in arrivals)
    arrived = Counter(_hour(at) for at, _ in arrivals)
    return DepartmentStatistics(
        arrived=len(arrivals),
        drafted=Waiting.of([_minutes(arrived_at, drafted_at) for drafted_at, arrived_at in drafts]),
        signed=Waiting.of([minutes for times in of_reader.values() for minutes in times]),
        corrected=sum(corrected.values(), Count()),
        modalities=tuple(
            ModalityFigures(one, studies[one], Waiting.of(of_modality[one]))
            for one in sorted(studies.keys() | of_modality, key=lambda one: (-studies[one], one))
        ),
        readers=tuple(
            ReaderFigures(one, names[one], Waiting.of(of_reader[one]), corrected.get(one, Count()))
            for one in sorted(names, key=lambda one: (-len(of_reader[one]), names[one]))
        ),
        hours=tuple(HourFigures(one, arrived[one], Waiting.of(of_hour[one])) for one in range(HOURS)),
        cut=any(len(rows) >= MOST for rows in (arrivals, drafts, signatures)),
    )


def _bounded(tx: Transaction, query: Select[*tuple[Any, ...]]) -> Sequence[Any]:
    return tx.session.execute(query.limit(MOST)).all()


def _arrivals(since: datetime, until: datetime) -> Select[*tuple[Any, ...]]:
    arrived = Study.created_at
    return (
        select(_seconds(arrived), Study.modality)
        .where(*within(arrived, since, until))
        .order_by(arrived.desc())
    )


def _drafts(since: datetime, until: datetime) -> Select[*tuple[Any, ...]]:
    return (
        select(_seconds(Report.created_at), _seconds(Study.created_at))
        .join(Image, Image.id == Report.image_id)
        .join(Study, Study.id == Image.study_id)
        .where(*within(Report.created_at, since, until))
        .order_by(Report.created_at.desc())
    )


def _signatures(since: datetime, until: datetime) -> Select[*tuple[Any, ...]]:
    signed = ReportVersion.created_at
    return (
        select(
            _seconds(signed),
            _seconds(Study.created_at),
            Study.modality,
            SignatureRow.user_id,
            SignatureRow.name,
        )
        .join(SignatureRow, SignatureRow.version_id == ReportVersion.id)
        .join(Report, Report.id == ReportVersion.report_id)
        .join(Image, Image.id == Report.image_id)
        .join(Study, Study.id == Image.study_id)
        .where(ReportVersion.number == 1, *within(signed, since, until))
        .order_by(signed.desc())
    )


def _corrected(tx: Transaction, since: datetime, until: datetime) -> dict[str, Count]:
    """Drafts of a model that were changed before their signature, by who signed."""
    found: dict[str, Count] = defaultdict(Count)
    query = (
        select(SignatureRow.user_id, ReportVersion.corrected, func.count())
        .join(SignatureRow, SignatureRow.version_id == ReportVersion.id)
        .where(first_of_a_draft(), *within(ReportVersion.created_at, since, until))
        .group_by(SignatureRow.user_id, ReportVersion.corrected)
    )
    for user_id, corrected, count in tx.session.execute(query):
        found[user_id] += Count(count if corrected else 0, count)
    return found


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
    return time.localtime(float(at)).tm_hour
