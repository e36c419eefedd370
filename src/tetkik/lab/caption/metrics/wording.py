"""How captions are worded, whatever they say: their lengths and how often they repeat one another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from tetkik.statistics import Ints


@dataclass(frozen=True, slots=True, eq=False)
class Wording:
    """Lengths, (n,), and variety of n captions; `distinct` are different captions over captions.

    `distinct_1` and `distinct_2` are different words and pairs over all (Li et al., NAACL 2016).
    """

    distinct: float
    distinct_1: float
    distinct_2: float
    median: float
    quartiles: tuple[float, float]
    longest: int
    empty: float
    lengths: Ints


def wording(texts: Sequence[Sequence[str]]) -> Wording:
    """The wording of `texts`, (n,) captions in words, at least one."""
    lengths = np.array([len(words) for words in texts], np.int64)
    low, median, high = (float(value) for value in np.percentile(lengths, [25, 50, 75]))
    pairs = [pair for words in texts for pair in pairwise(words)]
    every = [word for words in texts for word in words]
    return Wording(
        distinct=len({tuple(words) for words in texts}) / len(texts),
        distinct_1=len(set(every)) / max(len(every), 1),
        distinct_2=len(set(pairs)) / max(len(pairs), 1),
        median=median,
        quartiles=(low, high),
        longest=int(lengths.max()),
        empty=float(np.mean(lengths == 0)),
        lengths=lengths,
    )
