"""The networks of a training, members of an ensemble and of folds: built, trained, and scored with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tetkik.findings.networks import FAMILIES, build
from tetkik.imaging.prepare import Preprocessing
from tetkik.lab.engine.batches import Rows
from tetkik.lab.engine.checkpoint import WorkFolder, tensors_as_bytes
from tetkik.lab.engine.trainer import TrainingState
from tetkik.lab.findings.grid_pooling import GridPooled
from tetkik.lab.findings.training.data import TrainingData, logits_of
from tetkik.lab.findings.training.decoded_images import DecodedImages
from tetkik.lab.findings.training.distillation import (
    TEACHER,
    LogitScale,
    TeacherPredictions,
    last_layer,
    merged,
)
from tetkik.lab.findings.training.freeze import freeze
from tetkik.lab.findings.training.options import RANDOM, TeacherUse, TrainingOptions
from tetkik.lab.findings.training.ridge import StageMeans, check_row_count, fit_ridge, stages_of
from tetkik.lab.findings.training.trainer import Epoch, FindingsTrainer
from tetkik.values import ProgressCallback

Scores = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class RunConfig:
    """What all networks of one training share.

    Attributes:
        labels: of the data, in order.
        truth: (rows, labels), int8, with -1 where unknown or not to be taught.
        weight: (rows,), float32.
        teacher: a teacher's probabilities, where there is one.
        means: of the stages of the untrained network, for ridge regression.
    """

    labels: tuple[str, ...]
    images: DecodedImages
    truth: NDArray[np.int8]
    weight: NDArray[np.float32]
    teacher: TeacherPredictions | None
    preprocessing: Preprocessing
    options: TrainingOptions
    means: StageMeans

    @property
    def second_head(self) -> tuple[str, ...]:
        """The labels that a teacher's head learns; empty without one."""
        teacher = self.options.teacher
        if self.teacher is None or teacher is None or teacher.use is not TeacherUse.HEAD:
            return ()
        return self.teacher.labels

    def learnable(self, rows: Rows) -> Rows:
        """Those of `rows` that have anything to teach."""
        known = (self.truth[rows] >= 0).any(axis=1)
        if self.teacher is not None:
            known |= ~np.isnan(self.teacher.probability[rows]).all(axis=1)
        return rows[known & self.images.readable[rows]]


@dataclass(frozen=True, slots=True)
class Trained:
    """One network at the end of its training.

    Attributes:
        best_epoch: whose weights were kept; 0 for the last.
        ridge: whether it is ridge regression on the stages of the untrained network.
    """

    weights: dict[str, Tensor]
    epochs: tuple[Epoch, ...]
    best_epoch: int
    ridge: bool = False


def new_network(config: RunConfig, seed: int, *, second_head: bool) -> nn.Module:
    """A network to be trained: the labels, then a teacher's head where wanted.

    Raises:
        UsageError: no such network or weights.
        InputError: weights that do not fit.
    """
    options = config.options
    outputs = (*config.labels, *(f"{TEACHER}{label}" for label in config.second_head if second_head))
    weights: str | Path | None = None if options.weights == RANDOM else options.weights
    if options.network not in FAMILIES:
        weights = None
    torch.manual_seed(seed)
    network: nn.Module = build(options.network, outputs, weights=weights)
    return network


def label_network(config: RunConfig, trained: Trained) -> nn.Module:
    """A trained network with one output a label, in evaluation mode, on the CPU."""
    untrained = TrainingOptions(network=config.options.network, weights=RANDOM)
    bare = replace(config, teacher=None, options=untrained)
    network = new_network(bare, 0, second_head=False)
    if trained.ridge:
        network = GridPooled.over(stages_of(network), len(config.labels))
    network.load_state_dict(trained.weights)
    return network.eval()


