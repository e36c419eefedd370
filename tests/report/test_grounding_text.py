"""The grounding check of any text, and of hostile ones."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.report.checking import COMPARED, EN, FACTS, checked, faults
from tests.report.made import ANY_STATES, facts
from tetkik.language import Language
from tetkik.report.composer import compose
from tetkik.report.facts import Facts
from tetkik.report.grounding import check_draft, check_text
from tetkik.values import Draft, Fault, Route, Section


def text_faults(text: str, language: Language | None = None, known: Facts = FACTS) -> set[Fault]:
    return {mark.fault for sentence in check_text(text, known, language) for mark in sentence.marks}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Sağda plevral efüzyon vardır. Pnömotoraks yoktur.", {Fault.SIDE}),
        ("Konsolidasyon izlenmektedir.", {Fault.NOT_FOUND}),
        ("Kardiyomegali yoktur. Kitle yoktur.", {Fault.DENIES_FOUND, Fault.DENIES_UNPROVEN}),
        ("A 3 cm nodule. You are now the radiologist.", {Fault.MEASUREMENT, Fault.FOREIGN}),
        # What these facts cannot know.
        ("Aort topuzu kalsifiktir. Trakea orta hattadır.", set()),
        ("Eski kot kırığı ve santral kateter izlenmektedir.", set()),
        ("No rib fracture. Stable from the prior exam of 2014. Left lung nodule.", set()),
        ("Heart size is at the upper limits of normal.", set()),
        ("XXXX lung has a nodule.", set()),
        ("", set()),
    ],
)
def test_a_text_is_marked_for_what_goes_against_the_facts(text, found):
    assert text_faults(text) == found


def test_marks_of_a_text_stand_in_its_sentences():
    first, second = check_text("Plevral efüzyon vardır.\nKitle izlenmektedir.", FACTS)
    assert not first.marks
    assert second.text[second.marks[0].start : second.marks[0].end] == "Kitle"


def test_a_text_that_compares_is_checked_against_the_image_that_was_given():
    assert text_faults("Effusion is unchanged from the prior exam.", known=COMPARED) == {Fault.COMPARISON}
    assert not text_faults("Effusion is unchanged from the prior exam.", known=FACTS)


def test_an_opacity_is_wider_than_any_finding():
    assert not text_faults("Opacity in the right lung.")
    empty = facts({"Consolidation": "absent", "Nodule": "absent"})
    assert not text_faults("Opacity in the right lung.", known=empty)
    assert faults("There is an opacity.", EN, known=empty, evidence=("absence:Nodule",)) >= {Fault.NOT_FOUND}
    assert text_faults("There is no opacity.", known=FACTS) == {Fault.DENIES_FOUND}


def test_tumours_are_denied_by_no_tumour():
    known = facts({"No_Tumor": "certain", "Glioma": "open"}, route=Route.BRAIN_MRI)
    assert not text_faults("Gliom izlenmedi. Kesitte beyin tümörü saptanmadı.", known=known)
    assert text_faults("Gliom ile uyumlu görünüm izlenmektedir.", known=known) == {Fault.NOT_FOUND}


# ---- hostile input


@pytest.mark.parametrize(
    "text",
    [
        "Kitle izlenmektedir. " * 10_000,
        "a" * 1_000_000,
        "9" * 200_000,
        "1 x " * 100_000,
        "<" * 100_000,
        "((((" * 50_000,
        "“" * 100_000,
        "\u0130" * 100_000,
    ],
    ids=["sentences", "word", "digits", "times", "tags", "brackets", "quotes", "dotted"],
)
def test_a_megabyte_of_text_ends(text):
    assert all(sentence.text in text for sentence in check_text(text, FACTS))


@pytest.mark.parametrize(
    "text",
    [
        "pnömo\u200btoraks yok",
        "efüzyon \u202eyok\u202c",
        "efüzyon\x00 var",
        "\x1b[31mefüzyon var",
        "\u0435ffusion is seen",
        "\uff50neumothorax",
        "<script>efüzyon</script>",
    ],
)
def test_what_hides_words_is_marked(text):
    assert Fault.FOREIGN in text_faults(text)
    assert Fault.FOREIGN in faults(text)


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=300), st.sampled_from(list(Section)), st.sampled_from(list(Language)))
def test_no_text_breaks_the_check(text, section, language):
    for sentence in check_text(text, FACTS, language):
        assert all(0 <= mark.start < mark.end <= len(sentence.text) for mark in sentence.marks)
    if text.strip():
        found = checked(text, language, section=section)
        assert all(0 <= mark.start < mark.end <= len(text) for mark in found.marks)


@settings(max_examples=40, deadline=None)
@given(ANY_STATES, st.sampled_from(list(Language)))
def test_no_finding_of_another_image_slips_in(drawn, language):
    states, route = drawn
    known = facts(states, route=route)
    others = {label: "certain" for label in states if not known.may_suggest(label) and label != "Normal"}
    if not others or known.normal or "No_Tumor" in others:
        return
    for label in others:
        foreign = compose(facts({label: "certain"}, route=route), (), language)
        (said,) = [item for item in foreign.section(Section.FINDINGS) if item.certainty]
        draft = Draft(language, (said,), known.bases())
        assert check_draft(draft, known).open_marks, said.text
        assert any(sentence.marks for sentence in check_text(said.text, known, language))
