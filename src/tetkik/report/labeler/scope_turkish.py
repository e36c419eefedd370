"""Turkish: the predicate at the end of a clause says of everything before it whether it is there."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from tetkik.report.labeler.phrases import Hit
from tetkik.report.labeler.reading import Context, Polarity
from tetkik.report.labeler.rules import Cue
from tetkik.report.labeler.scope import Judged, Scope, joined
from tetkik.values.report import Side

_PREDICATES = frozenset(
    {
        Cue.ASSERT,
        Cue.DENY_AFTER,
        Cue.NO_CHANGE,
        Cue.DOUBT_AFTER,
        Cue.HYPOTHESIS_AFTER,
        Cue.BEYOND_AFTER,
        Cue.HISTORY_AFTER,
    }
)
_LOCATIVE = ("da", "de", "ta", "te", "daki", "deki", "taki", "teki")
_SHORTEST_PLACE = 3
_CONTEXTS = {Cue.HYPOTHESIS_AFTER: Context.HYPOTHETICAL, Cue.HISTORY_AFTER: Context.HISTORICAL}
_TWICE = re.compile(r"(\w{3,}?)y?[iu]p$")
_LIST = frozenset({",", "ve", "veya", "ya", "da", "ile", "/"})
_JOINERS = frozenset({"ve", "veya", "ya", "yahut", "ile", "ne", "gibi"})
_COMPATIBLE = frozenset({"uyumlu", "lehine", "dusunduren"})
_ISE = 7
"""How many words before *ise* its part of a sentence begins at most."""
_CLAUSES = 2
"""How many clauses back a side is looked for, where a clause names none: *sağda … izlenmekte olup*."""
_BEFORE = {Cue.HISTORY_BEFORE: 2, Cue.DOUBT_BEFORE: 4}
"""How many words a cue before the mention reaches over."""


class TurkishScope(Scope):
    _REACH = 6

    def _clauses(self) -> list[int]:
        """A predicate ends its clause."""
        self._ask()
        ends = {hit.last for hit in self._cues if hit.value in _PREDICATES}
        stops = {hit.first for hit in self._cues if hit.value is Cue.STOP}
        stops |= {self._begins(place) for place, word in enumerate(self._words) if word == "ise"}
        clauses, clause = [0] * len(self._words), 0
        for place in range(len(self._words)):
            clause += place in stops
            clauses[place] = clause
            clause += place in ends
        return clauses

    def _ask(self) -> None:
        """Put a question for its two halves: *gerileyip gerilemediğini (görmek için)* claims nothing."""
        for place in asked_in(self._words):
            self._cues = [hit for hit in self._cues if not place <= hit.first <= place + 1]
            self._cues.append(Hit(place, place + 1, Cue.HYPOTHESIS_AFTER))
        self._cues.sort(key=lambda hit: hit.first)

    def _begins(self, place: int) -> int:
        """Where the part before *ise* begins, which says of another thing something else."""
        back = self._words[max(0, place - _ISE) : place]
        comma = next((step for step, word in enumerate(reversed(back), 1) if word in ",;."), None)
        return place if comma is None else place - comma

    def judge(self, first: int, last: int) -> Judged:
        reach = [hit for hit in self._cues if hit.last < first and self._reaches(hit, first)]
        if any(hit.value is Cue.HISTORY_BEFORE for hit in reach):
            return Polarity.PRESENT, Context.HISTORICAL
        doubted = any(hit.value is Cue.DOUBT_BEFORE for hit in reach)
        clause = self._clause[first]
        neither = any(
            hit.value is Cue.DENY_BEFORE and self._clause[hit.first] == clause for hit in self._cues
        )
        about = False
        following = [hit for hit in self._cues if hit.last > last and hit.first >= first]
        for index, hit in enumerate(following):
            if hit.value is Cue.STOP:
                break
            if hit.value is Cue.REVERSE:
                return Polarity.ABSENT, Context.CURRENT
            if hit.value is Cue.DOUBT_NOUN:
                doubted = True
            elif hit.value is Cue.ABOUT:
                about = True
            elif hit.value is Cue.HYPOTHESIS_AFTER and not about and "," in self._words[last : hit.first]:
                break
            elif hit.value is Cue.NO_CHANGE:
                kept = any(self._is_place(word) or word == "gore" for word in self._words[last : hit.first])
                return _judged(Cue.ASSERT if kept else Cue.DENY_AFTER, doubted, turned=False)
            elif hit.value in _PREDICATES:
                turned = any(later.value is Cue.REVERSE for later in following[index + 1 : index + 2])
                if hit.value is Cue.ASSERT and neither and not self._accompanied(last, hit):
                    return Polarity.ABSENT, Context.CURRENT
                if hit.value is Cue.DENY_AFTER and self._loose and self._accompanied(last, hit):
                    return Polarity.PRESENT, Context.CURRENT
                if (
                    hit.value is Cue.DENY_AFTER
                    and not turned
                    and self._loose
                    and self._separate(first, last, hit.first)
                ):
                    return Polarity.UNCERTAIN, Context.CURRENT
                return _judged(hit.value, doubted, turned)
        return _open_or_not(doubted), Context.CURRENT

    def _accompanied(self, last: int, hit: Hit[Cue]) -> bool:
        """Whether it is what nothing goes with: *konsolidasyona efüzyon eşlik etmiyor*."""
        return self._words[hit.first].startswith("eslik") and self._words[last].endswith(("a", "e"))

    def _separate(self, first: int, last: int, predicate: int) -> bool:
        """Whether one other thing stands before the predicate, after a comma: *sağda efüzyon, kitle yok*."""
        between = self._words[last + 1 : predicate]
        head = self._words[max(0, first - 1) : first]
        stated = not any(start <= first <= end for start, end in self._places)
        if stated and "," in between:
            return True  # The state of a structure is said already: *kalp büyük, efüzyon yok*.
        if between[:1] == (",",) and not (head and head[0][0].isalnum()):
            return False
        if "," in between and not _COMPATIBLE.isdisjoint(between[: between.index(",")]):
            return True  # "glial tümör ile uyumlu görünüm, menenjiom ve hipofiz tümörü yok"
        if "," not in between or not _JOINERS.isdisjoint(between):
            return False
        comma = last + 1 + between.index(",")
        return sum(comma < start < predicate for start, _ in self._places) == 1

    def _reaches(self, hit: Hit[Cue], first: int) -> bool:
        most = _BEFORE.get(hit.value, 0)
        between = self._words[hit.last + 1 : first]
        return len(between) < most and "," not in between and self._clause[hit.last] == self._clause[first]

    def reversed(self, first: int, last: int) -> bool:
        return any(hit.value is Cue.DENY_AFTER and hit.first == last + 1 for hit in self._cues)

    def state(self, first: int, last: int, states: Sequence[Hit[str]]) -> Hit[str] | None:
        clause = self._clause[first]
        for hit in states:
            if hit.first > last and self._clause[hit.first] == clause:
                return hit
        before = [hit for hit in states if hit.last == first - 1]
        return before[0] if before else None

    def side(self, first: int, last: int, sides: Sequence[Hit[str]], denied: bool) -> Side | None:
        clause = self._clause[first]
        here = [hit for hit in sides if self._clause[hit.first] == clause]
        previous = max((end for _, end in self._places if end < first), default=-1)
        following = self._after_list(last)
        for chosen in (
            [hit for hit in here if previous < hit.first <= last],
            [hit for hit in here if hit.first < first and self._locates(hit)],
            [hit for hit in here if last < hit.first < following],
        ):
            if chosen:
                return joined(chosen)
        if denied or any(hit.value is Cue.STOP for hit in self._cues):
            return None
        earlier = [hit for hit in sides if clause - _CLAUSES <= self._clause[hit.first] < clause]
        return joined(earlier[-1:] or [hit for hit in sides if last < hit.first < following])

    def _after_list(self, last: int) -> int:
        """Where the next thing is named after word `last`, passing over those that are listed with it."""
        end = last
        for first, until in sorted(self._places):
            if first > end:
                if not _LIST.issuperset(self._words[end + 1 : first]):
                    return first
                end = until
        return len(self._words)

    def _is_place(self, word: str) -> bool:
        return len(word) > _SHORTEST_PLACE and word.endswith(_LOCATIVE)


def asked_in(words: Sequence[str]) -> list[int]:
    """Where a verb stands twice, the second time denied: *silinip silinmediği*, *var olup olmadığı*."""
    return [
        place
        for place, (word, after) in enumerate(pairwise(words))
        if (twice := _TWICE.match(word))
        and after[len(twice[1]) :].startswith(("me", "ma"))
        and after.startswith(twice[1])
    ]


def _open_or_not(doubted: bool) -> Polarity:
    return Polarity.UNCERTAIN if doubted else Polarity.PRESENT


def _judged(predicate: Cue, doubted: bool, turned: bool) -> Judged:
    match predicate:
        case Cue.DENY_AFTER:
            return Polarity.UNCERTAIN if turned else Polarity.ABSENT, Context.CURRENT
        case Cue.DOUBT_AFTER:
            return Polarity.UNCERTAIN, Context.CURRENT
        case Cue.BEYOND_AFTER:
            return Polarity.UNCERTAIN, Context.NOT_ASSESSED
        case _:
            return _open_or_not(doubted), _CONTEXTS.get(predicate, Context.CURRENT)
