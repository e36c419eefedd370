"""Turkish letters: the rules that Python does not know, and places that lead back to the original."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tetkik import turkish

LETTERS = "abcçdefgğhıijklmnoöprsştuüvyzâîû"
CAPITALS = "ABCÇDEFGĞHIİJKLMNOÖPRSŞTUÜVYZÂÎÛ"
anything = st.text(st.characters(codec="utf-8"))
turkish_text = st.text(st.sampled_from(LETTERS + CAPITALS + " .,'!?0123456789\n"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("KIRIK", "kırık"),
        ("İLAÇ", "ilaç"),
        ("Isırdı", "ısırdı"),
        ("DİŞ ETİ", "diş eti"),
        (unicodedata.normalize("NFD", "ŞİKÂYET"), "şikâyet"),
        (unicodedata.normalize("NFD", "İğne"), "iğne"),
        ("ÇĞIÖŞÜ", "çğıöşü"),
        ("", ""),
    ],
)
def test_lower_case_by_the_turkish_rule(text, expected):
    assert turkish.lower(text) == expected


@given(turkish_text)
def test_lower_case_keeps_the_length_and_needs_no_second_time(text):
    composed = unicodedata.normalize("NFC", text)
    once = turkish.lower(text)
    assert len(once) == len(composed)
    assert turkish.lower(once) == once
    assert "\u0307" not in once


@given(turkish_text)
def test_lower_case_does_not_depend_on_the_normal_form(text):
    assert turkish.lower(unicodedata.normalize("NFD", text)) == turkish.lower(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Göğsüm ağrıyor", "gogsum agriyor"),
        ("GÖĞSÜM AĞRIYOR", "gogsum agriyor"),
        ("GOGSUM AGRIYOR", "gogsum agriyor"),
        ("İŞİTME", "isitme"),
        ("KIRIK", "kirik"),
        ("dâhiliye", "dahiliye"),
        ("38,5° ateş", "38 5  ates"),
        ("so\u00adğuk", "soguk"),
        ("a\u200bb", "ab"),
        ("ＡＢ", "ab"),
        ("𝑨", "a"),
        ("x\n\ty", "x  y"),
    ],
)
def test_folding(text, expected):
    assert turkish.fold(text) == expected


@given(anything)
def test_folding_and_places(text):
    folded, places = turkish.fold_with_places(text)
    assert folded == turkish.fold(text)
    assert len(places) == len(folded) <= len(text)
    assert list(places) == sorted(set(places))
    assert all(0 <= place < len(text) for place in places)
    assert all(turkish.fold(text[place]) == char for place, char in zip(places, folded, strict=True))


@given(anything)
def test_folding_again_changes_nothing(text):
    once = turkish.fold(text)
    assert turkish.fold(once) == once


@given(turkish_text)
def test_folding_sees_through_case_accents_and_normal_form(text):
    folded = turkish.fold(text)
    assert turkish.fold(turkish.lower(text)) == folded
    assert turkish.fold(unicodedata.normalize("NFD", text)) == folded
    assert folded.isascii()


@given(anything, anything)
def test_folding_goes_character_by_character(first, second):
    assert turkish.fold(first + second) == turkish.fold(first) + turkish.fold(second)


def test_lists_stand_in_the_order_of_the_turkish_alphabet():
    letters = list("abcçdefgğhıijklmnoöpqrsştuüvwxyz")
    assert sorted(set(letters), key=turkish.alphabetical) == letters
    names = [
        "Ürün",
        "Iğdır",
        "İzmir",
        "âlem",
        "Çorum",
        "Curt",
        "dal",
        "alan",
        "Şile",
        "Sivas",
        "iz",
        "2 ay",
        "Öz",
    ]
    assert sorted(names, key=turkish.alphabetical) == [
        *(
            "2 ay",
            "alan",
            "âlem",
            "Curt",
            "Çorum",
            "dal",
            "Iğdır",
            "iz",
            "İzmir",
            "Öz",
            "Sivas",
            "Şile",
            "Ürün",
        )
    ]


@given(turkish_text, turkish_text)
def test_capitals_and_decomposed_letters_make_no_difference_to_the_order(one, other):
    def key(text):
        return turkish.alphabetical(text)

    assert key(turkish.lower(one)) == key(one) == key(unicodedata.normalize("NFD", one))
    assert (key(one) == key(other)) == (turkish.lower(one) == turkish.lower(other))
