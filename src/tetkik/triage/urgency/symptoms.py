"""The recogniser: which symptoms a complaint names, where, and whether they are really there.

`symptoms.toml` says what to look for: classes of words (`[words]`) and, for each symptom, patterns of words
near each other (`[symptoms]`). In a pattern a space means "then, within three words", `&` means "near, either
way round", `@gogus` is a class, `a|b` are stems, and `/5` at the end widens the gap.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cache
from importlib import resources
from itertools import chain
from typing import Any

from tetkik.errors import DataError
from tetkik.triage import age_and_duration
from tetkik.triage.age_and_duration import Duration, Person
from tetkik.triage.urgency.clauses import Status, Text, read
from tetkik.triage.urgency.grammar import denies_itself, lacks
from tetkik.triage.urgency.temporality import long_ago
from tetkik.triage.urgency.word_classes import Memberships, WordIndex

_GAP = 3
_BACKWARD_GAP = 2
_WIDEST_GAP = 20
_STEM = r"(?:@\w+|[=-]?\w+)"
_READABLE = re.compile(rf"\s*{_STEM}(?:\|{_STEM})*(?:[\s&]+{_STEM}(?:\|{_STEM})*)*[\s&]*")


@dataclass(frozen=True, slots=True)
class Occurrence:
    """A symptom found: its id, the first and last word (indexes), and what is said of it."""

    symptom: str
    first: int
    last: int
    status: Status


@dataclass(frozen=True, slots=True)
class Reading:
    """A complaint with the symptoms found in it, and what is said of the patient.

    Attributes:
        person: the patient's age where stated, whether a child, whether pregnant.
        durations: the times stated, in order.
        recent: where words tell of now ("bugün"): indexes of words.
        history: where words tell of tests, treatment, doctors: indexes of words.
        past: the words of an account long over (`long_ago`).
    """

    text: Text
    found: tuple[Occurrence, ...]
    present: Mapping[str, tuple[Occurrence, ...]]
    person: Person
    durations: tuple[Duration, ...]
    recent: tuple[int, ...]
    history: tuple[int, ...]
    past: frozenset[int]

    def standing(self) -> tuple[int, ...]:
        """The words that are said of the patient and of now: not denied, not past, not of a relative."""
        named = {i for items in self.present.values() for o in items for i in range(o.first, o.last + 1)}
        text, standing = self.text, []
        for clause in text.clauses:
            words = range(clause.first, clause.last + 1)
            if clause.is_plain:
                standing += [i for i in words if i not in self.past or i in named]
            else:
                standing += [
                    i for i in words if i in named or (i not in self.past and self._stands(i, named))
                ]
        return tuple(standing)

    def _stands(self, index: int, named: AbstractSet[int]) -> bool:
        return _said_of(index, index, self.text, named, diagnosis=False) is Status.PRESENT


_Key = tuple[int, int, int]
"""First word, last word, symptom."""
_Hit = tuple[tuple[int, ...], tuple[int, ...]]
"""The words of a match, and the class each was taken for."""


@dataclass(frozen=True, slots=True)
class _Pattern:
    symptom: int
    classes: tuple[int, ...]
    rest: frozenset[int]
    either_way: bool
    gap: int


class Recogniser:
    """Finds symptoms in text; built once from the table and safe to share between threads.

    Args:
        table: `symptoms.toml`, read: `words` {name: stems}, `symptoms` {id: patterns}, and the lists
            `history`, `diagnoses`, `recent`, `reported` and `known`, which the file explains.

    Raises:
        DataError: a pattern names an unknown class, or an id of the lists is unknown.
    """

    def __init__(self, table: Mapping[str, Any]) -> None:
        self._names: dict[str, int] = {}
        self._stems: list[list[str]] = []
        for name, stems in table["words"].items():
            self._class(f"@{name}", stems.split())
        self.symptoms: tuple[str, ...] = tuple(table["symptoms"])
        patterns = [
            self._pattern(number, written)
            for number, symptom in enumerate(self.symptoms)
            for written in table["symptoms"][symptom]
        ]
        self._history = self._known(table.get("history", []))
        self._diagnoses = self._known(table.get("diagnoses", []))
        self._recent = self._known(table.get("recent", []))
        self._reported = self._known(table.get("reported", []))
        self._index = WordIndex(self._stems, table.get("known", "").split(), common_words())
        self._single: dict[int, list[int]] = {}
        self._by_pair: dict[int, dict[int, list[_Pattern]]] = {}
        for pattern in patterns:
            if len(pattern.classes) == 1:
                self._single.setdefault(pattern.classes[0], []).append(pattern.symptom)
            else:
                first, second = pattern.classes[:2]
                self._by_pair.setdefault(first, {}).setdefault(second, []).append(pattern)

    def _class(self, name: str, stems: Sequence[str]) -> int:
        if name not in self._names:
            self._names[name] = len(self._stems)
            self._stems.append(list(stems))
        return self._names[name]

    def _known(self, ids: Sequence[str]) -> frozenset[str]:
        for symptom in ids:
            if symptom not in self.symptoms:
                raise DataError(
                    "The symptom {id} is listed but not defined; define it in [symptoms].", id=symptom
                )
        return frozenset(ids)

    def _pattern(self, symptom: int, written: str) -> _Pattern:
        gap = _GAP
        body = written
        if match := re.search(r"\s*/(\d+)$", written):
            gap, body = int(match[1]), written[: match.start()]
        either_way = "&" in body
        classes = []
        if gap > _WIDEST_GAP or not _READABLE.fullmatch(body):
            raise DataError(
                "The symptom {id} has the pattern {written}, which no text can match; write letters, and at "
                "most 20 behind the stroke.",
                id=self.symptoms[symptom],
                written=written,
            )
        if not all(element.strip() for element in body.split("&")):
            raise DataError("The symptom {id} has an empty pattern; write words.", id=self.symptoms[symptom])
        for element in body.replace("&", " ").split():
            classes.append(self._class(element, self._stems_of(element, self.symptoms[symptom])))
        return _Pattern(symptom, tuple(classes), frozenset(classes[1:]), either_way, gap)

    def _stems_of(self, element: str, symptom: str) -> list[str]:
        stems: list[str] = []
        for part in element.split("|"):
            if not part.startswith("@"):
                stems.append(part)
            elif part in self._names:
                stems.extend(self._stems[self._names[part]])
            else:
                raise DataError(
                    "The symptom {id} uses {word}, which [words] does not define; define it.",
                    id=symptom,
                    word=part,
                )
        return stems

    def read(self, text: str) -> Reading:
        """Find the symptoms of a complaint."""
        read_text = read(text, self._index.spelled)
        memberships = [self._index.classes_of(word) for word in read_text.words]
        folded = read_text.folded
        durations = age_and_duration.read_durations(folded)
        past = long_ago(read_text, durations)
        found = self._find(read_text, memberships, past)
        present: dict[str, list[Occurrence]] = {}
        for occurrence in found:
            if occurrence.status is Status.PRESENT:
                present.setdefault(occurrence.symptom, []).append(occurrence)
        return Reading(
            text=read_text,
            found=found,
            present={symptom: tuple(items) for symptom, items in present.items()},
            person=age_and_duration.read_person(folded),
            durations=durations,
            recent=tuple(o.first for o in found if o.symptom in self._recent),
            history=tuple(o.first for o in found if o.symptom in self._reported),
            past=past,
        )

    def _find(
        self, text: Text, memberships: list[Memberships], past: frozenset[int]
    ) -> tuple[Occurrence, ...]:
        positions = _positions(text.words, memberships)
        hits: dict[_Key, _Hit] = {}
        for word_class, places in positions.items():
            for symptom in self._single.get(word_class, ()):
                for index in places:
                    hits.setdefault((index, index, symptom), ((index,), (word_class,)))
            pairs = self._by_pair.get(word_class)
            if not pairs:
                continue
            for second in pairs.keys() & positions.keys():
                for pattern in pairs[second]:
                    if len(pattern.classes) > 2 and not pattern.rest <= positions.keys():
                        continue
                    for index in places:
                        placed = _place(pattern, index, positions, text)
                        if placed:
                            key = (min(placed), max(placed), pattern.symptom)
                            # A stem with its negative ("kıpırdamı-") goes before one that it denies.
                            if key not in hits or _own_denial(*hits[key], text, memberships):
                                hits[key] = (placed, pattern.classes)
        return self._judged(hits, text, memberships, past)

    def _judged(
        self,
        hits: Mapping[_Key, _Hit],
        text: Text,
        memberships: list[Memberships],
        past: frozenset[int],
    ) -> tuple[Occurrence, ...]:
        spent = _spent(hits, text, memberships)
        found = []
        for key in sorted(hits):
            first, last, symptom = key
            placed, classes = hits[key]
            name = self.symptoms[symptom]
            status = Status.DENIED
            if not _own_denial(placed, classes, text, memberships):
                status = _said_of(first, last, text, spent, diagnosis=name in self._diagnoses)
            if status is Status.PRESENT and last in past:
                status = Status.PAST
            if status is Status.PAST and name in self._history:
                status = Status.PRESENT
            found.append(Occurrence(name, first, last, status))
        return tuple(found)


def _positions(words: Sequence[str], memberships: Sequence[Memberships]) -> dict[int, list[int]]:
    """Where the words of each class stand, in order; a word said often is looked at once."""
    places: dict[str, list[int]] = {}
    for index, word in enumerate(words):
        places.setdefault(word, []).append(index)
    parts: dict[int, list[list[int]]] = {}
    for indexes in places.values():
        for word_class in memberships[indexes[0]]:
            parts.setdefault(word_class, []).append(indexes)
    return {
        word_class: lists[0] if len(lists) == 1 else sorted(chain.from_iterable(lists))
        for word_class, lists in parts.items()
    }


def _place(
    pattern: _Pattern, at: int, positions: Mapping[int, list[int]], text: Text
) -> tuple[int, ...] | None:
    placed = [at]
    current = at
    for word_class in pattern.classes[1:]:
        best = None
        places = positions[word_class]
        begin = bisect_left(places, current - _BACKWARD_GAP - 1)
        for index in places[begin : bisect_right(places, current + pattern.gap + 1)]:
            closer = best is None or abs(index - current) < abs(best - current)
            if closer and index not in placed and _near(current, index, pattern, text):
                best = index
        if best is None:
            return None
        placed.append(best)
        current = best
    return tuple(placed)


def _near(a: int, b: int, pattern: _Pattern, text: Text) -> bool:
    if a < b:
        # A finite verb between closes the thought: "başım ağrıyor kolum iyi".
        if b - a > pattern.gap + 1 or text.clause[a] != text.clause[b]:
            return False
        return b - a + sum(text.comma[a + 1 : b + 1]) <= pattern.gap + 1
    if not pattern.either_way or a - b > _BACKWARD_GAP + 1 or text.clause[a] != text.clause[b]:
        return False
    return not any(text.comma[b + 1 : a + 1]) and not any(form.ends for form in text.forms[b:a])


def _own_denial(
    placed: tuple[int, ...], classes: tuple[int, ...], text: Text, memberships: list[Memberships]
) -> bool:
    """Whether a word of a match denies itself ("ağrımıyor", "ağrısız")."""
    for index, word_class in zip(placed, classes, strict=True):
        form = text.forms[index]
        if form.negative_at < 0 and not form.privative:
            continue
        length = memberships[index][word_class]
        if denies_itself(form, length) or lacks(text.words[index], length):
            return True
    return False


def _spent(hits: Mapping[_Key, _Hit], text: Text, memberships: list[Memberships]) -> frozenset[int]:
    """Verbs that are part of a symptom ("idrar gelmiyor", "nefesim kesildi") and so deny nothing else."""
    spent = set()
    for placed, classes in hits.values():
        for index, word_class in zip(placed, classes, strict=True):
            form = text.forms[index]
            says_no = form.denies or form.resolves
            # "nefes yok" is one thing, "nefes darlığı hiç yok" another.
            denies_alone = text.words[index].startswith("yok") and index - 1 not in placed
            if says_no and not denies_alone and not denies_itself(form, memberships[index][word_class]):
                spent.add(index)
    return frozenset(spent)


def _said_of(first: int, last: int, text: Text, spent: AbstractSet[int], *, diagnosis: bool) -> Status:
    clause = text.clauses[text.clause[last]]
    if clause.isnot_at >= 0 and clause.isnot_at - last == 1:
        return Status.DENIED
    if clause.denied and clause.denier not in spent and last >= clause.denied_from:
        return Status.DENIED
    if clause.others or _fatal(last, text):
        return Status.OTHERS
    if clause.past or (clause.resolver >= 0 and clause.resolver not in spent):
        return Status.PAST
    likened = last + 1 < len(text.words) and text.words[last + 1].startswith("gibi")
    if diagnosis and (clause.asked or clause.supposed_at >= 0 or likened):
        return Status.SUPPOSED
    if 0 < clause.supposed_at - last <= 2 or (
        clause.asked and last < clause.last and text.forms[last + 1].asks
    ):
        return Status.SUPPOSED
    return Status.PRESENT


def _fatal(last: int, text: Text) -> bool:
    # "kalp krizinden öldü": "oldu" alone may be "happened", after "-den" it is "died".
    ablative = text.words[last].endswith(("den", "dan", "ten", "tan")) and last + 1 < len(text.words)
    return ablative and text.words[last + 1].startswith(("oldu", "olmus", "vefat", "kaybett"))


@cache
def common_words() -> tuple[str, ...]:
    """`words.txt`: folded words of five letters or more that several writers use, the most frequent first."""
    file = resources.files("tetkik.triage.urgency").joinpath("words.txt")
    return tuple(file.read_text("ascii").split())


def builtin_table() -> dict[str, Any]:
    """`symptoms.toml`, read afresh."""
    file = resources.files("tetkik.triage.urgency").joinpath("symptoms.toml")
    return tomllib.loads(file.read_text("utf-8"))


@cache
def recogniser() -> Recogniser:
    """The built-in recogniser, read once."""
    return Recogniser(builtin_table())
