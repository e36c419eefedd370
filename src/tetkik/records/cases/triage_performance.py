"""How well triage does in this hospital: how often reception agrees with it, and what they correct it to.

It says how often a person chose the department that the model had named, or let the urgency stand, not how
often either was right: who sees a suggestion is inclined to follow it (automation bias; Goddard et al.,
JAMIA 19 (2012) 121).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
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


@dataclass(frozen=True, slots=True)
class Overrides:
    """How often people set another level of urgency than triage, in a group of complaints."""

    name: str | None
    """The level, the rule or the model; None: not assessed, or no rule."""
    complaints: int
    raised: int
    """To a higher level, or to any where the text was not assessed."""
    lowered: int
    chosen: tuple[tuple[UrgencyLevel, int], ...]
    """The levels that they set, the worst first."""

    @property
    def changed(self) -> int:
        return self.raised + self.lowered

    @property
    def share(self) -> float | None:
        """Changed of all; None without any."""
        return self.changed / self.complaints if self.complaints else None

    @property
    def interval(self) -> Interval | None:
        """95% interval of the share (Wilson)."""
        return wilson_interval(self.changed, self.complaints)


@dataclass(frozen=True, slots=True)
class UrgencyOverrides:
    """By the level that triage gave, the rules that gave it, and the model."""

    levels: tuple[Overrides, ...]
    """The worst first, "not assessed" last."""
    rules: tuple[Overrides, ...]
    """Those with a change, the most often changed first."""
    models: tuple[Overrides, ...]


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


def overrides(
    tx: Transaction, since: datetime | None = None, until: datetime | None = None
) -> UrgencyOverrides:
    """How often people set another level of urgency.

    A complaint whose level two rules gave counts for both. Of complaints from before the rules were stored,
    level and model alone are counted.
    """
    of = (Complaint.urgency, Complaint.urgency_rules, Complaint.bundle, Complaint.urgency_chosen)
    query = select(*of, func.count().label("many")).where(*within(Complaint.created_at, since, until))
    levels: dict[str | None, list[Row[Any]]] = {level.value: [] for level in UrgencyLevel}
    rules: dict[str | None, list[Row[Any]]] = {}
    models: dict[str | None, list[Row[Any]]] = {}
    found: Sequence[Any] = tx.session.execute(query.group_by(*of)).all()
    for row in found:
        levels.setdefault(row.urgency and row.urgency.value, []).append(row)
        models.setdefault(row.bundle, []).append(row)
        if row.urgency_rules is not None and row.urgency is not None:
            for rule in row.urgency_rules.split() or [None]:
                rules.setdefault(rule, []).append(row)
    by_rule = [one for one in _overridden(rules) if one.changed]
    return UrgencyOverrides(
        tuple(_overridden(levels)),
        tuple(sorted(by_rule, key=lambda one: (-one.changed, one.name or ""))),
        tuple(sorted(_overridden(models), key=lambda one: -one.complaints)),
    )


def _overridden(groups: Mapping[str | None, Sequence[Row[Any]]]) -> Iterator[Overrides]:
    for name, rows in groups.items():
        steps: Counter[bool] = Counter()
        chosen: Counter[UrgencyLevel] = Counter()
        for row in rows:
            if row.urgency_chosen is not None:
                higher = row.urgency is None or row.urgency_chosen.severity > row.urgency.severity
                steps[higher] += row.many
                chosen[row.urgency_chosen] += row.many
        yield Overrides(
            name,
            sum(row.many for row in rows),
            steps[True],
            steps[False],
            tuple((level, chosen[level]) for level in UrgencyLevel if chosen[level]),
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
