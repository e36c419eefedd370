"""Teaching mode: a report of an image that does not exist, and cannot be taken for one that does."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tetkik.errors import UsageError
from tetkik.language import Language
from tetkik.report.draft import example_report, parse_example
from tetkik.values import (
    FINDING_LABELS,
    NORMAL_LABELS,
    Hospital,
    Identity,
    ImageTags,
    ReportContent,
    ReportDocument,
    ReportState,
    Section,
    Side,
    Signature,
)


@pytest.mark.parametrize("language", Language)
@pytest.mark.parametrize("label", FINDING_LABELS)
def test_every_label_has_an_example(label, language):
    draft = example_report([(label, None)], language)
    assert draft.exercise and draft.model is None and not draft.open_marks
    (impression,) = draft.section(Section.IMPRESSION)
    assert impression.evidence == (f"finding:{label}",)
    assert bool(draft.section(Section.RECOMMENDATION)) is (label not in NORMAL_LABELS)
    assert draft.as_json()["exercise"] is True


def test_an_exercise_cannot_be_signed():
    draft = example_report([("Mass", None)], Language.TR)
    now = datetime(2026, 1, 1, tzinfo=UTC)
    with pytest.raises(ValueError, match="signed"):
        ReportDocument(
            "x", ReportContent(draft), None, Identity(), ImageTags(), Hospital(), ReportState.FINAL, now,
            signature=Signature("A", signed_at=now),
        )  # fmt: skip


def test_several_findings_with_their_sides():
    draft = example_report([("Effusion", Side.LEFT), ("Nodule", Side.RIGHT)], Language.TR)
    said = [sentence.text for sentence in draft.section(Section.IMPRESSION)]
    assert said == ["Sol hemitoraksta plevral efüzyon.", "Sağ akciğerde nodül."]


def test_without_findings_the_film_is_normal_and_all_else_is_ruled_out():
    draft = example_report([], Language.EN)
    assert draft.section(Section.IMPRESSION)[0].text == "Normal chest radiograph."
    denied = {name for sentence in draft.sentences for name in sentence.evidence if "absence:" in name}
    assert len(denied) == 17


def test_a_slice_of_the_brain_is_an_example_too():
    draft = example_report([("Glioma", None)], Language.EN)
    assert draft.sentences[0].text == "A single slice of a brain MRI."


@pytest.mark.parametrize(
    ("text", "label", "side"),
    [
        ("Effusion", "Effusion", None),
        ("effusion:LEFT", "Effusion", Side.LEFT),
        (" Pleural_Thickening : both", "Pleural_Thickening", Side.BOTH),
        ("plevral efüzyon:right", "Effusion", Side.RIGHT),
        ("İnfiltrasyon", "Infiltration", None),
        ("covid-19", "COVID-19", None),
    ],
)
def test_a_finding_is_named_as_people_name_it(text, label, side):
    assert parse_example(text) == (label, side)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("Flu", "no finding"),
        ("", "no finding"),
        ("Effusion:up", "no side"),
        ("Cardiomegaly:left", "has no side"),
        ("Normal:left", "has no side"),
    ],
)
def test_what_cannot_be_is_said_in_a_sentence(text, fault):
    with pytest.raises(UsageError, match=fault):
        parse_example(text)


@pytest.mark.parametrize(
    "findings",
    [
        [("Effusion", None), ("Glioma", None)],
        [("Normal", None), ("Effusion", None)],
        [("No_Tumor", None), ("Glioma", None)],
    ],
)
def test_what_excludes_itself_is_refused(findings):
    with pytest.raises(UsageError):
        example_report(findings, Language.TR)
