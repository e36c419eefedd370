"""How well triage does in this hospital: how often reception agrees with it, and what they correct it to.

It says how often a person chose the department that the model had named, not how often the model was right:
who sees a suggestion is inclined to follow it (automation bias; Goddard et al., JAMIA 19 (2012) 121).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select

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
        """Both together."""
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

    level: UrgencyLevel
    complaints: int
    agreement: Agreement


def performance(
    tx: Transaction, since: datetime | None = None, until: datetime | None = None
) -> tuple[DepartmentPerformance, ...]:
    """What people made of each department that the model had put first, the most frequent first."""
    rows = tx.session.execute(
        select(Complaint.department_model, Complaint.department_chosen, Complaint.abstained, func.count())
        .where(
            Complaint.department_model.is_not(None),
            Complaint.department_chosen.is_not(None),
            *within(Complaint.created_at, since, until),
        )
        .group_by(Complaint.department_model, Complaint.department_chosen, Complaint.abstained)
    ).all()
    named = sorted({str(model) for model, *_ in rows})
    found = [
        _of(
            name,
            [(str(chosen), abstained, count) for model, chosen, abstained, count in rows if model == name],
        )
        for name in named
    ]
    return tuple(sorted(found, key=lambda item: -item.agreement.chosen))


def overall(departments: Iterable[DepartmentPerformance]) -> Agreement:
    """All departments together."""
    return sum((item.agreement for item in departments), Agreement())


def by_urgency(
    tx: Transaction, since: datetime | None = None, until: datetime | None = None
) -> tuple[UrgencyPerformance, ...]:
    """The agreement by the urgency that the rules found, the worst first."""
    rows = tx.session.execute(
        select(
            Complaint.urgency,
            Complaint.department_model,
            Complaint.department_chosen,
            Complaint.abstained,
            func.count(),
        )
        .where(*within(Complaint.created_at, since, until))
        .group_by(
            Complaint.urgency, Complaint.department_model, Complaint.department_chosen, Complaint.abstained
        )
    ).all()
    found = []
    for level in sorted(UrgencyLevel, key=lambda level: -level.severity):
        here = [row[1:] for row in rows if row[0] == level]
        judged = [row for row in here if row[0] is not None and row[1] is not None]
        found.append(
            UrgencyPerformance(
                level,
                sum(count for *_, count in here),
                Agreement(
                    sum(count for *_, count in judged),
                    sum(count for model, chosen, _, count in judged if model == chosen),
                    sum(count for _, _, abstained, count in judged if abstained),
                ),
            )
        )
    return tuple(found)


def _of(name: str, rows: Sequence[tuple[str, bool, int]]) -> DepartmentPerformance:
    chosen: Counter[str] = Counter()
    abstained = 0
    for department, without, count in rows:
        chosen[department] += count
        abstained += count if without else 0
    agreement = Agreement(chosen.total(), chosen[name], abstained)
    others = sorted(
        ((other, count) for other, count in chosen.items() if other != name),
        key=lambda item: (-item[1], item[0]),
    )
    return DepartmentPerformance(name, agreement, tuple(others))
