"""What reception decided, as a table to train from: without names, numbers and days.

Masking finds what looks like personal data (`tetkik.privacy`); beside that every word of the patient's own
name and every one of their numbers goes, for here they are known.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Row, func, or_, select

from tetkik.privacy.rules import Personal, mask
from tetkik.records.audit_chain import Action
from tetkik.records.cases import patients
from tetkik.records.cases.patients import Person
from tetkik.records.database import Transaction
from tetkik.records.schema.base import within
from tetkik.records.schema.cases import Case, Complaint
from tetkik.records.serialization import to_csv
from tetkik.statistics.intervals import Interval, wilson_interval
from tetkik.turkish import fold_with_places
from tetkik.values.complaint import UrgencyLevel
from tetkik.values.states import UrgencyReason

COLUMNS = (
    *("text", "label", "department_model", "agreed"),
    *("urgency", "urgency_model", "urgency_reason", "rules", "date", "model"),
)
"""Columns of the table; `tetkik triage train` reads the first two."""
_SHORTEST_NAME = 3
_SHORTEST_NUMBER = 4
"""A shorter one stands in many a sentence without meaning the patient: `120/80`."""
_AT_ONCE = 500
# The endings that follow a name in one word: Ayşeyi, Ayşenin, Ayşeden, Ayşeyle.
_ENDING = re.compile(r"[yn]?[aeiu]|[yn]?[iu]n|[dt][ae]n?|y?l[ae]|y[iu]m")


@dataclass(frozen=True, slots=True)
class FeedbackRow:
    text: str = field(repr=False)
    label: str | None
    """The department that a person chose; None where they set the urgency alone."""
    department_model: str | None
    """That the model had put first; None where it could not read the text."""
    urgency: UrgencyLevel | None
    """The level that holds: a person's, or else of triage; None: not assessed."""
    urgency_model: UrgencyLevel | None
    """Of triage."""
    urgency_reason: UrgencyReason | None
    """Why a person set another one; None where that of triage stands."""
    rules: str
    """Ids of the rules that gave the level of triage, with spaces between; empty of a complaint of before."""
    month: str
    """In which the complaint was taken down, `2026-11`; a day could lead back to a person."""
    model: str

    @property
    def agreed(self) -> bool:
        """Whether the person chose what the model had put first."""
        return self.label is not None and self.label == self.department_model

    @property
    def overridden(self) -> bool:
        """Whether a person set another urgency than triage."""
        return self.urgency_reason is not None

    def cells(self) -> tuple[str, ...]:
        """As `COLUMNS` names them."""
        agreed = "" if self.label is None else "yes" if self.agreed else "no"
        levels = (self.urgency, self.urgency_model, self.urgency_reason)
        return (
            *(_harmless(self.text), self.label or "", self.department_model or "", agreed),
            *(item.value if item is not None else "" for item in levels),
            *(self.rules, self.month, self.model),
        )


@dataclass(frozen=True, slots=True)
class Feedback:
    """The table, and what was done to it."""

    rows: tuple[FeedbackRow, ...]
    masked: dict[Personal, int]
    """How many pieces of personal data were replaced, by kind."""
    restricted: int
    erased: int

    def as_csv(self) -> str:
        """The table as CSV (RFC 4180), UTF-8, with its heading."""
        return to_csv([COLUMNS, *(row.cells() for row in self.rows)])


def export(tx: Transaction, since: datetime | None = None, until: datetime | None = None) -> Feedback:
    """Every complaint for which a person chose a department or set the urgency; the trail notes it."""
    rows: list[FeedbackRow] = []
    masked: Counter[Personal] = Counter()
    restricted = erased = 0
    for complaint, hidden in _chosen(tx, since, until):
        if hidden:
            restricted += 1
            continue
        if complaint.text is None:
            erased += 1
            continue
        people = patients.load_people(tx, complaint.patient_id)
        clean, counts = without_identity(tx.open_text(complaint, "text"), *people)
        masked.update(counts)
        rows.append(
            FeedbackRow(
                clean,
                complaint.department_chosen,
                complaint.department_model,
                complaint.urgency_chosen or complaint.urgency,
                complaint.urgency,
                complaint.urgency_reason,
                complaint.urgency_rules or "",
                f"{complaint.created_at:%Y-%m}",
                complaint.bundle,
            )
        )
    tx.audit(Action.FEEDBACK_EXPORTED, what="triage", rows=len(rows), restricted=restricted, erased=erased)
    return Feedback(tuple(rows), dict(masked), restricted, erased)


def without_identity(text: str, *people: Person) -> tuple[str, Counter[Personal]]:
    """A complaint without personal data, and how many pieces of which kind were replaced."""
    found = mask(text, thorough=True)
    counts = Counter(found.counts)
    clean = found.text
    for person in people:
        if len(person.number) >= _SHORTEST_NUMBER:
            pattern = rf"(?<!\w){re.escape(person.number)}(?!\w)"
            clean, replaced = re.subn(pattern, Personal.TCKN.token, clean, flags=re.IGNORECASE)
            counts[Personal.TCKN] += replaced
        clean = _without_name(clean, person.name, counts)
    return clean, counts


def _without_name(text: str, name: str, counts: Counter[Personal]) -> str:
    """Every word that is a word of the patient's name, or one with an ending (`Ayşe'yi`), replaced."""
    known = {word for word in fold_with_places(name)[0].split() if len(word) >= _SHORTEST_NAME}
    if not known:
        return text
    folded, places = fold_with_places(text)
    pieces: list[str] = []
    done = 0
    for word in re.finditer(r"[^ ]+", folded):
        start, end = word.span()
        word_start, word_end = places[start], places[end - 1] + 1
        if _is_name(word[0], known) and text[word_start - 1 : word_start] != "[":  # no token's own word
            pieces += (text[done:word_start], Personal.NAME.token)
            counts[Personal.NAME] += 1
            done = word_end
    return "".join((*pieces, text[done:]))


def _is_name(word: str, known: set[str]) -> bool:
    return any(
        word == name or (word.startswith(name) and _ENDING.fullmatch(word[len(name) :]) is not None)
        for name in known
    )


def _harmless(text: str) -> str:
    """A text that a spreadsheet takes for a text: a formula begins with none of its signs (CWE-1236)."""
    return f"'{text}" if text[:1] in "=+-@\t\r" else text


def _chosen(
    tx: Transaction, since: datetime | None, until: datetime | None
) -> Iterator[tuple[Complaint, bool]]:
    wanted = (
        select(Complaint, Case.restricted)
        .join(Case, Case.id == Complaint.case_id)
        .where(
            or_(Complaint.department_chosen.is_not(None), Complaint.urgency_chosen.is_not(None)),
            *within(Complaint.created_at, since, until),
        )
        .order_by(Complaint.id)
    )
    for row in tx.session.execute(wanted.execution_options(yield_per=_AT_ONCE)):
        yield row[0], row[1]


# How well triage does in this hospital: how often reception agrees with it, and what they correct it to.
#
# It says how often a person chose the department that the model had named, or let the urgency stand, not how
# often either was right: who sees a suggestion is inclined to follow it (automation bias; Goddard et al.,
# JAMIA 19 (2012) 121).


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
