"""A data set without what identifies: the table applied element by element, sequences walked."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal, InvalidOperation

from pydicom._uid_dict import UID_dictionary
from pydicom.datadict import dictionary_VM, dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag

from tetkik._version import __version__
from tetkik.imaging.deidentify.pixels import TABLES, clean_binary
from tetkik.imaging.deidentify.profile import (
    CODES,
    Options,
    Secret,
    TagAction,
    TagProfile,
    basic_profile,
    clean_code,
    is_technical,
)
from tetkik.privacy.rules import is_tckn

TEXT = frozenset({"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"})
_SHORTEST, _SHORTEST_ID, _SURE, _TCKN = 3, 4, 6, 11


@dataclass(frozen=True, slots=True)
class PatientIdentifiers:
    """The words that name a patient, lower case. They do not show in `repr`."""

    words: frozenset[str]
    pieces: frozenset[str] = frozenset()
    """Words of a name of two letters, which are many other things as well."""

    def __repr__(self) -> str:
        return f"PatientIdentifiers({len(self.words)} words)"

    def in_text(self, text: str) -> bool:
        """Whether one of them stands in `text`; a short one must be a word of its own."""
        lowered = text.casefold()
        return any(
            word in lowered
            if len(word) >= _SURE
            else re.search(rf"(?<!\w){re.escape(word)}(?!\w)", lowered) is not None
            for word in self.words
        )

    def is_name(self, text: str) -> bool:
        """Whether a text is a name in short pieces: nothing but them, or two of them."""
        words = {word.casefold() for word in re.findall(r"[^\W\d_]+", text)}
        return bool(words & self.pieces) and (words <= self.pieces or len(words & self.pieces) > 1)

    def in_number(self, number: Decimal) -> bool:
        """Whether a number that names the patient stands in the digits, or they are an identity number.

        All digits or those after the point are: of eleven somewhere among sixteen, one in twenty would be.
        """
        _, signs, exponent = number.as_tuple()
        digits = "".join(map(str, signs))
        known = {re.sub(r"\D", "", word) for word in self.words}
        fraction = digits[int(exponent) :] if int(exponent) < 0 else ""
        return any(len(word) >= _SURE and word in digits for word in known) or any(
            map(is_tckn, (digits, fraction))
        )

    def in_bytes(self, data: bytes, known: str) -> bool:
        """Whether one that is long enough to be no accident stands in a file's bytes."""
        # Pixels can spell a number or one letter over and over.
        sure = [word for word in self.words if len(word) >= _SURE and len(set(word)) > 3]
        sure = [word for word in sure if not word.isdigit() and word not in known.casefold()]
        lowered = data.lower() if sure else b""
        forms = {
            spelling.encode(encoding, "ignore").lower()
            for word in sure
            for spelling in (word, word.upper())
            for encoding in ("utf-8", "iso8859-9")
        }
        return any(form in lowered for form in forms if len(form) >= _SURE)


def values_of(element: DataElement) -> list[str]:
    """The values of an element as text; an empty one for none."""
    return [str(value) for value in element.value] if element.VM > 1 else [str(element.value or "")]


def identifiers_in(dataset: Dataset) -> PatientIdentifiers:
    """The words that name the patient and other persons and places in `dataset`, at any depth."""
    words: set[str] = set()
    pieces: set[str] = set()
    known = basic_profile().identifiers
    for element in _elements(dataset):
        for value in values_of(element):
            if element.VR == "PN":
                parts = [word for word in re.split(r"[\s^=.,]+", value) if word.isalpha() or len(word) > 2]
                words |= {word for word in parts if len(word) >= _SHORTEST}
                pieces |= {word.casefold() for word in parts if len(word) == _SHORTEST - 1}
            elif element.keyword in known and len(value.strip()) >= _SHORTEST_ID:
                words.add(value.strip())
    found = frozenset(word.casefold() for word in words if re.search(r"\w{3}", word))
    return PatientIdentifiers(found, frozenset(pieces))


def _elements(dataset: Dataset) -> Iterator[DataElement]:
    for tag in list(dataset.keys()):
        try:
            element = dataset[tag]
        except Exception:  # noqa: S112 - what cannot be decoded is removed later, whatever pydicom raises
            continue
        if element.VR == "SQ":
            for item in element.value:
                yield from _elements(item)
        elif element.VR in TEXT or element.VR == "DA":
            yield element


