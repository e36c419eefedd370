"""One list of parts: what stands in it stands in every document."""

from __future__ import annotations

import io
import json

import pytest
from pydicom import dcmread
from pypdf import PdfReader

from tests.documents.judged import judged
from tetkik.documents import parts
from tetkik.documents.fhir import to_fhir
from tetkik.documents.hl7 import to_hl7
from tetkik.documents.parts import DocumentPart, Line, parts_of
from tetkik.documents.pdf import to_pdf
from tetkik.documents.sr import to_sr
from tetkik.documents.text import to_text
from tetkik.language import Language
from tetkik.values import Section
from tetkik.values.finding_labels import Code


def _pdf(content: bytes) -> str:
    return " ".join(page.extract_text() for page in PdfReader(io.BytesIO(content)).pages)


def _narrative(content: bytes) -> str:
    entries = json.loads(content)["entry"]
    return str(next(one["resource"]["text"]["div"] for one in entries if "text" in one["resource"]))


def test_a_part_that_is_added_stands_in_all_five_documents(monkeypatch):
    added = DocumentPart(
        "contrast",
        "Contrast",
        (Line("Nothing was given."),),
        loinc=Code("1-8", "Contrast"),
        dicom=Code("1", "Contrast"),
    )
    before = parts_of(judged().content)
    monkeypatch.setattr(parts, "_parts", lambda *_: (*before, added))
    texts = [
        to_text(judged()).decode(),
        _narrative(to_fhir(judged())),
        to_hl7(judged()).decode(),
        dcmread(io.BytesIO(to_sr(judged()))).to_json(),
        _pdf(to_pdf(judged())),
    ]
    for text in texts:
        assert "Contrast" in text and "Nothing was given." in text


@pytest.mark.parametrize("language", Language)
def test_every_section_has_its_codes_and_measurements_are_a_list(language):
    *sections, measured = parts_of(judged(language=language).content)
    assert len(sections) == len(Section) and all(part.loinc and part.dicom for part in sections)
    assert measured.numbered and len(measured.lines) == 3 and measured.loinc is None
    assert all(len(line.cells) == 3 for line in measured.lines)
