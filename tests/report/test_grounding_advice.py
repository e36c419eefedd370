"""Recommendations against the passage that each cites: honest ones stay unmarked, further ones do not."""

from __future__ import annotations

from pathlib import Path

import pytest

from tetkik.language import Language
from tetkik.report.grounding.check import unborne_advice
from tetkik.report.grounding.claims import intervals_in, numbers_of
from tetkik.report.labeler.read import words_of
from tetkik.report.passages.store import library

_DATA = Path(__file__).parent / "data"


def marked(name: str, language: Language) -> tuple[list[str], int]:
    """The marked sentences of a file, and how many it has: passage, tab, sentence in each line."""
    passages = {passage.id: passage for passage in library(language)}
    lines = [line.split("\t") for line in (_DATA / name).read_text("utf-8").splitlines()]
    told = [(text, passages[about]) for about, text in lines if about in passages]
    return [text for text, about in told if any(unborne_advice(text, [about], language))], len(told)


@pytest.mark.parametrize("language", Language)
def test_what_a_passage_says_in_other_words_is_left_alone(language):
    """As radiologists write it; half of these were marked."""
    found, told = marked("honest_advice.tsv", language)
    assert told >= 80 and len(found) <= told / 25, found


@pytest.mark.attack
@pytest.mark.parametrize("language", Language)
def test_treatments_that_the_passage_does_not_name_are_marked(language):
    found, told = marked("further_advice.tsv", language)
    assert told >= 10 and len(found) >= 0.8 * told


def test_what_is_needed_is_not_denied():
    """*gerekmektedir* is the opposite of *gerekmez*."""
    (passage,) = (one for one in library(Language.TR) if one.id == "effusion-follow-up-tr")
    needed, not_needed = (f"Ultrasonografi {word}." for word in ("gerekmektedir", "gerekmemektedir"))
    assert not [*unborne_advice(needed, [passage], Language.TR)]
    assert [*unborne_advice(not_needed, [passage], Language.TR)]


@pytest.mark.parametrize(
    ("text", "language", "numbers", "intervals"),
    [
        ("Pain on exertion for two weeks.", Language.EN, {"2"}, {(2, "week")}),
        ("On day 2.", Language.EN, {"2"}, set()),
        ("Ön mediastende, uçta, altı lob düzeyinde bir nodül.", Language.TR, set(), set()),
        ("Altı ila on iki haftada.", Language.TR, {"6", "12"}, {(6, "week"), (12, "week")}),
        ("Yirmi dört saat, on gün.", Language.TR, {"24", "10"}, {(24, "hour"), (10, "day")}),
        (
            "A 6-week interval, 4-8 weeks.",
            Language.EN,
            {"1", "4", "6", "8"},
            {(each, "week") for each in (4, 6, 8)},
        ),
    ],
)
def test_numbers_in_words_are_those_of_the_language(text, language, numbers, intervals):
    assert numbers_of(text, language) == numbers
    assert {interval for interval, _ in intervals_in(words_of(text).texts, language)} == intervals
