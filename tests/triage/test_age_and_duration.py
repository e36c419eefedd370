"""Ages, children, pregnancies and durations in complaints."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tetkik.triage.age_and_duration import Tense, is_child, is_pregnant, read_age, read_ages, read_durations
from tetkik.turkish import fold


@pytest.mark.parametrize(
    ("text", "years"),
    [
        ("45 yaşındayım", 45),
        ("Annem 70 yaşında", 70),
        ("yaş 34, boy 170", 34),
        ("Yaşım 23", 23),
        ("iki yaşında kızım öksürüyor", 2),
        ("OTUZ BEŞ YAŞINDAYIM", 35),
        ("otuzbeş yaşındayım", 35),
        ("2,5 yaşındaki kızım", 2.5),
        ("iki buçuk yaşında oğlum", 2.5),
        ("3 aylık bebeğim", 0.25),
        ("oğlum 6 aylık", 0.5),
        ("6 günlük bebeğim", 6 / 365.25),
        ("yenidoğan bebek", 0),
        ("24 25 yaşında", 25),
    ],
)
def test_ages(text: str, years: float):
    age = read_age(fold(text))
    assert age is not None
    assert age.years == pytest.approx(years, abs=0.001)
    assert 0 <= age.span.start < age.span.end <= len(text)


@pytest.mark.parametrize(
    "text",
    [
        "15 yaşındayken ameliyat oldum",
        "10 yaşımdan beri astımım var",
        "6 aylık hamileyim",
        "3 aylık tedavi",
        "yaşlıyım",
    ],
)
def test_what_is_no_age(text: str):
    assert read_age(fold(text)) is None


def test_the_writers_age_comes_before_a_childs():
    mother, child = read_ages(fold("32 yaşındayım, 4 yaşında kızım var"))
    assert (mother.years, mother.of_patient, mother.of_child) == (32, True, False)
    assert (child.years, child.of_patient, child.of_child) == (4, False, True)


@pytest.mark.parametrize(
    ("text", "child"),
    [
        ("Bebeğimin ateşi var", True),
        ("Oğlum düştü", True),
        ("2 yaşındaki kızım", True),
        ("16 yaşındayım", True),
        ("Kızım 25 yaşında", False),
        ("Çocuğum olmuyor", False),
        ("İki çocuk annesiyim, belim ağrıyor", False),
        ("Çocukken geçirdim", False),
        ("Hamileyim, bebeğim oynamıyor", False),
        ("Başım ağrıyor", False),
    ],
)
def test_children(text: str, child: bool):
    assert is_child(fold(text)) is child


@pytest.mark.parametrize(
    ("text", "pregnant"),
    [
        ("Hamileyim", True),
        ("6 aylık hamileyim", True),
        ("28 haftalık gebeyim", True),
        ("Eşim hamile, kanaması var", True),
        ("Hamile kalamıyorum", False),
        ("Hamile miyim?", False),
        ("Hamilelik testi negatif", False),
        ("Hamile değilim", False),
        ("Gebelik istiyorum", False),
    ],
)
def test_pregnancies(text: str, pregnant: bool):
    assert is_pregnant(fold(text)) is pregnant


@pytest.mark.parametrize(
    ("text", "days", "tense"),
    [
        ("3 gündür", 3, Tense.SINCE),
        ("üç gündür ateşi var", 3, Tense.SINCE),
        ("1 haftadan beri", 7, Tense.SINCE),
        ("son bir haftadır", 7, Tense.SINCE),
        ("son 2 gün", 2, Tense.SINCE),
        ("2 aydır öksürüyorum", 60, Tense.SINCE),
        ("yıllardır", 1000, Tense.SINCE),
        ("bir saattir", 1 / 24, Tense.SINCE),
        ("dünden beri", 1, Tense.SINCE),
        ("bu sabah başladı", 0.4, Tense.SINCE),
        ("iki gün önce düştüm", 2, Tense.AGO),
        ("5 yıl önce", 1825, Tense.AGO),
        ("geçen yıl", 400, Tense.AGO),
    ],
)
def test_durations(text: str, days: float, tense: Tense):
    (duration,) = read_durations(fold(text))
    assert duration.days == pytest.approx(days)
    assert duration.tense is tense


def test_two_durations_come_in_order():
    first, second = read_durations(fold("3 yıldır başım ağrıyor, dünden beri arttı"))
    assert (first.days, second.days) == (1095, 1)


@given(st.text(max_size=120))
def test_any_text_is_read(text: str):
    folded = fold(text)
    for span in [age.span for age in read_ages(folded)] + [time.span for time in read_durations(folded)]:
        assert 0 <= span.start < span.end <= len(folded)
    is_child(folded)
    is_pregnant(folded)


@pytest.mark.parametrize(
    "text",
    [
        "Lohusayım, yirmi iki günlük bebeğim var, sol mememde bir yer taş gibi oldu",
        "İlk bebeğim, 35 haftalığım, başım çatlıyor",
        "Annem 38 haftalık, dün akşamdan beri bebek hiç kıpırdamıyor",
    ],
)
def test_a_mother_who_tells_of_herself_is_no_child(text: str):
    assert not is_child(fold(text))
    assert is_child(fold("22 günlük bebeğimin ateşi var, annesi lohusa"))
