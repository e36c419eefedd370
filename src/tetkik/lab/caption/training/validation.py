"""Validation: the loss on its captions, captions generated for it, and their metrics."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from tetkik.bundle import Metric
from tetkik.caption.network import CaptionNetwork, DecodingOptions
from tetkik.lab.caption.training.data import EncodedSplit, by_length
from tetkik.lab.engine.batches import Rows, prefetched
from tetkik.lab.engine.precision import Precision, autocast
from tetkik.statistics import ClusterBootstrap, Interval, percentile_interval

if TYPE_CHECKING:
    from tetkik.lab.caption.training.epoch import Epoch
    from tetkik.lab.engine.trainer import TrainingState

SPLIT = "validation (used for early stopping)"
_REPLICATES = 1000


@contextmanager
def evaluation_mode(module: torch.nn.Module) -> Iterator[None]:
    """Without dropout and gradients; then each part is as before."""
    learning = [part for part in module.modules() if part.training]
    module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for part in learning:
            part.training = True


def loss_per_token(
    accelerator: Any, network: CaptionNetwork, part: EncodedSplit, size: int, precision: Precision
) -> float:
    """Cross-entropy in nats per token, over all rows and all processes, without smoothing.

    Args:
        accelerator: an `accelerate.Accelerator`.
    """
    module, device = network.trainable(), accelerator.device
    total = torch.zeros(2, dtype=torch.float32 if device.type == "mps" else torch.float64, device=device)
    mine = by_length(part.lengths, size)[accelerator.process_index :: accelerator.num_processes]
    with evaluation_mode(module):
        for rows, stored in prefetched(part.features.fetch, mine):
            features = part.features.at_cut(network, stored, device)
            batch = network.batch([part.tokens[row] for row in rows.tolist()])
            with autocast(device, precision):
                loss = module(
                    features, batch.ids.to(device), batch.mask.to(device), batch.targets.to(device), 0.0
                )
            total += torch.stack((loss.to(total.dtype), (batch.targets != -100).sum().to(total)))
    if accelerator.num_processes > 1:
        total = accelerator.reduce(total, "sum")
    return float(total[0]) / max(1.0, float(total[1]))


def make_captions(
    accelerator: Any,
    network: CaptionNetwork,
    part: EncodedSplit,
    rows: Rows,
    *,
    size: int,
    most: int,
    precision: Precision,
) -> list[str]:
    """A caption for each of `rows`, greedily, the same in every process.

    Args:
        accelerator: an `accelerate.Accelerator`.
    """
    from accelerate.utils import gather_object

    options = DecodingOptions(beams=1, max_tokens=most)
    batches = [rows[start : start + size] for start in range(0, len(rows), size)]
    mine = batches[accelerator.process_index :: accelerator.num_processes]
    found: list[tuple[int, str]] = []
    with evaluation_mode(network.trainable()):
        for which, stored in prefetched(part.features.fetch, mine):
            features = part.features.at_cut(network, stored, accelerator.device)
            with autocast(accelerator.device, precision):
                made = network.generate(features, options)
            found += [(row, item.text) for row, item in zip(which.tolist(), made, strict=True)]
    if accelerator.num_processes > 1:
        found = gather_object(found)
    by_row = dict(found)
    return [by_row[row] for row in rows.tolist()]


def quick_figures(made: list[str], part: EncodedSplit, rows: Rows) -> dict[str, float]:
    """`cider` and `rouge_l` of made captions against those of the rows."""
    from tetkik.lab.caption.metrics import quick_scores

    return {
        name: float(np.float64(value))
        for name, value in quick_scores(made, [[part.captions[row]] for row in rows.tolist()]).items()
    }


@dataclass(frozen=True, slots=True, eq=False)
class GeneratedCaptions:
    """Captions that the trained network generated for some validation rows.

    Attributes:
        made: a caption for each.
    """

    part: EncodedSplit
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


def validation_metrics(
    state: TrainingState[Epoch], generated: GeneratedCaptions | None, data: str
) -> tuple[Metric, ...]:
    """Loss a token of the epoch that was kept, and CIDEr, ROUGE-L and the share of different captions.

    Args:
        generated: what was generated; None without validation rows.
    """
    if generated is None:
        return ()
    metrics = []
    loss = state.epochs[state.best_epoch - 1].validation_loss
    if loss is not None:
        metrics.append(Metric(name="loss", value=loss, n=len(generated.part), data=data, split=SPLIT))
    from tetkik.lab.caption.metrics.cider import cider_rows
    from tetkik.lab.caption.metrics.corpus import read_corpus
    from tetkik.lab.caption.metrics.rouge import coco_rouge_l

    corpus = read_corpus(list(generated.made), [[truth] for _, truth, _ in generated.listed])
    split = SPLIT if len(generated.rows) == len(generated.part) else f"{SPLIT}, a fixed sample"
    for name, values in (
        ("cider", cider_rows(corpus, corpus.counted())),
        ("rouge_l", coco_rouge_l(corpus)),
    ):
        interval = _interval(values, generated.groups)
        low, high = (None, None) if interval is None else (interval.low, interval.high)
        n = len(generated.rows)
        metrics.append(
            Metric(name=name, value=float(np.mean(values)), low=low, high=high, n=n, data=data, split=split)
        )
    share = len(set(generated.made)) / len(generated.made)
    metrics.append(Metric(name="distinct", value=share, n=len(generated.rows), data=data, split=split))
    return tuple(item for item in metrics if math.isfinite(item.value))


def _interval(values: Sequence[float] | NDArray[np.floating], groups: NDArray[np.int64]) -> Interval | None:
    """95%, over groups drawn with replacement; CIDEr's document frequencies stay those of all rows."""
    draws = ClusterBootstrap(groups, _REPLICATES)
    if not draws.possible:
        return None
    columns = np.stack([np.asarray(values, np.float64), np.ones(len(groups))], axis=1)
    sums = draws.sums(columns)
    return percentile_interval(sums[:, 0] / sums[:, 1])
