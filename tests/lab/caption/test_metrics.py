"""Each metric against its reference program on 500 invented pairs, tokenisation included."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.meteor.meteor import Meteor
from pycocoevalcap.rouge.rouge import Rouge
from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

from tests.lab.caption.metric_pairs import HARD, pairs, score_captions
from tetkik.errors import UsageError
from tetkik.lab.caption.metrics import word_overlap
from tetkik.lab.caption.metrics.scores import Wanted, quick_scores
from tetkik.lab.caption.metrics.word_overlap import (
    Corpus,
    all_treebank_words,
    longest_common,
    meteor_counts,
    meteor_of,
    read_corpus,
    treebank_words,
)
from tetkik.language import Language, Sentence

CLOSE = 1e-6


@pytest.fixture(scope="module")
def judged():
    """The pairs, cut into words by the reference program, and our scores of the texts themselves."""
    candidates, references = pairs()
    given = {"c": dict(enumerate([text] for text in candidates)), "r": dict(enumerate(references))}
    cut = {
        side: PTBTokenizer().tokenize(
            {key: [{"caption": text} for text in texts] for key, texts in all_.items()}
        )
        for side, all_ in given.items()
    }
    return (
        candidates,
        references,
        cut["c"],
        cut["r"],
        score_captions(candidates, references, Wanted(meteor=False)),
    )


@pytest.mark.program("java")
def test_words_are_those_of_the_reference_program(judged):
    candidates, references, cut, cut_references, _ = judged
    every = [text for of_one in references for text in of_one]
    ours = [" ".join(words) for words in all_treebank_words(candidates)]
    assert list(zip(candidates, ours, strict=True)) == [(candidates[key], cut[key][0]) for key in cut]
    ours = [" ".join(words) for words in all_treebank_words(every)]
    assert len(every) > 1000
    theirs = [text for key in range(len(references)) for text in cut_references[key]]
    assert list(zip(every, ours, strict=True)) == list(zip(every, theirs, strict=True))


def test_words_of_hard_strings():
    said = "a 3.5 cm x 2 cm mass a 50-year-old with a ring -lrb- arrow -rrb- i.e. the patient 's t2-weighted"
    assert " ".join(treebank_words(HARD[0])) == f"{said} image"
    assert " ".join(treebank_words("Sonography of T. The D. Arrows")) == "sonography of t the d. arrows"
    assert treebank_words(" \n\t") == []


@pytest.mark.program("java")
def test_bleu(judged):
    _, _, cut, cut_references, scores = judged
    corpus, rows = Bleu(4).compute_score(cut_references, cut, verbose=0)
    for order in range(4):
        measure = scores.measures[f"bleu{order + 1}"]
        assert measure.value == pytest.approx(corpus[order], rel=0, abs=CLOSE)
        np.testing.assert_allclose(measure.rows, rows[order], rtol=0, atol=1e-6)


@pytest.mark.program("java")
@pytest.mark.parametrize(("name", "program"), [("rouge_l", Rouge), ("cider", Cider)])
def test_rouge_l_and_cider(judged, name, program):
    _, _, cut, cut_references, scores = judged
    corpus, rows = program().compute_score(cut_references, cut)
    assert 0 < scores.measures[name].value == pytest.approx(corpus, rel=0, abs=CLOSE)
    np.testing.assert_allclose(scores.measures[name].rows, rows, rtol=0, atol=1e-6)


@pytest.mark.program("java")
def test_rouge_score(judged):
    candidates, references, _, _, scores = judged
    from rouge_score.rouge_scorer import RougeScorer  # takes seconds, by way of NLTK and scikit-learn

    scorer = RougeScorer(["rouge1", "rougeL"])
    theirs = [scorer.score_multi(of_one, text) for text, of_one in zip(candidates, references, strict=True)]
    for name, key in (("rouge1", "rouge1"), ("rouge_l_f", "rougeL")):
        np.testing.assert_allclose(
            scores.measures[name].rows, [item[key].fmeasure for item in theirs], rtol=0, atol=1e-6
        )


@pytest.mark.program("java")
def test_meteor(judged):
    candidates, references, cut, cut_references, _ = judged
    program = Meteor()  # which loads its tables while ours counts
    whole = read_corpus(candidates, references)
    part = Corpus(
        whole.candidates[:9], whole.references[: sum(whole.owner < 9)], whole.owner[whole.owner < 9]
    )
    found = meteor_counts([whole, part])
    assert not isinstance(found, Sentence), found
    ours, again = found
    corpus, rows = program.compute_score(cut_references, cut)
    for stream in (program.meteor_p.stdout, program.meteor_p.stderr):
        stream.close()
    assert meteor_of(ours.sum(axis=0)) == pytest.approx(corpus, rel=0, abs=CLOSE)
    np.testing.assert_allclose(meteor_of(ours), rows, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(again, ours[:9])


def why_not(limit=None):
    found = meteor_counts([read_corpus(["a"], [["a"]])], limit)
    assert isinstance(found, Sentence)
    return found.in_language(Language.EN)


@pytest.mark.program("java")
def test_meteor_says_why_there_is_none(monkeypatch, tmp_path):
    assert "took more than" in why_not(limit=0.001)
    program = tmp_path / "java"
    program.write_text("#!/bin/sh\necho 1.0 2.0\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "no answer" in why_not()
    program.unlink()
    assert "Java" in why_not()
    scores = score_captions(["a"], [["a"]])
    assert "meteor" not in scores.measures and "Java" in scores.without["meteor"].template
    monkeypatch.setattr(word_overlap, "find_spec", lambda name: None)
    assert "pycocoevalcap" in why_not()


@pytest.mark.program("java")
def test_quick_scores_are_the_same(judged):
    candidates, references, *_ = judged
    first = [of_one[0] for of_one in references]
    measures = score_captions(candidates, [[text] for text in first], Wanted(meteor=False)).measures
    expected = {name: measures[name].value for name in ("cider", "rouge_l")}
    assert quick_scores(candidates, first) == pytest.approx(expected)


def test_captions_without_a_word():
    scores = score_captions(["", "."], [[""], ["..."]], Wanted(meteor=False))
    # As the reference programs have it: two empty texts have the empty word in common.
    assert scores.measures["rouge_l"].value == 1.0
    assert [scores.measures[name].value for name in ("cider", "rouge1", "bleu4")] == [0.0, 0.0, 0.0]


@pytest.mark.parametrize(("candidates", "references"), [([], []), (["a"], []), (["a", "b"], [["a"], []])])
def test_what_cannot_be_judged(candidates, references):
    with pytest.raises(UsageError, match="at least one reference for each image"):
        score_captions(candidates, references)


@given(st.lists(st.sampled_from("abcd"), max_size=70), st.lists(st.sampled_from("abcd"), max_size=70))
def test_longest_common(first, second):
    table = np.zeros((len(first) + 1, len(second) + 1), int)
    for i, one in enumerate(first):
        for j, other in enumerate(second):
            table[i + 1, j + 1] = table[i, j] + 1 if one == other else max(table[i, j + 1], table[i + 1, j])
    assert longest_common(first, second) == table[-1, -1]


@given(st.text(max_size=80))
def test_any_text_is_cut_into_words(text):
    words = treebank_words(text)
    assert all(words) and words == treebank_words(text)
    assert not {" ", "\n", "."} & set(words)


def test_the_next_line_decides_over_a_period():
    assert treebank_words("segment V.") == ["segment", "v."]
    assert all_treebank_words(["segment V.", " ", "The end"])[0] == ("segment", "v")
    assert all_treebank_words(["segment V.", "Arrow"])[0] == ("segment", "v.")
    assert all_treebank_words(["see Fig.", "5 mm"])[0] == ("see", "fig.")


def test_words_do_not_depend_on_what_was_cut_before():
    random.Random(1).shuffle(texts := [text for text in HARD for _ in range(3)])
    alone = {text: treebank_words(text) for text in HARD}
    for text in texts:
        assert treebank_words(text) == alone[text]
        assert treebank_words(f"{text} {text}")[: len(alone[text]) - 1] == alone[text][:-1]
