"""BLEU (Papineni et al., ACL 2002), as pycocoevalcap computes it with the closest reference length."""

from __future__ import annotations

import shutil
import subprocess
from collections import Counter
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from tetkik.lab.caption.metrics.corpus import Corpus, Grams, looked_up
from tetkik.lab.caption.metrics.tokens import rouge_words
from tetkik.language import Sentence
from tetkik.statistics import Floats

ORDERS = 4
_SMALL, _TINY = 1e-9, 1e-15
"""pycocoevalcap's guards against division by zero; a part of its figures."""


def bleu_counts(corpus: Corpus, grams: Sequence[tuple[Grams, Grams]]) -> Floats:
    """What BLEU is computed from and adds up over rows, (n, 10), from `corpus.counted()`.

    Matches of 1- to 4-grams, n-grams of the candidate of each length, words of the candidate, words of the
    reference of the closest length.
    """
    rows = len(corpus)
    counts = np.zeros((rows, 2 * ORDERS + 2))
    words, reference_words = corpus.lengths()
    for order, (candidate, reference) in enumerate(grams):
        keys = reference.of_owner(corpus.owner)
        unique, place = np.unique(keys, return_inverse=True)
        most = np.zeros(len(unique))
        np.maximum.at(most, place, reference.count)
        allowed = looked_up(candidate.of_owner(np.arange(rows)), unique, most)
        counts[:, order] = np.bincount(candidate.text, np.minimum(candidate.count, allowed), rows)
        counts[:, ORDERS + order] = np.maximum(words - order, 0)
    counts[:, -2] = words
    # The closest reference, the shorter of two as close: by distance, then by length, first of each row.
    ranked = np.lexsort((reference_words, np.abs(reference_words - words[corpus.owner]), corpus.owner))
    first = np.unique(corpus.owner[ranked], return_index=True)[1]
    counts[:, -1] = reference_words[ranked[first]]
    return counts


def bleu_of(counts: Floats) -> Floats:
    """BLEU-1 to 4, (..., 4), from a row of `bleu_counts` for that caption or their sum for a corpus."""
    matches, guesses = counts[..., :ORDERS], counts[..., ORDERS : 2 * ORDERS]
    precision = np.cumprod((matches + _TINY) / (guesses + _SMALL), axis=-1)
    scores = precision ** (1 / np.arange(1, ORDERS + 1))
    ratio = (counts[..., -2] + _TINY) / (counts[..., -1] + _SMALL)
    with np.errstate(over="ignore", under="ignore"):
        brevity = np.exp(np.minimum(0.0, 1 - 1 / ratio))
    result: Floats = scores * brevity[..., None]
    return result


_SIGMA = 6.0


def cider_rows(corpus: Corpus, grams: Sequence[tuple[Grams, Grams]]) -> Floats:
    """CIDEr of each row, (n,), 0 to 10, from `corpus.counted()`; the corpus' is their mean."""
    rows, references = len(corpus), len(corpus.owner)
    similarity = np.zeros(references)
    for candidate, reference in grams:
        weight = _rarity(corpus, reference)
        mine = candidate.count * weight[candidate.gram]
        theirs = reference.count * weight[reference.gram]
        shared = looked_up(reference.of_owner(corpus.owner), candidate.of_owner(np.arange(rows)), mine)
        product = np.bincount(reference.text, np.minimum(shared, theirs) * theirs, references)
        norm = np.sqrt(np.bincount(candidate.text, mine**2, rows))[corpus.owner]
        norm = norm * np.sqrt(np.bincount(reference.text, theirs**2, references))
        similarity += np.divide(product, norm, out=np.zeros(references), where=norm > 0)
    # pycocoevalcap takes the number of 2-grams for the length.
    words, reference_words = (np.maximum(lengths - 1, 0) for lengths in corpus.lengths())
    difference = (words[corpus.owner] - reference_words).astype(np.float64)
    similarity *= np.exp(-(difference**2) / (2 * _SIGMA**2)) * 10.0 / len(grams)
    total = np.bincount(corpus.owner, similarity, rows)
    mean: Floats = total / np.bincount(corpus.owner, minlength=rows)
    return mean


def _rarity(corpus: Corpus, reference: Grams) -> Floats:
    """(kinds,): log of the number of rows over that of rows whose references have the n-gram."""
    inside = np.unique(reference.of_owner(corpus.owner)) % reference.kinds
    frequency = np.bincount(inside, minlength=reference.kinds)
    result: Floats = np.log(len(corpus)) - np.log(np.maximum(frequency, 1))
    return result


_BETA2 = 1.2**2


def longest_common(first: Sequence[str], second: Sequence[str]) -> int:
    """Length of the longest common subsequence of words, by bits (Hyyrö, 2004)."""
    places: dict[str, int] = {}
    for place, word in enumerate(first):
        places[word] = places.get(word, 0) | 1 << place
    every = (1 << len(first)) - 1
    row = every
    for word in second:
        met = row & places.get(word, 0)
        row = (row + met | row - met) & every
    return len(first) - row.bit_count()


def coco_rouge_l(corpus: Corpus) -> Floats:
    """ROUGE-L of each row as pycocoevalcap has it, (n,), 0 to 1; the corpus' is their mean."""
    precision, recall = np.zeros(len(corpus)), np.zeros(len(corpus))
    for row, words in zip(corpus.owner.tolist(), corpus.references, strict=True):
        # There, an empty text is one empty word.
        mine, theirs = corpus.candidates[row] or ("",), words or ("",)
        common = longest_common(theirs, mine)
        precision[row] = max(precision[row], common / len(mine))
        recall[row] = max(recall[row], common / len(theirs))
    return rouge_l_of(precision, recall)