_NUMBERS = frozenset({"AT", "FD", "FL", "SL", "SS", "SV", "UL", "US", "UV"})
_CONTROL = re.compile(r"[^\t\n\f\r\x1b -~\u0080-\U0010ffff]")
"""Control characters, but those that text may have (PS3.5, 6.1.3)."""
_AGE = re.compile(r"\d{3}[DWMY]")
_LONGEST_WHOLE = 7
"""Digits before the point: a date has eight, an identity number eleven."""
_DECIMAL = ("DS", "FD", "FL")
_COUNTED = dict.fromkeys((*_DECIMAL, "IS", "SV", "UV"), _LONGEST_WHOLE) | dict.fromkeys(("SL", "UL"), _TCKN)
"""Numbers with room for an identity, and from how many whole digits on they go."""
_SPELT = re.compile(rb"[0-9A-Za-z\xc0-\xff]{8}|(?:[0-9A-Za-z]\0){6}")
_PLACES = (6, 5, 4, 3)
"""Digits after the point, millimetres before it; of a cosine six move a corner by half a micrometre."""
_PATIENT_ID = Tag("PatientID")
_PATIENT_AGE = Tag("PatientAge")
_BIRTH = frozenset({Tag("PatientBirthDate"), Tag("PatientBirthTime")})
_DUMMIES: dict[str, str | bytes] = {
    **dict.fromkeys(TEXT, "REMOVED"),
    **dict.fromkeys(("DS", "IS"), "0"),
    **dict.fromkeys(("OB", "OW", "UN"), b"\0\0"),
    "AS": "000Y",
    "DA": "19000101",
    "DT": "19000101000000",
    "TM": "000000",
    "UR": "urn:removed",
}
_CODES = {
    "113100": "Basic Application Confidentiality Profile",
    "113107": "Retain Longitudinal Temporal Information Modified Dates Option",
    "113108": "Retain Patient Characteristics Option",
}
OWN_WORDS = " ".join(("REMOVED tetkik DICOM PS3.15 basic profile YES MODIFIED", *_CODES.values()))
"""What stands in every file that is written here."""


@dataclass(frozen=True, slots=True)
class Cleaner:
    """The table, the choices, the key, and what names the patient of one file."""

    profile: TagProfile
    options: Options
    secret: Secret
    traces: PatientIdentifiers
    patient: str = field(repr=False)
    """The original Patient ID, or what stands for it where there is none."""

    def clean(self, dataset: Dataset, nested: bool = False) -> None:
        """Take what identifies out of `dataset`, in place, at every depth."""
        clean_binary(dataset, nested)
        clean_code(dataset)
        for tag in list(dataset.keys()):
            try:
                element = dataset[tag]
                kept = self._cleaned(element)
            except RecursionError:
                raise
            except Exception:  # What cannot be decoded cannot be judged, whatever pydicom raises: it goes.
                kept = None
            if kept is None:
                del dataset[tag]
            else:
                dataset[tag] = kept

    def _cleaned(self, element: DataElement) -> DataElement | None:
        tag, vr = element.tag, element.VR
        if not self.profile.knows(tag):
            return None
        if self.options.keep_characteristics and tag in self.profile.characteristics:
            return self._checked(_capped(element)) if vr == dictionary_VR(tag) else None
        action = self.profile.action(tag, vr)
        if self.options.shift_dates and vr in ("DA", "DT", "TM") and tag not in _BIRTH:
            return self._moved(element, action)
        match action:
            case TagAction.REMOVE:
                return None
            case TagAction.EMPTY:
                return _with(element, Sequence() if vr == "SQ" else None)
            case TagAction.DUMMY:
                return self._dummy(element)
            case TagAction.UID:
                return self._replaced(element)
        if vr == "SQ":
            for item in element.value:
                self.clean(item, nested=True)
            return element
        return self._checked(element)

    def _checked(self, element: DataElement) -> DataElement | None:
        """The element, if it is whole and its text names nobody."""
        if not _is_whole(element):
            return None
        values = values_of(element)
        if element.VR in _COUNTED and element.keyword not in TABLES:
            return self._rounded(element, values)
        if element.VR == "AS" and not all(map(_AGE.fullmatch, filter(None, values))):
            return _with(element, None)
        if element.VR not in TEXT:
            return element
        if element.keyword in _CODED:
            return element  # judged together, by a dictionary
        kept = [value if self._says_technique(value, element.VR) else "" for value in values]
        return _with(element, kept if len(kept) > 1 else kept[0]) if kept != values else element

    def _rounded(self, element: DataElement, values: list[str]) -> DataElement:
        """An element of numbers: empty where one is long, rounded where one has an identity in its digits."""
        numbers = [_decimal(value) for value in values if value.strip()]
        if any(number is None or number.adjusted() >= _COUNTED[element.VR] for number in numbers):
            return _with(element, None)
        if not any(self.traces.in_number(one) for one in numbers if one):
            return element
        if element.VR not in _DECIMAL:
            return _with(element, None)
        short = [self._shortened(value) for value in values]
        return _with(element, short if len(short) > 1 else short[0])

    def _shortened(self, value: str) -> str | float:
        """A value without the identity in its digits; a place is moved by less than a micrometre."""
        number = _decimal(value)
        if number is None or not self.traces.in_number(number):
            return value if number is None else float(number)
        kinds = [f".{places}{'f' if abs(number) >= 1 else 'g'}" for places in _PLACES]
        shorter = (Decimal(format(number, kind)) for kind in (*kinds, f".{_SURE - 1}g"))
        return float(next(one for one in shorter if not self.traces.in_number(one)))

    def _says_technique(self, value: str, vr: str) -> bool:
        coded = vr != "CS" or re.fullmatch(r"[A-Z0-9_ ]{0,16}", value) is not None
        named = self.traces.in_text(value) or (vr != "CS" and self.traces.is_name(value))
        return coded and is_technical(value) and not named

    def _dummy(self, element: DataElement) -> DataElement | None:
        if element.tag == _PATIENT_ID:
            return _with(element, self.secret.patient(self.patient))
        if element.VR == "UI":
            return self._replaced(element)
        if element.VR == "SQ":
            for item in element.value:
                self.clean(item, nested=True)
                for tag in list(item.keys()):
                    if item[tag].VR in TEXT:
                        item[tag] = _with(item[tag], _DUMMIES[item[tag].VR])
            return element
        dummy = _DUMMIES.get(element.VR)
        return None if dummy is None else _with(element, dummy)

    def _replaced(self, element: DataElement) -> DataElement | None:
        """UIDs by others; those of the standard itself (classes, transfer syntaxes) stay."""
        if element.VR != "UI":
            return None
        if not element.value:
            return element
        other = [uid if uid in UID_dictionary else self.secret.uid(uid) for uid in values_of(element)]
        return _with(element, other if len(other) > 1 else other[0])

    def _moved(self, element: DataElement, action: TagAction) -> DataElement | None:
        shift = self.secret.shift(self.patient)
        moved = [shifted(value, element.VR, shift) for value in values_of(element)]
        if all(value is not None for value in moved):
            return _with(element, moved if len(moved) > 1 else moved[0])
        if action is TagAction.REMOVE:
            return None
        return _with(element, _DUMMIES[element.VR] if action is TagAction.DUMMY else "")

    def mark(self, dataset: Dataset) -> None:
        """Say in `dataset` what was done (PS3.15, E.1.1; PS3.16, CID 7050)."""
        dataset.PatientIdentityRemoved = "YES"
        dataset.DeidentificationMethod = [
            f"Tetkik {__version__}",
            f"DICOM PS3.15 {self.profile.edition} Basic Profile",
        ]
        chosen = (True, self.options.shift_dates, self.options.keep_characteristics)
        codes = [_code(value) for value, done in zip(_CODES, chosen, strict=True) if done]
        dataset.DeidentificationMethodCodeSequence = Sequence(codes)
        dataset.LongitudinalTemporalInformationModified = (
            "MODIFIED" if self.options.shift_dates else "REMOVED"
        )


