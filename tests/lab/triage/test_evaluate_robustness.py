"""Ways to spoil a text, and the parts of a table."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tetkik import turkish
from tetkik.lab.engine.results import SMALLEST
from tetkik.lab.triage.evaluate import (
    KEYBOARD,
    PERTURBATIONS,
    capitals,
    first_sentence,
    first_words,
    typing_errors,
    without_turkish_letters,
)
from tetkik.lab.triage.summaries import subgroups

TURKISH = st.text("abcçdefgğhıijklmnoöprsştuüvyzABCÇİIŞĞÜÖ 0123456789.,!?\n", max_size=200)


def test_capitals_follow_the_turkish_rule():
    assert capitals("ılık iğne, kırık diş") == "ILIK İĞNE, KIRIK DİŞ"
    assert turkish.lower(capitals("ılık iğne")) == "ılık iğne"
    assert capitals("dis\u0327im") == "DİŞİM"


def test_turkish_letters_are_stripped_and_nothing_else_changes():
    assert (
        without_turkish_letters("Göğsüm AĞRIYOR, İğne ıslak, rüzgâr 3.")
        == "Gogsum AGRIYOR, Igne islak, ruzgar 3."
    )


@given(TURKISH)
@settings(max_examples=100, deadline=None)
def test_stripping_and_case_leave_what_folding_sees(text):
    for spoil in (without_turkish_letters, capitals, turkish.lower):
        assert turkish.fold(spoil(text)) == turkish.fold(text)


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("Merhaba. Üç gündür başım ağrıyor. Ne yapayım?", "Merhaba. Üç gündür başım ağrıyor."),
        ("Ateşim 38.5 oldu dün gece. Geçmedi.", "Ateşim 38.5 oldu dün gece."),
        ("Dizim çok ağrıyor\nyürüyemiyorum", "Dizim çok ağrıyor"),
        ("Ne yapmam gerekiyor? Bilmiyorum.", "Ne yapmam gerekiyor?"),
        ("noktasız uzun bir yazı", "noktasız uzun bir yazı"),
        ("Öksürük", "Öksürük"),
    ],
)
def test_the_first_sentence(text, first):
    assert first_sentence(text) == first


def test_first_words():
    assert first_words("bir iki  üç\ndört", 3) == "bir iki üç"


def test_keyboard_neighbours_are_mutual_and_turkish():
    assert all(key in KEYBOARD[other] for key, near in KEYBOARD.items() for other in near)
    assert set("ıo") <= set(KEYBOARD["u"]) | set(KEYBOARD["ı"])
    assert set("şğü") == set(KEYBOARD["i"])
    assert set(KEYBOARD) == set("abcçdefgğhıijklmnoöprsştuüvyz") | set("qwx")


@given(TURKISH, st.integers(0, 5))
@settings(max_examples=100, deadline=None)
def test_one_word_in_ten_is_mistyped_and_always_the_same_ones(text, seed):
    perturbed = typing_errors(text, seed)
    assert perturbed == typing_errors(text, seed)
    words = [word for word in turkish.fold(text).split() if len(word) > 1 and word.isalpha()]
    if not words:
        assert perturbed == text
    else:
        assert perturbed != text
        assert abs(len(perturbed) - len(text)) <= math.ceil(0.1 * len(text.split())) + 1


def test_typing_errors_touch_the_share_that_was_asked_for():
    text = " ".join(f"kelime{chr(97 + i)}" for i in range(20))
    changed = sum(a != b for a, b in zip(text.split(), typing_errors(text, 3).split(), strict=True))
    assert changed == 2
    assert typing_errors(text, 3) != typing_errors(text, 4)


def test_every_perturbation_has_its_own_id_and_gives_text():
    assert len({item.id for item in PERTURBATIONS}) == len(PERTURBATIONS) == 6
    for item in PERTURBATIONS:
        assert item.apply("Karnım çok ağrıyor.", 0).strip()


def test_each_row_is_in_one_part_of_each_dimension():
    texts = [
        "5 yaşında oğlum öksürüyor",
        "34 yaşındayım, reglim gecikti",
        "70 yaşındayım, prostat ameliyatı oldum",
        "başım ağrıyor " * 60,
        "penisilin iğnesi oldum",
        "annem ve babam hasta",
    ]
    found = subgroups(texts)
    for dimension in ("length", "age", "sex"):
        rows = np.stack([part.rows for part in found if part.dimension == dimension])
        assert (rows.sum(axis=0) == 1).all()
    where = {part.id: np.flatnonzero(part.rows).tolist() for part in found}
    assert where["child"] == [0] and where["adult"] == [1] and where["old"] == [2]
    assert where["female"] == [1] and where["male"] == [0, 2] and where["both"] == [5]
    assert where["neither"] == [3, 4], "penisilin is no word of a man"
    assert where["100_or_more"] == [3]


def test_sex_words_are_found_without_turkish_letters_and_in_capitals():
    found = {part.id: part.rows.tolist() for part in subgroups(["GEBELİK TESTİ YAPTIM", "oglumun atesi var"])}
    assert found["female"] == [True, False]
    assert found["male"] == [False, True]
    assert SMALLEST == 30