def train_network(
    accelerator: Any,
    config: RunConfig,
    rows: tuple[Rows, Rows | None],
    *,
    run: str,
    seed: int,
    work: WorkFolder | None,
    progress: ProgressCallback,
) -> Trained:
    """Train one network, or take it up where it was left, or as it was finished.

    Args:
        accelerator: an `accelerate.Accelerator`.
        rows: to learn from, and to judge each epoch on.
        work: where checkpoints go; None keeps none.
    """
    finished = work.finished(run) if work is not None else None
    if finished is not None:
        from safetensors.torch import load_file

        state = TrainingState.from_json(finished[1], Epoch)
        return Trained(load_file(finished[0]), tuple(state.epochs), state.best_epoch)
    network = new_network(config, seed, second_head=True)
    freeze(network, config.options.freeze)
    layer = last_layer(network, len(config.labels) + len(config.second_head))
    training = config.learnable(rows[0])
    scale, targets = _teacher(config, training)
    data = TrainingData(config.images, config.truth, config.weight, training, rows[1], targets)
    trainer = FindingsTrainer(
        accelerator,
        network,
        layer,
        data,
        config.preprocessing,
        options=config.options,
        seed=seed,
        run=run,
        work=work,
    )
    state = trainer.run(progress)
    weights = {name: tensor.detach().cpu() for name, tensor in network.state_dict().items()}
    if scale is not None and config.options.teacher is not None:
        weights = merged(weights, layer, config.labels, scale, config.options.teacher.share)
    if work is not None and accelerator.is_main_process:
        work.finish(run, tensors_as_bytes(weights), asdict(state))
    accelerator.wait_for_everyone()
    return Trained(weights, tuple(state.epochs), state.best_epoch)


def _teacher(config: RunConfig, training: Rows) -> tuple[LogitScale | None, Scores | None]:
    """The scale of a teacher's head, and what is learned of the teacher: z-scores, or probabilities."""
    if config.teacher is None:
        return None, None
    if config.second_head:
        scale = LogitScale.of(config.teacher, training)
        return scale, scale.targets(config.teacher)
    probability = np.full(config.truth.shape, np.nan, np.float32)
    columns = [config.labels.index(label) for label in config.teacher.labels]
    probability[:, columns] = config.teacher.probability
    return None, probability


def train_ridge(
    accelerator: Any,
    config: RunConfig,
    rows: Rows,
    *,
    run: str,
    work: WorkFolder | None,
    progress: ProgressCallback,
) -> Trained:
    """Fit ridge regression on the stages of the untrained network, or take it as it was finished.

    Args:
        accelerator: an `accelerate.Accelerator`.
        work: where it is kept; None keeps it nowhere.

    Raises:
        UsageError: a network without stages.
        TrainingError: too many rows.
    """
    finished = work.finished(run) if work is not None else None
    if finished is not None:
        from safetensors.torch import load_file

        return Trained(load_file(finished[0]), (), 0, ridge=True)
    training = config.learnable(rows)
    check_row_count(len(training))
    stages = stages_of(new_network(config, 0, second_head=False))
    network = GridPooled.over(stages, len(config.labels)).to(accelerator.device)
    features = config.means.of(network, training, accelerator.device, progress)
    teacher = None
    if config.second_head and config.teacher is not None and config.options.teacher is not None:
        soft = TeacherPredictions(config.teacher.labels, config.teacher.probability[training])
        teacher = (soft, config.options.teacher.share)
    fit_ridge(network.cpu(), features, config.truth[training], config.labels, teacher)
    weights = {name: tensor.detach() for name, tensor in network.state_dict().items()}
    if work is not None and accelerator.is_main_process:
        work.finish(run, tensors_as_bytes(weights), asdict(TrainingState(run)))
    accelerator.wait_for_everyone()
    return Trained(weights, (), 0, ridge=True)


def mean_scores(
    config: RunConfig,
    members: Sequence[Trained],
    rows: Rows,
    device: torch.device,
    progress: ProgressCallback,
) -> Scores:
    """The sigmoid of the members' mean logit, as the exported network gives it.

    Returns:
        (rows, labels), float32, 0 to 1.
    """
    total = np.zeros((len(rows), len(config.labels)), np.float64)
    for number, member in enumerate(members):
        progress("reading", number, len(members))
        network = label_network(config, member).to(device)
        logits = logits_of(
            network, config.images, rows, config.preprocessing, config.options.batch_size, device
        )
        total += logits
    progress("reading", len(members), len(members))
    mean = total / len(members)
    scores: Scores = (0.5 * (1 + np.tanh(mean / 2))).astype(np.float32)  # a sigmoid that cannot overflow
    return scores
