"""The answers that the desk adds to a complaint: in both languages, once each, leading where they mean."""

from __future__ import annotations

from tetkik.language import Language
from tetkik.triage.predict import load_triage
from tetkik.triage.questions import questions


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
