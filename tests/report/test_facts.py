"""The facts of a report: what may be asserted, what denied, and what neither."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.report.made import ANY_SIDES, ANY_STATES, CHEST_LABELS, facts, refused, result_of
from tetkik.language import Sentence
from tetkik.report.facts import ChangeKind, certainty_of, facts_of
from tetkik.values import (
    FINDING_LABELS,
    NORMAL_LABELS,
    Certainty,
    Finding,
    ReportInput,
    Route,
    Side,
    ThresholdOn,
    narrower,
    route_of,
)

KNOWN = (*FINDING_LABELS, "Lung_Opacity", "Acute_Disease", "Fracture")


@given(ANY_STATES, ANY_SIDES)
def test_each_label_is_in_one_place_at_most_and_none_is_lost(drawn, sides):
    states, route = drawn
    found = facts(states, route=route, sides=sides)
    places = [
        {item.label for item in found.present},
        {basis.key for basis in found.absent},
        set(found.unproven),
        set(found.not_assessed),
    ]
    assert sum(map(len, places)) == len(set().union(*places))
    for label, state in states.items():
        if label in NORMAL_LABELS:
            continue
        # A wider word is neither denied nor open where a narrower one was found.
        implied = any(states.get(one) in {"certain", "probable", "possible"} for one in narrower(label))
        assert (label in set().union(*places)) or (implied and state in {"suggested", "absent", "open"})
        assert (label in found.suggested) is (state == "suggested")


@given(ANY_STATES)
def test_nothing_is_stated_below_its_operating_point_nor_denied_without_the_right(drawn):
    states, route = drawn
    result = result_of(states, route)
    found = facts_of(result)
    by_label = {item.label: item for item in result.findings}
    assert all(by_label[item.label].asserts for item in found.present)
    for basis in found.absent:
        parts = [by_label[one] for one in narrower(basis.key) if by_label[one].assessed]
        assert parts and all(part.rules_out and not part.positive for part in parts)
    for label in KNOWN:
        if found.may_assert(label):
            assert any(by_label[one].asserts for one in narrower(label) if one in by_label)
        if found.may_deny(label) and not (found.normal and route_of(label) is Route.BRAIN_MRI):
            parts = [by_label[one] for one in narrower(label) if one in by_label and by_label[one].assessed]
            assert parts and all(part.rules_out for part in parts)
        assert not (found.may_assert(label) and found.may_deny(label)) or label in NORMAL_LABELS


@given(ANY_STATES)
def test_a_normal_image_has_no_finding(drawn):
    states, route = drawn
    found = facts(states, route=route)
    assert not (found.normal and (found.abnormal or found.suggested))
    if found.abnormal:
        assert not any(item.label in NORMAL_LABELS for item in found.present)
    probabilities = [item.basis.probability or 0 for item in found.present]
    assert probabilities == sorted(probabilities, reverse=True)


@given(ANY_STATES, ANY_SIDES)
def test_everything_said_has_an_id_and_each_id_stands_once(drawn, sides):
    states, route = drawn
    found = facts(states, route=route, sides=sides, prior={"Effusion": "certain"})
    ids = [basis.id for basis in found.bases()]
    assert len(ids) == len(set(ids))
    assert {item.basis.id for item in found.present} <= set(ids)


@pytest.mark.parametrize(
    ("probability", "graded", "word"),
    [
        (0.9, True, Certainty.CERTAIN),
        (0.8999, True, Certainty.PROBABLE),
        (0.6, True, Certainty.PROBABLE),
        (0.5999, True, Certainty.POSSIBLE),
        (None, True, Certainty.POSSIBLE),
        (0.99, False, Certainty.POSSIBLE),
    ],
)
def test_the_scale_of_words(probability, graded, word):
    assert certainty_of(probability, graded=graded) is word


def test_one_word_stands_for_all_where_held_out_precision_does_not_tell_them_apart():
    result = result_of({"Effusion": "certain", "Mass": "probable"})
    assert {item.certainty for item in facts_of(result).present} == {Certainty.CERTAIN, Certainty.PROBABLE}
    plain = facts_of(replace(result, graded=False))
    assert {item.certainty for item in plain.present} == {Certainty.POSSIBLE}


def test_an_answer_kept_before_there_were_operating_points_states_what_is_positive():
    item = Finding("Mass", True, 0.7, 0.7, 0.5, ThresholdOn.PROBABILITY, positive=True)
    assert item.asserts is None and item.asserted and item.as_json()["asserts"] is True
    assert not replace(item, asserts=False).asserted
    with pytest.raises(ValueError, match="positive"):
        replace(item, positive=False, asserts=True)


def test_a_wider_word_is_true_with_a_narrower_one_and_false_only_with_all():
    viral = facts({"Viral_Pneumonia": "certain", "Pneumonia": "absent", "COVID-19": "absent"})
    assert viral.may_assert("Pneumonia") and viral.may_assert("Lung_Opacity")
    assert not viral.may_deny("Pneumonia") and viral.may_deny("COVID-19")
    assert "Pneumonia" not in {basis.key for basis in viral.absent} | set(viral.unproven)
    half = facts({"Pneumonia": "absent", "Viral_Pneumonia": "open"})
    assert not half.may_deny("Pneumonia") and half.unproven == ("Pneumonia", "Viral_Pneumonia")
    assert "Lung_Opacity" in narrower("Lung_Opacity")
    some = {"Consolidation": "absent", "Pneumonia": "absent"}
    assert facts(some).may_deny("Lung_Opacity")
    assert not facts({**some, "Mass": "open"}).may_deny("Lung_Opacity")


def test_no_acute_disease_goes_with_an_old_finding():
    old = facts({"Nodule": "certain", "Pneumothorax": "absent"})
    assert not old.may_assert("Acute_Disease") and old.may_deny("Acute_Disease")
    assert facts({"Pneumothorax": "certain"}).may_assert("Acute_Disease")


def test_a_side_belongs_to_what_has_sides():
    found = facts(
        {"Effusion": "certain", "Cardiomegaly": "certain"},
        sides={"Effusion": Side.LEFT, "Cardiomegaly": Side.LEFT},
    )
    assert {item.label: item.side for item in found.present} == {"Effusion": Side.LEFT, "Cardiomegaly": None}
    assert found.sides_of("Effusion") == found.sides_of("Acute_Disease") == {Side.LEFT}


def test_a_chest_film_is_not_silent_about_tumours_of_the_brain():
    found = facts({"Effusion": "certain"})
    assert set(found.not_assessed) == set(CHEST_LABELS) - {"Effusion", "Normal"}
    assert set(facts({}, route=Route.BRAIN_MRI).not_assessed) == {"Glioma", "Meningioma", "Pituitary"}


def test_changes_are_told_only_of_what_was_measured_on_both_sides():
    now = {"Effusion": "certain", "Mass": "certain", "Nodule": "absent", "Edema": "open", "Hernia": "certain"}
    now |= {"Fibrosis": "certain", "Emphysema": "probable", "Pneumothorax": "absent"}
    before = {"Effusion": "absent", "Mass": "certain", "Nodule": "probable", "Edema": "certain"}
    # Neither side of these was measured before: below the threshold, or only suggested.
    before |= {"Fibrosis": "open", "Emphysema": "suggested", "Pneumothorax": "suggested"}
    found = facts(now, prior=before)
    assert found.changes == {
        "Effusion": ChangeKind.NEW,
        "Mass": ChangeKind.PERSISTS,
        "Nodule": ChangeKind.GONE,
    }
    assert found.compared and not facts(now).compared


def test_a_refused_image_has_neither_findings_nor_comparison():
    for result, prior in ((refused(), result_of({"Mass": "certain"})), (result_of({}), refused())):
        found = facts_of(result, prior=prior)
        assert not found.changes and not found.compared
    found = facts_of(refused(), ReportInput(warnings=(Sentence("x"),)))
    assert found.refused and found.route is None and len(found.warnings) == 2


def test_an_uncalibrated_finding_is_only_possible():
    item = Finding("Mass", True, 0.97, None, 0.5, ThresholdOn.SCORE, positive=True)
    result = result_of({})
    (present,) = facts_of(replace(result, findings=(item,))).present
    assert present.certainty is Certainty.POSSIBLE and present.basis.probability is None


@pytest.mark.parametrize(
    ("history", "asked"),
    [
        ("Pnömoni?", ("Pneumonia",)),
        ("Pnömotoraks veya plevral efüzyon? Beş gündür ateşim çıkıyor.", ("Pneumothorax", "Effusion")),
        ("pneumonia, effusion?", ("Pneumonia", "Effusion")),
        ("Pnömoni? Nefes darlığı. Plevral efüzyon? Pnömoni?", ("Pneumonia", "Effusion")),
        ("Pnömoni? Ayşe Demir efüzyon?", ("Pneumonia",)),
        ("Kalp yetmezliği, plevral efüzyon?", ()),  # half of the question would be another question
        ("Ayşe Demir 4711 pnömoni?", ()),
        ("Pnömoni geçirdim.", ()),
        ("Yer kaplayan lezyon?", ()),
        ("", ()),
    ],
)
def test_a_question_is_asked_only_where_it_names_findings_and_nothing_else(history, asked):
    assert facts({}, history=history).asked == asked


@settings(max_examples=50)
@given(st.text())
def test_a_history_is_read_on_one_printable_line(history):
    question = facts({}, history=history).question
    assert question.isprintable() and question == " ".join(question.split())


def test_a_whole_record_is_not_quoted():
    assert len(facts({}, history="öksürük " * 200_000).question) < 2100


def test_an_earlier_image_of_another_kind_or_refused_tells_no_course():
    now = result_of({"Effusion": "certain"})
    chest = result_of({"Effusion": "certain"})
    brain = replace(chest, route=Route.BRAIN_MRI)
    assert facts_of(now, prior=chest).compared and facts_of(now, prior=chest).changes
    other_model = replace(chest, model="findings-test 2.0")
    for prior in (brain, replace(chest, suitable=False), replace(chest, route=None), other_model):
        found = facts_of(now, prior=prior)
        assert not found.compared and not found.changes
