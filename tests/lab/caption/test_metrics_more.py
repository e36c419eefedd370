"""BERTScore, concepts, wording, and the bootstrap of metrics."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from transformers import BertModel, PreTrainedTokenizerFast

from tests.lab.caption.metric_pairs import pairs, score_captions
from tests.tiny_bert import write_bert
from tetkik.errors import InputError, UsageError
from tetkik.lab.caption.metrics.scores import (
    BertScoreOptions,
    Concepts,
    Wanted,
    bertscore_rows,
    check_bertscore,
    concept_dictionary,
    concept_f1_rows,
    replicates,
    wording,
)
from tetkik.statistics import ClusterBootstrap

WORDS = (
    "a",
    "the",
    "left",
    "right",
    "lung",
    "kidney",
    "shows",
    "no",
    "effusion",
    "cyst",
    "with",
    "small",
    ".",
)
CANDIDATES = ["The left lung shows no effusion.", "a small cyst", "", "left left left"]
REFERENCES = [
    ["The right lung shows a small effusion.", "no effusion"],
    ["A small cyst with effusion, and the kidney"],
    ["a cyst"],
    ["the left kidney"],
]


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    """A BERT of three layers with random weights."""
    return write_bert(tmp_path_factory.mktemp("bert"), WORDS, layers=3, max_length=32)


def by_hand(folder: str, candidate: str, reference: str, layer: int, every: list[str], idf: bool) -> float:
    """The F-measure of equations 1 to 4 of the paper, one pair at a time."""
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    model = BertModel.from_pretrained(folder).eval()
    sides = []
    for text in (candidate, reference):
        ids = tokenizer(text)["input_ids"]
        with torch.no_grad():
            states = model(torch.tensor([ids]), output_hidden_states=True).hidden_states[layer][0]
        pieces = [set(tokenizer(other)["input_ids"]) for other in every]
        weight = [
            math.log((len(every) + 1) / (sum(piece in of_one for of_one in pieces) + 1))
            if idf
            else float(piece not in (2, 3))
            for piece in ids
        ]
        sides.append((torch.nn.functional.normalize(states, dim=-1), torch.tensor(weight)))
    (made, made_weight), (true, true_weight) = sides
    if len(made) == 2:
        return 0.0
    near = made @ true.T
    precision = float((near.max(dim=1).values * made_weight).sum() / made_weight.sum())
    recall = float((near.max(dim=0).values * true_weight).sum() / true_weight.sum())
    return 2 * precision * recall / (precision + recall)


@pytest.mark.parametrize("idf", [False, True])
def test_bertscore_is_that_of_the_paper(bert, idf):
    every = [text for of_one in REFERENCES for text in of_one]
    (rows,) = bertscore_rows([CANDIDATES], REFERENCES, BertScoreOptions(bert, 2, idf, batch=3))
    expected = [
        max(by_hand(bert, text, reference, 2, every, idf) for reference in of_one)
        for text, of_one in zip(CANDIDATES, REFERENCES, strict=True)
    ]
    np.testing.assert_allclose(rows, expected, rtol=0, atol=1e-5)
    assert rows[2] == 0


def test_bertscore_of_true_captions_is_one(bert):
    references = [[text] for text in CANDIDATES if text]
    scores = score_captions(
        [of_one[0] for of_one in references],
        references,
        Wanted(meteor=False, bertscore=BertScoreOptions(bert)),
    )
    assert scores.measures["bertscore"].value == pytest.approx(1.0, abs=1e-5)


def test_bertscore_without_its_model(bert, tmp_path):
    for work in (check_bertscore, lambda options: bertscore_rows([["a"]], [["a"]], options)):
        with pytest.raises(InputError, match="cannot be had"):
            work(BertScoreOptions(str(tmp_path / "none")))
        with pytest.raises(UsageError, match="has 3 layers; --bertscore-layer cannot be 4"):
            work(BertScoreOptions(bert, 4))
    check_bertscore(BertScoreOptions(bert, 3))
    scores = score_captions(["a"], [["a"]], Wanted(meteor=False))
    assert "--bertscore-model" in scores.without["bertscore"].template


def test_concepts_are_found_word_for_word():
    names = {"C0000001": "Pleural effusion", "C0000002": "effusion", "C0000003": "Left lung"}
    dictionary = concept_dictionary(["C0000001", "C0000002", "C0000009", "CT"], names)
    # One has no name, one is not of the training rows; a tag is its own name.
    assert dictionary.known == {"C0000001", "C0000002", "CT"}
    found = dictionary.found_in("CT: a pleural, effusion of the left lung.")
    assert found == {"C0000001", "C0000002", "CT"}
    assert dictionary.found_in("Effusions; SPECT") == frozenset()
    rows = concept_f1_rows(
        ["CT of an effusion", "", "effusion", "CT"],
        [["C0000002", "C0000009"], ["CT"], ["C0000009"], ["CT"]],
        dictionary,
    )
    np.testing.assert_allclose(rows, [2 / 3, 0, np.nan, 1])


def test_concepts_are_found_by_the_abbreviation_of_their_term():
    names = {"C0040405": "X-Ray Computed Tomography", "C0024485": "Magnetic Resonance Imaging"}
    dictionary = concept_dictionary(names, names)
    assert dictionary.found_in("Axial CT of the abdomen") == {"C0040405"}
    assert dictionary.found_in("MRI and computed tomography") == set(names)
    assert dictionary.found_in("Distinct critical structures") == set()
    rows = concept_f1_rows(["Coronal CT scan", "An MR image"], [["C0040405"], ["C0024485"]], dictionary)
    assert rows.tolist() == [1, 1]


def test_concept_f1_among_the_scores():
    dictionary = concept_dictionary(["CT"], {})
    concepts = Concepts((("CT",), ()), dictionary)
    scores = score_captions(["a CT", "CT"], [["CT"], ["a"]], Wanted(meteor=False, concepts=concepts))
    assert scores.measures["concept_f1"].value == 1
    assert "concepts" in score_captions(["a"], [["a"]], Wanted(meteor=False)).without["concept_f1"].template


def test_wording():
    found = wording([("a", "b", "a"), (), ("a", "b", "a"), ("c",)])
    assert (found.distinct, found.distinct_1, found.distinct_2) == (0.75, 3 / 7, 2 / 4)
    assert (found.median, found.quartiles, found.longest, found.empty) == (2, (0.75, 3), 3, 0.25)


def test_replicates_are_the_metric_of_the_rows_drawn():
    candidates, references = pairs(80)
    scores = score_captions(candidates, references, Wanted(meteor=False))
    groups = np.arange(80) // 2
    draws = ClusterBootstrap(groups, 3, seed=5)
    found = dict(zip(scores.measures, replicates(list(scores.measures.values()), draws), strict=True))
    times = np.concatenate(list(draws.draws()))
    for draw in range(3):
        rows = np.repeat(np.arange(80), times[draw][groups])
        again = score_captions(
            [candidates[row] for row in rows], [references[row] for row in rows], Wanted(meteor=False)
        )
        for name in ("bleu1", "bleu4", "rouge_l", "rouge1"):
            assert found[name][draw] == pytest.approx(again.measures[name].value, abs=0.01)
        # Document frequencies stay those of all rows.
        cider = scores.measures["cider"]
        assert found["cider"][draw] == pytest.approx(cider.rows[rows].mean())
    assert replicates((), draws) == []
