"""What can be chosen about de-identification, and what comes of one file."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from tetkik.language import Sentence


class BurnedIn(StrEnum):
    """What to do with an image that seems to have text in its pixels, or whose pixels cannot be looked at."""

    REFUSE = "refuse"
    WARN = "warn"


@dataclass(frozen=True, slots=True)
class Options:
    """Choices of PS3.15, annex E.

    Attributes:
        shift_dates: Retain Longitudinal Temporal Information With Modified Dates Option (E.3.6): dates move
            by a number of days that is the patient's own, times stay; else all are removed.
        keep_characteristics: Retain Patient Characteristics Option (E.3.7): sex, age (90 for all above 89),
            size, weight and the like stay.
        burned_in: what to do with text in the pixels.
    """

    shift_dates: bool = False
    keep_characteristics: bool = False
    burned_in: BurnedIn = BurnedIn.REFUSE


@dataclass(frozen=True, slots=True)
class Deidentified:
    """One file done: the target is named after its new UID, warnings are for a person to look at."""

    source: Path
    target: Path
    warnings: tuple[Sentence, ...] = ()
