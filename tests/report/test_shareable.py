"""A draft without what identifies: only the words of people are masked, and the draft stays whole."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from tetkik.language import Language, Sentence
from tetkik.report.deidentify import shareable
from tetkik.values import Draft, DraftSentence, Fault, Identity, Mark, Section

WHO = Identity(patient_name="SOL^AYŞE", patient_id="4711", birth_date="19610312")


def draft(*sentences: DraftSentence) -> Draft:
    return Draft(Language.TR, sentences)


def sentence(text: str, evidence: str, *marks: Mark) -> DraftSentence:
    return DraftSentence(text, Section.FINDINGS, (evidence,), None, marks)


def test_the_question_and_the_caption_are_masked():
    made = draft(
        sentence("Klinik bilgi: “Ayşe Sol, 4711, öksürük”", "history:text"),
        sentence("Otomatik açıklama: “AYSE SOL chest”", "caption:text"),
    )
    for item in shareable(made, WHO).sentences:
        assert "[…]" in item.text
        assert not any(word in item.text for word in ("Ayşe", "AYSE", "Sol", "SOL", "4711"))
    assert "öksürük" in shareable(made, WHO).sentences[0].text


def test_a_patient_whose_name_is_a_word_of_reports_costs_no_finding():
    made = draft(sentence("Sol hemitoraksta plevral efüzyon izlenmektedir.", "finding:Effusion"))
    assert shareable(made, WHO) == made


def test_marks_stay_within_the_sentence():
    mark = Mark(Fault.FOREIGN, Sentence("This is no sentence of a report."), 30, 34)
    made = draft(sentence("Klinik bilgi: “Ayşe geldi; 10000000146”", "history:text", mark))
    (item,) = shareable(made, WHO).sentences
    assert [(found.start, found.end) for found in item.marks] == [(0, len(item.text))]
    assert item.marks[0].fault is Fault.FOREIGN


@given(st.text(min_size=1).filter(str.strip))
@example("00000")
def test_any_question_can_be_shared_and_twice_is_once(text):
    once = shareable(draft(sentence(f"“{text}”", "history:text")), WHO)
    assert shareable(once, WHO) == once
