"""What the two languages' ways of judging a mention have in common."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from itertools import pairwise

from tetkik.report.labeler.rules import Context, Cue, PhraseHit, Polarity
from tetkik.values.report import Side

Judged = tuple[Polarity, Context]


class Scope(ABC):
    """The clauses of one sentence, made of its words, its cues and the places of the things that it names."""

    _REACH: int
    """How many words a side and the place that it belongs to take at most."""

    def __init__(
        self,
        words: Sequence[str],
        cues: Sequence[PhraseHit[Cue]],
        places: Sequence[tuple[int, int]],
        *,
        loose: bool = False,
    ) -> None:
        self._loose = loose
        self._words = words
        self._cues = [hit for hit in cues if hit.value is not Cue.NOTHING]
        self._places = places
        self._clause = self._clauses()

    @abstractmethod
    def _clauses(self) -> list[int]:
        """The number of the clause in which each word stands."""

    @abstractmethod
    def _is_place(self, word: str) -> bool:
        """Whether a word ends the name of a place, as of *left lower lobe*."""

    @abstractmethod
    def judge(self, first: int, last: int) -> Judged:
        """What is said of the thing named by the words `first` to `last`, both included."""

    @abstractmethod
    def reversed(self, first: int, last: int) -> bool:
        """Whether the words `first` to `last` themselves are denied: *not normal*, *normal değildir*."""

    @abstractmethod
    def state(self, first: int, last: int, states: Sequence[PhraseHit[str]]) -> PhraseHit[str] | None:
        """Which of `states` is said of the structure named by the words `first` to `last`."""

    @abstractmethod
    def side(self, first: int, last: int, sides: Sequence[PhraseHit[str]], denied: bool) -> Side | None:
        """The side said of the thing named there; where it is denied, only one that is plainly its own."""

    def _locates(self, hit: PhraseHit[str]) -> bool:
        """Whether a side is that of a place, and holds for the rest of its clause."""
        for word in self._words[hit.first : hit.last + self._REACH]:
            if not word[0].isalnum():
                return False
            if self._is_place(word):
                return True
        return False


def joined(sides: Sequence[PhraseHit[str]]) -> Side | None:
    """The side that several words for sides make together: left and right are both."""
    found = {Side(hit.value) for hit in sides if hit.value != "nothing"}
    if not found:
        return None
    return found.pop() if len(found) == 1 else Side.BOTH


# English: a denial reaches forward over its list, up to the next clause.


_JOINERS = frozenset({",", "and"})
_APART = frozenset({",", "and", "with"})
_OR = frozenset({"or", "nor", "versus", "vs"})
_VERBS = frozenset({Cue.VERB, Cue.DENY_AFTER, Cue.DOUBT_AFTER, Cue.DOUBT_OVER, Cue.BEYOND_AFTER})
_SEEN_WORDS = """seen identified noted visualized appreciated evident demonstrated present visible detected
apparent"""
_SEEN = frozenset(_SEEN_WORDS.split())
_PLACE_WORDS = """lobe lobes lung lungs base bases basilar bibasilar zone zones apex apices hemithorax side
midlung"""
_PLACES = frozenset(_PLACE_WORDS.split())
_RELATIVE = frozenset({"which", "whom", "who", "whose"})
_FINITE_WORDS = """is are was were has have does do cannot can not now there lies lie affects shows bears
remains persists sits"""
_FINITE = frozenset(_FINITE_WORDS.split())
_NEAR = 2
_FAR = 12
_TURNED = {Polarity.ABSENT: Polarity.UNCERTAIN, Polarity.PRESENT: Polarity.ABSENT}
_ADJECTIVES = 3
_DENY_AFTER = frozenset({Cue.DENY_AFTER, Cue.DENY_AROUND})
_DOUBT_AFTER = frozenset({Cue.DOUBT_AFTER, Cue.DOUBT_AROUND})
_AROUND = {Cue.DENY_AROUND: Cue.DENY_BEFORE, Cue.DOUBT_AROUND: Cue.DOUBT_BEFORE}


class EnglishScope(Scope):
    _REACH = 5

    def _clauses(self) -> list[int]:
        words = self._words
        verbs = {hit.first for hit in self._cues if hit.value in _VERBS}
        stops = {hit.first for hit in self._cues if hit.value is Cue.STOP}
        denials = {hit.first for hit in self._cues if hit.value is Cue.DENY_BEFORE}
        ends = {last for _, last in self._places}
        clauses, clause, last = [0] * len(words), 0, 0
        verb = denial = False
        inserted = {end: start for start, end in self._inserted()}
        for place, word in enumerate(words):
            if place in inserted:  # The sentence goes on after ", which …,".
                clause = clauses[inserted[place]]
                verb = denial = False
            # "no cardiomegaly with bilateral effusions": what follows is no longer denied.
            beside = word == "with" and denial and place - 1 in ends
            if place in stops or beside:
                clause = last = last + 1
                verb = denial = False
            clauses[place] = clause
            if place in denials:
                verb, denial = False, True
            verb |= place in verbs
            if word not in _JOINERS or not (verb or denial):
                continue
            negated = verb and denial and word == ","
            if self._begins_clause(place + 1, verbs, stops, negated):
                clause = last = last + 1
                verb = denial = False
        return clauses

    def _inserted(self) -> Iterator[tuple[int, int]]:
        """Of each relative clause between commas the last word before it, and the first after it: a verb."""
        words = self._words
        for place, word in enumerate(words):
            if word not in _RELATIVE or "," not in words[max(0, place - 2) : place]:
                continue
            start = max(at for at in range(max(0, place - 2), place) if words[at] == ",")
            for end in range(place + 2, len(words) - 1):
                if words[end] == "," and words[end + 1] in _FINITE:
                    yield max(0, start - 1), end + 1
                    break

    def _begins_clause(self, start: int, verbs: set[int], stops: set[int], negated: bool) -> bool:
        """Whether the words from `start` are a clause of their own: they have a verb before the next comma.

        Where everything before has been said, denial and verb, they need none.
        """
        words = self._words
        if start >= len(words) or words[start] in _OR:
            return False
        if negated and words[start] != "and":
            return True
        listed = words[start - 1] == "and"
        for place in range(start, len(words)):
            word = words[place]
            if place in stops or word == "," or word in _OR:
                return False
            listed |= word == "and"
            if place in verbs and word not in _SEEN:
                tail = words[place + 1] if place + 1 < len(words) else ""
                return not (listed and tail in _SEEN)
        return False

    def _around(self, first: int, last: int) -> tuple[list[PhraseHit[Cue]], list[PhraseHit[Cue]]]:
        clause = self._clause[first]
        before = [hit for hit in self._cues if hit.last < first and self._clause[hit.last] == clause]
        after = [hit for hit in self._cues if hit.first > last and self._clause[hit.first] == clause]
        return before, after

    def judge(self, first: int, last: int) -> Judged:
        before, after = self._around(first, last)
        kinds = {hit.value for hit in before}
        later = {hit.value for hit in after}
        context = Context.CURRENT
        if Cue.HYPOTHESIS_BEFORE in kinds or Cue.HYPOTHESIS_AFTER in later:
            context = Context.HYPOTHETICAL
        elif Cue.HISTORY_BEFORE in kinds or Cue.HISTORY_AFTER in later:
            context = Context.HISTORICAL
        elif Cue.BEYOND_BEFORE in kinds or Cue.BEYOND_AFTER in later:
            context = Context.NOT_ASSESSED
        polarity = self._polarity(first, last, before, after)
        return (_TURNED.get(polarity, polarity) if self._turned(first) else polarity), context

    def _turned(self, first: int) -> bool:
        """Whether what is said here is called wrong before: *it would be wrong to say that there is no …*."""
        return any(
            hit.value is Cue.REVERSE
            and 0 <= first - hit.last - 1 < _FAR
            and "," not in self._words[hit.last + 1 : first]
            for hit in self._cues
        )

    def _polarity(
        self, first: int, last: int, before: Sequence[PhraseHit[Cue]], after: Sequence[PhraseHit[Cue]]
    ) -> Polarity:
        denial = max((hit.last for hit in before if _reaches(hit, first, Cue.DENY_BEFORE)), default=-1)
        doubt = max((hit.last for hit in before if self._doubts(hit, first)), default=-1)
        if denial >= 0 and not (doubt > denial and "," in self._words[denial:doubt]):
            return Polarity.ABSENT
        if any(
            hit.value in _DENY_AFTER
            and not (hit.value is Cue.DENY_AROUND and "," in self._words[last : hit.first])
            for hit in after
        ):
            return Polarity.ABSENT
        either = self._either(first, last, before, after)
        if doubt >= 0 or either or any(hit.value in _DOUBT_AFTER for hit in after):
            return Polarity.UNCERTAIN
        return Polarity.PRESENT

    def _either(
        self, first: int, last: int, before: Sequence[PhraseHit[Cue]], after: Sequence[PhraseHit[Cue]]
    ) -> bool:
        """Whether it is one of two that are left open, with no comma between: *atelectasis versus scar*."""
        return any(
            hit.value is Cue.EITHER and not _APART.intersection(between)
            for hit, between in (
                *((hit, self._words[hit.last + 1 : first]) for hit in before),
                *((hit, self._words[last + 1 : hit.first]) for hit in after),
            )
        )

    def _doubts(self, hit: PhraseHit[Cue], first: int) -> bool:
        """Whether a doubt before word `first` reaches it: over *or*, not over a comma or an *and*."""
        if hit.value is Cue.DOUBT_OVER:
            return True
        if not _reaches(hit, first, Cue.DOUBT_BEFORE):
            return False
        between = self._words[hit.last + 1 : first]
        return not _JOINERS.intersection(between) or bool(_OR.intersection(between))

    def reversed(self, first: int, last: int) -> bool:
        return self._turned(first) or any(
            hit.value is Cue.DENY_BEFORE and 0 <= first - hit.last - 1 < _NEAR
            for hit in self._around(first, last)[0]
        )

    def state(self, first: int, last: int, states: Sequence[PhraseHit[str]]) -> PhraseHit[str] | None:
        clause = self._clause[first]
        for hit in reversed(states):
            between = self._words[hit.last + 1 : first]
            divided = any(not word[0].isalnum() or word in _JOINERS for word in between)
            if first - _NEAR <= hit.last + 1 <= first and not divided:
                return hit
        clauses = {clause}
        if self._words[last + 1 : last + 3] == (",", "which"):
            clauses.add(self._clause[last + 2])
        after = (hit for hit in states if hit.first > last and self._clause[hit.first] in clauses)
        return next(after, None)

    def side(self, first: int, last: int, sides: Sequence[PhraseHit[str]], denied: bool) -> Side | None:
        clause = self._clause[first]
        here = [hit for hit in sides if self._clause[hit.first] == clause]
        previous = max((end for _, end in self._places if end < first), default=-1)
        following = min((start for start, _ in self._places if start > last), default=len(self._words))
        begun = max((place for place in range(previous + 1, first) if self._joins(place)), default=previous)
        ended = next((place for place in range(last + 1, following) if self._joins(place)), following)
        for chosen in (
            [hit for hit in here if begun < hit.first <= last],
            [hit for hit in here if last < hit.first < ended],
            [hit for hit in here if previous < hit.first <= begun],
        ):
            if chosen:
                return joined(chosen)
        return (
            None if denied else joined([hit for hit in here if hit.first < first and self._locates(hit)][-1:])
        )

    def _is_place(self, word: str) -> bool:
        return word in _PLACES

    def _joins(self, place: int) -> bool:
        return self._words[place] in _JOINERS or self._words[place] in _OR


def _reaches(hit: PhraseHit[Cue], first: int, kind: Cue) -> bool:
    """Whether a cue before word `first` works as one of `kind` on it."""
    return hit.value is kind or (_AROUND.get(hit.value) is kind and first - hit.last - 1 <= _ADJECTIVES)


# Turkish: the predicate at the end of a clause says of everything before it whether it is there.


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
_JOINERS_SCOPE_TURKISH = frozenset({"ve", "veya", "ya", "yahut", "ile", "ne", "gibi"})
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
            self._cues.append(PhraseHit(place, place + 1, Cue.HYPOTHESIS_AFTER))
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

    def _accompanied(self, last: int, hit: PhraseHit[Cue]) -> bool:
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
        if "," not in between or not _JOINERS_SCOPE_TURKISH.isdisjoint(between):
            return False
        comma = last + 1 + between.index(",")
        return sum(comma < start < predicate for start, _ in self._places) == 1

    def _reaches(self, hit: PhraseHit[Cue], first: int) -> bool:
        most = _BEFORE.get(hit.value, 0)
        between = self._words[hit.last + 1 : first]
        return len(between) < most and "," not in between and self._clause[hit.last] == self._clause[first]

    def reversed(self, first: int, last: int) -> bool:
        return any(hit.value is Cue.DENY_AFTER and hit.first == last + 1 for hit in self._cues)

    def state(self, first: int, last: int, states: Sequence[PhraseHit[str]]) -> PhraseHit[str] | None:
        clause = self._clause[first]
        for hit in states:
            if hit.first > last and self._clause[hit.first] == clause:
                return hit
        before = [hit for hit in states if hit.last == first - 1]
        return before[0] if before else None

    def side(self, first: int, last: int, sides: Sequence[PhraseHit[str]], denied: bool) -> Side | None:
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
