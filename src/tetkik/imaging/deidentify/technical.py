"""Which short texts may stay: those that say nothing but words of technique, anatomy and codes.

A free text of 16 or 64 characters (CS, SH, LO) can hold a name or a number wherever it stands, so that a list
of what must go is never complete. Here a list says what may stay: the words of DICOM's own dictionary, of
`terms.toml`, and short numbers. A code keeps the meaning that its dictionary gives it.
"""

from __future__ import annotations

import re
import tomllib
from functools import cache
from importlib import resources

from pydicom._dicom_dict import DicomDictionary
from pydicom.charset import python_encoding
from pydicom.dataset import Dataset

from tetkik.turkish import flat

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
