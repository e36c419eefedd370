"""Table E.1-1 of PS3.15 as a lookup: from a data element to what becomes of it."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from enum import Enum, StrEnum, auto
from functools import cache
from importlib import resources
from pathlib import Path

from pydicom.datadict import dictionary_has_tag, dictionary_VR, tag_for_keyword
from pydicom.tag import BaseTag

from tetkik.language import Sentence

_STANDARD_FILE_GROUPS = (0x0000, 0x0002, 0x0004)
_TEXT_THAT_MAY_SAY_ANYTHING = frozenset({"AE", "LT", "ST", "UC", "UR", "UT", "UN"})


class Action(Enum):
    """What becomes of a data element."""

    KEEP = auto()
    """As it is; a sequence is walked."""
    REMOVE = auto()
    """X."""
    EMPTY = auto()
    """Z."""
    DUMMY = auto()
    """D."""
    UID = auto()
    """U."""


@dataclass(frozen=True, slots=True)
class Profile:
    edition: str
    actions: dict[int, Action]
    characteristics: frozenset[int]
    identifiers: frozenset[str]
    """Keywords of what names a patient besides names, which is looked for in all that stays."""

    def knows(self, tag: BaseTag) -> bool:
        """Whether `tag` is an attribute of the standard that belongs into a data set.

        No private one, no part of the file's own head, no length of a group, no curve and no overlay.
        """
        if tag.is_private or tag.group in _STANDARD_FILE_GROUPS or tag.element == 0x0000:
            return False
        return tag.group & 0xFF00 not in (0x5000, 0x6000) and dictionary_has_tag(tag)

    def action(self, tag: BaseTag, vr: str) -> Action:
        """What becomes of the element `tag` that the file says is a `vr`.

        Stricter than the table where the table is silent: what no dictionary knows, contradicts its
        dictionary or may hold any text is removed, every person's name emptied, every date removed, every UID
        that is not the standard's own replaced.
        """
        if not self.knows(tag):
            return Action.REMOVE
        stated = self.actions.get(int(tag))
        if stated is not None and stated is not Action.KEEP:
            return stated
        if vr not in dictionary_VR(tag).split(" or ") or vr in _TEXT_THAT_MAY_SAY_ANYTHING:
            return Action.REMOVE
        if vr in ("DA", "DT", "TM"):
            return Action.REMOVE
        return {"PN": Action.EMPTY, "UI": Action.UID}.get(vr, Action.KEEP)


_ACTIONS = {
    "X": Action.REMOVE,
    "Z": Action.EMPTY,
    "XZ": Action.EMPTY,
    "D": Action.DUMMY,
    "ZD": Action.DUMMY,
    "XD": Action.DUMMY,
    "XZD": Action.DUMMY,
    "U": Action.UID,
    "XZU": Action.KEEP,
}


@cache
def basic_profile() -> Profile:
    """The Basic Application Level Confidentiality Profile."""
    text = resources.files("tetkik.imaging.deidentify").joinpath("profile.toml").read_text("utf-8")
    table = tomllib.loads(text)
    actions = {_tag(keyword): action for name, action in _ACTIONS.items() for keyword in table[name]}
    kept = frozenset(_tag(keyword) for keyword in table["patient_characteristics"])
    return Profile(table["edition"], actions, kept, frozenset(table["identifiers"]))


def _tag(keyword: str) -> int:
    tag = tag_for_keyword(keyword)
    if tag is None:
        raise ValueError(f"no attribute is called {keyword}")
    return tag


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
