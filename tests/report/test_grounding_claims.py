"""What the check reads beyond names: signs, courses, exceptions, slips, what is beyond the facts."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.report.made import facts
from tetkik.language import Language
from tetkik.report.grounding import check_draft, check_own, check_text
from tetkik.report.labeler import read_report
from tetkik.report.labeler.rules import SlipCorrector
from tetkik.values import Draft, DraftSentence, Fault, Passage, PassageKind, Route, Section, Side

TR, EN = Language.TR, Language.EN
FLUID = facts(
    {"Effusion": "certain", "Cardiomegaly": "certain", "Pneumothorax": "absent", "Consolidation": "absent"},
    sides={"Effusion": Side.RIGHT},
    prior={"Effusion": "absent", "Cardiomegaly": "certain", "Pneumothorax": "absent"},
    history="two days of breathlessness",
)
AIR = facts(
    {"Pneumothorax": "certain", "Effusion": "absent", "Cardiomegaly": "absent"},
    sides={"Pneumothorax": Side.LEFT},
)
SELLA = facts({"Pituitary": "certain", "Glioma": "absent", "Meningioma": "absent"}, route=Route.BRAIN_MRI)
PASSAGE = Passage("p-1", EN, PassageKind.FOLLOW_UP, None, "", "A follow-up radiograph shows the course.", "s")


def marks(text, known, language, passages=()):
    """The faults of a language model's sentence."""
    cited = ("technique:image", *(f"passage:{item.id}" for item in passages))
    sentence = DraftSentence(text, Section.FINDINGS, cited)
    (only,) = check_draft(Draft(language, (sentence,), known.bases(), passages), known).sentences
    assert all(0 <= mark.start < mark.end <= len(text) for mark in only.marks)
    return {mark.fault for mark in only.marks}


@pytest.mark.parametrize(
    ("text", "known", "language"),
    [
        ("The right costophrenic sulcus is crisp.", FLUID, EN),
        ("Sağ sinüs keskin.", FLUID, TR),
        ("CTR below 0.5.", FLUID, EN),
        ("KTO olağan sınırlarda.", FLUID, TR),
        ("A visceral pleural line is traced on the left.", FLUID, EN),
        ("Sol hemitoraksta plevral hat seçilmektedir.", FLUID, TR),
        ("A meniscus rises along the left chest wall.", AIR, EN),
        ("Sol sinüs sıvıyla dolu.", AIR, TR),
        ("The cor is big.", AIR, EN),
        ("KMG izlendi.", AIR, TR),
        ("The left lung is fully expanded.", AIR, EN),
        ("Sol akciğer tam ekspanse.", AIR, TR),
        ("A dural-based mass is seen.", SELLA, EN),
        ("Dural kuyruk işareti mevcut.", SELLA, TR),
        ("Left PTX absent.", AIR, EN),
        ("Solda pnx (-).", AIR, TR),
        ("The pnuemothorax is on the right.", AIR, EN),
        ("Pnömotorkas sağdadır.", AIR, TR),
        ("Sagda efuzyon yoktur.", FLUID, TR),
        ("Effusion lies on the right, so do opacities of consolidation.", FLUID, EN),
        ("The effusion was already there on the previous film.", FLUID, EN),
        ("Efüzyon sebat etmektedir.", FLUID, TR),
        ("The enlarged heart is new.", FLUID, EN),
        ("Kardiyomegali yeni gelişmiştir.", FLUID, TR),
        ("Apart from the effusion on the right the heart is of normal size.", FLUID, EN),
        ("Efüzyon yalnızca solda izlenmektedir.", FLUID, TR),
    ],
)
def test_what_goes_against_the_facts_is_marked_in_anybodys_text(text, known, language):
    assert marks(text, known, language)
    assert any(sentence.marks for sentence in check_text(text, known, language))
    own = DraftSentence(text, Section.FINDINGS)
    assert check_own(own, known, language).marks


