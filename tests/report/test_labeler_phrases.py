"""The phrase language of the rules, their files, and the cutting of sentences."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tetkik.language import Language
from tetkik.report.labeler.read import LONGEST, spans, words_of
from tetkik.report.labeler.rules import Cue, Lexicon, Named, Structure, expand, inflected, rules_of
from tetkik.values import FINDING_LABELS, Side

Value = TypeVar("Value")


def found(phrases: dict[str, str], text: str) -> list[tuple[str, str]]:
    words = words_of(text).texts
    return [
        (" ".join(words[hit.first : hit.last + 1]), hit.value) for hit in Lexicon(phrases.items()).find(words)
    ]


def test_a_word_a_beginning_and_a_noun_with_endings() -> None:
    phrases = {"nodule": "exact", "atelekta*": "beginning", "kitle~": "noun"}
    assert found(phrases, "nodule nodules") == [("nodule", "exact")]
    assert found(phrases, "atelektazik") == [("atelektazik", "beginning")]
    text = "kitle kitlenin kitlelerde kitlesiyle kitlendi"
    assert [words for words, _ in found(phrases, text)] == ["kitle", "kitlenin", "kitlelerde", "kitlesiyle"]


def test_choices_optional_words_and_gaps() -> None:
    phrases = {"?the (left|right upper) lobe": "lobe", "no ..2 mass": "mass", "izlenm[ae]d*": "seen"}
    assert found(phrases, "The right upper lobe, left lobe") == [
        ("the right upper lobe", "lobe"),
        ("left lobe", "lobe"),
    ]
    assert found(phrases, "no large hilar mass") == [("no large hilar mass", "mass")]
    assert found(phrases, "no, mass") == []
    assert found(phrases, "no a b c mass") == []
    assert found(phrases, "izlenmedi izlenmektedir") == [("izlenmedi", "seen")]


def test_the_longest_phrase_of_a_place_counts() -> None:
    phrases = {"effusion": "pleural", "pericardial effusion": "other"}
    assert found(phrases, "pericardial effusion, effusion") == [
        ("pericardial effusion", "other"),
        ("effusion", "pleural"),
    ]


@pytest.mark.parametrize("phrase", ["", "?a", "(a", "a b)", "?(a|b) ?c"])
def test_a_phrase_that_cannot_be(phrase: str) -> None:
    with pytest.raises(ValueError, match="phrase"):
        list(expand(phrase))


def test_a_phrase_of_two_meanings_or_with_letters_that_are_never_met() -> None:
    with pytest.raises(ValueError, match="two meanings"):
        Lexicon([("(a|b) c", 1), ("b c", 2)])
    with pytest.raises(ValueError, match="not folded"):
        Lexicon([("nodül", 1)])


@pytest.mark.parametrize("ending", ["", "de", "lerde", "sinin", "nin", "lari", "le", "dur"])
def test_endings_of_a_noun(ending: str) -> None:
    assert inflected(ending)


@pytest.mark.parametrize("ending", ["er", "ektomi", "x", "dededededede"])
def test_what_is_no_ending(ending: str) -> None:
    assert not inflected(ending)


@pytest.mark.parametrize("language", list(Language))
def test_the_rules_know_every_shared_label(language: Language) -> None:
    """Each label can be named in both languages, by a word or by the state of an organ."""
    values = list(values_of(rules_of(language).findings))
    labels = {label for value in values if isinstance(value, Named) for label in value.labels}
    labels |= {
        label
        for value in values
        if isinstance(value, Structure)
        for named in value.states.values()
        for label in named.labels
    }
    assert labels >= set(FINDING_LABELS)
    assert set(values_of(rules_of(language).sides)) == {*(side.value for side in Side), "nothing"}
    assert {Cue.DENY_AFTER, Cue.DOUBT_AFTER, Cue.STOP} <= set(values_of(rules_of(language).cues))


def values_of(lexicon: Lexicon[Value]) -> list[Value]:
    found: list[Value] = []
    nodes = [lexicon._root]
    while nodes:
        node = nodes.pop()
        nodes += [*node.steps.values(), *node.gaps.values()]
        if node.value is not None:
            found.append(node.value)
    return found


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("A left nodule. No mass.", ["A left nodule.", "No mass."]),
        ("Nodule of 0.5 cm. KTO 0,48'dir.", ["Nodule of 0.5 cm.", "KTO 0,48'dir."]),
        ("Sağ 5. kotta fraktür. Dr. Yılmaz", ["Sağ 5. kotta fraktür.", "Dr. Yılmaz"]),
        ("1. Cardiomegaly.\n2. No effusion.", ["Cardiomegaly.", "No effusion."]),
        ("- Kalp normal\n- Sinüsler açık", ["Kalp normal", "Sinüsler açık"]),
        ("• Kalp normal • Sinüsler açık", ["Kalp normal", "Sinüsler açık"]),
        ("Kalp normal\nSinüsler açık", ["Kalp normal", "Sinüsler açık"]),
        ("Opacity in the left\nlower lobe. Clear.", ["Opacity in the left\nlower lobe.", "Clear."]),
        ("Opacity is seen.There is no mass.", ["Opacity is seen.", "There is no mass."]),
        (
            "Sağ bazalde infiltrasyon? atelektazi? Kitle yok.",
            ["Sağ bazalde infiltrasyon? atelektazi?", "Kitle yok."],
        ),
        ("Compared with 2014. The heart is large.", ["Compared with 2014.", "The heart is large."]),
        ("...\n\n - \n", []),
        ("", []),
    ],
)
def test_sentences(text: str, sentences: list[str]) -> None:
    assert [text[start:end] for start, end in spans(text)] == sentences


@given(st.text(alphabet="aA1.,?\n -•\u0306ğ", max_size=400))
def test_sentences_keep_every_word(text: str) -> None:
    places = list(spans(text))
    assert all(before[1] <= after[0] for before, after in pairwise(places))
    kept = "".join(text[start:end] for start, end in places)
    letters = re.compile(r"[aAğ]")
    assert len(letters.findall(kept)) >= len(letters.findall(text)) - len(re.findall(r"[aAğ]\)", text))


def test_a_text_without_any_mark_is_cut() -> None:
    places = list(spans("nodule " * 1000))
    assert all(end - start <= LONGEST for start, end in places)
    assert len(places) > 5


@given(st.text(max_size=200))
def test_words_stand_where_they_are_said_to(text: str) -> None:
    words = words_of(text, start=7)
    assert len(words.texts) == len(words.starts) == len(words.ends)
    for start, end in zip(words.starts, words.ends, strict=True):
        assert 7 <= start < end <= 7 + len(text)
    assert list(words.starts) == sorted(words.starts)
    assert all(word == word.strip() and word for word in words.texts)


def test_a_hyphen_divides_words() -> None:
    assert words_of("COVID-19, non-specific - nodule").texts == (
        "covid",
        "19",
        ",",
        "non",
        "specific",
        "-",
        "nodule",
    )
