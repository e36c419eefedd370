"""CIDEr (Vedantam et al., CVPR 2015), as pycocoevalcap's `Cider()` computes it.

That is CIDEr-D: n-grams of 1 to 4 words, counts clipped, a Gaussian penalty on the difference of lengths
(sigma 6), times 10; document frequencies from the references that are judged against. Figures of sets of
different size are therefore not comparable.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tetkik.lab.caption.metrics.corpus import Corpus, Grams, looked_up
from tetkik.statistics import Floats

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