def rouge_l_of(precision: Floats, recall: Floats) -> Floats:
    """ROUGE-L as pycocoevalcap has it, from the shares of words in the longest common subsequence."""
    above, below = (1 + _BETA2) * precision * recall, recall + _BETA2 * precision
    return np.divide(above, below, out=np.zeros(np.shape(below)), where=below > 0)


def rouge_f(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> tuple[Floats, Floats]:
    """ROUGE-1 and ROUGE-L of each row as rouge-score has them, (n,) each, 0 to 1."""
    one, long = np.zeros(len(candidates)), np.zeros(len(candidates))
    for row, (candidate, of_one) in enumerate(zip(candidates, references, strict=True)):
        mine = rouge_words(candidate)
        counts = Counter(mine)
        for reference in of_one:
            theirs = rouge_words(reference)
            if not mine or not theirs:
                continue
            # 2PR / (P + R) with P and R over the same matches is 2 matches over all words.
            both = len(mine) + len(theirs)
            one[row] = max(one[row], 2 * sum((counts & Counter(theirs)).values()) / both)
            long[row] = max(long[row], 2 * longest_common(theirs, mine) / both)
    return one, long


_ALPHA, _BETA, _GAMMA, _DELTA = 0.85, 0.2, 0.6, 0.75
_WEIGHTS = np.array([1.0, 0.6, 0.8, 0.6])
"""Of exact, stemmed, synonymous and paraphrased matches."""
_COUNTS = 23
_START, _A_ROW = 120.0, 0.1
"""Seconds for the start of the program and for a row, many times what they take."""


def meteor_counts(corpora: Sequence[Corpus], limit: float | None = None) -> list[Floats] | Sentence:
    """(n, 23) of each corpus, which add up over rows, or why there is none; `limit` in seconds."""
    package = find_spec("pycocoevalcap")
    if package is None or not package.submodule_search_locations:
        return Sentence("It needs the package pycocoevalcap: `pip install 'tetkik[caption]'`.")
    java = shutil.which("java")
    if java is None:
        return Sentence("It needs Java, and there is no program `java` here.")
    rows = sum(map(len, corpora))
    seconds = limit if limit is not None else _START + _A_ROW * rows
    # The reference program's own call (pycocoevalcap.meteor.meteor).
    command = [java, "-jar", "-Xmx2G", "meteor-1.5.jar", "-", "-", "-stdio", "-l", "en", "-norm"]
    try:
        answer = subprocess.run(  # noqa: S603 - the package's own program, without a shell
            command,
            cwd=Path(package.submodule_search_locations[0]) / "meteor",
            input="".join(map(_questions, corpora)).encode("utf-8"),
            capture_output=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Sentence("Its Java program took more than {seconds:.0f} seconds.", {"seconds": seconds})
    except OSError as error:
        return Sentence("Its Java program could not be run ({fault}).", {"fault": error.strerror})
    counts = _read(answer.stdout.decode("utf-8", "replace"), rows)
    if isinstance(counts, Sentence):
        return counts
    return np.split(counts, np.cumsum([len(corpus) for corpus in corpora])[:-1])


def meteor_of(counts: Floats) -> Floats:
    """METEOR, 0 to 1, from a row of `meteor_counts` for that caption or their sum for a corpus."""
    words, function = counts[..., 0:2], counts[..., 2:4]
    # For each kind of match: content words of candidate and reference, then function words of both.
    by_kind = counts[..., 4:20].reshape(*counts.shape[:-1], len(_WEIGHTS), 2, 2)
    content, functional = by_kind[..., 0, :], by_kind[..., 1, :]
    matched = np.einsum("k,...ks->...s", _WEIGHTS, _DELTA * content + (1 - _DELTA) * functional)
    weight = _DELTA * (words - function) + (1 - _DELTA) * function
    both = np.divide(matched, weight, out=np.zeros_like(matched), where=weight > 0)
    precision, recall = both[..., 0], both[..., 1]
    below = _ALPHA * precision + (1 - _ALPHA) * recall
    mean = np.divide(precision * recall, below, out=np.zeros_like(below), where=below > 0)
    half = counts[..., 21:23].sum(axis=-1) / 2
    broken = np.divide(counts[..., 20], half, out=np.zeros_like(half), where=half > 0)
    score: Floats = mean * (1 - _GAMMA * broken**_BETA)
    return score


def _questions(corpus: Corpus) -> str:
    """A line for each row: its references, then its candidate."""
    of_row: list[list[str]] = [[] for _ in range(len(corpus))]
    for row, words in zip(corpus.owner.tolist(), corpus.references, strict=True):
        of_row[row].append(" ".join(words))
    lines = []
    for references, words in zip(of_row, corpus.candidates, strict=True):
        candidate = " ".join(words).replace("|||", "").replace("  ", " ")
        lines.append(" ||| ".join(("SCORE", *references, candidate)))
    return "\n".join(lines) + "\n"


def _read(answer: str, rows: int) -> Floats | Sentence:
    try:
        counts = np.array(
            [[float(value) for value in line.split()] for line in answer.splitlines() if line.strip()]
        )
    except ValueError:
        counts = np.empty(0)
    if counts.shape != (rows, _COUNTS):
        return Sentence("Its Java program gave no answer that can be read.")
    # A caption that is its reference word for word is in no piece, alone and in a sum.
    counts[(counts[:, 20] == 1) & (counts[:, 21:23] == counts[:, 0:2]).all(axis=1), 20] = 0
    return counts
