"""The registry of finding labels, and that everything which speaks of findings covers every label of it."""

from __future__ import annotations

import pytest

from tetkik.documents.parts import SNOMED
from tetkik.language import Language
from tetkik.report.composer.compose import compose
from tetkik.report.facts import facts_of
from tetkik.report.grounding import check_draft
from tetkik.report.labeler import Polarity, read_report
from tetkik.report.passages import library
from tetkik.report.retrieval import passages_for
from tetkik.values import (
    FINDING_LABELS,
    Finding,
    FindingsResult,
    PassageKind,
    ThresholdOn,
    finding_label,
    label_name,
    narrower,
    route_of,
)
from tetkik.values.finding_labels import REGISTRY

WITHOUT_A_CONCEPT = {
    "Infiltration",
    "Mass",
    "Nodule",
    "Pleural_Thickening",
    "Normal",
    "Glioma",
    "Meningioma",
    "Pituitary",
    "No_Tumor",
}
"""Labels that say less or more than any one concept of SNOMED CT."""
every_label = pytest.mark.parametrize("label", FINDING_LABELS)
both_languages = pytest.mark.parametrize("language", Language)


def test_the_shared_labels_keep_their_order():
    assert " ".join(FINDING_LABELS) == (
        "Atelectasis Cardiomegaly Effusion Infiltration Mass Nodule Pneumonia Pneumothorax Consolidation "
        "Edema Emphysema Fibrosis Pleural_Thickening Hernia COVID-19 Viral_Pneumonia Tuberculosis Normal "
        "Glioma Meningioma Pituitary No_Tumor"
    )


@every_label
def test_a_label_has_names_search_words_and_a_code_or_none_on_purpose(label):
    known = REGISTRY[label]
    for language in Language:
        assert known.names[language].strip() and len(known.search_words[language]) >= 4
    assert (label in SNOMED) is (label not in WITHOUT_A_CONCEPT)
    assert 0 <= known.urgency <= 3 and known.place in {"lung", "chest", "other"}
    assert known.form in {"seen", "compatible"}
    assert (known.reading_order == finding_label("Old_Scar").reading_order) is known.normal


def test_no_two_labels_have_one_name_or_one_place():
    for language in Language:
        assert len({label_name(label, language) for label in FINDING_LABELS}) == len(FINDING_LABELS)
    places = [known.reading_order for known in REGISTRY.values() if not known.normal]
    assert len({*places}) == len(places)


@both_languages
@every_label
def test_the_labeler_knows_its_name_and_the_library_has_passages(label, language):
    (reading,) = read_report(f"{label_name(label, language)}.", language)
    assert label in {mention.label for mention in reading.mentions} or REGISTRY[label].normal
    kinds = {passage.kind for passage in library(language) if passage.label == label}
    assert {PassageKind.DEFINITION, PassageKind.FOLLOW_UP} <= kinds
    assert any(passage.label == label for passage in passages_for([label], language))


@both_languages
@every_label
def test_what_the_composer_says_of_it_is_read_as_that_label_and_not_marked(label, language):
    found = Finding(label, True, 0.95, 0.95, 0.5, ThresholdOn.PROBABILITY, positive=True)
    result = FindingsResult("f", route_of(label), True, (), (), None, (found,), "m 1", "0" * 64)
    facts = facts_of(result)
    draft = check_draft(compose(facts, passages_for([label], language), language), facts)
    assert not draft.open_marks
    said = " ".join(item.text for item in draft.sentences if f"finding:{label}" in item.evidence)
    mentions = [item for reading in read_report(said, language) for item in reading.mentions]
    assert label in {item.label for item in mentions if item.polarity is not Polarity.ABSENT}


def test_a_label_that_only_one_model_has_is_shown_as_it_is_spelled():
    assert label_name("Old_Scar", Language.TR) == "Old Scar"
    assert label_name("Lung Opacity", Language.EN) == "Lung opacity"
    assert narrower("Old_Scar") == {"Old_Scar"}
