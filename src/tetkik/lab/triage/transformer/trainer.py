"""Fine-tuning of one encoder."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy

from tetkik.lab.engine.batches import Rows, bucketed_steps, in_steps
from tetkik.lab.engine.checkpoint import WorkFolder
from tetkik.lab.engine.options import ScheduleKind
from tetkik.lab.engine.precision import autocast
from tetkik.lab.engine.processes import in_shares
from tetkik.lab.engine.trainer import Trainer, decaying_groups
from tetkik.lab.triage.summaries import decision_columns, decision_figures
from tetkik.lab.triage.transformer.data import Imbalance, TransformerOptions
from tetkik.statistics import Ints
from tetkik.triage.calibration import softmax
from tetkik.triage.transformer import padded

Loss = Callable[[Tensor, Tensor], Tensor]
"""(logits (rows, labels) float32, labels (rows,) int64) to the sum over rows, a scalar."""

FOCAL_GAMMA = 2.0


def label_weights(counts: Ints) -> NDArray[np.float32]:
    """The inverse of each label's frequency, with a mean of 1 over the rows; `counts` are all above 0."""
    weights: NDArray[np.float32] = (counts.sum() / (len(counts) * counts)).astype(np.float32)
    return weights


def make_loss(imbalance: Imbalance, counts: Ints, device: torch.device) -> Loss:
    """The loss for `imbalance`, from the training rows of each label, (labels,), all above 0.

    A loss is a sum over rows, without a mean: the caller divides by the rows of the whole step, so that parts
    of a step (accumulation) and processes add up to the same gradient as the whole.

    Weights: King and Zeng, "Logistic regression in rare events data", 2001 (scikit-learn's "balanced"). Logit
    adjustment: Menon et al., "Long-tail learning via logit adjustment", ICLR 2021, with tau = 1. Focal: Lin
    et al., "Focal loss for dense object detection", ICCV 2017, with gamma = 2 and no alpha.
    """
    if imbalance is Imbalance.WEIGHTS:
        weights = torch.from_numpy(label_weights(counts)).to(device)
        return lambda logits, labels: cross_entropy(logits, labels, weight=weights, reduction="sum")
    if imbalance is Imbalance.LOGIT_ADJUSTMENT:
        prior = torch.from_numpy(np.log(counts / counts.sum()).astype(np.float32)).to(device)
        return lambda logits, labels: cross_entropy(logits + prior, labels, reduction="sum")
    if imbalance is Imbalance.FOCAL:
        return _focal
    return lambda logits, labels: cross_entropy(logits, labels, reduction="sum")


def _focal(logits: Tensor, labels: Tensor) -> Tensor:
    entropy = cross_entropy(logits, labels, reduction="none")
    return ((1 - torch.exp(-entropy)) ** FOCAL_GAMMA * entropy).sum()


_WARM_UP = 0.1
_WEIGHT_DECAY = 0.01
_WINDOW = 50
"""Batches among which rows are sorted by length."""


@dataclass(frozen=True, slots=True)
class EncodedSplit:
    """Complaints of one split: token numbers of each row, (tokens,), int64, and labels, (rows,), int64."""

    ids: tuple[Ints, ...]
    labels: Ints

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def lengths(self) -> Ints:
        """(rows,), tokens of each complaint."""
        return np.array([len(row) for row in self.ids], dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Epoch:
    """One row of the log; all figures but the first loss are on validation."""

    epoch: int
    training_loss: float
    validation_loss: float
    accuracy: float
    macro_f1: float
    macro_precision: float


class TransformerTrainer(Trainer[Epoch]):
    """One training of one encoder: `model`, a sequence classifier of transformers, fp32, trained in place."""

    epoch_type: ClassVar[Any] = Epoch

    def __init__(
        self,
        accelerator: Any,
        model: Any,
        parts: tuple[EncodedSplit, EncodedSplit],
        pad_id: int,
        *,
        options: TransformerOptions,
        work: WorkFolder | None,
    ) -> None:
        self._training, self._validation = parts
        steps = math.ceil(len(self._training) / options.batch_size)
        super().__init__(
            accelerator, options, run="encoder", steps_per_epoch=steps, seed=options.seed, work=work
        )
        self._network, self._pad_id, self._options = model.to(self._device), pad_id, options
        self._labels: int = model.config.num_labels
        counts = np.bincount(self._training.labels, minlength=self._labels)
        self._loss = make_loss(options.imbalance, counts, self._device)
        state = self._resume()
        learned = (item for item in model.parameters() if item.requires_grad)
        optimizer = torch.optim.AdamW(decaying_groups(learned, _WEIGHT_DECAY), lr=options.learning_rate)
        self._use_optimizer(optimizer, options.precision, state)
        self._model = accelerator.prepare_model(self._network)

    def _epoch_rows(self, epoch: int) -> list[Rows]:
        batch_size = self._options.batch_size
        return bucketed_steps(self._training.lengths, batch_size, self._seed, epoch, window=_WINDOW)

    def _batches(self, steps: list[Rows]) -> Iterator[Rows]:
        return map(self._share, steps)

    def _train_step(self, rows: Rows, batch: Rows) -> Tensor:
        self._seed_step()

        def loss_of(part: Ints) -> Tensor:
            labels = torch.from_numpy(self._training.labels[batch[part]]).to(self._device)
            return self._loss(self._logits(self._training, batch[part]), labels)

        total = self._learn(rows, batch, loss_of, len(rows))
        self._update_weights(_WARM_UP, ScheduleKind.LINEAR)
        self._state.loss_count += len(rows)
        return total

    def _logits(self, source: EncodedSplit, part: Ints) -> Tensor:
        ids, mask = padded([source.ids[row] for row in part], self._pad_id)
        with autocast(self._device, self._options.precision):
            output = self._model(
                input_ids=torch.from_numpy(ids).to(self._device),
                attention_mask=torch.from_numpy(mask).to(self._device),
            )
        logits: Tensor = output.logits.float()
        return logits

    def _evaluate(self, epoch: int, rows_per_second: float) -> Epoch:
        logits = self._validation_logits()
        truth = self._validation.labels
        loss = self._loss(torch.from_numpy(logits).to(self._device), torch.from_numpy(truth).to(self._device))
        return Epoch(
            epoch,
            self._mean_loss(),
            float(loss) / len(truth),
            *figures_of(logits, truth),
        )

    def _score(self, row: Epoch) -> tuple[float, ...]:
        return (row.macro_f1,)

    @torch.no_grad()
    def _validation_logits(self) -> NDArray[np.float32]:
        """(rows, labels), the same in every process."""
        self._model.eval()

        def read(mine: Rows) -> NDArray[np.float32]:
            steps = in_steps(mine, self._options.batch_size)
            return np.concatenate([self._logits(self._validation, part).cpu().numpy() for part in steps])

        order = np.argsort(self._validation.lengths, kind="stable")
        logits = np.empty((len(order), self._labels), dtype=np.float32)
        logits[order] = in_shares(self._accelerator, order, read)
        return logits


def figures_of(logits: NDArray[np.float32], truth: Ints) -> tuple[float, float, float]:
    """Accuracy, macro-F1 and macro-precision of (rows, labels) logits."""
    figures = decision_figures(decision_columns(softmax(logits), truth).sum(axis=0))
    return float(figures.accuracy), float(figures.macro_f1), float(figures.macro_precision)
