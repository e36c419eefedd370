"""The library that ships: whole in both languages, sourced, and safe to be quoted in a draft."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from tetkik.language import Language
from tetkik.report.composer import compose
from tetkik.report.facts import CERTAIN, PROBABLE, facts_of
from tetkik.report.grounding import check_draft
from tetkik.report.grounding.wording import foreign_in
from tetkik.report.passages import library, references
from tetkik.report.retrieval import passages_for
from tetkik.values import (
    FINDING_LABELS,
    NORMAL_LABELS,
    Finding,
    FindingsResult,
    PassageKind,
    Section,
    ThresholdOn,
    route_of,
)

KINDS = (PassageKind.DEFINITION, PassageKind.SIGNS, PassageKind.DIFFERENTIAL, PassageKind.FOLLOW_UP)


def answer(*labels: str, probability: float = 0.95) -> FindingsResult:
    """An image on which exactly `labels` are found."""
    route = route_of(labels[0])
    findings = tuple(
        Finding(label, True, score, score, 0.5, ThresholdOn.PROBABILITY, label in labels)
        for label in FINDING_LABELS
        if route_of(label) is route
        for score in [probability if label in labels else 0.02]
    )
    return FindingsResult("film.png", route, True, (), (), None, findings, "model", "0" * 64)


def test_every_label_has_four_kinds_in_both_languages():
    count = Counter((item.label, item.kind, item.language) for item in library() if item.label)
    wanted = {(label, kind, language) for label in FINDING_LABELS for kind in KINDS for language in Language}
    assert set(count) == wanted
    assert set(count.values()) == {1}


def test_the_library_is_large_enough_and_its_ids_are_unique():
    ids = [item.id for item in library()]
    assert len(ids) >= 150
    assert len(set(ids)) == len(ids)
    assert len({item.text for item in library()}) == len(ids)
    assert sum(item.kind is PassageKind.LIMITS for item in library(Language.TR)) >= 15


def test_both_languages_have_the_same_passages_with_the_same_sources():
    def keys(language: Language) -> set[tuple[object, ...]]:
        return {
            (item.id.rpartition("-")[0], item.label, item.kind, item.source) for item in library(language)
        }

    assert keys(Language.TR) == keys(Language.EN)
    assert all(item.id.endswith(f"-{item.language}") for item in library())


def test_every_source_is_cited_and_names_its_year_or_its_publisher():
    sources = {item.source for item in library()}
    cited = {reference for reference in references().values() if any(reference in item for item in sources)}
    assert cited == set(references().values())
    dated = r"\b(19|20)\d\d\b|American College of Radiology|no publication is cited"
    assert all(re.search(dated, source) for source in cited)


def test_a_follow_up_is_one_short_sentence_that_names_no_publication_that_is_not_there():
    """A draft joins them to one recommendation, so each has to be short."""
    for item in library():
        if item.kind is PassageKind.FOLLOW_UP and item.label is not None:
            assert item.text.count(".") == 1 and len(item.text.split()) < 25, item.id
            assert item.label in NORMAL_LABELS or "no publication" not in item.source, item.id


def test_a_source_is_not_cited_for_what_it_is_not_about():
    sources = {item.id: item.source for item in library()}
    for language in Language:
        assert "Fleischner Society 2017" not in sources[f"nodule-differential-{language}"]
        assert "Woodring" not in sources[f"atelectasis-follow-up-{language}"]


def test_no_recommendation_asks_for_another_film_because_of_how_this_one_was_taken():
    for item in library():
        if item.kind is PassageKind.FOLLOW_UP:
            assert not re.search(r"anteroposterior|posteroanterior|inspira|\bPA\b|\bAP\b", item.text), item.id


def test_what_a_source_does_not_cover_has_its_own_beside_it():
    sources = {item.id: item.source for item in library()}
    for language in Language:
        assert "supine" in sources[f"limits-supine-{language}"]
        assert "supine" in sources[f"effusion-signs-{language}"]
        assert "preventing the transmission" in sources[f"tuberculosis-follow-up-{language}"]
        assert "NG122" in sources[f"mass-follow-up-{language}"]


@pytest.mark.parametrize("item", library(), ids=lambda item: item.id)
def test_a_passage_is_one_to_four_clean_sentences(item):
    sentences = re.findall(r"[^.!?]+[.!?]+(?=\s|$)", item.text)
    assert 1 <= len(sentences) <= 4
    assert len(item.text.split()) <= 75
    assert item.text == " ".join(item.text.split())
    assert item.text[-1] == "."
    assert item.title and len(item.title) <= 60
    assert not list(foreign_in(item.text))


@pytest.mark.parametrize("language", Language)
@pytest.mark.parametrize("label", [label for label in FINDING_LABELS if label not in NORMAL_LABELS])
@pytest.mark.parametrize("probability", [0.95, 0.55])
def test_a_recommendation_passes_the_grounding_check(label, language, probability):
    facts = facts_of(answer(label, probability=probability))
    passages = passages_for([label], language)
    draft = check_draft(compose(facts, passages, language), facts)
    recommended = draft.section(Section.RECOMMENDATION)
    assert [sentence.text for sentence in recommended] == [passages[0].text]
    assert [mark for sentence in recommended for mark in sentence.marks] == []


@pytest.mark.parametrize("language", Language)
def test_recommendations_of_many_findings_stand_beside_each_other_unmarked(language):
    chest = [label for label in FINDING_LABELS[:17] if label not in NORMAL_LABELS]
    facts = facts_of(answer(*chest))
    draft = check_draft(compose(facts, passages_for(chest, language), language), facts)
    recommended = draft.section(Section.RECOMMENDATION)
    assert recommended
    assert not any(sentence.marks for sentence in recommended)


def test_the_words_of_certainty_are_those_of_the_product():
    said = {item.id: item.text for item in library()}
    for bound in (CERTAIN, PROBABLE):
        assert f"{bound:.2f}" in said["general-certainty-en"]
        assert f"{bound:.2f}".replace(".", ",") in said["general-certainty-tr"]


def test_what_may_be_cited_comes_in_order_and_once():
    found = passages_for(["Effusion", "Mass", "Effusion", "Fracture"], Language.EN)
    assert [item.id for item in found] == [
        f"{name}-{kind.value.replace('_', '-')}-en"
        for name in ("effusion", "mass")
        for kind in (PassageKind.FOLLOW_UP, *KINDS[:3])
    ]
    assert passages_for([], Language.TR) == ()