@pytest.mark.parametrize(
    ("text", "known", "language"),
    [
        ("The right rib cage shows a fracture beside the effusion.", FLUID, EN),
        ("Efüzyona aort topuzunda kalsifikasyon eşlik etmektedir.", FLUID, TR),
        ("Right effusion in the lower lobe region.", FLUID, EN),
        ("Sağ efüzyon kalp yetmezliğine bağlıdır.", FLUID, TR),
        ("Effusion of 400 ml on the right.", FLUID, EN),
        ("KTO 0,61, kalp büyük.", FLUID, TR),
        ("The left pneumothorax has increased.", AIR, EN),
        ("Pnömotoraks önceki filme göre gerilemiştir.", AIR, TR),
        ("Left pneumothorax; insert a chest drain.", AIR, EN),
        ("Solda pnömotoraks, göğüs tüpü takılması önerilir.", AIR, TR),
        ("Moderate effusion on the right.", FLUID, EN),
        ("The catheter tip is well placed, effusion on the right.", FLUID, EN),
        ("Hipofiz tümörü kavernöz sinüse uzanmaktadır.", SELLA, TR),
    ],
)
def test_what_the_facts_do_not_hold_is_marked_in_a_models_text_alone(text, known, language):
    assert marks(text, known, language, (PASSAGE,))
    own = check_own(DraftSentence(text, Section.FINDINGS), known, language)
    assert not {mark.fault for mark in own.marks} - {Fault.MEASUREMENT}


@pytest.mark.parametrize(
    ("text", "known", "language"),
    [
        ("R-sided pleural fluid and a big heart, no PTX.", FLUID, EN),
        ("Sağ sinüs künt, kalp büyük, pnx (-).", FLUID, TR),
        ("Sag efuzyon yeni, kardiyomegali eski grafide de mevcuttu.", FLUID, TR),
        ("The effusion is new, the cardiomegaly persists.", FLUID, EN),
        ("Two days of breathlessness; effusion on the right.", FLUID, EN),
        ("The size of the effusion was not measured.", FLUID, EN),
        ("Kot kırığı yönünden değerlendirme yapılmamıştır.", FLUID, TR),
        ("It would be wrong to say that there is no effusion.", FLUID, EN),
        ("Sağda efüzyon yok denemez.", FLUID, TR),
        ("Efüzyona ne pnömotoraks ne de konsolidasyon eşlik etmektedir.", FLUID, TR),
        ("Neither pneumothorax nor consolidation.", FLUID, EN),
        ("A follow-up radiograph will show the course of the pneumothorax.", AIR, EN),
        ("Pituitary tumour; no glioma.", SELLA, EN),
        ("Hipofizde tümör izlenmekle birlikte meningiom görülmedi.", SELLA, TR),
    ],
)
def test_what_the_facts_carry_is_left_alone_in_any_wording(text, known, language):
    assert not marks(text, known, language, (PASSAGE,))
    assert not any(sentence.marks for sentence in check_text(text, known, language))


@pytest.mark.parametrize(
    "word", ["pn\u03b5umothorax", "mass\u0430", "pneu mo tho rax", "m a s s", "f.i.b.r.o.s.i.s"]
)
def test_letters_that_hide_a_word_are_refused_in_a_models_text(word):
    assert Fault.FOREIGN in marks(f"Effusion on the right; there is {word}.", FLUID, EN)


def test_a_slip_is_led_back_and_a_known_word_stays():
    speller = SlipCorrector({"pnomotoraks", "kitle"}, {"kilte"})
    assert speller.mended("pnomtoraks") == "pnomotoraks"
    assert speller.mended("ktileler") == "kitleler"
    assert speller.mended("kilte") == "kilte"
    assert speller.mended("normal") == "normal"


def test_signs_are_read_only_where_they_are_asked_for():
    text = "The left costophrenic sinus is crisp. Pnuemothorax."
    assert not [item for reading in read_report(text, EN) for item in reading.mentions]
    assert len([item for reading in read_report(text, EN, signs=True) for item in reading.mentions]) == 2


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=200), st.sampled_from(list(Language)))
def test_nothing_raises_and_marks_lie_within_the_text(text, language):
    if text.strip():
        marks(text, FLUID, language, (PASSAGE,))


@pytest.mark.parametrize(
    "piece", ["pno mo to raks ", "no not without ", "a.b.", "ne yok ", "(-) ", "efuzyon ve "]
)
def test_a_hostile_sentence_ends_in_time(piece):
    start = time.process_time()
    marks((piece * 1200)[:1200], FLUID, TR)
    assert time.process_time() - start < 20  # backtracking that doubles with each word would take days
