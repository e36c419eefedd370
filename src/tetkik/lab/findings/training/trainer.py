"""The training of one network of findings."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid
from torch.nn.modules.batchnorm import _BatchNorm

from tetkik.errors import TrainingError
from tetkik.imaging.prepare import Preprocessing
from tetkik.lab.engine.batches import Rows, in_steps
from tetkik.lab.engine.checkpoint import WorkFolder
from tetkik.lab.engine.precision import autocast
from tetkik.lab.engine.processes import in_shares
from tetkik.lab.engine.trainer import Trainer
from tetkik.lab.findings.sources.rows import Truth
from tetkik.lab.findings.summaries import mean_auroc
from tetkik.lab.findings.training.data import (
    TrainingData,
    as_input,
    augmented,
    epoch_rows,
    load_batches,
    logits_of,
    network_input,
    parameter_groups,
)
from tetkik.lab.findings.training.options import ClassWeights, LossKind, TeacherUse, TrainingOptions
from tetkik.statistics import Ints

Loss = Callable[[Tensor, Tensor], Tensor]
"""(logits (rows, labels) float32, truth (rows, labels) int8: 1, 0, -1 unknown) to the sum, a scalar."""

FOCAL_GAMMA = 2.0
ASYMMETRIC_GAMMA_ABSENT = 4.0
ASYMMETRIC_GAMMA_PRESENT = 1.0
ASYMMETRIC_MARGIN = 0.05


def presence_weights(truth: Truth, limit: float) -> NDArray[np.float32]:
    """Known absences over known presences, (labels,), from 1 to `limit`; 1 where one of them is missing."""
    present, absent = (truth == 1).sum(axis=0), (truth == 0).sum(axis=0)
    known = (present > 0) & (absent > 0)
    weights = np.where(known, absent / np.maximum(present, 1), 1.0)
    return np.clip(weights, 1.0, limit).astype(np.float32)


def make_loss(
    kind: LossKind, weights: ClassWeights, truth: Truth, limit: float, device: torch.device
) -> Loss:
    """The loss `kind`.

    Focal: Lin et al., "Focal loss for dense object detection", ICCV 2017, with gamma = 2 and no alpha.
    Asymmetric: Ridnik et al., "Asymmetric loss for multi-label classification", ICCV 2021, with the paper's
    gamma- = 4, gamma+ = 1 and margin 0.05. The weights are counted on the training rows, `truth`.
    """
    presence = np.ones(truth.shape[1], np.float32)
    if weights is ClassWeights.BALANCED:
        presence = presence_weights(truth, limit)
    weight = torch.from_numpy(presence).to(device)
    entry = {LossKind.BCE: _bce, LossKind.FOCAL: _focal, LossKind.ASYMMETRIC: _asymmetric}[kind]

    def loss(logits: Tensor, truth: Tensor) -> Tensor:
        # Unknown entries are replaced on both sides of the loss, not multiplied by 0: an infinite logit times
        # 0 would be no number. Picking the known ones out would make a GPU wait for their count.
        known = truth >= 0
        present = (truth > 0).float()
        scale = torch.where(truth > 0, weight, 1.0)
        return torch.where(known, entry(torch.where(known, logits, 0.0), present) * scale, 0.0).sum()

    return loss


def _bce(logits: Tensor, present: Tensor) -> Tensor:
    return binary_cross_entropy_with_logits(logits, present, reduction="none")


def _focal(logits: Tensor, present: Tensor) -> Tensor:
    entropy = _bce(logits, present)
    missed: Tensor = -torch.expm1(-entropy)
    return missed**FOCAL_GAMMA * entropy


def _asymmetric(logits: Tensor, present: Tensor) -> Tensor:
    probability = torch.sigmoid(logits)
    hit = (1 - probability) ** ASYMMETRIC_GAMMA_PRESENT * -logsigmoid(logits)
    shifted = (probability - ASYMMETRIC_MARGIN).clamp(min=0)
    rejected = shifted**ASYMMETRIC_GAMMA_ABSENT * -torch.log1p(-shifted.clamp(max=1 - 1e-6))
    return torch.where(present > 0, hit, rejected)


def teacher_regression(predicted: Tensor, target: Tensor) -> Tensor:
    """Sum of squared differences from z-scored logits; NaN says that the teacher was not asked."""
    known = ~torch.isnan(target)
    return torch.where(known, predicted - torch.nan_to_num(target), 0.0).square().sum()


def teacher_entropy(logits: Tensor, probability: Tensor) -> Tensor:
    """Sum of the cross-entropy with a teacher's probabilities where there is one (else NaN)."""
    known = ~torch.isnan(probability)
    entropy = _bce(torch.where(known, logits, 0.0), torch.where(known, probability, 0.0))
    return torch.where(known, entropy, 0.0).sum()


