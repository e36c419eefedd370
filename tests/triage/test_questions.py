"""The answers that the desk adds to a complaint: in both languages, once each, leading where they mean."""

from __future__ import annotations

import numpy as np
import pytest

from tetkik.language import Language
from tetkik.triage.predict import load_triage, open_questions, questions
from tetkik.turkish import fold
from tetkik.values import DEPARTMENTS


def test_every_question_has_answers_in_both_languages():
    for question in questions():
        assert question.answers, question.id
        for answer in question.answers:
            assert answer.sentence.endswith(".") and answer.name
            assert answer.in_language(Language.TR) == answer.sentence
            assert answer.in_language(Language.EN) == answer.name


def test_no_answer_stands_twice():
    sentences = [answer.sentence for question in questions() for answer in question.answers]
    assert len(set(sentences)) == len(sentences)


def test_an_answer_leads_to_a_department_of_its_question():
    asked = [(question, answer) for question in questions() for answer in question.answers]
    results = load_triage().predict_many(f"Rahatsızım. {answer.sentence}" for _, answer in asked)
    led = [
        result.departments[0].name in question.yes
        for (question, _), result in zip(asked, results, strict=True)
    ]
    # Some need more words than one sentence: a hernia may be of the groin or of the spine.
    assert sum(led) >= 0.75 * len(led)
    assert all(any(ok for (one, _), ok in zip(asked, led, strict=True) if one is q) for q in questions())


@pytest.mark.parametrize(
    ("text", "subject"),
    [
        ("bel ağrım bacağıma vuruyor", "radiating"),
        ("kollarımda uyuşma yok", "radiating"),
        ("ÖKSÜRÜĞÜM YOK", "cough"),
        ("oksurgum var", "cough"),
        ("midem bulanıyor", "stomach"),
        ("ne baş ağrısı ne nöbet", "head"),
        ("sivlicelerim arttı", "skin"),
        ("idrarımı yaparken zorlanıyorum", "urine"),
        ("kızım ağlıyor", "child"),
    ],
)
def test_what_the_text_tells_or_denies_is_not_asked(text, subject):
    even = np.full(len(DEPARTMENTS), 0.1)
    assert subject in {question.id for question in open_questions(fold("bilmiyorum"), DEPARTMENTS, even)}
    assert subject not in {question.id for question in open_questions(fold(text), DEPARTMENTS, even)}


def test_only_a_likely_department_is_asked_for():
    belief = np.array([{"Nöroloji": 0.5, "Dahiliye": 0.3}.get(label, 0.01) for label in DEPARTMENTS])
    found = open_questions(fold("bilmiyorum"), DEPARTMENTS, belief)
    assert {name for question in found for name in question.yes} == {"Nöroloji", "Dahiliye"}


def test_every_answer_speaks_of_its_question():
    even = np.full(len(DEPARTMENTS), 0.1)
    for question in questions():
        for answer in question.answers:
            left = {one.id for one in open_questions(fold(answer.sentence), DEPARTMENTS, even)}
            assert question.id not in left, answer.sentence
