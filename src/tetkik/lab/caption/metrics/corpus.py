"""Candidates and references, cut into words and counted once for every metric."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tetkik.errors import UsageError
from tetkik.lab.caption.metrics.ngrams import Grams, count_grams
from tetkik.lab.caption.metrics.tokens import all_treebank_words
from tetkik.statistics import Ints


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
