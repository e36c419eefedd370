"""The training loop: steps, epochs, early stopping, checkpoints, one process or several.

The same rows in the same order give the same result however often training was interrupted: the order of rows
follows from (seed, epoch), augmentation and dropout from (seed, step, process) and the learning rate from the
step, so that none of them has a state to be saved.
"""

from __future__ import annotations

import logging
import math
import signal
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from types import FrameType
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeVar

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from tetkik.errors import TrainingError
from tetkik.lab.engine.batches import Rows
from tetkik.lab.engine.card import rows_csv
from tetkik.lab.engine.checkpoint import Diverged, WorkFolder, load_state, tensors_as_bytes
from tetkik.lab.engine.options import EngineOptions, ScheduleKind, learning_rate_factor
from tetkik.lab.engine.precision import Precision
from tetkik.lab.engine.processes import wait_for_all
from tetkik.lab.engine.tracking import numbers_of
from tetkik.language import Sentence, translate
from tetkik.settings import settings
from tetkik.statistics import Ints
from tetkik.values import ProgressCallback, StepName

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

log = logging.getLogger("tetkik.lab.engine")

_LARGEST_GRADIENT = 1.0
_OVERFITTING_EPOCHS = 3
_CHECK_ON_GPU = 20
"""Steps between two looks at the loss; each look makes the GPU wait."""


if TYPE_CHECKING:

    class Epoch(DataclassInstance, Protocol):
        """One row of the log of a training; each adapter adds its own metrics."""

        @property
        def training_loss(self) -> float: ...

        @property
        def validation_loss(self) -> float | None: ...


EpochT = TypeVar("EpochT", bound="Epoch")


@dataclass(slots=True)
class TrainingState(Generic[EpochT]):
    """How far the training of one network is. It goes into every checkpoint."""

    run: str = ""  # name of the network, such as `fold-0-member-0`
    step: int = 0
    loss_sum: float = 0.0  # of the steps of the unfinished epoch, over all processes
    loss_count: int = 0  # rows or tokens that `loss_sum` is over, where the adapter counts them
    skipped: int = 0  # steps left out because a gradient was too large for fp16
    epochs: list[EpochT] = field(default_factory=list)
    best_epoch: int = 0  # from 1; 0 before the first
    best: str | None = None
    warned: bool = False  # whether a warning of overfitting was given

    @classmethod
    def from_json(cls, content: Mapping[str, Any], epoch: Callable[..., EpochT]) -> TrainingState[EpochT]:
        return cls(**{**content, "epochs": [epoch(**row) for row in content["epochs"]]})


class TrainingStopped(TrainingError):
    """Ctrl-C, or a request to terminate; the state was saved."""

    exit_status: ClassVar[int] = 130


@contextmanager
def asked_to_stop() -> Iterator[Callable[[], bool]]:
    """Whether Ctrl-C or a termination came, so that a step can end first; a second Ctrl-C acts at once."""
    requested = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield requested.is_set
        return

    def note(number: int, _: FrameType | None) -> None:
        requested.set()
        signal.signal(number, before[signal.Signals(number)])

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, note)
    try:
        yield requested.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def is_overfitting(training: Sequence[float], validation: Sequence[float | None]) -> bool:
    """Whether validation loss has risen twice while training loss fell, in the last three epochs."""
    if len(training) < _OVERFITTING_EPOCHS or None in validation[-_OVERFITTING_EPOCHS:]:
        return False
    falls = all(later < earlier for earlier, later in pairwise(training[-_OVERFITTING_EPOCHS:]))
    return falls and all(later > earlier for earlier, later in pairwise(validation[-_OVERFITTING_EPOCHS:]))  # type: ignore[operator]


def _warn_of_overfitting(validation: Sequence[float | None]) -> None:
    log.warning(
        translate(
            "Validation loss has risen for two epochs while training loss fell ({before:.3f} to {now:.3f}): "
            "the network is overfitting; fewer epochs or a lower learning rate may serve.",
            settings().language,
            before=validation[-_OVERFITTING_EPOCHS],
            now=validation[-1],
        )
    )


