"""The rules of urgency, asked in order of severity.

A rule fires where all its symptoms stand near each other and none of the excluded ones is there, for the ages
and durations it is made for.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

from tetkik.triage.urgency.symptoms import Occurrence, Reading, Recogniser
from tetkik.triage.urgency.temporality import days_of, is_current
from tetkik.values import UrgencyLevel

WINDOW = 24
"""How many words the symptoms of one rule may be apart."""
_LONGEST = 40
"""Words of one occurrence, at most."""
_NEARBY = 7
"""Words on either side of them within which an excluded symptom counts."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of urgency.

    Attributes:
        id: its name, unique.
        all: one of each group must be present: `["gogus_agrisi", "terleme|kola_ceneye"]`.
        none: none of these may be present near them.
        reason: a sentence for the person at the desk, in Turkish.
        example: a complaint that fires it (a test holds every built-in rule to its own).
        min_age: years, for patients whose age is stated.
        max_age: years; a patient whose age is not stated does not count.
        child: only for (True) or never for (False) patients under 18.
        pregnant: only for (True) or never for (False) pregnant patients.
        max_days: not where a longer duration is stated for it.
        min_days: only where at least this duration is stated.
        anytime: an emergency also in a long text that does not tell of now (see `currency`).
    """

    id: str
    level: UrgencyLevel
    all: tuple[tuple[str, ...], ...]
    none: tuple[str, ...]
    reason: str
    source: str
    reason_en: str = ""
    example: str = ""
    min_age: float | None = None
    max_age: float | None = None
    child: bool | None = None
    pregnant: bool | None = None
    max_days: float | None = None
    min_days: float | None = None
    window: float = WINDOW
    anytime: bool = False

    def match(self, reading: Reading) -> tuple[Occurrence, ...] | None:
        """The occurrences that fire the rule, the first group's first; None where it does not fire."""
        present = reading.present
        groups = []
        for group in self.all:
            occurrences = [o for symptom in group for o in present.get(symptom, ())]
            if not occurrences:
                return None
            groups.append(occurrences if len(group) == 1 else sorted(occurrences, key=_first))
        if not self._fits(reading):
            return None
        for lead in groups[0]:
            others = [_near(group, lead.first - self.window, lead.last + self.window) for group in groups[1:]]
            if not all(others):
                continue
            chosen = (lead, *(min(group, key=partial(_distance, lead)) for group in others))
            if _extent(chosen) > self.window or not self._in_time(reading, lead):
                continue
            if not self._excluded(reading, chosen):
                return chosen
        return None

    def _excluded(self, reading: Reading, chosen: tuple[Occurrence, ...]) -> bool:
        # Only nearby: "hafif öksürüğüm vardı … şimdi nefes alamıyorum" is not a mild breathlessness.
        first, last = min(o.first for o in chosen), max(o.last for o in chosen)
        return any(
            first - _NEARBY <= other.last
            for symptom in self.none
            for other in _near(reading.present.get(symptom, ()), first - _NEARBY, last + _NEARBY)
        )

    def _fits(self, reading: Reading) -> bool:
        if self.child is not None and reading.person.child != self.child:
            return False
        if self.pregnant is not None and reading.person.pregnant != self.pregnant:
            return False
        years = reading.person.age.years if reading.person.age else None
        if self.max_age is not None and (years is None or years > self.max_age):
            return False
        return not (self.min_age is not None and (years is None or years < self.min_age))

    def _in_time(self, reading: Reading, lead: Occurrence) -> bool:
        if self.max_days is None and self.min_days is None:
            return True
        days = days_of(reading.text, reading.durations, lead.first, lead.last)
        if days is None:
            return self.min_days is None
        return (self.max_days is None or days <= self.max_days) and (
            self.min_days is None or days >= self.min_days
        )


def _is_current(reading: Reading, chosen: tuple[Occurrence, ...]) -> bool:
    first, last = min(o.first for o in chosen), max(o.last for o in chosen)
    return is_current(reading.text, reading.durations, reading.recent, reading.history, first, last)


def _near(occurrences: Sequence[Occurrence], first: float, last: float) -> Sequence[Occurrence]:
    """Those that begin between two words, or so little before the first that they may reach it; sorted."""
    begin = bisect_left(occurrences, first - _LONGEST, key=_first)
    return occurrences[begin : bisect_right(occurrences, last, key=_first)]


def _first(occurrence: Occurrence) -> int:
    return occurrence.first


def _distance(a: Occurrence, b: Occurrence) -> int:
    return max(a.first, b.first) - min(a.last, b.last)


def _extent(chosen: tuple[Occurrence, ...]) -> int:
    return max(o.last for o in chosen) - min(o.first for o in chosen)


@dataclass(frozen=True)
class RuleSet:
    """The rules, worst first, with the recogniser they are written for.

    Attributes:
        rules: in order of severity, then of the file.
        own: whether they are a hospital's own, not the built-in ones.
    """

    rules: tuple[Rule, ...]
    recogniser: Recogniser
    own: bool = False

    @cached_property
    def _by_symptom(self) -> Mapping[str, tuple[int, ...]]:
        index: dict[str, list[int]] = {}
        for number, rule in enumerate(self.rules):
            for symptom in rule.all[0]:
                index.setdefault(symptom, []).append(number)
        return {symptom: tuple(numbers) for symptom, numbers in index.items()}

    def matches(self, reading: Reading) -> list[tuple[Rule, tuple[Occurrence, ...]]]:
        """The rules that fire on a reading, worst first, each with its occurrences.

        An emergency that a long text does not tell as happening now comes at the level sarı.
        """
        numbers = {n for symptom in reading.present for n in self._by_symptom.get(symptom, ())}
        fired = []
        for number in sorted(numbers):
            rule = self.rules[number]
            if chosen := rule.match(reading):
                if rule.level is UrgencyLevel.KIRMIZI and not (rule.anytime or _is_current(reading, chosen)):
                    rule = replace(rule, level=UrgencyLevel.SARI)
                fired.append((rule, chosen))
        return sorted(fired, key=lambda item: -item[0].level.severity)
