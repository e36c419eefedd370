"""Counts of n-grams of many texts at once, as sorted arrays: what BLEU and CIDEr are computed from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tetkik.statistics import Floats, Ints


@dataclass(frozen=True, slots=True, eq=False)
class Grams:
    """The n-grams of texts for one n: in which text, which (0 to `kinds` - 1), how often; sorted by both."""

    text: Ints
    gram: Ints
    count: Floats
    kinds: int

    def of_owner(self, owner: Ints) -> Ints:
        """(entries,): each entry's place in an array (owners, kinds); `owner` is that of each text."""
        return owner[self.text] * self.kinds + self.gram

    def part(self, first: int, last: int) -> Grams:
        """The texts `first` to `last` - 1, numbered from 0."""
        low, high = np.searchsorted(self.text, [first, last])
        return Grams(self.text[low:high] - first, self.gram[low:high], self.count[low:high], self.kinds)


def count_grams(texts: Sequence[Sequence[str]], longest: int = 4) -> Iterator[Grams]:
    """The n-grams of `texts`, for n of 1 to `longest`."""
    numbers: dict[str, int] = {}
    ids = np.array([numbers.setdefault(word, len(numbers)) for text in texts for word in text], np.int64)
    of_text = np.repeat(np.arange(len(texts)), [len(text) for text in texts])
    grams, kinds = ids, len(numbers)
    for n in range(1, longest + 1):
        if n > 1:
            # An n-gram is the (n - 1)-gram at its place and one word more, within the same text.
            inside = np.flatnonzero(of_text[: len(ids) - n + 1] == of_text[n - 1 :])
            joined = grams[inside] * max(len(numbers), 1) + ids[inside + n - 1]
            _, number = np.unique(joined, return_inverse=True)
            grams = np.zeros(len(ids), np.int64)
            grams[inside], kinds = number, int(number.max(initial=-1)) + 1
        else:
            inside = np.arange(len(ids))
        keys, counts = np.unique(of_text[inside] * max(kinds, 1) + grams[inside], return_counts=True)
        yield Grams(keys // max(kinds, 1), keys % max(kinds, 1), counts.astype(np.float64), max(kinds, 1))


def looked_up(wanted: Ints, keys: Ints, values: Floats) -> Floats:
    """The value of each of `wanted` among sorted `keys`; 0 where there is none."""
    if not len(keys):
        return np.zeros(len(wanted))
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[place] == wanted, values[place], 0.0)