@dataclass(frozen=True, slots=True)
class Epoch:
    """One row of the log."""

    run: str
    """The network, such as `fold-0-member-0`."""
    epoch: int
    """From 1."""
    learning_rate: float
    training_loss: float
    validation_loss: float | None
    """Of the labels alone, mean over known entries; None without validation rows."""
    mean_auroc: float | None
    """On validation, over the labels with both kinds there; None without validation rows."""
    images: float
    """Per second, reading and augmentation included."""


class MovingAverage:
    """Weights averaged over the steps (Polyak and Juditsky, 1992); whole numbers are taken as they are.

    The decay of step t is at most (1 + t) / (10 + t), so that the random start is soon forgotten.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self._network = network
        self._decay = decay
        self.weights = {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}

    def load(self, weights: Mapping[str, Tensor]) -> None:
        """Take up the average of a checkpoint."""
        for name, tensor in weights.items():
            self.weights[name].copy_(tensor)

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after `step` (from 1)."""
        decay = min(self._decay, (1 + step) / (10 + step))
        for name, tensor in self._network.state_dict().items():
            average = self.weights[name]
            if average.is_floating_point():
                average.lerp_(tensor, 1 - decay)
            else:
                average.copy_(tensor)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The network has the averaged weights inside the block, and its own again after it."""
        own = {name: tensor.detach().clone() for name, tensor in self._network.state_dict().items()}
        self._network.load_state_dict(self.weights)
        try:
            yield
        finally:
            self._network.load_state_dict(own)


class FindingsTrainer(Trainer[Epoch]):
    """One training of one network.

    Args:
        network: fp32; trained in place. Its outputs are the labels, then a teacher's head where there is one.
        head: name of its last layer, whose rate is `head_rate` times the others'.
    """

    epoch_type: ClassVar[Any] = Epoch

    def __init__(
        self,
        accelerator: Any,
        network: nn.Module,
        head: str,
        data: TrainingData,
        preprocessing: Preprocessing,
        *,
        options: TrainingOptions,
        seed: int,
        run: str,
        work: WorkFolder | None,
    ) -> None:
        self._weight = data.weight[data.training]
        steps = math.ceil(len(epoch_rows(self._weight, 0, 1)) / options.batch_size)
        super().__init__(accelerator, options, run=run, steps_per_epoch=steps, seed=seed, work=work)
        self._data, self._options, self._preprocessing = data, options, preprocessing
        self._labels = data.truth.shape[1]
        truth = data.truth[data.training]
        self._loss = make_loss(
            options.loss, options.class_weights, truth, options.class_weight_limit, self._device
        )
        self._network = network.to(self._device)
        self._network.to(memory_format=torch.channels_last)
        state = self._resume()
        optimizer = torch.optim.AdamW(
            parameter_groups(network, head, options),
            lr=options.learning_rate,
            fused=self._device.type == "cuda",
        )
        self._use_optimizer(optimizer, options.precision, state)
        self._average = MovingAverage(self._network, options.ema) if options.ema else None
        if state is not None and self._average is not None:
            self._average.load(state["average"])
        self._model = accelerator.prepare_model(self._network)

    def _evaluated_weights(self) -> Mapping[str, Tensor]:
        return self._average.weights if self._average is not None else self._weights()

    def _extra_state(self) -> dict[str, Any]:
        return {"average": self._average.weights if self._average is not None else {}}

    def _log_file(self) -> str:
        return f"{self._state.run}.csv"

    def _training_mode(self) -> None:
        super()._training_mode()
        keep_frozen_still(self._network)

    def _epoch_rows(self, epoch: int) -> list[Rows]:
        rows = self._data.training[epoch_rows(self._weight, self._seed, epoch)]
        return in_steps(rows, self._options.batch_size)

    def _batches(self, steps: list[Rows]) -> Iterator[tuple[Rows, Tensor]]:
        return load_batches(self._data.images, [self._share(step) for step in steps], self._device)

    def _train_step(self, rows: Rows, batch: tuple[Rows, Tensor]) -> Tensor:
        mine, pixels = batch
        self._seed_step()
        known = max(1, int((self._data.truth[rows] >= 0).sum()))
        teacher = self._data.teacher
        soft_targets = 1 if teacher is None else max(1, int((~np.isnan(teacher[rows])).sum()))
        images = self._augmented(pixels)

        def loss_of(part: Ints) -> Tensor:
            return self._part_loss(images[part[0] : part[-1] + 1], mine[part], known, soft_targets)

        loss = self._learn(rows, mine, loss_of)
        self._update_weights(self._options.warm_up)
        if self._average is not None:
            self._average.update(self._state.step + 1)
        return loss

    def _augmented(self, batch: Tensor) -> Tensor:
        if batch.is_floating_point():  # embeddings, which were computed once
            return as_input(batch, self._preprocessing)
        # torch's own generator was seeded for this step.
        generator = torch.Generator().manual_seed(torch.initial_seed())
        return network_input(augmented(batch, self._options.augmentation, generator), self._preprocessing)

    def _part_loss(self, images: Tensor, rows: Rows, known: int, soft_targets: int) -> Tensor:
        """The loss of some rows as their share of the step's."""
        data, options = self._data, self._options
        with autocast(self._device, options.precision):
            outputs = self._model(images)
        outputs = outputs.float()
        truth = torch.from_numpy(data.truth[rows]).to(self._device)
        loss = self._loss(outputs[:, : self._labels], truth) / known
        if data.teacher is not None and options.teacher is not None:
            target = torch.from_numpy(data.teacher[rows]).to(self._device)
            if options.teacher.use is TeacherUse.HEAD:
                soft = teacher_regression(outputs[:, self._labels :], target)
            else:
                soft = teacher_entropy(outputs, target)
            loss = loss + options.teacher.weight * soft / soft_targets
        return loss

    def _evaluate(self, epoch: int, rows_per_second: float) -> Epoch:
        validated, area = self._validate() if self._data.validation is not None else (None, None)
        rate = self._optimizer.param_groups[0]["lr"]
        return Epoch(self._state.run, epoch, rate, self._mean_loss(), validated, area, rows_per_second)

    def _score(self, row: Epoch) -> tuple[float, ...] | None:
        """Mean AUROC; the loss decides between equal ones."""
        if row.mean_auroc is None or row.validation_loss is None:
            return None
        return row.mean_auroc, -row.validation_loss

    def _validate(self) -> tuple[float, float]:
        """Loss and mean AUROC on validation, the same in every process."""
        data = self._data
        assert data.validation is not None
        self._take_statistics()
        with self._average.in_place() if self._average is not None else nullcontext():
            logits = self._gathered_logits(data.validation)[:, : self._labels]
        truth = data.truth[data.validation]
        loss = self._loss(torch.from_numpy(logits).to(self._device), torch.from_numpy(truth).to(self._device))
        area = mean_auroc(logits, truth)
        if area is None:
            raise TrainingError(
                "No label is known both ways in the validation rows, so no epoch can be judged; give more "
                "images, or train with --folds."
            )
        return float(loss) / max(1, int((truth >= 0).sum())), area

    def _take_statistics(self) -> None:
        """Take batch norm's running statistics of the first process, whose weights are kept.

        Each process has counted its own share, and DistributedDataParallel gives it those of the first only
        with the next step.
        """
        if self._world > 1:
            from torch.distributed import broadcast

            weights = self._evaluated_weights()
            for name in sorted(weights.keys() & dict(self._network.named_buffers()).keys()):
                broadcast(weights[name], src=0)

    def _gathered_logits(self, rows: Rows) -> NDArray[np.float32]:
        size, device = self._options.batch_size, self._device

        def read(mine: Rows) -> NDArray[np.float32]:
            return logits_of(self._network, self._data.images, mine, self._preprocessing, size, device)

        return in_shares(self._accelerator, rows, read)


def keep_frozen_still(network: nn.Module) -> None:
    """Put frozen stages into evaluation mode, or batch norm would go on counting."""
    for module in network.children():
        if isinstance(module, nn.Sequential):
            for stage in module:
                parameters = list(stage.parameters())
                if parameters and not any(item.requires_grad for item in parameters):
                    stage.eval()
    for module in network.modules():
        # As in the encoder under LoRA.
        if isinstance(module, _BatchNorm) and module.affine and not module.weight.requires_grad:
            module.eval()
