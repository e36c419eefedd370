"""What names the patient in a file, so that it can be looked for where no table expects it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from tetkik.imaging.deidentify.profile import basic_profile

TEXT = frozenset({"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"})
_SHORTEST, _SHORTEST_ID, _SURE = 3, 4, 6


@dataclass(frozen=True, slots=True)
class PatientIdentifiers:
    """The words that name a patient, lower case. They do not show in `repr`."""

    words: frozenset[str]

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
    known = basic_profile().identifiers
    for element in _elements(dataset):
        for value in values_of(element):
            if element.VR == "PN":
                words |= {word for word in re.split(r"[\s^=.,]+", value) if len(word) >= _SHORTEST}
            elif element.keyword in known and len(value.strip()) >= _SHORTEST_ID:
                words.add(value.strip())
    return PatientIdentifiers(frozenset(word.casefold() for word in words if re.search(r"\w{3}", word)))


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
