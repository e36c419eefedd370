"""Regions, ratios, Cobb angles, arrows, texts and key images in every document, read back and compared."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from hashlib import sha256

import hl7
import pydicom
import pypdf
import pytest
from highdicom import sr
from pydicom.sr.codedict import codes

from tests.documents.judged import ANGLE, EARLIER, FILM, LENGTH, PICTURE
from tests.documents.programs import said, validated
from tests.documents.sample import document, draft, picture
from tetkik.documents.fhir import to_fhir
from tetkik.documents.hl7 import to_hl7
from tetkik.documents.pdf import to_pdf
from tetkik.documents.sr import to_sr
from tetkik.documents.text import to_text
from tetkik.records import serialization
from tetkik.values import (
    FigureKind,
    KeyImage,
    Measurement,
    MeasurementKind,
    RegionStatistics,
    ReportContent,
    ReportState,
)

CT = replace(FILM, id="01J0000000000000000000000D", spacing=(0.5, 0.5), frame=None)
COUNTED = RegionStatistics(512, 45.25, 12.5, -10.0, 92.0, hounsfield=True)
ELLIPSE = Measurement(
    "01J0000000000000000000001E",
    MeasurementKind.ELLIPSE,
    CT,
    ((100.0, 100.0), (140.0, 120.0)),
    "Karaciğer",
    COUNTED,
)
BOX = replace(
    ELLIPSE,
    id="01J0000000000000000000001F",
    kind=MeasurementKind.RECTANGLE,
    label="",
    statistics=replace(COUNTED, hounsfield=False),
)
RATIO = Measurement(
    "01J0000000000000000000001G",
    MeasurementKind.CARDIOTHORACIC,
    FILM,
    ((600.0, 900.0), (1200.0, 1100.0), (200.0, 1000.0), (1400.0, 1000.0)),
)
COBB = Measurement(
    "01J0000000000000000000001H",
    MeasurementKind.COBB,
    CT,
    ((100.0, 100.0), (200.0, 100.0), (200.0, 300.0), (100.0, 200.0)),
)
ARROW = Measurement(
    "01J0000000000000000000001J", MeasurementKind.ARROW, FILM, ((300.0, 300.0), (500.0, 500.0)), "Nodül?"
)
TEXT = Measurement("01J0000000000000000000001K", MeasurementKind.TEXT, FILM, ((800.0, 800.0),), "Kateter ucu")
DRAWN = (LENGTH, ANGLE, ELLIPSE, BOX, RATIO, COBB, ARROW, TEXT)
PNG = picture(size=(160, 200))
KEYS = (
    KeyImage("01J0000000000000000000002A", FILM, sha256(PNG).hexdigest(), "Sol alt zonda nodül"),
    KeyImage("01J0000000000000000000002B", EARLIER, sha256(PNG).hexdigest()),
)
CONTENT = ReportContent(draft(), DRAWN, KEYS)


def made(content=CONTENT):
    shown = document(ReportState.FINAL, key_pictures=(PNG, PNG), image=picture(size=(160, 200)))
    return replace(shown, content=content)


def test_how_much_each_kind_measures():
    figures = {item.kind: (item.rounded, item.unit.value) for item in ELLIPSE.figures}
    assert figures == {
        FigureKind.MEAN: (45.2, "[hnsf'U]"),
        FigureKind.DEVIATION: (12.5, "[hnsf'U]"),
        FigureKind.MINIMUM: (-10.0, "[hnsf'U]"),
        FigureKind.MAXIMUM: (92.0, "[hnsf'U]"),
        FigureKind.AREA: (157.1, "mm2"),
    }
    assert {item.kind: item.rounded for item in RATIO.figures} == {
        FigureKind.CARDIOTHORACIC: 0.5,  # of the horizontal distances, at whatever height the ends are
        FigureKind.HEART: 120.0,
        FigureKind.THORAX: 240.0,
    }
    assert COBB.rounded == 45.0 and BOX.figures[-1].rounded == 200.0
    lying = replace(RATIO, points=tuple((y, x) for x, y in RATIO.points))  # an image that lies on its side
    assert lying.rounded == 0.5
    assert (ARROW.figures, ARROW.value, ARROW.unit.value) == ((), 0.0, "")
    uncalibrated = replace(BOX, image=PICTURE)
    assert [item.unit.value for item in uncalibrated.figures] == ["{grey}"] * 4 + ["{pixels}"]


def test_what_cannot_be_is_no_value():
    with pytest.raises(ValueError, match="wider"):
        replace(RATIO, points=RATIO.points[2:] + RATIO.points[:2])
    with pytest.raises(ValueError, match="statistics"):
        replace(ELLIPSE, statistics=None)


def test_stored_as_json_it_comes_back_the_same():
    packed = serialization.to_bytes(made())
    assert serialization.from_bytes(type(made()), packed) == replace(made())
    assert made().verification != made(content=replace(CONTENT, key_images=KEYS[:1])).verification


def test_a_structured_report_holds_regions_with_their_statistics_and_the_ratio():
    written = to_sr(made())
    report = sr.Comprehensive3DSR.from_dataset(pydicom.dcmread(io.BytesIO(written)))
    (ellipse, box) = report.content.get_planar_roi_measurement_groups()
    found = {
        item.derivation.meaning if item.derivation else item.name.meaning: (item.value, item.unit.value)
        for item in ellipse.get_measurements()
    }
    assert found == {
        "Mean": (45.2, "[hnsf'U]"),
        "Standard Deviation": (12.5, "[hnsf'U]"),
        "Minimum": (-10.0, "[hnsf'U]"),
        "Maximum": (92.0, "[hnsf'U]"),
        "Area": (157.1, "mm2"),
    }
    assert ellipse.roi.graphic_type.value == "ELLIPSE"
    assert ellipse.roi.value.tolist() == [[100, 110], [140, 110], [120, 100], [120, 120]]
    assert box.roi.graphic_type.value == "POLYLINE" and len(box.roi.value) == 5
    assert {item.name.value for item in box.get_measurements()} == {"GREY_VALUE", "42798000"}
    lines = {item.tracking_identifier: item for item in report.content.get_image_measurement_groups()}
    ratio = lines["Kardiyotorasik oran"].get_measurements()
    assert [(item.name.value, item.value) for item in ratio] == [
        ("CARDIOTHORACIC_RATIO", 0.5),
        ("HEART_WIDTH", 120.0),
        ("THORAX_WIDTH", 240.0),
    ]
    assert [item.value.tolist() for item in ratio[1].referenced_coordinates] == [[[600, 1000], [1200, 1000]]]
    (angle,) = lines["Cobb açısı"].get_measurements()
    assert (angle.name, angle.value) == (codes.SCT.CobbAngle, 45.0)
    assert not {"Nodül?", "Kateter ucu"} & set(lines)  # they measure nothing
    shown = [
        (item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID, item.ConceptNameCodeSequence[0].CodeMeaning)
        for group in _items(report)
        for item in group
        if item.ValueType == "IMAGE" and "Key" in item.ConceptNameCodeSequence[0].CodeMeaning
    ]
    assert [uid for uid, _ in shown] == [FILM.instance_uid, EARLIER.instance_uid]


@pytest.mark.program("dsrdump", "dciodvfy")
def test_the_structured_report_is_valid(tmp_path):
    file = tmp_path / "report.dcm"
    file.write_bytes(to_sr(made()))
    status, words = said("dsrdump", file, "+Pl", "+U8")
    assert status == 0 and not any(line.startswith("E:") for line in words.splitlines()), words
    status, words = said("dciodvfy", file)
    assert "Error" not in words, words


def _items(node):
    inner = getattr(node, "ContentSequence", None) or []
    yield inner
    for item in inner:
        yield from _items(item)


def test_fhir_codes_every_figure_and_lists_the_key_images():
    bundle = json.loads(to_fhir(made()))
    resources = [entry["resource"] for entry in bundle["entry"]]
    observed = {item["code"].get("text"): item for item in resources if item["resourceType"] == "Observation"}
    region = observed["Karaciğer"]
    assert region["valueQuantity"] == {
        "value": 45.2,
        "unit": "HU",
        "system": "http://unitsofmeasure.org",
        "code": "[hnsf'U]",
    }
    said_of = [item["code"]["text"] for item in region["component"]][:4]
    assert said_of == [
        "Attenuation Coefficient: standard deviation",
        "Attenuation Coefficient: minimum",
        "Attenuation Coefficient: maximum",
        "Area",
    ]
    ratio = observed["Cardiothoracic ratio"]
    assert ratio["valueQuantity"]["value"] == 0.5 and ratio["component"][0]["valueQuantity"]["value"] == 120.0
    media = [item for item in resources if item["resourceType"] == "Media"]
    assert [item["content"]["title"] for item in media] == ["Sol alt zonda nodül", "Key image 2, frame 3"]
    assert len(resources[0]["media"]) == 2 and resources[0]["media"][0]["comment"] == "Sol alt zonda nodül"


@pytest.mark.program("node", "npm")
def test_the_resources_are_valid():
    resources = [entry["resource"] for entry in json.loads(to_fhir(made()))["entry"]]
    answers = validated(resources)
    assert all(answer["valid"] for answer in answers), answers


def test_hl7_text_and_pdf_say_them():
    message = hl7.parse(to_hl7(made()).decode())
    numbers = [str(item[5]) for item in message.segments("OBX") if str(item[2]) == "NM" and str(item[4])]
    assert numbers[2:7] == ["45.2", "12.5", "-10", "92", "157.1"]
    text = to_text(made()).decode()
    assert "Karaciğer: ort. 45,2 ± 12,5 HU" in text and "Kardiyotorasik oran: 0,50" in text
    assert "kalp 120,0 mm, toraks 240,0 mm" in " ".join(text.split())
    pdf = pypdf.PdfReader(io.BytesIO(to_pdf(made())))
    plain = pypdf.PdfReader(io.BytesIO(to_pdf(made(content=replace(CONTENT, key_images=())))))
    assert len(pdf.pages) > len(plain.pages)
    last = " ".join(page.extract_text() for page in pdf.pages[len(plain.pages) :])
    assert "Anahtar görüntüler" in last and "Sol alt zonda nodül" in last
    assert "Kateter ucu" in last and "Nodül?" in last and "0,50" in last
