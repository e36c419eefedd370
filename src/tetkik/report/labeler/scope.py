"""What the two languages' ways of judging a mention have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from tetkik.report.labeler.phrases import Hit
from tetkik.report.labeler.reading import Context, Polarity
from tetkik.report.labeler.rules import Cue
from tetkik.values.report import Side

Judged = tuple[Polarity, Context]


class Scope(ABC):
    """The clauses of one sentence, made of its words, its cues and the places of the things that it names."""

    _REACH: int
    """How many words a side and the place that it belongs to take at most."""

    def __init__(
        self,
        words: Sequence[str],
        cues: Sequence[Hit[Cue]],
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
    def state(self, first: int, last: int, states: Sequence[Hit[str]]) -> Hit[str] | None:
        """Which of `states` is said of the structure named by the words `first` to `last`."""

    @abstractmethod
    def side(self, first: int, last: int, sides: Sequence[Hit[str]], denied: bool) -> Side | None:
        """The side said of the thing named there; where it is denied, only one that is plainly its own."""

    def _locates(self, hit: Hit[str]) -> bool:
        """Whether a side is that of a place, and holds for the rest of its clause."""
        for word in self._words[hit.first : hit.last + self._REACH]:
            if not word[0].isalnum():
                return False
            if self._is_place(word):
                return True
        return False


def joined(sides: Sequence[Hit[str]]) -> Side | None:
    """The side that several words for sides make together: left and right are both."""
    found = {Side(hit.value) for hit in sides if hit.value != "nothing"}
    if not found:
        return None
    return found.pop() if len(found) == 1 else Side.BOTH
