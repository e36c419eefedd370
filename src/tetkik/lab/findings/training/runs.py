"""Networks made, trained one after another, and read: what cross-validation and members are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tetkik.findings.networks import FAMILIES, build
from tetkik.imaging.prepare import Preprocessing
from tetkik.lab.engine.checkpoint import WorkFolder, tensors_as_bytes
from tetkik.lab.findings.pooled import GridPooled
from tetkik.lab.findings.training.batches import Rows
from tetkik.lab.findings.training.freeze import freeze
from tetkik.lab.findings.training.lesson import Lesson, logits_of
from tetkik.lab.findings.training.loop import Learner
from tetkik.lab.findings.training.options import RANDOM, TeacherUse, TrainingOptions
from tetkik.lab.findings.training.progress import Epoch, Progress
from tetkik.lab.findings.training.ridge import StageMeans, fit_ridge, refuse_many, stages_of
from tetkik.lab.findings.training.soft_targets import TEACHER, Scale, SoftTargets, last_layer, merged
from tetkik.lab.findings.training.squares import Squares
from tetkik.values import ProgressCallback

Scores = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Course:
    """What all networks of one training share.

    Attributes:
        labels: of the data, in order.
        squares: of all rows.
        truth: (rows, labels), int8, with -1 where unknown or not to be taught.
        weight: (rows,), float32.
        soft: a teacher's probabilities, where there is one.
        preprocessing: what the network wants.
        options: the settings.
        means: of the stages of the untrained network, for ridge regression.
    """

    labels: tuple[str, ...]
    squares: Squares
    truth: NDArray[np.int8]
    weight: NDArray[np.float32]
    soft: SoftTargets | None
    preprocessing: Preprocessing
    options: TrainingOptions
    means: StageMeans

    @property
    def second_head(self) -> tuple[str, ...]:
        """The labels that a teacher's head learns; empty without one."""
        teacher = self.options.teacher
        if self.soft is None or teacher is None or teacher.use is not TeacherUse.HEAD:
            return ()
        return self.soft.labels

    def learnable(self, rows: Rows) -> Rows:
        """Those of `rows` that have anything to teach."""
        known = (self.truth[rows] >= 0).any(axis=1)
        if self.soft is not None:
            known |= ~np.isnan(self.soft.probability[rows]).all(axis=1)
        return rows[known & self.squares.readable[rows]]


@dataclass(frozen=True, slots=True)
class Trained:
    """One network at the end of its training.

    Attributes:
        weights: of a network with the labels alone.
        epochs: the log.
        best_epoch: whose weights were kept; 0 for the last.
        ridge: whether it is ridge regression on the stages of the untrained network.
    """

    weights: dict[str, Tensor]
    epochs: tuple[Epoch, ...]
    best_epoch: int
    ridge: bool = False


def new_network(course: Course, seed: int, *, second_head: bool) -> nn.Module:
    """A network to be trained: the labels, then a teacher's head where wanted.

    Raises:
        UsageError: no such network or weights.
        InputError: weights that do not fit.
    """
    options = course.options
    outputs = (*course.labels, *(f"{TEACHER}{label}" for label in course.second_head if second_head))
    weights: str | Path | None = None if options.weights == RANDOM else options.weights
    if options.network not in FAMILIES:
        weights = None
    torch.manual_seed(seed)
    network: nn.Module = build(options.network, outputs, weights=weights)
    return network


def label_network(course: Course, trained: Trained) -> nn.Module:
    """A trained network with one output a label, in evaluation mode, on the CPU."""
    untrained = TrainingOptions(network=course.options.network, weights=RANDOM)
    bare = Course(
        course.labels,
        course.squares,
        course.truth,
        course.weight,
        None,
        course.preprocessing,
        untrained,
        course.means,
    )
    network = new_network(bare, 0, second_head=False)
    if trained.ridge:
        network = GridPooled.over(stages_of(network), len(course.labels))
    network.load_state_dict(trained.weights)
    return network.eval()