_CODED = (*CODES, "CodingSchemeDesignator", "CodeMeaning")


def _decimal(number: str) -> Decimal | None:
    """A number as it is written; None for what is none."""
    try:
        found = Decimal(number.strip())
    except InvalidOperation:
        return None
    return found if found.is_finite() else None


def _is_whole(element: DataElement) -> bool:
    """Whether VR and VM allow the element (PS3.5, 6.2): a damaged length takes in what follows it."""
    if element.VR in _NUMBERS:
        multiplicity = dictionary_VM(element.tag)
        return (not multiplicity.isdigit() or element.VM in (0, int(multiplicity))) and not _spells(element)
    if element.VR == "SQ" or element.VR.startswith("O") or element.VR == "UN":
        return True
    return not any(_CONTROL.search(value.rstrip("\0")) for value in values_of(element))


_FORMATS = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "FL": "f", "FD": "d", "UV": "Q", "SV": "q"}


def _spells(element: DataElement) -> bool:
    """Whether the bytes of numbers can be read as a text; tables of grey values are measured by their
    size."""
    kind = _FORMATS.get(element.VR)
    if kind is None or element.is_empty or element.keyword in TABLES:
        return False
    values = element.value if element.VM > 1 else [element.value]
    return any(_SPELT.search(struct.pack(f"{order}{element.VM}{kind}", *values)) for order in "<>")


def _with(element: DataElement, value: object) -> DataElement:
    return DataElement(element.tag, element.VR, value)


def _capped(element: DataElement) -> DataElement:
    """An age above 89 years says who somebody is (45 CFR 164.514(b)(2)(i)(C)): 90 for all of them."""
    if element.tag != _PATIENT_AGE:
        return element
    match = re.fullmatch(r"(\d{3})([DWMY])", str(element.value or ""))
    if match is None:
        return _with(element, None)
    return _with(element, "090Y") if match[2] == "Y" and int(match[1]) > 89 else element


def _code(value: str) -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, "DCM", _CODES[value]
    return code


def shifted(value: str, vr: str, shift: timedelta) -> str | None:
    """A `DA`, `DT` or `TM` value that is `shift` earlier; None where it is no date.

    A time of day stays, a DT keeps what follows its date. A DT without a day loses what it has.
    """
    if vr == "TM":
        return value if value.replace(".", "").replace(":", "").isdigit() else None
    digits = value.strip().replace(".", "-").replace("-", "") if vr == "DA" else value.strip()
    try:
        moved = date(int(digits[:4]), int(digits[4:6]), int(digits[6:8])) - shift
    except (ValueError, OverflowError):
        return None
    rest = digits[8:] if vr == "DT" else ""
    if rest and not rest.translate(str.maketrans("", "", ".+-")).isdigit():
        return None
    return f"{moved:%Y%m%d}{rest}"
