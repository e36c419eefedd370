"""Candidates and references, cut into words, and their n-grams counted once for BLEU and CIDEr."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tetkik.errors import UsageError
from tetkik.lab.caption.metrics.tokens import all_treebank_words
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


@dataclass(frozen=True, slots=True, eq=False)
class Corpus:
    """n candidates, each with one or more references, in words as pycocoevalcap's tokenizer gives them.

    `owner`, (m,), is the candidate of each of the m references.
    """

    candidates: tuple[tuple[str, ...], ...]
    references: tuple[tuple[str, ...], ...]
    owner: Ints

    def __len__(self) -> int:
        return len(self.candidates)

    def counted(self) -> list[tuple[Grams, Grams]]:
        """For n of 1 to 4 the n-grams of the candidates and of the references, under the same numbers."""
        # A no-break space is inside a word for the tokenizer, and cuts it for str.split of these metrics.
        texts = [" ".join(words).split() for words in (*self.candidates, *self.references)]
        count = len(self)
        return [(grams.part(0, count), grams.part(count, len(texts))) for grams in count_grams(texts)]

    def lengths(self) -> tuple[Ints, Ints]:
        """(n,) and (m,), int64: words of each candidate and of each reference, as `counted` cuts them."""
        mine, theirs = (
            np.array([len(" ".join(words).split()) for words in texts], np.int64)
            for texts in (self.candidates, self.references)
        )
        return mine, theirs


def read_corpus(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> Corpus:
    if not candidates or len(candidates) != len(references) or not all(references):
        raise UsageError(
            "{candidates} captions cannot be judged against references for {references} images; give one "
            "caption and at least one reference for each image.",
            candidates=len(candidates),
            references=sum(1 for of_one in references if of_one),
        )
    return Corpus(
        tuple(all_treebank_words(candidates)),
        tuple(all_treebank_words([text for of_one in references for text in of_one])),
        np.repeat(np.arange(len(candidates)), [len(of_one) for of_one in references]),
    )