def train_network(
    accelerator: Any,
    course: Course,
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
        course: what it shares with the others.
        rows: to learn from, and to judge each epoch on.
        run: its name.
        seed: its own.
        work: where checkpoints go; None keeps none.
        progress: told how far it is.
    """
    finished = work.finished(run) if work is not None else None
    if finished is not None:
        from safetensors.torch import load_file

        story = Progress.from_json(finished[1])
        return Trained(load_file(finished[0]), tuple(story.epochs), story.best_epoch)
    network = new_network(course, seed, second_head=True)
    freeze(network, course.options.freeze)
    layer = last_layer(network, len(course.labels) + len(course.second_head))
    training = course.learnable(rows[0])
    scale, targets = _teacher(course, training)
    lesson = Lesson(course.squares, course.truth, course.weight, training, rows[1], targets)
    learner = Learner(
        accelerator,
        network,
        layer,
        lesson,
        course.preprocessing,
        options=course.options,
        seed=seed,
        run=run,
        work=work,
    )
    story = learner.run(progress)
    weights = {name: tensor.detach().cpu() for name, tensor in network.state_dict().items()}
    if scale is not None and course.options.teacher is not None:
        weights = merged(weights, layer, course.labels, scale, course.options.teacher.share)
    if work is not None and accelerator.is_main_process:
        work.finish(run, tensors_as_bytes(weights), asdict(story))
    accelerator.wait_for_everyone()
    return Trained(weights, tuple(story.epochs), story.best_epoch)


def _teacher(course: Course, training: Rows) -> tuple[Scale | None, Scores | None]:
    """The scale of a teacher's head, and what is learned of the teacher: z-scores, or probabilities."""
    if course.soft is None:
        return None, None
    if course.second_head:
        scale = Scale.of(course.soft, training)
        return scale, scale.targets(course.soft)
    probability = np.full(course.truth.shape, np.nan, np.float32)
    columns = [course.labels.index(label) for label in course.soft.labels]
    probability[:, columns] = course.soft.probability
    return None, probability


def train_ridge(
    accelerator: Any,
    course: Course,
    rows: Rows,
    *,
    run: str,
    work: WorkFolder | None,
    progress: ProgressCallback,
) -> Trained:
    """Fit ridge regression on the stages of the untrained network, or take it as it was finished.

    Args:
        accelerator: an `accelerate.Accelerator`.
        course: what it shares with the others.
        rows: to learn from.
        run: its name.
        work: where it is kept; None keeps it nowhere.
        progress: told how far it is.

    Raises:
        UsageError: a network without stages.
        TrainingError: too many rows.
    """
    finished = work.finished(run) if work is not None else None
    if finished is not None:
        from safetensors.torch import load_file

        return Trained(load_file(finished[0]), (), 0, ridge=True)
    training = course.learnable(rows)
    refuse_many(len(training))
    stages = stages_of(new_network(course, 0, second_head=False))
    network = GridPooled.over(stages, len(course.labels)).to(accelerator.device)
    features = course.means.of(network, training, accelerator.device, progress)
    teacher = None
    if course.second_head and course.soft is not None and course.options.teacher is not None:
        soft = SoftTargets(course.soft.labels, course.soft.probability[training])
        teacher = (soft, course.options.teacher.share)
    fit_ridge(network.cpu(), features, course.truth[training], course.labels, teacher)
    weights = {name: tensor.detach() for name, tensor in network.state_dict().items()}
    if work is not None and accelerator.is_main_process:
        work.finish(run, tensors_as_bytes(weights), asdict(Progress(run)))
    accelerator.wait_for_everyone()
    return Trained(weights, (), 0, ridge=True)


def mean_scores(
    course: Course, members: Sequence[Trained], rows: Rows, device: torch.device, progress: ProgressCallback
) -> Scores:
    """The sigmoid of the members' mean logit, as the exported network gives it.

    Returns:
        (rows, labels), float32, 0 to 1.
    """
    total = np.zeros((len(rows), len(course.labels)), np.float64)
    for number, member in enumerate(members):
        progress("reading", number, len(members))
        network = label_network(course, member).to(device)
        logits = logits_of(
            network, course.squares, rows, course.preprocessing, course.options.batch_size, device
        )
        total += logits
    progress("reading", len(members), len(members))
    mean = total / len(members)
    scores: Scores = (0.5 * (1 + np.tanh(mean / 2))).astype(np.float32)  # a sigmoid that cannot overflow
    return scores
