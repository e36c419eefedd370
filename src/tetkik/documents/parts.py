"""The parts of a report that every document shows, each with its label, its text and its codes.

A field that is added to `ReportContent` becomes a part here, and stands in all five documents.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

from tetkik.documents.particulars import NumberKind, age_of, examined_at, identifiers_of
from tetkik.documents.report_phrases import (
    date_words,
    heading,
    measured_name,
    measured_words,
    measurement_words,
    moment_words,
    objections,
    patient_name,
)
from tetkik.language import Language, Sentence, translate
from tetkik.values import Measurement, Passage, ReportContent, ReportDocument, Section, Sex
from tetkik.values.finding_labels import Code


@dataclass(frozen=True, slots=True)
class Line:
    """A sentence, or a row of a list."""

    text: str
    objections: tuple[str, ...] = ()  # what the grounding check says against it and nobody has decided
    cells: tuple[str, ...] = ()  # the same as the cells of a row, for documents that have tables


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a report under its heading.

    Attributes:
        loinc: what HL7 v2 sends its text under; None where its values are sent with codes of their own.
    """

    name: str  # what a page finds it by: a section's, or `measured`
    label: str
    lines: tuple[Line, ...]  # sentences that are read as one paragraph; of a list its rows
    numbered: bool = False  # whether it is a list
    loinc: Code | None = None
    dicom: Code | None = None

    @property
    def text(self) -> str:
        return " ".join(line.text for line in self.lines)


# LOINC as DICOM PS3.20 names the parts of an imaging report; DCM of CID 7002, Imaging Report Element.
_CODES = MappingProxyType(
    {
        Section.TECHNIQUE: (
            Code("55111-9", "Current imaging procedure descriptions"),
            Code("121065", "Procedure Description"),
        ),
        Section.FINDINGS: (Code("59776-5", "Procedure findings"), Code("121071", "Finding")),
        Section.IMPRESSION: (
            Code("19005-8", "Radiology Imaging study [Impression]"),
            Code("121073", "Impression"),
        ),
        Section.RECOMMENDATION: (
            Code("18783-1", "Radiology Study recommendation"),
            Code("121075", "Recommendation"),
        ),
    }
)


_SEXES = MappingProxyType({Sex.FEMALE: Sentence("Female"), Sex.MALE: Sentence("Male")})
_NUMBERS = MappingProxyType(
    {NumberKind.NATIONAL: "Turkish identity number", NumberKind.HOSPITAL: "Hospital number"}
)


def about(document: ReportDocument, labels: Language | None = None) -> dict[str, tuple[str, str]]:
    """Whose report it is and what it is about: by name, in reading order, the label and what it says.

    What is not known is left out; `labels` is another language than the draft's. Documents of fields and
    codes have the same from `particulars`.
    """
    identity, language = document.identity, labels or document.draft.language
    numbers = {item.kind: item.value for item in identifiers_of(identity, document.hospital)}
    sex = _SEXES[identity.sex].in_language(language) if identity.sex and identity.sex in _SEXES else ""
    age = age_of(document)
    years = "" if age is None else age.in_language(language)
    examined = examined_at(identity, document.hospital)
    day = date_words(identity.study_date)
    when = moment_words(examined) if isinstance(examined, datetime) else day
    rows = {
        "patient": ("Patient", patient_name(identity.patient_name)),
        "national": (_NUMBERS[NumberKind.NATIONAL], numbers.get(NumberKind.NATIONAL, "")),
        "hospital": (_NUMBERS[NumberKind.HOSPITAL], numbers.get(NumberKind.HOSPITAL, "")),
        "born": ("Date of birth", date_words(identity.birth_date)),
        "sex": ("Sex, age", ", ".join(filter(None, (sex, years)))),
        "examined": ("Date of study", when),
        "accession": ("Accession number", identity.accession or ""),
        "number": ("Report number", document.number),
        "referrer": ("Referring physician", patient_name(identity.referrer)),
        "department": ("Referring department", document.department),
    }
    return {name: (translate(label, language), words) for name, (label, words) in rows.items() if words}


def cited(document: ReportDocument) -> tuple[Passage, ...]:
    """The passages that a sentence cites."""
    draft = document.draft
    used = {key for sentence in draft.sentences for key in sentence.evidence}
    return tuple(item for item in draft.passages if f"passage:{item.id}" in used)


def parts_of(content: ReportContent, headings: Language | None = None) -> tuple[Part, ...]:
    """The parts in reading order, those without a line left out; `headings` is another language of labels."""
    return tuple(part for part in _parts(content, headings or content.draft.language) if part.lines)


def _parts(content: ReportContent, headings: Language) -> Iterator[Part]:
    draft, language = content.draft, content.draft.language
    for section, (loinc, dicom) in _CODES.items():
        lines = tuple(Line(item.text, objections(item, language)) for item in draft.section(section))
        yield Part(section, heading(section, headings), lines, loinc=loinc, dicom=dicom)
    measured = tuple(_measured(item, language) for item in content.measured)
    yield Part("measured", translate("Measurements", headings), measured, numbered=True)


def _measured(item: Measurement, language: Language) -> Line:
    name, amount = measured_name(item, language), measurement_words(item, language)
    about = measured_words(item, language)
    text = f"{name}: {amount} ({about})" if about else f"{name}: {amount}"
    return Line(text, cells=(name, amount, about))