class Trainer(ABC, Generic[EpochT]):
    """One training of one network; subclasses say what a step and an evaluation are.

    `accelerator` is an `accelerate.Accelerator` without mixed precision, which is done here; `work` is where
    checkpoints go, None for a trial of `--tune`, which keeps none.
    """

    epoch_type: ClassVar[Any]
    _network: Any
    _model: Any
    """What `accelerate` makes of the network: its processes average their gradients."""

    def __init__(
        self,
        accelerator: Any,
        options: EngineOptions,
        *,
        run: str,
        steps_per_epoch: int,
        seed: int,
        work: WorkFolder | None,
    ) -> None:
        self._accelerator, self._loop, self._work = accelerator, options, work
        self._device: torch.device = accelerator.device
        self._rank, self._world = accelerator.process_index, accelerator.num_processes
        self._steps_per_epoch, self._seed = steps_per_epoch, seed
        self._state: TrainingState[EpochT] = TrainingState(run)
        self._best: dict[str, Tensor] | None = None

    def _weights(self) -> Mapping[str, Tensor]:
        """The weights that a checkpoint keeps."""
        weights: dict[str, Tensor] = self._network.state_dict()
        return weights

    def _load_weights(self, weights: Mapping[str, Tensor]) -> None:
        """Take the weights of a checkpoint."""
        self._network.load_state_dict(weights)

    def _training_mode(self) -> None:
        """Put the network into training mode."""
        self._model.train()

    @abstractmethod
    def _epoch_rows(self, epoch: int) -> list[Rows]:
        """The rows of each step of an epoch."""

    @abstractmethod
    def _batches(self, steps: list[Rows]) -> Iterator[Any]:
        """What this process needs for each of these steps, loaded ahead."""

    @abstractmethod
    def _train_step(self, rows: Rows, batch: Any) -> Tensor:
        """One step of the optimiser; this process's part of the loss, a scalar on the device."""

    @abstractmethod
    def _evaluate(self, epoch: int, rows_per_second: float) -> EpochT:
        """The row of the log for an epoch, with metrics on validation; the same in every process."""

    @abstractmethod
    def _score(self, row: EpochT) -> tuple[float, ...] | None:
        """What early stopping compares, higher is better; None without validation rows."""

    def _evaluated_weights(self) -> Mapping[str, Tensor]:
        """The weights that are evaluated and kept in the end: a moving average where there is one."""
        return self._weights()

    def _extra_state(self) -> dict[str, Any]:
        """What a checkpoint keeps beside weights, optimiser and loss scaling."""
        return {}

    def _position(self, epoch: int, remaining: int) -> tuple[int, int]:
        """What progress shows, with so many rows remaining in the epoch: what is done, and all."""
        return self._state.step, self._loop.epochs * self._steps_per_epoch

    def _epoch_done(self, row: EpochT) -> None:
        """Called with each new row of the log."""

    def _log_file(self) -> str:
        return "epochs.csv"

    def _resume(self) -> dict[str, Any] | None:
        """Load weights and progress of the newest checkpoint; the rest of its state, None without one."""
        latest = self._work.latest() if self._work is not None else None
        if latest is None:
            return None
        weights, state, progress = load_state(latest)
        # Of a network that was finished just before the machine stopped.
        if progress["run"] != self._state.run:
            return None
        self._load_weights(weights)
        self._state = TrainingState.from_json(progress, self.epoch_type)
        return state

    def _use_optimizer(
        self, optimizer: torch.optim.Optimizer, precision: Precision, state: Mapping[str, Any] | None
    ) -> None:
        self._optimizer = optimizer
        for group in optimizer.param_groups:
            group.setdefault("initial_lr", group["lr"])
        self._scaler = torch.amp.GradScaler(self._device.type, enabled=precision is Precision.FP16)
        if state is not None:
            rates = [group["initial_lr"] for group in optimizer.param_groups]
            optimizer.load_state_dict(state["optimizer"])
            # A resume after a loss that was no number may lower them, or leave fp16 or take it up.
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["initial_lr"] = rate
            if state["scaler"]:
                self._scaler.load_state_dict(state["scaler"])

    def run(self, progress: ProgressCallback) -> TrainingState[EpochT]:
        """Train to the end; the network then has the weights of its best epoch, or of its last.

        Raises:
            Stopped: Ctrl-C; the state was saved.
            Diverged: the loss is no number.
        """
        with asked_to_stop() as stop_requested:
            while not self._finished():
                self._run_epoch(progress, stop_requested)
        self._restore_best()
        return self._state

    def _finished(self) -> bool:
        """Whether all epochs are done, or early stopping ends the training."""
        state, done = self._state, len(self._state.epochs)
        if not done or done >= self._loop.epochs:
            return done >= self._loop.epochs
        validated = self._score(state.epochs[-1]) is not None
        return validated and done - state.best_epoch >= self._loop.patience

    def _run_epoch(self, progress: ProgressCallback, stop_requested: Callable[[], bool]) -> None:
        state = self._state
        epoch = len(state.epochs) + 1
        steps = self._epoch_rows(epoch)[state.step - (epoch - 1) * self._steps_per_epoch :]
        remaining, seen, begun = sum(map(len, steps)), 0, time.perf_counter()
        # Of this process alone; what was summed before a resume belongs to the first.
        total = self._scalar(state.loss_sum if self._rank == 0 else 0.0)
        self._training_mode()
        loss: Sentence | None = None  # as of the last look at it
        every = 1 if self._device.type == "cpu" else _CHECK_ON_GPU
        for number, (rows, batch) in enumerate(zip(steps, self._batches(steps), strict=True), 1):
            total += self._train_step(rows, batch)
            state.step += 1
            seen += len(rows)
            progress(StepName("training", loss), *self._position(epoch, remaining - seen))
            last = number == len(steps)
            save = state.step % self._loop.checkpoint_steps == 0 and not last
            if last or save or state.step % every == 0:
                state.loss_sum, stop = self._synchronise(total, stop_requested())
                loss = Sentence("loss {loss:.4f}", {"loss": self._mean_loss()})
                if stop:
                    self._save()
                    raise TrainingStopped(
                        "Training was stopped in epoch {epoch}, and all of it was kept; run the same command "
                        "with --resume to go on.",
                        epoch=epoch,
                    )
            if save:
                self._save()
        self._end_epoch(epoch, seen / (time.perf_counter() - begun))

    def _end_epoch(self, epoch: int, rows_per_second: float) -> None:
        state = self._state
        row = self._evaluate(epoch, rows_per_second)
        score = self._score(row)
        best = self._score(state.epochs[state.best_epoch - 1]) if state.best_epoch else None
        state.epochs.append(row)
        state.loss_sum, state.loss_count = 0.0, 0
        if score is not None and (best is None or score > best):
            state.best_epoch = epoch
            self._keep_best(epoch)
        self._warn_of_overfitting()
        self._epoch_done(row)
        if self._work is not None:
            self._accelerator.log(numbers_of(asdict(row), f"{state.run}/"), step=epoch)
        if self._work is not None and self._accelerator.is_main_process:
            self._work.write(self._log_file(), rows_csv(state.epochs, self.epoch_type).encode())
        self._save()

    def _mean_loss(self) -> float:
        """Of the epoch so far: over rows or tokens where the adapter counts them, else over steps."""
        state = self._state
        steps = state.step - len(state.epochs) * self._steps_per_epoch
        return state.loss_sum / max(1, state.loss_count or steps)

    def _seed_step(self) -> None:
        """Seed dropout and augmentation of this step in this process."""
        sequence = np.random.SeedSequence((self._seed, self._state.step, self._rank))
        torch.manual_seed(int(sequence.generate_state(1)[0]))

    def _scalar(self, value: float) -> Tensor:
        """A number for sums of losses; Apple's GPUs have no float64."""
        kind = torch.float32 if self._device.type == "mps" else torch.float64
        return torch.tensor(value, dtype=kind, device=self._device)

    def _share(self, rows: Rows) -> Rows:
        """The rows of a step that this process computes.

        One without a row still takes part, with a weight of 0: the others wait for its gradient.
        """
        return rows[self._rank :: self._world] if len(rows) > self._rank else rows[:1]

    def _learn(self, rows: Rows, mine: Rows, loss_of: Callable[[Ints], Tensor], summed: int = 1) -> Tensor:
        """The gradients of a step, clipped, and this process's part of its loss.

        `loss_of` gives the loss of some places in `mine`, over all processes a mean over `rows`, or else so
        many times that mean.
        """
        weight = 1.0 if len(rows) > self._rank else 0.0
        parts = np.array_split(np.arange(len(mine)), min(self._loop.accumulation, len(mine)))
        total = self._scalar(0.0)
        for number, part in enumerate(parts, 1):
            with self._accelerator.no_sync(self._model) if number < len(parts) else nullcontext():
                loss = loss_of(part) * weight
                self._scaler.scale(loss * (self._world / summed)).backward()
                total += loss.detach()
        self._clip_gradients(self._network.parameters())
        return total

    def _clip_gradients(self, parameters: Iterable[nn.Parameter]) -> Tensor:
        """Undo loss scaling and clip; the norm before that."""
        self._scaler.unscale_(self._optimizer)
        return nn.utils.clip_grad_norm_(parameters, _LARGEST_GRADIENT)

    def _update_weights(self, warm_up: float, kind: ScheduleKind = ScheduleKind.COSINE) -> None:
        """Let the optimiser change the weights by clipped gradients, at the learning rate of this step."""
        steps = self._loop.epochs * self._steps_per_epoch
        factor = learning_rate_factor(self._state.step, steps, warm_up, kind)
        for group in self._optimizer.param_groups:
            group["lr"] = factor * group["initial_lr"]
        self._scaler.step(self._optimizer)
        self._scaler.update()
        self._optimizer.zero_grad()

    def _synchronise(self, total: Tensor, stop: bool) -> tuple[float, bool]:
        """The loss summed over steps and processes, and whether any process is to stop."""
        values = torch.stack((total, torch.tensor(float(stop), dtype=total.dtype, device=total.device)))
        if self._world > 1:
            values = self._accelerator.reduce(values, "sum")
        loss_sum, any_stop = float(values[0]), bool(values[1] > 0)
        if not math.isfinite(loss_sum):
            raise Diverged(
                "The training loss at step {step} is no number any more; use a lower --learning-rate or "
                "--precision fp32.",
                step=self._state.step,
            )
        return loss_sum, any_stop

    def _warn_of_overfitting(self) -> None:
        state, validation = self._state, [row.validation_loss for row in self._state.epochs]
        if not state.warned and is_overfitting([row.training_loss for row in state.epochs], validation):
            state.warned = True
            if self._accelerator.is_main_process:
                _warn_of_overfitting(validation)

    def _keep_best(self, epoch: int) -> None:
        if self._work is None:
            self._best = {name: tensor.detach().clone() for name, tensor in self._evaluated_weights().items()}
            return
        self._state.best = f"best-{epoch:06d}.safetensors"
        if self._accelerator.is_main_process:
            self._work.write(self._state.best, tensors_as_bytes(self._evaluated_weights()))

    def _restore_best(self) -> None:
        wait_for_all(self._accelerator)
        best = self._best
        if self._work is not None and self._state.best is not None:
            best = load_file(self._work.path / self._state.best)
        self._load_weights(best if best is not None else dict(self._evaluated_weights()))
        # The main process deletes the file when it goes on; the others must have read it.
        wait_for_all(self._accelerator)

    def _save(self) -> None:
        if self._work is not None and self._accelerator.is_main_process:
            state = {
                "optimizer": self._optimizer.state_dict(),
                "scaler": self._scaler.state_dict(),
                **self._extra_state(),
            }
            self._work.save(tensors_as_bytes(self._weights()), state, asdict(self._state))
        wait_for_all(self._accelerator)


def decaying_groups(parameters: Iterable[nn.Parameter], weight_decay: float) -> list[dict[str, Any]]:
    """Weight decay for matrices and kernels only, not for biases and the scales of normalisation."""
    items = list(parameters)
    groups = [
        {"params": [item for item in items if item.ndim >= 2], "weight_decay": weight_decay},
        {"params": [item for item in items if item.ndim < 2], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]
