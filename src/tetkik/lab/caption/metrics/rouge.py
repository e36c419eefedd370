"""ROUGE (Lin, 2004) in the two ways of the field.

`coco_rouge_l` is pycocoevalcap's ROUGE-L: Treebank words, the best precision and the best recall over the
references joined with beta 1.2. `rouge_f` is rouge-score's ROUGE-1 and ROUGE-L: its own words, the plain
F-measure, the best over the references.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from tetkik.lab.caption.metrics.corpus import Corpus
from tetkik.lab.caption.metrics.tokens import rouge_words
from tetkik.statistics import Floats

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
    above, below = (1 + _BETA2) * precision * recall, recall + _BETA2 * precision
    return np.divide(above, below, out=np.zeros(len(corpus)), where=below > 0)


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
