"""How well triage does in this hospital: how often reception agrees with it, and what they correct it to.

It says how often a person chose the department that the model had named, not how often the model was right:
who sees a suggestion is inclined to follow it (automation bias; Goddard et al., JAMIA 19 (2012) 121).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, func, select

from tetkik.records.database import Transaction
from tetkik.records.schema import Complaint
from tetkik.records.schema.base import within
from tetkik.statistics import Interval, wilson_interval
from tetkik.values import UrgencyLevel


@dataclass(frozen=True, slots=True)
class Agreement:
    """How often people chose what the model had put first."""

    chosen: int = 0
    agreed: int = 0
    abstained: int = 0
    """Those of `chosen` for which the model had named none."""

    @property
    def share(self) -> float | None:
        """Agreed of chosen; None without any."""
        return self.agreed / self.chosen if self.chosen else None

    @property
    def interval(self) -> Interval | None:
        """95% interval of the share (Wilson)."""
        return wilson_interval(self.agreed, self.chosen)

    @property
    def abstention(self) -> float | None:
        """Abstained of chosen; None without any."""
        return self.abstained / self.chosen if self.chosen else None

    def __add__(self, other: Agreement) -> Agreement:
        return Agreement(
            self.chosen + other.chosen, self.agreed + other.agreed, self.abstained + other.abstained
        )


@dataclass(frozen=True, slots=True)
class DepartmentPerformance:
    """What people made of one suggestion of the model."""

    department: str
    agreement: Agreement
    corrected_to: tuple[tuple[str, int], ...]
    """What they chose instead, with how often, the most frequent first."""


@dataclass(frozen=True, slots=True)
class UrgencyPerformance:
    """The same for the complaints of one urgency."""

    level: UrgencyLevel | None
    """None: could not be assessed."""
    complaints: int
    agreement: Agreement


def performance(
    tx: Transaction, since: datetime | None = None, until: datetime | None = None
) -> tuple[DepartmentPerformance, ...]:
    """What people made of each department that the model had put first, the most frequent first."""
    named: dict[str, list[Row[Any]]] = {}
    for row in _counts(tx, since, until):
        if row.department_model is not None and row.department_chosen is not None:
            named.setdefault(row.department_model, []).append(row)
    found = [
        DepartmentPerformance(name, _agreement(rows), _corrections(name, rows))
        for name, rows in sorted(named.items())
    ]
    return tuple(sorted(found, key=lambda item: -item.agreement.chosen))


def overall(departments: Iterable[DepartmentPerformance]) -> Agreement:
    """All departments together."""
    return sum((item.agreement for item in departments), Agreement())


def by_urgency(
    tx: Transaction, since: datetime | None = None, until: datetime | None = None
) -> tuple[UrgencyPerformance, ...]:
    """The agreement by the urgency that the rules found, the worst first."""
    found: dict[UrgencyLevel | None, list[Row[Any]]] = {level: [] for level in UrgencyLevel}
    for row in _counts(tx, since, until):
        found.setdefault(row.urgency, []).append(row)
    return tuple(
        UrgencyPerformance(level, sum(row.many for row in rows), _agreement(rows))
        for level, rows in found.items()
    )


def _counts(tx: Transaction, since: datetime | None, until: datetime | None) -> Sequence[Any]:
    of = (Complaint.urgency, Complaint.department_model, Complaint.department_chosen, Complaint.abstained)
    query = select(*of, func.count().label("many")).where(*within(Complaint.created_at, since, until))
    return tx.session.execute(query.group_by(*of)).all()


def _agreement(rows: Iterable[Row[Any]]) -> Agreement:
    total: Counter[str] = Counter()
    for row in rows:
        if row.department_model is not None and row.department_chosen is not None:
            total["chosen"] += row.many
            total["agreed"] += row.many * (row.department_model == row.department_chosen)
            total["abstained"] += row.many * row.abstained
    return Agreement(**total)


def _corrections(name: str, rows: Iterable[Row[Any]]) -> tuple[tuple[str, int], ...]:
    chosen: Counter[str] = Counter()
    for row in rows:
        chosen[row.department_chosen] += row.many
    del chosen[name]
    return tuple(sorted(chosen.items(), key=lambda item: (-item[1], item[0])))
