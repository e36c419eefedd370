"""The rules of urgency, asked in order of severity.

A rule fires where all its symptoms stand near each other and none of the excluded ones is there, for the ages
and durations it is made for.
"""

from __future__ import annotations

import math
import re
import tomllib
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, replace
from functools import cache, cached_property, partial
from importlib import resources
from pathlib import Path
from typing import Any

from tetkik.errors import DataError, SettingError
from tetkik.settings import settings
from tetkik.triage.urgency.symptoms import Occurrence, Reading, Recogniser, builtin_table, recogniser
from tetkik.triage.urgency.temporality import days_of, is_current
from tetkik.values.complaint import UrgencyLevel

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


# Reading a rule file: plain TOML, checked entry by entry.
#
# A hospital's own file (`settings().triage_rules`) takes the built-in file's place and may add words and
# symptoms of its own (`[words]`, `[symptoms]`, as in `symptoms.toml`).


_KINDS: dict[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("id", "level", "reason", "reason_en", "source", "example"), str),
    **dict.fromkeys(("all", "none"), list),
    **dict.fromkeys(("min_age", "max_age", "min_days", "max_days", "window"), (int, float)),
    **dict.fromkeys(("child", "pregnant", "anytime"), bool),
}
_LIMITS = {"min_age": 130, "max_age": 130, "min_days": 36_525, "max_days": 36_525, "window": 1_000}
"""The most that a number may be; none is negative."""
_PAIRS = (("min_age", "max_age"), ("min_days", "max_days"))
_ID = re.compile(r"[a-z0-9_]+")
FLAG = "learned"
"""The id of the flag of the model of urgency, which no rule may have."""
_RULE_LINE = re.compile(r"\s*\[\[\s*rule\s*\]\]")
_REQUIRED = tuple(field.name for field in fields(Rule) if field.default is MISSING and field.name != "none")


def load_rules(path: Path | None = None) -> RuleSet:
    """The rules of a file, cached; without one the hospital's (`settings().triage_rules`) or the built-in.

    Raises:
        SettingError: the file cannot be read or is not TOML.
        DataError: a rule is wrong; the sentence names it.
    """
    return _load(path or settings().triage_rules)


@cache
def _load(path: Path | None) -> RuleSet:
    if path is None:
        text = resources.files("tetkik.triage.urgency").joinpath("rules.toml").read_text("utf-8")
        return parse_rules(text, Path("rules.toml"))
    try:
        return replace(parse_rules(path.read_text("utf-8"), path), own=True)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingError(
            "The urgency rules {path} cannot be read ({fault}); "
            "correct the file or the setting triage_rules.",
            path=path,
            fault=error,
        ) from None


def parse_rules(text: str, path: Path) -> RuleSet:
    """Check a rule file and build the rules.

    Args:
        text: TOML: `rule` [tables], and where wanted `words` and `symptoms`.
        path: for the errors, which name file and line.

    Raises:
        tomllib.TOMLDecodeError: not TOML.
        DataError: no rule, a key or a value that cannot be, an unknown symptom or level, or an id twice.
    """
    table = tomllib.loads(text)
    lines = [number for number, line in enumerate(text.splitlines(), 1) if _RULE_LINE.match(line)]
    finder = _recogniser(table, path, text)
    entries = table.get("rule")
    if not isinstance(entries, list) or not entries or not all(isinstance(entry, dict) for entry in entries):
        raise DataError(
            "{path} has no [[rule]]; write at least one, as in the built-in rules.toml.", path=path
        )
    rules: dict[str, Rule] = {}
    for number, entry in enumerate(entries, start=1):
        place = f"{path}:{lines[number - 1]}" if len(lines) == len(entries) else str(path)
        rule = _rule(entry, str(entry.get("id") or f"no. {number}"), frozenset(finder.symptoms), place)
        if not _ID.fullmatch(rule.id) or rule.id == FLAG:
            raise DataError(
                "{path}: the rule {id} needs another id; use small letters, digits and underscores, and "
                "not {taken}.",
                path=place,
                id=rule.id,
                taken=FLAG,
            )
        if rule.id in rules:
            raise DataError("{path} has two rules {id}; give each its own id.", path=place, id=rule.id)
        rules[rule.id] = rule
    ordered = tuple(sorted(rules.values(), key=lambda rule: -rule.level.severity))
    return RuleSet(ordered, finder)


