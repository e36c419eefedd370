"""English: a denial reaches forward over its list, up to the next clause."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tetkik.report.labeler.phrases import Hit
from tetkik.report.labeler.reading import Context, Polarity
from tetkik.report.labeler.rules import Cue
from tetkik.report.labeler.scope import Judged, Scope, joined
from tetkik.values.report import Side

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

    def _around(self, first: int, last: int) -> tuple[list[Hit[Cue]], list[Hit[Cue]]]:
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
        self, first: int, last: int, before: Sequence[Hit[Cue]], after: Sequence[Hit[Cue]]
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

    def _either(self, first: int, last: int, before: Sequence[Hit[Cue]], after: Sequence[Hit[Cue]]) -> bool:
        """Whether it is one of two that are left open, with no comma between: *atelectasis versus scar*."""
        return any(
            hit.value is Cue.EITHER and not _APART.intersection(between)
            for hit, between in (
                *((hit, self._words[hit.last + 1 : first]) for hit in before),
                *((hit, self._words[last + 1 : hit.first]) for hit in after),
            )
        )

    def _doubts(self, hit: Hit[Cue], first: int) -> bool:
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

    def state(self, first: int, last: int, states: Sequence[Hit[str]]) -> Hit[str] | None:
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

    def side(self, first: int, last: int, sides: Sequence[Hit[str]], denied: bool) -> Side | None:
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


def _reaches(hit: Hit[Cue], first: int, kind: Cue) -> bool:
    """Whether a cue before word `first` works as one of `kind` on it."""
    return hit.value is kind or (_AROUND.get(hit.value) is kind and first - hit.last - 1 <= _ADJECTIVES)
