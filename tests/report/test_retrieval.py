"""Search: the questions with their answers, filters, spelling, meaning beside words."""

from __future__ import annotations

import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import BertModel, PreTrainedTokenizerFast

from tests.tiny_bert import write_bert
from tetkik.errors import SettingError
from tetkik.language import Language
from tetkik.report.passages import library
from tetkik.report.retrieval import Retriever, search
from tetkik.report.retrieval import search as search_function
from tetkik.report.retrieval.search import DenseIndex, Embedder, Index, groups, open_embedder, stems, words
from tetkik.settings import settings
from tetkik.turkish import fold
from tetkik.values import FINDING_LABELS, PassageKind

DATA = Path(__file__).parent / "data"


def questions(language: Language) -> list[dict[str, Any]]:
    table = tomllib.loads((DATA / f"questions_{language.value}.toml").read_text("utf-8"))
    return list(table["question"])


@pytest.mark.parametrize("language", Language)
def test_the_questions_are_a_hundred_with_known_answers_in_two_halves(language):
    asked = questions(language)
    known = {item.id for item in library(language)}
    assert len({item["text"] for item in asked}) == 100
    assert all(set(item["passages"]) <= known for item in asked)
    assert Counter(item["part"] for item in asked) == {"development": 50, "held-out": 50}


@pytest.mark.parametrize("language", Language)
@pytest.mark.parametrize("part", ["development", "held-out"])
def test_the_answer_is_among_the_first_five(language, part):
    retriever = Retriever(library())
    asked = [item for item in questions(language) if item["part"] == part]
    found = [
        bool(
            {hit.passage.id for hit in retriever.search(item["text"], language=language)}
            & {*item["passages"]}
        )
        for item in asked
    ]
    assert np.mean(found) >= 0.95


def test_the_questions_are_not_the_words_of_their_answers():
    texts = {item.id: f" {' '.join(words(item.text))} " for item in library()}
    for language in Language:
        for item in questions(language):
            (answer,) = item["passages"]
            asked = words(item["text"])
            for start in range(len(asked) - 3):
                assert f" {' '.join(asked[start : start + 4])} " not in texts[answer], item["text"]


@pytest.mark.parametrize("label", FINDING_LABELS)
@pytest.mark.parametrize("language", Language)
def test_the_title_of_a_passage_finds_it(label, language):
    for passage in library(language):
        if passage.label == label:
            hits = search(passage.title, language=language, limit=3)
            assert passage.id in [hit.passage.id for hit in hits]


def test_letters_case_and_typing_do_not_matter():
    asked = "Plevral sıvı için ULTRASONOGRAFİ gerekir mi?"
    first = [(hit.passage.id, hit.score) for hit in search(asked)]
    assert first == [(hit.passage.id, hit.score) for hit in search(fold(asked))]
    assert first == [(hit.passage.id, hit.score) for hit in search(asked.replace("i", "i\u0307").upper())]


def test_filters():
    for hit in search("tedavi sonrası kontrol", language=Language.TR, limit=50):
        assert hit.passage.language is Language.TR
    hits = search("film", label="Effusion", limit=50)
    assert hits and {hit.passage.label for hit in hits} == {"Effusion"}
    (only,) = search("effusion", label="Effusion", kind=PassageKind.SIGNS, language=Language.EN)
    assert only.passage.id == "effusion-signs-en"


def test_the_best_come_first_and_no_more_than_asked():
    hits = search("pneumothorax on a supine film", limit=7)
    assert len(hits) == 7
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    assert search("pneumothorax", limit=0) == []


@pytest.mark.parametrize("query", ["", "   ", "?!", "ve bir the of", "\u0007", "🫁"])
def test_nothing_is_found_by_nothing(query):
    assert search(query) == []


def test_a_very_long_query_is_answered():
    assert search("efüzyon " * 100_000)[0].passage.label == "Effusion"


def test_bm25_prefers_the_rare_word_and_the_short_text():
    index = Index([Counter("ab"), Counter("acc"), Counter("abxyzxyz")])
    scores = index.scores(["a", "b"])
    assert scores[0] > scores[2] > scores[1] > 0
    assert index.scores(["unknown"]) == [0.0, 0.0, 0.0]
    assert Index([]).scores(["a"]) == []


@hypothesis.settings(deadline=None)
@given(st.text(max_size=200))
def test_terms_of_any_text(text):
    assert all(1 <= len(term) <= 5 for term in stems(text))
    assert all(len(term) == 3 for term in groups(text))
    assert stems(text) == stems(fold(text))


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    """A BERT of two layers with random weights, and pieces for every letter."""
    letters = "abcdefghijklmnopqrstuvwxyz0123456789"
    pieces = [*letters, *(f"##{letter}" for letter in letters)]
    return write_bert(tmp_path_factory.mktemp("encoder"), pieces, layers=2, max_length=64)


def test_vectors_are_the_mean_of_a_texts_own_tokens(encoder):
    embedder = open_embedder(encoder)
    tokens = PreTrainedTokenizerFast.from_pretrained(encoder)("fluid", return_tensors="pt")
    model = BertModel.from_pretrained(encoder).eval()
    with torch.no_grad():
        mean = model(**tokens).last_hidden_state[0].mean(0).numpy()
    # Beside a longer text, which pads it.
    vectors = embedder.embed(["fluid", "a much longer text than the other one"])
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors[0], mean / np.linalg.norm(mean), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)


def test_search_by_meaning_beside_words(encoder, monkeypatch):
    monkeypatch.setenv("TETKIK_PASSAGES_EMBEDDING", encoder)
    settings.cache_clear()
    passage = library(Language.EN)[0]
    hits = search_function(f"{passage.title}. {passage.text}", limit=3)
    # First by its words and first by its vector, which is its own.
    assert hits[0].passage is passage
    assert hits[0].score == pytest.approx(2 / 61)
    # What has no word in common with any passage is still nearest to something.
    assert len(search_function("zzzz", language=Language.TR, limit=4)) == 4
    assert search_function("  ") == []


def test_vectors_are_kept_and_only_new_texts_are_embedded(encoder):
    passages = library(Language.EN)[:6]
    asked: list[int] = []

    class Counting(Embedder):
        def embed(self, texts):
            asked.append(len(texts))
            return np.eye(6, 16, dtype=np.float32)[: len(texts)]

    counting = Counting(None, None, encoder)
    DenseIndex(passages[:4], counting)
    DenseIndex(passages, counting)
    assert asked == [4, 2]
    (file,) = settings().passages_dir.glob("vectors-*.npz")
    file.write_bytes(b"damaged")
    DenseIndex(passages, counting)
    assert asked == [4, 2, 6]


def test_a_model_that_is_not_there(monkeypatch, tmp_path):
    monkeypatch.setenv("TETKIK_PASSAGES_EMBEDDING", str(tmp_path / "nowhere"))
    settings.cache_clear()
    with pytest.raises(SettingError, match="passages_embedding"):
        search_function("fluid")