def _recogniser(table: Mapping[str, Any], path: Path, text: str) -> Recogniser:
    words, symptoms = table.get("words", {}), table.get("symptoms", {})
    if not words and not symptoms:
        return recogniser()
    if not isinstance(words, dict) or not all(isinstance(stems, str) for stems in words.values()):
        raise DataError(
            "{path}: [{table}] must hold {what}; see symptoms.toml.",
            path=path,
            table="words",
            what='name = "stems"',
        )
    if not isinstance(symptoms, dict) or not all(_texts(patterns) for patterns in symptoms.values()):
        raise DataError(
            "{path}: [{table}] must hold {what}; see symptoms.toml.",
            path=path,
            table="symptoms",
            what='id = ["pattern"]',
        )
    merged = builtin_table()
    merged["words"] = {**merged["words"], **words}
    merged["symptoms"] = {**merged["symptoms"], **symptoms}
    try:
        return Recogniser(merged)
    except DataError as error:
        symptom = str(error.values["id"])
        lines = (n for n, line in enumerate(text.splitlines(), 1) if line.split("=")[0].strip() == symptom)
        place = f"{symptom} ({path}:{next(lines, 1)})"
        raise DataError(error.template, **{**error.values, "id": place}) from None


def _texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) and item.strip() for item in value)


def _in_range(key: str, value: Any) -> bool:
    # NaN is in no range.
    return key not in _LIMITS or isinstance(value, str | list) or 0 <= value <= _LIMITS[key]


def _rule(entry: Mapping[str, Any], name: str, known: frozenset[str], path: str) -> Rule:
    _check_keys(entry, name, path)
    levels = [level.value for level in UrgencyLevel]
    if entry["level"] not in levels:
        raise DataError(
            "{path}: the rule {id} has the level {level}; use {levels}.",
            path=path,
            id=name,
            level=entry["level"],
            levels=", ".join(levels),
        )
    groups = tuple(tuple(part.strip() for part in group.split("|")) for group in entry["all"])
    none = tuple(entry.get("none", ()))
    for symptom in (*(symptom for group in groups for symptom in group), *none):
        if symptom not in known:
            raise DataError(
                "{path}: the rule {id} uses the symptom {symptom}, which is not defined; "
                "define it in [symptoms].",
                path=path,
                id=name,
                symptom=symptom,
            )
    rest = {key: value for key, value in entry.items() if key not in {"level", "all", "none"}}
    return Rule(level=UrgencyLevel(entry["level"]), all=groups, none=none, **rest)


def _check_keys(entry: Mapping[str, Any], name: str, path: str) -> None:
    for key, value in entry.items():
        if key not in _KINDS:
            raise DataError(
                "{path}: the rule {id} has the unknown key {key}; use {keys}.",
                path=path,
                id=name,
                key=key,
                keys=", ".join(_KINDS),
            )
        kind = _KINDS[key]
        # In Python true is also a number; in a rule it is not.
        wrong = not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool)
        wrong = wrong or (kind is list and not _texts(value)) or not _in_range(key, value)
        if wrong:
            raise DataError(
                "{path}: the rule {id} has a wrong value for {key}; see rules.toml.",
                path=path,
                id=name,
                key=key,
            )
    for least, most in _PAIRS:
        if entry.get(least, 0) > entry.get(most, math.inf):
            raise DataError(
                "{path}: the rule {id} never fires, as {least} is more than {most}; exchange them.",
                path=path,
                id=name,
                least=least,
                most=most,
            )
    for key in _REQUIRED:
        if not entry.get(key):
            raise DataError("{path}: the rule {id} has no {key}; add it.", path=path, id=name, key=key)
