"""The model over the rules of the check: its weights, what it may not clear, and histories told again."""

from __future__ import annotations

import math
from string import ascii_lowercase

import pytest

from tests.report.checking import COMPARED, FACTS, STATES
from tests.report.made import facts
from tetkik.language import Language
from tetkik.report.composer import compose
from tetkik.report.grounding import check, check_draft
from tetkik.report.labeler import Polarity, read_report
from tetkik.report.labeler.rules import SlipCorrector, one_slip
from tetkik.values import Draft, DraftSentence, Fault, Route, Section, Side

TR, EN = Language.TR, Language.EN
AFTER = facts(
    {"Normal": "certain", "Pneumonia": "absent", "Consolidation": "absent", "Effusion": "absent"},
    prior={"Pneumonia": "certain", "Consolidation": "certain", "Effusion": "absent"},
    history="control after pneumonia six weeks ago, known COPD, oxygen 91%",
)
FLUID = facts(
    {"Effusion": "certain", "Pneumothorax": "absent", "Consolidation": "absent"},
    sides={"Effusion": Side.LEFT},
)


def faults(text, known, language):
    sentence = DraftSentence(text, Section.FINDINGS, tuple(basis.id for basis in known.bases()))
    (found,) = check_draft(Draft(language, (sentence,), known.bases()), known).sentences
    return {mark.fault for mark in found.marks} - {Fault.CITATION}


def test_the_weights_load():
    bias, weights = check._weights()
    assert math.isfinite(bias) and 1000 < len(weights) <= 4000
    assert all(math.isfinite(weight) for weight in weights.values())
    assert 0 < check.CLEARS <= check.ADDS < 1


@pytest.mark.parametrize(
    ("text", "known", "language", "marked"),
    [
        ("Left pleural effusion, no pneumothorax.", FLUID, EN, False),
        ("Solda plevral efüzyon izlenmekte olup pnömotoraks saptanmadı.", FLUID, TR, False),
        ("Left effusion is not accompanied by pneumothorax or consolidation.", FLUID, EN, False),
        ("No focal consolidation.", FLUID, EN, False),
        ("Solda efüyzon, pnömotoraks ortaya konulamamıştır.", FLUID, TR, False),
        ("Pneumothorax, which one would fear most here, is not seen.", FLUID, EN, False),
        ("Efüzyonun gerileyip gerilemediğini görmek için kontrol grafisi önerilir.", FLUID, TR, False),
        ("The left pleural space is dry, no effusion.", FLUID, EN, True),
        ("Pnömotoraks ve efüzyon izlenmektedir.", FLUID, TR, True),
        ("Consolidation, which one would fear most here, is present on the left.", FLUID, EN, True),
        ("Six weeks after pneumonia: normal film.", AFTER, EN, False),
        ("Bilinen KOAH, pnömoni sonrası kontrol; grafi normal.", AFTER, TR, False),
        ("Oksijeni %91 olan hastada plevral efüzyon yok.", AFTER, TR, False),
        ("There is pneumonia.", AFTER, EN, True),
        ("Pnömoni devam etmektedir.", AFTER, TR, True),
        ("Oksijeni %88 olan hastada plevral efüzyon yok.", AFTER, TR, True),
    ],
)
def test_plain_sentences_are_decided_rightly(text, known, language, marked):
    assert bool(faults(text, known, language)) is marked


@pytest.mark.parametrize("language", Language)
@pytest.mark.parametrize(
    "known",
    [
        FACTS,
        COMPARED,
        AFTER,
        facts(STATES, history="öksürük"),
        facts({"Glioma": "certain", "Meningioma": "absent"}, route=Route.BRAIN_MRI),
        facts({"No_Tumor": "certain", "Glioma": "absent"}, route=Route.BRAIN_MRI),
    ],
)
def test_sentences_of_the_composer_are_never_marked(known, language):
    assert not check_draft(compose(known, (), language), known).open_marks


def test_the_model_clears_nothing_that_the_rules_are_certain_of(monkeypatch):
    monkeypatch.setattr("tetkik.report.grounding.check.probability_unborne", lambda *_: 0.0)
    assert faults("Left effusion of 12 mm.", FLUID, EN) == {Fault.MEASUREMENT}
    assert faults("Pleural effusion cannot be assessed.", FLUID, EN) == {Fault.DENIES_FOUND}
    assert not faults("Massive left effusion.", FLUID, EN)


def test_a_side_denied_beside_the_other_is_no_denial_of_the_finding():
    (reading,) = read_report("No effusion on the right.", EN, signs=True)
    assert reading.mentions[0].polarity is Polarity.ABSENT
    assert Fault.DENIES_FOUND in faults("No effusion on the left.", FLUID, EN)


def test_what_may_be_meant_is_every_slip_up_to_which_a_stem_begins():
    stems = ["efuzyon", "emboli", "kalp"]
    corrector = SlipCorrector(stems, ())
    for word in ("efuyzon", "embli", "mboli", "kapl", "ekalp", "xyz"):
        begun = [
            (place, meant)
            for place, meant in one_slip(word, ascii_lowercase)
            if any(stem.startswith(meant[: place + 1]) for stem in stems)
            and any(stem.startswith(word[:place]) for stem in stems)
        ]
        assert [*corrector._meant(word)] == begun


def test_every_slip_of_a_word_is_made_once_by_its_place():
    made = list(one_slip("ab", "ax"))
    assert [place for place, _ in made] == sorted(place for place, _ in made)
    assert {word for _, word in made} >= {"ba", "b", "a", "xab", "axb", "abx", "xb", "ax"}
