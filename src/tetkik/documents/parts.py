"""The parts of a report that every document shows, each with its label, its text and its codes.

A field that is added to `ReportContent` becomes a part here, and stands in all five documents.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from types import MappingProxyType

from tetkik.documents.report_phrases import (
    heading,
    measured_name,
    measured_words,
    measurement_words,
    objections,
)
from tetkik.language import Language, translate
from tetkik.values import Measurement, ReportContent, Section
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
