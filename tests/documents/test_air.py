"""docs/conformance-air.md says what a real document holds, no more and no less."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from pathlib import Path

import pydicom

from tests.documents.sample import picture
from tests.documents.test_encapsulated_pdf import GREY, SIGNED
from tetkik.documents.capture import to_capture
from tetkik.documents.encapsulated_pdf import to_encapsulated_pdf
from tetkik.documents.presentation_state import to_report_states
from tetkik.documents.sr import to_sr
from tetkik.values import JudgedFinding, Judgement

PAGE = (Path(__file__).parents[2] / "docs" / "conformance-air.md").read_text("utf-8")
JUDGED = tuple(
    JudgedFinding(label, Judgement.ACCEPTED) for label in ("Effusion", "Cardiomegaly", "Pneumothorax")
)
REPORT = replace(
    SIGNED, judgements=JUDGED, image=picture(), heatmap=picture("RGB", (1, 2, 3)), heatmap_label="Effusion"
)


def rows(part):
    """The cells of a table of the page."""
    found = re.search(rf"<!-- {part} -->\n(.*)<!-- /{part} -->", PAGE, re.DOTALL)
    assert found is not None
    lines = found.group(1).splitlines()[2:]
    return [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines]


def content_of(item, depth=1):
    for one in item.get("ContentSequence", ()):
        (name,) = one.ConceptNameCodeSequence
        words = f"{name.CodeValue} {name.CodingSchemeDesignator} {name.CodeMeaning}"
        yield str(depth), one.ValueType, words
        yield from content_of(one, depth + 1)


def test_the_page_lists_every_content_item_of_the_structured_report():
    report = pydicom.dcmread(io.BytesIO(to_sr(REPORT)))
    assert report.ContentTemplateSequence[0].TemplateIdentifier == "1500"
    assert report.ConceptNameCodeSequence[0].CodeValue == "126000"
    assert rows("content") == list(dict.fromkeys(content_of(report)))


def test_the_page_lists_every_object():
    contents = (
        to_sr(REPORT),
        to_capture(REPORT),
        *to_report_states(REPORT, GREY),
        to_encapsulated_pdf(REPORT),
    )
    made = [pydicom.dcmread(io.BytesIO(one)) for one in contents]
    assert [row[1:] for row in rows("objects")] == [
        (one.SOPClassUID.name, str(one.SeriesNumber)) for one in made
    ]
    assert {one.StudyInstanceUID for one in made} == {made[0].StudyInstanceUID}
