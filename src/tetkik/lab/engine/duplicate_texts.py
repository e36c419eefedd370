"""Which texts say the same: exact duplicates, and near duplicates by MinHash.

Near means a Jaccard similarity of the sets of word pairs (with the text's two ends) at or above a threshold.
Word pairs rather than characters, since one word changes the meaning of a short complaint ("başım çok
ağrıyor", "dişim çok ağrıyor") while it changes few of its characters. MinHash (Broder, "On the resemblance
and containment of documents", 1997) with banding (Leskovec, Rajaraman and Ullman, "Mining of Massive
Datasets", chapter 3) finds the candidates; each is verified exactly before it joins two groups.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from tetkik import turkish
from tetkik.lab.engine.splits import connected, mixed_bits
from tetkik.statistics import Ints

_HASHES = 125
_RECALL = 0.9999
"""The chance, at the threshold itself, that a pair becomes a candidate."""
_SLACK = 0.15
"""A candidate whose estimate is this far under the threshold (4 standard errors) is not verified."""
_NEIGHBOURS = 32
"""In one bucket a text meets this many of the texts that follow it in alphabetical order: it bounds the work
where thousands of texts share a form letter."""
_SHORTEST = 4
"""Texts of fewer words are near duplicates only where their folded words are equal."""
_CHUNK = 20_000


def canonical(text: str) -> str:
    """The form in which two texts count as the same: NFC, Turkish lower case, white space collapsed."""
    return " ".join(turkish.lower(text).split())


def duplicate_texts(texts: Sequence[str], *, threshold: float = 0.8, near: bool = True) -> Ints:
    """The duplicate group of each text: (texts,), int64, the smallest index of the group.

    Exact duplicates are equal by `canonical`. Near duplicates are equal once folded to ASCII words, or reach
    `threshold`, a Jaccard similarity of word pairs in (0, 1]; being a duplicate is passed on (a~b and b~c
    puts all three in one group). The same texts give the same partition in any order and on any machine.
    """
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold must be in (0, 1], not {threshold}")
    keys = [canonical(text) for text in texts]
    if near:
        # A text of punctuation alone folds to nothing: it keeps its own form.
        keys = [" ".join(turkish.fold(key).split()) or key for key in keys]
    # From here on everything depends on the sorted distinct texts, so that the order of rows cannot matter.
    distinct = sorted(set(keys))
    place = {key: index for index, key in enumerate(distinct)}
    of_row = np.fromiter((place[key] for key in keys), np.int64, len(keys))
    if near:
        of_row = _near_groups(distinct, threshold)[of_row]
    _, first, inverse = np.unique(of_row, return_index=True, return_inverse=True)
    return first[inverse].astype(np.int64)


def text_similarity(left: str, right: str) -> float:
    """Similarity of word pairs: 1 for texts with the same words in the same order."""
    a, b = (" ".join(turkish.fold(text).split()) for text in (left, right))
    return _jaccard(a, b)


def _near_groups(distinct: list[str], threshold: float) -> Ints:
    """The group (the smallest index in it) of each of the sorted distinct texts."""
    groups = np.arange(len(distinct), dtype=np.int64)
    long_enough = np.array([text.count(" ") + 1 >= _SHORTEST for text in distinct], bool)
    texts = [text for text, wanted in zip(distinct, long_enough.tolist(), strict=True) if wanted]
    signatures = _signatures(texts)
    parents = np.arange(len(texts), dtype=np.int64)
    joined: set[tuple[int, int]] = set()
    rejected: set[tuple[int, int]] = set()
    # The most hashes a band that still finds a pair at the threshold with the wanted chance.
    sure = (rows for rows in range(25, 1, -1) if 1 - (1 - threshold**rows) ** (_HASHES // rows) >= _RECALL)
    rows = next(sure, 1)
    for band in range(0, _HASHES - rows + 1, rows):
        order, bucket = _buckets(signatures[:, band : band + rows])
        for distance in range(1, _NEIGHBOURS + 1):
            same = np.flatnonzero(bucket[distance:] == bucket[:-distance])
            if not same.size:
                break
            left, right = order[same], order[same + distance]
            separate = parents[left] != parents[right]
            for pair in _likely(signatures, left[separate], right[separate], threshold - _SLACK):
                if pair not in rejected:
                    alike = _jaccard(texts[pair[0]], texts[pair[1]]) >= threshold
                    (joined if alike else rejected).add(pair)
            if joined:
                pairs = np.array(list(joined), np.int64)
                parents = connected(len(texts), *parents[pairs].T)[parents]
                joined.clear()
    groups[long_enough] = groups[long_enough][parents]
    return groups


def _signatures(texts: list[str]) -> NDArray[np.uint32]:
    """MinHash signatures of texts of two words or more, (texts, hashes), uint32."""
    draw = np.random.Generator(np.random.PCG64(1997))
    factors = draw.integers(1, 1 << 63, _HASHES, dtype=np.uint64) | np.uint64(1)
    masks = draw.integers(0, 1 << 63, _HASHES, dtype=np.uint64)
    signatures = np.empty((len(texts), _HASHES), np.uint32)
    vocabulary: dict[str, int] = {}
    for start in range(0, len(texts), _CHUNK):
        words, lengths = [], []
        for text in texts[start : start + _CHUNK]:
            ids = [vocabulary.setdefault(word, len(vocabulary) + 1) for word in text.split(" ")]
            words.append(0)
            words += ids
            lengths.append(len(ids) + 1)
        line = np.array([*words, 0], np.uint64)
        shingles = mixed_bits(line[:-1] << np.uint64(32) | line[1:])
        starts = np.cumsum([0, *lengths[:-1]])
        for column, (factor, mask) in enumerate(zip(factors, masks, strict=True)):
            hashed = ((shingles ^ mask) * factor >> np.uint64(32)).astype(np.uint32)
            signatures[start : start + _CHUNK, column] = np.minimum.reduceat(hashed, starts)
    return signatures


def _buckets(band: NDArray[np.uint32]) -> tuple[Ints, NDArray[np.uint64]]:
    """The texts in order of their band's hash (alphabetical within one), and that hash, sorted."""
    keys = np.zeros(len(band), np.uint64)
    for column in band.T:
        keys = mixed_bits(keys + column)
    order = np.argsort(keys, kind="stable")
    return order, keys[order]


def _likely(signatures: NDArray[np.uint32], left: Ints, right: Ints, least: float) -> list[tuple[int, int]]:
    """The pairs whose estimated similarity is at least `least`."""
    pairs: list[tuple[int, int]] = []
    for start in range(0, len(left), _CHUNK):
        i, j = left[start : start + _CHUNK], right[start : start + _CHUNK]
        good = (signatures[i] == signatures[j]).mean(axis=1) >= least
        pairs += zip(i[good].tolist(), j[good].tolist(), strict=True)
    return pairs


def _jaccard(left: str, right: str) -> float:
    """The exact Jaccard similarity of the sets of word pairs of two folded texts."""
    a, b = (set(pairwise(["", *text.split(" "), ""])) for text in (left, right))
    return len(a & b) / len(a | b)
