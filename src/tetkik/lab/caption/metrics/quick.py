"""Two figures in a moment, for the validation of each epoch."""

from __future__ import annotations

from collections.abc import Sequence

from tetkik.lab.caption.metrics.cider import cider_rows
from tetkik.lab.caption.metrics.corpus import read_corpus
from tetkik.lab.caption.metrics.rouge import coco_rouge_l


def quick_scores(candidates: Sequence[str], references: Sequence[str | Sequence[str]]) -> dict[str, float]:
    """CIDEr and ROUGE-L as pycocoevalcap has them, by the names `cider` and `rouge_l`.

    Args:
        candidates: (n,) captions that were made.
        references: (n,) true captions, or several of each image.

    Raises:
        UsageError: nothing is given, the numbers differ, or a candidate has no reference.
    """
    several = [[of_one] if isinstance(of_one, str) else of_one for of_one in references]
    corpus = read_corpus(candidates, several)
    return {
        "cider": float(cider_rows(corpus, corpus.counted()).mean()),
        "rouge_l": float(coco_rouge_l(corpus).mean()),
    }
