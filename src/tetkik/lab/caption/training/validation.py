"""Validation: the loss on its captions, captions generated for it, and their metrics."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from tetkik.bundle import Metric
from tetkik.caption.families.staged import StagedNetwork
from tetkik.caption.network import DecodingOptions
from tetkik.lab.caption.data import group_numbers
from tetkik.lab.caption.metrics.scores import quick_measures, replicates
from tetkik.lab.caption.training.data import EncodedSplit, by_length
from tetkik.lab.engine.batches import Rows, in_steps, prefetched
from tetkik.lab.engine.precision import Precision, autocast
from tetkik.lab.engine.processes import gathered
from tetkik.language import Sentence
from tetkik.statistics import ClusterBootstrap, percentile_interval

if TYPE_CHECKING:
    from tetkik.lab.caption.training.tuning import Epoch
    from tetkik.lab.engine.trainer import TrainingState

SPLIT = (Sentence("validation (used for early stopping)"),)
_REPLICATES = 1000


def loss_per_token(
    accelerator: Any, network: StagedNetwork, part: EncodedSplit, size: int, precision: Precision
) -> float:
    """Cross-entropy in nats per token, over all rows and all processes, without smoothing."""
    module, device = network.trainable(), accelerator.device
    total = torch.zeros(2, dtype=torch.float32 if device.type == "mps" else torch.float64, device=device)
    mine = by_length(part.lengths, size)[accelerator.process_index :: accelerator.num_processes]
    with torch.no_grad(), network.judging():
        for rows, stored in prefetched(part.features.fetch, mine):
            features = part.features.at_cut(network, stored, device)
            batch = part.batch(network, rows)
            with autocast(device, precision):
                loss = module(
                    features, batch.ids.to(device), batch.mask.to(device), batch.targets.to(device), 0.0
                )
            total += torch.stack((loss.to(total.dtype), (batch.targets != -100).sum().to(total)))
    loss, tokens = np.sum(gathered(accelerator, [total.tolist()]), axis=0).tolist()
    return float(loss) / max(1.0, float(tokens))


def make_captions(
    accelerator: Any,
    network: StagedNetwork,
    part: EncodedSplit,
    rows: Rows,
    *,
    size: int,
    most: int,
    precision: Precision,
) -> list[str]:
    """A caption for each of `rows`, greedily, each process its share; the same in every process."""
    options = DecodingOptions(beams=1, max_tokens=most)
    mine = in_steps(rows[accelerator.process_index :: accelerator.num_processes], size)
    found: list[tuple[int, str]] = []
    with torch.no_grad(), network.judging():
        for which, stored in prefetched(part.features.fetch, mine):
            features = part.features.at_cut(network, stored, accelerator.device)
            with autocast(accelerator.device, precision):
                made = network.generate(features, options)
            found += [(row, item.text) for row, item in zip(which.tolist(), made, strict=True)]
    by_row = dict(gathered(accelerator, found))
    return [by_row[row] for row in rows.tolist()]


@dataclass(frozen=True, slots=True, eq=False)
class GeneratedCaptions:
    """Captions that the trained network generated for some validation rows, one for each."""

    part: EncodedSplit
    rows: Rows
    made: tuple[str, ...]

    @property
    def listed(self) -> list[tuple[str, str, str]]:
        """Id, caption of the source and caption made, of each row."""
        rows = self.rows.tolist()
        return [(self.part.ids[r], self.part.captions[r], m) for r, m in zip(rows, self.made, strict=True)]


def validation_metrics(
    state: TrainingState[Epoch], generated: GeneratedCaptions | None, data: str
) -> tuple[Metric, ...]:
    """Loss a token of the epoch that was kept, and CIDEr, ROUGE-L and the share of different captions.

    CIDEr's document frequencies stay those of all rows where groups are drawn for its interval.
    """
    if generated is None:
        return ()
    metrics = []
    loss = state.epochs[state.best_epoch - 1].validation_loss
    if loss is not None:
        metrics.append(Metric(name="loss", value=loss, n=len(generated.part), data=data, split=SPLIT))
    measures = quick_measures(generated.made, [truth for _, truth, _ in generated.listed])
    split = SPLIT if len(generated.rows) == len(generated.part) else (*SPLIT, Sentence("a fixed sample"))
    n = len(generated.rows)
    draws = ClusterBootstrap(group_numbers(generated.part.groups, generated.rows.tolist()), _REPLICATES)
    drawn = map(percentile_interval, replicates(measures, draws)) if draws.possible else [None, None]
    for measure, interval in zip(measures, drawn, strict=True):
        low, high = (None, None) if interval is None else (interval.low, interval.high)
        metrics.append(
            Metric(name=measure.name, value=measure.value, low=low, high=high, n=n, data=data, split=split)
        )
    share = len(set(generated.made)) / len(generated.made)
    metrics.append(Metric(name="distinct", value=share, n=n, data=data, split=split))
    return tuple(item for item in metrics if math.isfinite(item.value))
