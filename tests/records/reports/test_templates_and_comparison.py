"""A template's sentences around a draft's, and two texts word by word."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.documents import sample
from tests.records import changes
from tests.records.kit import made_records, made_user
from tests.records.reports_kit import made_report
from tetkik.errors import Conflict, DataError, InputError
from tetkik.language import Language
from tetkik.records.reports import drafts, templates
from tetkik.records.reports.templates import HospitalTemplate, sentences_of
from tetkik.report.draft import check_slots
from tetkik.report.normals import Examination, ImagedStudy, normal_report, unmentioned
from tetkik.rules.comparison import Change, compared
from tetkik.values import Draft, DraftSentence, Role, Route, Section
from tetkik.values.radiograph import View


def template(text, language=Language.TR):
    return HospitalTemplate("0" * 26, "Şablon", language, text, sample.CREATED)


def said(text, draft=None):
    return [(item.section, item.text) for item in sentences_of(template(text), draft or sample.draft())]


def own(draft):
    return [(item.section, item.text) for item in draft.sentences]


def test_without_a_slot_the_draft_comes_first_and_nothing_is_lost():
    assert said("Kemik yapılar doğaldır.")[4] == (Section.FINDINGS, "Kemik yapılar doğaldır.")
    assert [item for item in said("Kemik yapılar doğaldır.") if item in own(sample.draft())] == own(
        sample.draft()
    )


def test_sentences_stand_where_they_stand_around_the_slots():
    found = said("Toraks sınırda.\n{findings}\nKemik yapılar doğaldır.\nSONUÇ: {impression} Kontrol gerekir.")
    findings = [text for section, text in found if section is Section.FINDINGS]
    assert (findings[0], findings[-1]) == ("Toraks sınırda.", "Kemik yapılar doğaldır.")
    impression = [text for section, text in found if section is Section.IMPRESSION]
    assert impression[-1] == "Kontrol gerekir."
    assert not any("SONUÇ" in text for _, text in found)


def test_lines_about_the_patient_are_left_out():
    found = said("Hasta {patient}, doğum {birth_date} tarihli grafi.\n{findings}\nNo {{1}} dosya.")
    assert not any("Hasta" in text for _, text in found)
    assert (Section.FINDINGS, "No {1} dosya.") in found


def test_what_stands_there_already_comes_once():
    assert said("{findings} Pnömotoraks izlenmemiştir.") == own(sample.draft())


@given(st.text(max_size=60))
def test_any_text_without_slots_keeps_the_draft(text):
    plain = text.replace("{", "{{").replace("}", "}}")
    assert set(own(sample.draft())) <= set(said(plain))


PARTS = {
    Language.TR: "kalp boyutu|mediasten|hilus|akciğer|sinüs|diyafram|kemik|yumuşak doku",
    Language.EN: "heart size|mediastin|hila|lungs|costophrenic|diaphragm|bones|soft tissue",
}


@pytest.mark.parametrize("language", Language)
def test_each_examination_has_a_normal_report_as_it_is_dictated(language):
    for examination in Examination:
        normal = normal_report(examination, language)
        texts = [part.text for part in normal.parts]
        assert len(texts) >= (3 if examination is Examination.BRAIN_SLICE else 6)
        assert len(set(texts)) == len(texts)
        assert len({part.abbreviation for part in normal.parts}) == len(texts)
        check_slots(normal.template)
        # A part is spoken of by its own sentence, so that it is not said twice.
        said = [(DraftSentence(text, Section.FINDINGS), True) for text in texts]
        assert not unmentioned(normal.parts, said, set())
        for part in normal.parts:
            assert part not in unmentioned(
                normal.parts, [(DraftSentence(part.text, Section.FINDINGS), True)], []
            )
    for examination in (Examination.CHEST_PA, Examination.CHEST_AP):
        parts = normal_report(examination, language).parts
        for word, part in zip(PARTS[language].split("|"), parts, strict=True):
            assert word in part.text.lower()


def test_a_normal_report_is_taken_around_what_the_draft_says(records):
    actor = made_user(records, Role.RADIOLOGIST)
    made = made_report(records)  # with an effusion and a large heart
    with records.write(actor) as tx:
        before = drafts.draft_of(tx, made.id)
        taken = changes.take(tx, made.id, before.revision, "chest-pa-tr")
    said = [item.text for item in taken.draft.sentences]
    assert [text for text in said if text in {item.text for item in before.draft.sentences}] == [
        item.text for item in before.draft.sentences
    ]
    new = " ".join(text for text in said if text not in {item.text for item in before.draft.sentences})
    assert "akciğer parankimi doğal" in new and "Yumuşak dokular doğaldır." in new
    assert "Kalp" not in new and "sinüs" not in new and "normal sınırlardadır" not in new


def test_an_empty_report_becomes_a_normal_one_whole():
    normal = normal_report(Examination.CHEST_LATERAL, Language.TR)
    whole = [item.text for item in normal.completed((), set())]
    assert whole == [normal.technique, *(part.text for part in normal.parts), normal.impression]


@pytest.mark.parametrize(
    ("study", "examination", "unseen"),
    [
        (ImagedStudy(Route.CHEST, frozenset({View.PA, View.LATERAL})), Examination.CHEST_PA, ()),
        (ImagedStudy(Route.CHEST, frozenset({View.AP})), Examination.CHEST_AP, ()),
        (ImagedStudy(Route.CHEST, frozenset({View.LATERAL})), Examination.CHEST_LATERAL, ()),
        (ImagedStudy(None, frozenset({View.PA})), None, ()),  # a hand
        (ImagedStudy(None, frozenset({View.LATERAL})), None, ()),
        (ImagedStudy(Route.CHEST, frozenset({View.OTHER})), Examination.CHEST, ()),
        (ImagedStudy(Route.BRAIN_MRI, frozenset()), Examination.BRAIN_SLICE, ()),
        (
            ImagedStudy(Route.BRAIN_MRI, frozenset(), 24, "t1 ax sag temporal"),  # sağ: the right one
            Examination.BRAIN_MRI,
            ("diffusion", "flow voids", "sella"),
        ),
        (
            ImagedStudy(Route.BRAIN_MRI, frozenset(), 90, "ep2d diff trace adc t2 tse ax t1 sag"),
            Examination.BRAIN_MRI,
            (),
        ),
        (ImagedStudy(None, frozenset()), None, ()),
    ],
)
def test_nothing_is_called_normal_that_the_study_does_not_show(study, examination, unseen):
    assert study.examination is examination
    if examination is None:
        return
    whole = normal_report(examination, Language.EN)
    shown = whole.shown_by(study)
    gone = [part.text for part in whole.parts if part not in shown.parts]
    assert len(gone) == len(unseen) and all(any(word in text for text in gone) for word in unseen)
    text = " ".join(part.text for part in shown.parts)
    if examination is Examination.BRAIN_SLICE:
        assert text.count("at the level that is imaged") == len(shown.parts) == 3
    if examination is Examination.CHEST:
        assert not {"heart", "mediastin", "PA"} & set(
            re.findall(r"\w+", text + shown.impression + shown.technique)
        )


@pytest.mark.parametrize(
    ("route", "offered"),
    [
        (Route.CHEST, {one for one in Examination if one.startswith("chest")}),
        (Route.BRAIN_MRI, {Examination.BRAIN_SLICE}),
        (None, set()),
    ],
)
def test_of_the_normal_reports_those_for_the_kind_of_image_are_offered(records, route, offered):
    made = made_report(records, result=replace(sample.RESULT, route=route))
    with records.write(made_user(records, Role.RADIOLOGIST)) as tx:
        own = templates.add(tx, "Şablon", Language.TR, "{findings}")
        found = templates.fitting_templates(tx, drafts.draft_of(tx, made.id))
    assert {item.examination for item in found} == offered | {None} and own in found


def test_what_the_hospital_keeps_under_the_name_of_a_normal_report_takes_its_place(records):
    actor = made_user(records, Role.RADIOLOGIST)
    with records.write(actor) as tx:
        built_in = templates.template_of(tx, "chest-ap-en")
        templates.add(tx, built_in.name, Language.EN, "{findings} The lungs are clear.")
        known = [item for item in templates.all_templates(tx) if item.name == built_in.name]
        assert [item.examination for item in known] == [None]
        for work in (templates.remove, lambda tx, one: templates.change(tx, one, "x", Language.EN, "y")):
            with pytest.raises(Conflict, match="ships with Tetkik"):
                work(tx, built_in.id)


@pytest.fixture
def records(tmp_path):
    opened = made_records(tmp_path)
    yield opened
    opened.close()


def test_a_template_of_the_other_language_is_refused(records):
    actor = made_user(records, Role.RADIOLOGIST)
    made = made_report(records)
    with records.write(actor) as tx:
        english = templates.add(tx, "Normal", Language.EN, "{findings} The bones are normal.")
    with pytest.raises(Conflict, match="another language"), records.write(actor) as tx:
        changes.take(tx, made.id, 1, english.id)
    with records.read(actor) as tx:
        assert drafts.draft_of(tx, made.id).revision == 1


@pytest.mark.parametrize(
    ("name", "text"), [("", "x"), ("x" * 81, "x"), ("\x00", "x"), ("x", ""), ("x", "y" * 20_001)]
)
def test_a_template_has_a_name_and_an_end(records, name, text):
    with pytest.raises(InputError), records.write(made_user(records, Role.RADIOLOGIST)) as tx:
        templates.add(tx, name, Language.TR, text)


@pytest.mark.parametrize("text", ["{gizli}", "{findings:>9}", "{0}", "{"])
def test_a_slot_that_does_not_exist_is_refused(records, text):
    with pytest.raises(DataError), records.write(made_user(records, Role.RADIOLOGIST)) as tx:
        templates.add(tx, "Ad", Language.TR, text)


def draft(*texts):
    return Draft(Language.TR, tuple(DraftSentence(text, Section.FINDINGS) for text in texts))


words = st.lists(st.text(min_size=1, max_size=20).filter(str.strip), min_size=1, max_size=6)


@given(words, words)
def test_both_texts_can_be_read_out_of_a_comparison(before, after):
    (part,) = compared(draft(*before), draft(*after))
    old = "".join(one.text for one in part.stretches if one.change is not Change.ADDED)
    new = "".join(one.text for one in part.stretches if one.change is not Change.REMOVED)
    assert (old, new) == (" ".join(before), " ".join(after))
    assert part.changed is (old != new)
    assert all(one.text for one in part.stretches)


def test_words_that_changed_beside_each_other_are_read_as_one():
    (part,) = compared(draft("Sağda büyük efüzyon var."), draft("Sağda küçük kitle var."))
    assert [(one.change, one.text) for one in part.stretches] == [
        (Change.SAME, "Sağda "),
        (Change.REMOVED, "büyük efüzyon"),
        (Change.ADDED, "küçük kitle"),
        (Change.SAME, " var."),
    ]


def test_a_part_that_only_one_has_is_added_as_a_whole():
    (part,) = compared(Draft(Language.TR, ()), draft("Kalp büyük."))
    assert [(one.change, one.text) for one in part.stretches] == [(Change.ADDED, "Kalp büyük.")]


def test_a_very_long_text_is_compared_in_time():
    long = draft(*(f"Kalp büyük sayı {number} ve {number + 1}." for number in range(4000)))
    (part,) = compared(long, draft(*(item.text for item in long.sentences[1:])))
    assert part.changed
