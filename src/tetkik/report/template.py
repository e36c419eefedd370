"""A hospital's own report: a text with named slots, filled from a draft."""

from __future__ import annotations

import string
from pathlib import Path
from types import MappingProxyType

from tetkik.errors import DataError
from tetkik.language import translate
from tetkik.values import Draft, DraftSentence, Identity, Section

_LARGEST = 200_000
"""Bytes of a file."""
SLOTS = MappingProxyType(
    {
        "technique": "the sentences of that part",
        "findings": "the sentences of that part",
        "impression": "the sentences of that part",
        "recommendation": "the sentences of that part",
        "sources": "the references that were cited, one a line",
        "patient": "the patient's name",
        "patient_id": "the hospital number",
        "birth_date": "the date of birth",
        "study_date": "the date of the study",
        "accession": "the accession number",
        "model": "the model that found the findings",
        "state": "that nobody has signed it",
    }
)
"""Every slot and what fills it."""


def read_template(path: Path) -> str:
    """A template from a file, checked: every slot is one of `SLOTS`, or a DataError says what is wrong."""
    with path.open("rb") as file:
        read = file.read(_LARGEST + 1)  # a pipe or a device does not say how long it is
    if len(read) > _LARGEST:
        raise DataError("The template {file} is too large; give a text of one report.", file=path)
    try:
        text = read.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
        wrong = _wrong(text)
    except (UnicodeDecodeError, ValueError):
        raise DataError(
            "The template {file} is no text with slots such as {{findings}}; save it as UTF-8, and write a "
            "single brace twice.",
            file=path,
        ) from None
    if wrong is not None:
        raise DataError(
            "The template {file} has the unknown slot {slot}; known are {known}.",
            file=path,
            slot=wrong,
            known=", ".join(SLOTS),
        )
    return text


def check_slots(text: str) -> None:
    """Raise a DataError unless a template's every slot is one of `SLOTS`."""
    try:
        wrong = _wrong(text)
    except ValueError:
        raise DataError(
            "The template is no text with slots such as {{findings}}; write a single brace twice."
        ) from None
    if wrong is not None:
        raise DataError(
            "The template has the unknown slot {slot}; known are {known}.", slot=wrong, known=", ".join(SLOTS)
        )


def _wrong(text: str) -> str | None:
    """The first slot that does not exist, as it was written.

    Raises:
        ValueError: a brace opens or closes nothing.
    """
    # A slot with a format could ask for a text of any length, one with a dot for what lies inside a value.
    for _, name, form, turned in list(string.Formatter().parse(text)):
        if name is not None and (name not in SLOTS or form or turned):
            return f"{{{name}{'!' + turned if turned else ''}{':' + form if form else ''}}}"
    return None


def fill(template: str, draft: Draft, identity: Identity | None = None) -> str:
    """The template with its slots filled; a part without sentences leaves its slot empty.

    A sentence with a mark that nobody has decided stands behind a sign, and a template without the slot
    `state` gets a last line with it: nobody may take the text for a signed report. Of the identity only what
    the template has a slot for is written.
    """
    who = identity or Identity()
    state = "Exercise: about no patient" if draft.exercise else "Draft: not signed by a radiologist"
    values = {section.value: " ".join(map(_marked, draft.section(section))) for section in Section}
    sources = dict.fromkeys(passage.source for passage in draft.passages)
    values |= {
        "sources": "\n".join(sources),
        "patient": _name(who.patient_name or ""),
        "patient_id": who.patient_id or who.national_id or "",
        "birth_date": _date(who.birth_date or ""),
        "study_date": _date(who.study_date or ""),
        "accession": who.accession or "",
        "model": draft.model or "",
        "state": translate(state, draft.language),
    }
    # Only bare names were allowed, so nothing of an object can be reached.
    filled = template.format_map(values)
    stated = any(slot[1] == "state" for slot in string.Formatter().parse(template))
    return filled if stated else f"{filled.rstrip()}\n\n{values['state']}\n"


def _name(text: str) -> str:
    """`ŞAHİN^Gülçin` as it is spoken: Gülçin ŞAHİN; only the first of its spellings (PS3.5, 6.2.1)."""
    family, _, rest = text.partition("=")[0].partition("^")
    given = " ".join(part for part in rest.split("^")[:2] if part)
    return f"{given} {family}".strip()


def _date(text: str) -> str:
    """DICOM's `YYYYMMDD` as `DD.MM.YYYY`, as in the documents; anything else as it is."""
    if len(text) != len("YYYYMMDD") or not text.isdecimal():
        return text
    return f"{text[6:]}.{text[4:6]}.{text[:4]}"


def _marked(sentence: DraftSentence) -> str:
    return ("[!] " if any(mark.decision is None for mark in sentence.marks) else "") + sentence.text
