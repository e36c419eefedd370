"""What the labeler answers: sentences, and in them mentions of findings."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from tetkik.language import Language
from tetkik.values.complaint import Span
from tetkik.values.report import Side


class Polarity(StrEnum):
    """What a text says of a finding."""

    PRESENT = "present"
    ABSENT = "absent"
    UNCERTAIN = "uncertain"
    """Neither asserted nor denied: *may represent*, *ekarte edilemez*."""


class Context(StrEnum):
    """Whether a mention is about what this image shows."""

    CURRENT = "current"
    HISTORICAL = "historical"
    """About the patient's past or the clinical question: *history of*, *öyküsü*."""
    HYPOTHETICAL = "hypothetical"
    """A condition or a recommendation: *if pneumonia is suspected*, *açısından takip önerilir*."""
    NOT_ASSESSED = "not_assessed"
    """Said to be beyond what this image can tell: *cannot be assessed*, *değerlendirilemedi*."""


@dataclass(frozen=True, slots=True)
class Mention:
    """A finding named in a text, by the `words` that begin at `start` of the whole text."""

    label: str  # a shared label, or one of the labeler's own (`OTHER_LABELS`), which no model assesses
    polarity: Polarity
    side: Side | None  # that is said of it; None where none is said, and for what has no sides
    start: int
    end: int
    words: str
    context: Context = Context.CURRENT
    implied: bool = False  # whether it is only implied, as *lungs are clear* denies a consolidation


@dataclass(frozen=True, slots=True)
class SentenceReading:
    """One sentence and what it says.

    Attributes:
        mentions: in the order in which they stand; implied ones in the order of their labels.
        comparison: where, in the whole text, words compare with an earlier image; None where none do.
    """

    start: int
    end: int
    text: str
    language: Language
    mentions: tuple[Mention, ...]
    comparison: Span | None = None
