"""Which features there are, and how rare each is: learned from texts without their labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tetkik.statistics import Ints
from tetkik.triage.linear.compiled import ngrams
from tetkik.triage.linear.features import BUCKETS, Featuriser, Lexicon, Vocabulary, builtin, grams

MIN_GROUPS = 5
"""A feature stands in at least that many duplicate groups: with fewer a model could give away words."""
_MOST_FEATURES = 1 << 18
"""Of each kind of n-gram the most frequent that many are kept."""
_CHUNK = 20_000


def learn_features(texts: Sequence[bytes], groups: Ints) -> Featuriser:
    """The featuriser of prepared texts (`features.prepare`); a text that a group has twice counts once."""
    count = len(np.unique(groups))
    characters, words = (_vocabulary(frequency, count) for frequency in document_frequency(texts, groups))
    return Featuriser(characters, words, builtin(), _term_idf(texts, groups, count, builtin()))


def document_frequency(texts: Sequence[bytes], groups: Ints) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """In how many duplicate groups each bucket stands: characters and words, each (2^22,), uint32."""
    order = np.argsort(groups, kind="stable")
    _, number = np.unique(groups, return_inverse=True)
    frequencies = np.zeros(BUCKETS, np.uint32), np.zeros(BUCKETS, np.uint32)
    ordered = [texts[i] for i in order]
    numbers = number[order].astype(np.int32)
    if ngrams is not None:
        ngrams.document_frequency(ordered, numbers, *frequencies)
        return frequencies
    last = [dict[int, int](), dict[int, int]()]
    for text, group in zip(ordered, numbers.tolist(), strict=True):
        for block, bucket, _, _ in grams(text):
            if last[block].get(bucket) != group:
                last[block][bucket] = group
                frequencies[block][bucket] += 1
    return frequencies


def _vocabulary(frequency: NDArray[np.uint32], count: int) -> Vocabulary:
    buckets = np.flatnonzero(frequency >= MIN_GROUPS)
    if len(buckets) > _MOST_FEATURES:
        rarest_last = np.argsort(-frequency[buckets].astype(np.int64), kind="stable")
        buckets = np.sort(buckets[rarest_last[:_MOST_FEATURES]])
    return Vocabulary(buckets.astype(np.uint32), _idf(frequency[buckets], count))


def _idf(frequency: NDArray[np.uint32], count: int) -> NDArray[np.float32]:
    return (np.log((1 + count) / (1 + frequency.astype(np.float64))) + 1).astype(np.float32)


def _term_idf(texts: Sequence[bytes], groups: Ints, count: int, lexicon: Lexicon) -> NDArray[np.float32]:
    nothing = Vocabulary(np.zeros(0, np.uint32), np.zeros(0, np.float32))
    terms = len(lexicon.levels)
    plain = Featuriser(nothing, nothing, lexicon, np.ones(terms, np.float32))
    representatives = np.unique(groups, return_index=True)[1]
    frequency = np.zeros(terms, np.uint32)
    for start in range(0, len(representatives), _CHUNK):
        found = plain.rows([texts[i] for i in representatives[start : start + _CHUNK]]).indices
        frequency += np.bincount(found[found < terms], minlength=terms).astype(np.uint32)
    return np.where(frequency >= MIN_GROUPS, _idf(frequency, count), 0).astype(np.float32)
