"""What the two languages' ways of judging a mention have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from tetkik.report.labeler.phrases import Hit
from tetkik.report.labeler.reading import Context, Polarity
from tetkik.values.report import Side


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the words around a mention make of it."""

    polarity: Polarity = Polarity.PRESENT
    context: Context = Context.CURRENT


class Scope(Protocol):
    """The clauses of one sentence, made of its words, its cues and the places of the things that it names."""

    def judge(self, first: int, last: int) -> Verdict:
        """What is said of the thing named by the words `first` to `last`, both included."""

    def reversed(self, first: int, last: int) -> bool:
        """Whether the words `first` to `last` themselves are denied: *not normal*, *normal değildir*."""

    def state(self, first: int, last: int, states: Sequence[Hit[str]]) -> Hit[str] | None:
        """Which of `states` is said of the structure named by the words `first` to `last`."""

    def side(self, first: int, last: int, sides: Sequence[Hit[str]], denied: bool) -> Side | None:
        """The side said of the thing named there; where it is denied, only one that is plainly its own."""


def joined(sides: Sequence[Hit[str]]) -> Side | None:
    """The side that several words for sides make together: left and right are both."""
    found = {Side(hit.value) for hit in sides if hit.value != "nothing"}
    if not found:
        return None
    return found.pop() if len(found) == 1 else Side.BOTH
