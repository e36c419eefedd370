"""BLEU (Papineni et al., ACL 2002), as pycocoevalcap computes it with the closest reference length."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tetkik.lab.caption.metrics.corpus import Corpus, Grams, looked_up
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
