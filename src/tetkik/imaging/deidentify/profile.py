"""Table E.1-1 of PS3.15 as a lookup: from a data element to what becomes of it."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import tomllib
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum, StrEnum, auto
from functools import cache
from importlib import resources
from pathlib import Path

from pydicom._dicom_dict import DicomDictionary
from pydicom.charset import python_encoding
from pydicom.datadict import dictionary_has_tag, dictionary_VR, tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag

from tetkik.errors import InputError, UsageError
from tetkik.language import Sentence
from tetkik.turkish import flat

_STANDARD_FILE_GROUPS = (0x0000, 0x0002, 0x0004)
_TEXT_THAT_MAY_SAY_ANYTHING = frozenset({"AE", "LT", "ST", "UC", "UR", "UT", "UN"})


class TagAction(Enum):
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
class TagProfile:
    edition: str
    actions: dict[int, TagAction]
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

    def action(self, tag: BaseTag, vr: str) -> TagAction:
        """What becomes of the element `tag` that the file says is a `vr`.

        Stricter than the table where the table is silent: what no dictionary knows, contradicts its
        dictionary or may hold any text is removed, every person's name emptied, every date removed, every UID
        that is not the standard's own replaced.
        """
        if not self.knows(tag):
            return TagAction.REMOVE
        stated = self.actions.get(int(tag))
        if stated is not None and stated is not TagAction.KEEP:
            return stated
        if vr not in dictionary_VR(tag).split(" or ") or vr in _TEXT_THAT_MAY_SAY_ANYTHING:
            return TagAction.REMOVE
        if vr in ("DA", "DT", "TM"):
            return TagAction.REMOVE
        return {"PN": TagAction.EMPTY, "UI": TagAction.UID}.get(vr, TagAction.KEEP)


_ACTIONS = {
    "X": TagAction.REMOVE,
    "Z": TagAction.EMPTY,
    "XZ": TagAction.EMPTY,
    "D": TagAction.DUMMY,
    "ZD": TagAction.DUMMY,
    "XD": TagAction.DUMMY,
    "XZD": TagAction.DUMMY,
    "U": TagAction.UID,
    "XZU": TagAction.KEEP,
}


@cache
def basic_profile() -> TagProfile:
    """The Basic Application Level Confidentiality Profile."""
    text = resources.files("tetkik.imaging.deidentify").joinpath("profile.toml").read_text("utf-8")
    table = tomllib.loads(text)
    actions = {_tag(keyword): action for name, action in _ACTIONS.items() for keyword in table[name]}
    kept = frozenset(_tag(keyword) for keyword in table["patient_characteristics"])
    return TagProfile(table["edition"], actions, kept, frozenset(table["identifiers"]))


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


# What stands for a patient, a study and a date after de-identification, from one secret key.
#
# The same key gives the same answers, so that the files of a study and of a patient stay together, in one
# run or in many. Without the key nothing can be traced back (HMAC-SHA256, RFC 2104).


_BYTES = 32
_LONGEST = 4096
"""Bytes of a file that is read as a key."""
_LONGEST_SHIFT = 3650
_SHORTEST_SHIFT = 30


@dataclass(frozen=True, slots=True)
class Secret:
    """A key of at least 16 bytes that never shows."""

    key: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.key) < 16:
            raise ValueError("a key needs at least 16 bytes")

    def _digest(self, purpose: str, value: str) -> bytes:
        return hmac.new(self.key, f"{purpose}\0{value}".encode(), hashlib.sha256).digest()

    def uid(self, uid: str) -> str:
        """The UID that stands for `uid`: `2.25.` and a UUID as a number (PS3.5, B.2; RFC 9562, version 8)."""
        number = int.from_bytes(self._digest("uid", uid.strip())[:16], "big")
        number = number & ~(0xF << 76) | 8 << 76
        number = number & ~(0x3 << 62) | 2 << 62
        return f"2.25.{number}"

    def patient(self, patient_id: str) -> str:
        """The Patient ID that stands for `patient_id`."""
        return f"P{self._digest('patient', patient_id.strip()).hex()[:12].upper()}"

    def shift(self, patient_id: str) -> timedelta:
        """How far the dates of a patient move back: 30 to 3,679 days."""
        number = int.from_bytes(self._digest("shift", patient_id.strip())[:8], "big")
        return timedelta(days=_SHORTEST_SHIFT + number % _LONGEST_SHIFT)


def new_secret() -> Secret:
    """A random key, for one run."""
    return Secret(secrets.token_bytes(_BYTES))


def secret_of(file: Path) -> Secret:
    """The key in `file`, which is made, readable by its owner alone, where it is missing.

    Raises:
        InputError: it is too short or too long to be one.
        UsageError: it lies where it would be handed on.
    """
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as out:
            out.write(secrets.token_hex(_BYTES) + "\n")
    if file.is_dir():
        raise UsageError("{file} is a folder, and the key is a file; name a file.", file=file)
    with file.open("rb") as opened:
        key = opened.read(_LONGEST + 1)
    if len(key) > _LONGEST:
        raise InputError(
            "{file} is too long for a key ({most} bytes at most); name another file, or one that is not "
            "there yet.",
            file=file,
            most=_LONGEST,
        )
    key = key.strip()
    if len(key) < 16:
        raise InputError(
            "{file} is too short for a key: it needs 16 characters; name another file, or one that is not "
            "there yet.",
            file=file,
        )
    return Secret(key)


# Which short texts may stay: those that say nothing but words of technique, anatomy and codes.
#
# A free text of 16 or 64 characters (CS, SH, LO) can hold a name or a number wherever it stands, so that a
# list of what must go is never complete. Here a list says what may stay: the words of DICOM's own
# dictionary, of `terms.toml`, and short numbers. A code keeps the meaning that its dictionary gives it.


_PART = re.compile(r"[^\W\d_]+|\d+")
_RUN = re.compile(r"[^\W_]+")
_LONGEST_NUMBER, _MOST_DIGITS, _LONGEST_PARTICLE, _MOST_PARTS = 3, 5, 2, 3
CODES = ("CodeValue", "LongCodeValue", "URNCodeValue")


@cache
def _words() -> frozenset[str]:
    table = tomllib.loads(resources.files(__package__).joinpath("terms.toml").read_text("utf-8"))
    own = {word for words in table.values() for word in words.split()}
    standard = {
        word.lower() for entry in DicomDictionary.values() for word in re.findall(r"[A-Za-z]{3,}", entry[2])
    }
    return frozenset(own | standard)


def is_technical(value: str) -> bool:
    """Whether a text holds only words of the list, particles of two letters, and few short numbers."""
    if value in python_encoding:
        return True
    parts = _PART.findall(value)
    digits = [part for part in parts if part.isdigit()]
    short = all(len(number) <= _LONGEST_NUMBER for number in digits) and sum(map(len, digits)) <= _MOST_DIGITS
    known = all(
        part.isascii() if len(part) <= _LONGEST_PARTICLE else flat(part) in _words()
        for part in parts
        if not part.isdigit()
    )
    return short and known and all(len(_PART.findall(run)) <= _MOST_PARTS for run in _RUN.findall(value))


@cache
def _meanings() -> dict[tuple[str, str], str]:
    """From a scheme and a code to its meaning, as pydicom has them: DCM, SNOMED CT, UCUM and others."""
    from pydicom.sr._concepts_dict import concepts
    from pydicom.sr._snomed_dict import mapping

    known: dict[str, dict[str, dict[str, tuple[str, object]]]] = concepts  # type: ignore[assignment]
    found = {
        (scheme, code): entry[0]
        for scheme, keywords in known.items()
        for codes in keywords.values()
        for code, entry in codes.items()
    }
    old = {code: found.get(("SCT", new)) for code, new in mapping["SRT"].items()}
    for scheme in ("SRT", "SNM3", "99SDM"):
        found.update({(scheme, code): meaning for code, meaning in old.items() if meaning})
    return found


def clean_code(item: Dataset) -> None:
    """Keep, in place, a code that a dictionary has, and of its meaning that dictionary's words or
    technical ones."""
    scheme = str(item.get("CodingSchemeDesignator") or "")
    meaning = None
    for keyword in CODES:
        if keyword in item:
            meaning = _meanings().get((scheme, str(item[keyword].value)))
            if meaning is None:
                del item[keyword]
    if meaning is None and not is_technical(scheme):
        del item.CodingSchemeDesignator
    if "CodeMeaning" in item and not is_technical(str(item.CodeMeaning or "")):
        if meaning is None:
            del item.CodeMeaning
        else:
            item.CodeMeaning = meaning[:64]
