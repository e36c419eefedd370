"""The labeler: what reports assert, deny and leave open, in both languages."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.report.labeler_scoring import labels_of, micro_f1, statements, written
from tetkik.language import Language
from tetkik.report.labeler import Context, Mention, Polarity, read_report
from tetkik.report.labeler.rules import KNOWN_LABELS
from tetkik.values import FINDING_LABELS, Side

PRESENT, ABSENT, UNCERTAIN = Polarity.PRESENT, Polarity.ABSENT, Polarity.UNCERTAIN


def mentions(text: str, language: Language | None = None) -> list[Mention]:
    return [m for reading in read_report(text, language) for m in reading.mentions if not m.implied]


def said(text: str) -> dict[str, Polarity]:
    return {m.label: m.polarity for m in mentions(text) if m.context is Context.CURRENT}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("No pleural effusion or pneumothorax.", {"Effusion": ABSENT, "Pneumothorax": ABSENT}),
        ("Lungs are clear of consolidation.", {"Consolidation": ABSENT}),
        ("The right pneumothorax has resolved.", {"Pneumothorax": ABSENT}),
        ("Pneumothorax: absent.", {"Pneumothorax": ABSENT}),
        ("Effusion: no.", {"Effusion": ABSENT}),
        ("Pneumonia is ruled out.", {"Pneumonia": ABSENT}),
        ("Free of focal infiltrate.", {"Infiltration": ABSENT}),
        ("Small effusion without pneumothorax.", {"Effusion": PRESENT, "Pneumothorax": ABSENT}),
        ("No pneumothorax, but a small effusion.", {"Pneumothorax": ABSENT, "Effusion": PRESENT}),
        ("No cardiomegaly with small bilateral effusions.", {"Cardiomegaly": ABSENT, "Effusion": PRESENT}),
        ("No effusion is seen, heart is enlarged.", {"Effusion": ABSENT, "Cardiomegaly": PRESENT}),
        (
            "No consolidation, effusion, or pneumothorax is identified.",
            {"Consolidation": ABSENT, "Effusion": ABSENT, "Pneumothorax": ABSENT},
        ),
        ("No significant change in the small left effusion.", {"Effusion": PRESENT}),
        ("Cannot exclude early pneumonia.", {"Pneumonia": UNCERTAIN}),
        ("Pneumonia cannot be excluded.", {"Pneumonia": UNCERTAIN}),
        (
            "Opacity may represent atelectasis or pneumonia.",
            {"Lung_Opacity": PRESENT, "Atelectasis": UNCERTAIN, "Pneumonia": UNCERTAIN},
        ),
        ("Atelectasis versus infiltrate.", {"Atelectasis": UNCERTAIN, "Infiltration": UNCERTAIN}),
        ("Heart size is normal.", {"Cardiomegaly": ABSENT}),
        ("The heart is not enlarged.", {"Cardiomegaly": ABSENT}),
        ("The cardiac silhouette is mildly enlarged.", {"Cardiomegaly": PRESENT}),
        ("Heart is at the upper limits of normal in size.", {"Cardiomegaly": UNCERTAIN}),
        ("Costophrenic angles are clear.", {"Effusion": ABSENT}),
        ("Normal chest radiograph.", {"Normal": PRESENT}),
        ("Chest x-ray is not normal.", {"Normal": ABSENT}),
        ("No acute cardiopulmonary disease.", {"Acute_Disease": ABSENT}),
        ("Pericardial effusion is seen.", {}),
        ("No intracranial mass.", {"No_Tumor": PRESENT}),
        ("Glioblastoma with vasogenic edema in the left frontal lobe.", {"Glioma": PRESENT}),
        ("Viral pneumonia is suspected.", {"Viral_Pneumonia": UNCERTAIN}),
        ("Findings consistent with COVID-19 pneumonia.", {"COVID-19": PRESENT}),
    ],
)
def test_english(text: str, expected: dict[str, Polarity]) -> None:
    assert said(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Efüzyon veya pnömotoraks saptanmadı.", {"Effusion": ABSENT, "Pneumothorax": ABSENT}),
        ("Her iki sinüs açıktır.", {"Effusion": ABSENT}),
        ("Sinüsler kapalıdır.", {"Effusion": PRESENT}),
        ("Kitle lehine bulgu yok.", {"Mass": ABSENT}),
        ("Nodül mevcut değildir.", {"Nodule": ABSENT}),
        ("Pnömoni lehine değerlendirilmiştir.", {"Pneumonia": PRESENT}),
        ("Pnömoni ile uyumlu olabilir.", {"Pneumonia": UNCERTAIN}),
        ("Pnömoni ekarte edilemez.", {"Pneumonia": UNCERTAIN}),
        ("Pnömoni ekarte edilmiştir.", {"Pneumonia": ABSENT}),
        ("Kitle şüphesi mevcuttur.", {"Mass": UNCERTAIN}),
        ("Kitle şüphesi yoktur.", {"Mass": ABSENT}),
        ("Pnömotoraks yoktur denilemez.", {"Pneumothorax": UNCERTAIN}),
        ("Pnömotoraks yok denecek kadar azdır.", {"Pneumothorax": PRESENT}),
        ("Nodülde değişiklik izlenmedi.", {"Nodule": PRESENT}),
        ("Fibrotik değişiklik izlenmedi.", {"Fibrosis": ABSENT}),
        ("Kitle ile uyumlu olabilecek lezyon saptanmadı.", {"Mass": ABSENT}),
        (
            "Konsolidasyon izlenmemekle birlikte efüzyon vardır.",
            {"Consolidation": ABSENT, "Effusion": PRESENT},
        ),
        ("Kalp boyutları normaldir, nodül izlendi.", {"Cardiomegaly": ABSENT, "Nodule": PRESENT}),
        ("Kalp normalden büyüktür.", {"Cardiomegaly": PRESENT}),
        ("Gliomdan ziyade meningiom düşünülmüştür.", {"Glioma": ABSENT, "Meningioma": PRESENT}),
        ("Hipofiz bezi doğaldır.", {"Pituitary": ABSENT}),
        ("Beyinde kitle izlenmedi.", {"No_Tumor": PRESENT}),
        ("Akciğer grafisi normaldir.", {"Normal": PRESENT}),
        ("Kardiyomegali dışında patoloji saptanmadı.", {"Cardiomegaly": PRESENT}),
        ("Perikardiyal efüzyon izlenmedi.", {}),
    ],
)
def test_turkish(text: str, expected: dict[str, Polarity]) -> None:
    assert said(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "Sağ plevral efüzyon mevcuttur, kardiyomegali saptanmadı.",
        "SAĞ PLEVRAL EFÜZYON MEVCUTTUR, KARDİYOMEGALİ SAPTANMADI.",
        "Sag plevral efuzyon mevcuttur, kardiyomegali saptanmadi.",
        "Sag\u0306 plevral efu\u0308zyon mevcuttur, kardiyomegali saptanmadi.",
    ],
)
def test_turkish_letters_do_not_matter(text: str) -> None:
    found = [(m.label, m.polarity, m.side) for m in mentions(text)]
    assert found == [("Effusion", PRESENT, Side.RIGHT), ("Cardiomegaly", ABSENT, None)]


@pytest.mark.parametrize(
    ("text", "sides"),
    [
        ("Left pleural effusion.", {"Effusion": Side.LEFT}),
        ("Effusion on the right.", {"Effusion": Side.RIGHT}),
        ("Bilateral pleural effusions, left greater than right.", {"Effusion": Side.BOTH}),
        (
            "Consolidation in the right lower lobe and atelectasis in the left base.",
            {"Consolidation": Side.RIGHT, "Atelectasis": Side.LEFT},
        ),
        ("Small bilateral effusions and mild edema.", {"Effusion": Side.BOTH, "Edema": None}),
        ("Cardiomegaly with left ventricular prominence.", {"Cardiomegaly": None}),
        (
            "Sağda efüzyon, solda atelektazi izlenmektedir.",
            {"Effusion": Side.RIGHT, "Atelectasis": Side.LEFT},
        ),
        ("Her iki akciğerde nodül mevcuttur.", {"Nodule": Side.BOTH}),
        ("Sağda minimal, solda orta derecede efüzyon mevcuttur.", {"Effusion": Side.BOTH}),
        (
            "Sol alt zonda konsolidasyon ve atelektazi var.",
            {"Consolidation": Side.LEFT, "Atelectasis": Side.LEFT},
        ),
        (
            "Opasite sağda izlenmekte olup pnömoni lehinedir.",
            {"Lung_Opacity": Side.RIGHT, "Pneumonia": Side.RIGHT},
        ),
        ("Sol ventrikül lehine kardiyomegali.", {"Cardiomegaly": None}),
        ("Mediasten sağa itilmiş olup efüzyon mevcuttur.", {"Effusion": None}),
    ],
)
def test_sides(text: str, sides: dict[str, Side | None]) -> None:
    assert {m.label: m.side for m in mentions(text)} == sides


@pytest.mark.parametrize(
    ("text", "context"),
    [
        ("History of tuberculosis.", Context.HISTORICAL),
        ("Tüberküloz öyküsü mevcuttur.", Context.HISTORICAL),
        ("Opere meningiom.", Context.HISTORICAL),
        ("Indication: pneumonia?", Context.HISTORICAL),
        ("Klinik bilgi: pnömoni?", Context.HISTORICAL),
        ("If pneumonia is suspected, CT is recommended.", Context.HYPOTHETICAL),
        ("Pnömoni açısından takip önerilir.", Context.HYPOTHETICAL),
        ("Pnömoni şüphesi varsa BT önerilir.", Context.HYPOTHETICAL),
        ("Efüzyon değerlendirilemedi.", Context.NOT_ASSESSED),
        ("Effusion cannot be assessed.", Context.NOT_ASSESSED),
        ("Kitle mevcut, BT önerilir.", Context.CURRENT),
    ],
)
def test_what_is_no_assertion(text: str, context: Context) -> None:
    found = mentions(text)
    assert [m.context for m in found] == [context]
    assert bool(labels_of(text)) is (context is Context.CURRENT)


def test_a_heading_of_background_holds_to_the_end_of_its_line() -> None:
    text = "Indication: cough. Rule out pneumonia.\nFindings: No pneumonia. Nodule in the left lung."
    assert labels_of(text, Language.EN) == {"Pneumonia": ABSENT, "Nodule": PRESENT}


def test_clear_lungs_deny_by_implication() -> None:
    (reading,) = read_report("The lungs are clear.")
    assert {m.label for m in reading.mentions if m.implied and m.polarity is ABSENT} >= {
        "Consolidation",
        "Edema",
    }
    assert labels_of("The lungs are clear. Small nodule in the left lung.")["Nodule"] is PRESENT
    (spared,) = read_report("The lungs are clear except for right basilar atelectasis.")
    assert [m.label for m in spared.mentions] == ["Atelectasis"]


def test_an_assertion_outweighs_a_doubt_and_a_doubt_a_denial() -> None:
    assert labels_of("No nodule. Possible nodule.")["Nodule"] is UNCERTAIN
    assert labels_of("Possible nodule. Nodule in the left lung.")["Nodule"] is PRESENT


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Effusion is unchanged.", "unchanged"),
        ("Önceki tetkike göre efüzyonda artış var.", "Önceki tetkike"),
        ("No prior studies for comparison.", None),
        ("Efüzyon mevcuttur.", None),
    ],
)
def test_comparison_with_an_earlier_image(text: str, words: str | None) -> None:
    (reading,) = read_report(text)
    place = reading.comparison
    assert (text[place.start : place.end] if place else None) == words


def test_the_language_is_told_sentence_by_sentence() -> None:
    text = "No pleural effusion is seen. Plevral efüzyon izlenmedi."
    assert [reading.language for reading in read_report(text)] == [Language.EN, Language.TR]
    assert labels_of(text) == {"Effusion": ABSENT}


@pytest.mark.parametrize("name", ["turkish_sentences.csv", "turkish_sentences_later.csv"])
def test_turkish_sentences_written_before_the_rules(name: str) -> None:
    rows = written(name)
    assert len({row.text for row in rows}) == len(rows)
    assert micro_f1(rows, sides=False) >= 0.96
    assert micro_f1(rows, sides=True) >= 0.94


def test_the_answers_name_shared_labels_only() -> None:
    rows = written("turkish_sentences.csv") + written("turkish_sentences_later.csv")
    named = {statement[0] for row in rows for statement in row.statements}
    assert named == set(FINDING_LABELS)
    polarities = {statement[1] for row in rows for statement in row.statements}
    assert polarities == {polarity.value for polarity in Polarity}


@given(st.text(max_size=300), st.sampled_from([None, *Language]))
def test_any_text_is_read(text: str, language: Language | None) -> None:
    check(text, language)


_WORDS = """no not without possible versus or and , . ; ? ( ) effusion pneumothorax heart normal enlarged left
right is seen efüzyon pnömotoraks kalp sinüs açık kapalı sağ sol izlenmedi izlendi mevcut yok ancak şüphesi
önerilir if 5. 0.5 XXXX Dr. • - İ ı e.g. unchanged history of öyküsü the lungs are clear beyin kitle"""


@given(
    st.lists(st.sampled_from([*_WORDS.split(), "\n\n"]), max_size=60).map(" ".join),
    st.sampled_from([None, *Language]),
)
def test_any_words_are_read(text: str, language: Language | None) -> None:
    check(text, language)


def check(text: str, language: Language | None) -> None:
    readings = read_report(text, language)
    for reading in readings:
        assert reading.text == text[reading.start : reading.end]
        assert language in (None, reading.language)
        assert [m.start for m in reading.mentions] == sorted(m.start for m in reading.mentions)
        for mention in reading.mentions:
            assert mention.label in KNOWN_LABELS
            assert reading.start <= mention.start < mention.end <= reading.end
            assert mention.words == text[mention.start : mention.end]
        if reading.comparison is not None:
            assert reading.start <= reading.comparison.start < reading.comparison.end <= reading.end
    assert all(before.end <= after.start for before, after in pairwise(readings))
    assert set(labels_of(text, language)) <= KNOWN_LABELS


@pytest.mark.parametrize(
    "piece", ["no effusion, and ", "1. ", "(", "sağ ", "? ", "\u0306", "e.g. ", "possible versus ", "\n- "]
)
def test_a_long_text_of_junk_is_read_in_pieces(piece: str) -> None:
    text = piece * (200_000 // len(piece))
    readings = read_report(text)
    assert all(len(reading.text) <= 1200 for reading in readings)


def test_a_megabyte_without_a_space() -> None:
    assert labels_of("a" * 1_000_000) == {}
    assert len(read_report("a" * 1_000_000)) > 800


def test_statements_join_the_sides_of_one_label() -> None:
    assert statements("Sağda nodül izlendi. Solda nodül izlendi.") == {("Nodule", "present", "both")}
