"""The figures of a training: of validation rows, which chose the epoch, and named so."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tetkik.bundle import Metric
from tetkik.lab.caption.training.batches import Rows
from tetkik.lab.caption.training.lesson import Taught
from tetkik.lab.caption.training.progress import Progress
from tetkik.statistics import ClusterBootstrap, Interval, percentile_interval

SPLIT = "validation (used for early stopping)"
_REPLICATES = 1000


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """The captions that the trained network made of some validation rows.

    Attributes:
        part: validation.
        rows: of it.
        made: a caption for each.
    """

    part: Taught
    rows: Rows
    made: tuple[str, ...]

    @property
    def listed(self) -> list[tuple[str, str, str]]:
        """Id, caption of the source and caption made, of each row."""
        rows = self.rows.tolist()
        return [(self.part.ids[r], self.part.captions[r], m) for r, m in zip(rows, self.made, strict=True)]

    @property
    def groups(self) -> NDArray[np.int64]:
        """(rows,): which belong together; a row of an unknown group is one of its own."""
        names: list[object] = [self.part.groups[row] or row for row in self.rows.tolist()]
        numbers: dict[object, int] = {}
        return np.array([numbers.setdefault(name, len(numbers)) for name in names], np.int64)


def validation_metrics(story: Progress, judged: Judged | None, data: str) -> tuple[Metric, ...]:
    """Loss a token of the epoch that was kept, and CIDEr, ROUGE-L and the share of different captions.

    Args:
        story: of the training.
        judged: what was generated; None without validation rows.
        data: name of the data set.
    """
    if judged is None:
        return ()
    metrics = []
    loss = story.epochs[story.best_epoch - 1].validation_loss
    if loss is not None:
        metrics.append(Metric(name="loss", value=loss, n=len(judged.part), data=data, split=SPLIT))
    from tetkik.lab.caption.metrics.cider import cider_rows
    from tetkik.lab.caption.metrics.corpus import read_corpus
    from tetkik.lab.caption.metrics.rouge import coco_rouge_l

    corpus = read_corpus(list(judged.made), [[truth] for _, truth, _ in judged.listed])
    split = SPLIT if len(judged.rows) == len(judged.part) else f"{SPLIT}, a fixed sample"
    for name, values in (
        ("cider", cider_rows(corpus, corpus.counted())),
        ("rouge_l", coco_rouge_l(corpus)),
    ):
        interval = _interval(values, judged.groups)
        low, high = (None, None) if interval is None else (interval.low, interval.high)
        n = len(judged.rows)
        metrics.append(
            Metric(name=name, value=float(np.mean(values)), low=low, high=high, n=n, data=data, split=split)
        )
    share = len(set(judged.made)) / len(judged.made)
    metrics.append(Metric(name="distinct", value=share, n=len(judged.rows), data=data, split=split))
    return tuple(item for item in metrics if math.isfinite(item.value))


def _interval(values: Sequence[float] | NDArray[np.floating], groups: NDArray[np.int64]) -> Interval | None:
    """95%, over groups drawn with replacement; CIDEr's document frequencies stay those of all rows."""
    draws = ClusterBootstrap(groups, _REPLICATES)
    if not draws.possible:
        return None
    columns = np.stack([np.asarray(values, np.float64), np.ones(len(groups))], axis=1)
    sums = draws.sums(columns)
    return percentile_interval(sums[:, 0] / sums[:, 1])
