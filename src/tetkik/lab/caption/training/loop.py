"""The training of one captioner: steps, epochs, early stopping, checkpoints, one process or several.

The same rows in the same order give the same result however often training was interrupted: the order of
rows follows from (seed, epoch), dropout from (seed, step, process) and the learning rate from the step, so
that none of them has a state to be saved. The loss of a step is the mean over its caption tokens, wherever
they are computed, so that neither parts nor processes change it.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tetkik.caption.network import CaptionNetwork
from tetkik.errors import TrainingError
from tetkik.lab.caption.training.batches import Rows, epoch_steps, fetched, shared, steps_of_epoch
from tetkik.lab.caption.training.guard import overflowed, spoiled_gradient, spoiled_loss
from tetkik.lab.caption.training.lesson import Lesson
from tetkik.lab.caption.training.optimizer import make_optimizer
from tetkik.lab.caption.training.options import CaptionTraining, StopBy
from tetkik.lab.caption.training.progress import Epoch, Progress, Tell, rate_at
from tetkik.lab.caption.training.validation import computing, loss_per_token, made_captions, quick_figures
from tetkik.lab.caption.training.weights import learned_weights, load_learned
from tetkik.lab.engine.checkpoint import WorkFolder, load_state, tensors_as_bytes
from tetkik.lab.engine.interrupt import Stopped, asked_to_stop
from tetkik.lab.engine.log import learned_by_heart, rows_csv, warn_of_memorising
from tetkik.lab.engine.precision import Precision
from tetkik.values import ProgressCallback

log = logging.getLogger("tetkik.lab.caption.training")

EPOCHS = "epochs.csv"
_LARGEST_GRADIENT = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """What the step was made of in this process: for the guard."""

    rows: Rows
    loss: Tensor


class CaptionLearner:
    """One training of one captioner.

    Args:
        accelerator: an `accelerate.Accelerator` without mixed precision, which is done here.
        network: what learns in it is fp32 and requires gradients, everything else does not.
        lesson: what it is taught.
        options: the settings; `precision` is no longer AUTO.
        run: its name.
        work: where checkpoints go; None keeps none (a trial of `--tune`).
        tell: told of each epoch.
    """

    def __init__(
        self,
        accelerator: Any,
        network: CaptionNetwork,
        lesson: Lesson,
        options: CaptionTraining,
        *,
        run: str,
        work: WorkFolder | None,
        tell: Tell,
    ) -> None:
        self._accelerator, self._network, self._lesson = accelerator, network, lesson
        self._options, self._work, self._tell = options, work, tell
        self._device: torch.device = accelerator.device
        self._module = network.trainable()
        self._weights = learned_weights(network)
        if not self._weights:
            raise TrainingError("No weight of the model learns; choose other --target layers.")
        self._progress = Progress(run)
        self._best: dict[str, Tensor] | None = None
        self._per_epoch = steps_of_epoch(len(lesson.training), options.batch_size)
        self._lengths = lesson.training.lengths
        if options.checkpointing:
            network.checkpoint_activations()
        state = self._resumed(run)
        self._optimizer = make_optimizer(list(self._weights.values()), options, self._device)
        self._scaler = torch.amp.GradScaler(self._device.type, enabled=options.precision is Precision.FP16)
        if state is not None:
            self._optimizer.load_state_dict(state["optimizer"])
            self._scaler.load_state_dict(state["scaler"])
        if accelerator.num_processes > 1:
            self._begin_alike()

    def _resumed(self, run: str) -> dict[str, Any] | None:
        latest = self._work.latest() if self._work is not None else None
        if latest is None:
            return None
        weights, state, progress = load_state(latest)
        if progress["run"] != run:
            return None
        load_learned(self._network, weights)
        self._progress = Progress.from_json(progress)
        return state

    def _begin_alike(self) -> None:
        """The weights of the main process in all of them.

        A wrapper such as DistributedDataParallel is not used: what learns is small beside what does not, so
        its gradients are summed in one go at the end of a step. That is exact for processes with different
        numbers of tokens, or with none, and it leaves gradient checkpointing and accumulation alone.
        """
        from accelerate.utils import broadcast

        with torch.no_grad():
            for weight in self._weights.values():
                weight.copy_(broadcast(weight.detach().clone()))

    def run(self, progress: ProgressCallback) -> Progress:
        """Train to the end; the network then has the weights of its best epoch, or of its last.

        Args:
            progress: told how many captions are done, over all epochs.

        Raises:
            Stopped: Ctrl-C; the state was saved.
            TrainingError: the loss is no number; the batch is named.
            OutputError: the disk is full.
        """
        with asked_to_stop() as asked:
            while not self._finished():
                self._epoch(progress, asked)
        self._take_best()
        return self._progress

    def _finished(self) -> bool:
        done = len(self._progress.epochs)
        waits = len(self._lesson.validation) and done - self._progress.best_epoch >= self._options.patience
        return done >= self._options.epochs or bool(done and waits)

    def _epoch(self, progress: ProgressCallback, asked: Callable[[], bool]) -> None:
        state, options, training = self._progress, self._options, self._lesson.training
        epoch = len(state.epochs) + 1
        steps = epoch_steps(self._lengths, options.batch_size, options.seed, epoch)
        steps = steps[state.step - (epoch - 1) * self._per_epoch :]
        rank, world = self._accelerator.process_index, self._accelerator.num_processes
        shares = [shared(step, rank, world, options.accumulation) for step in steps]
        stream = fetched(training.features.fetch, [part for share in shares for part in share])
        done = epoch * len(training) - sum(len(step) for step in steps)
        begun, seen = time.perf_counter(), 0
        self._module.train()
        for number, (step, share) in enumerate(zip(steps, shares, strict=True)):
            stop = self._step(step, [next(stream) for _ in share], asked())
            state.step += 1
            seen += len(step)
            progress("training", done + seen, options.epochs * len(training))
            last = number + 1 == len(steps)
            if stop or (state.step % options.checkpoint_steps == 0 and not last):
                self._save()
            if stop:
                raise Stopped(
                    "Training was stopped in epoch {epoch}, and all of it was kept; run the same command "
                    "with --resume to go on.",
                    epoch=epoch,
                )
        self._end_epoch(epoch, seen / (time.perf_counter() - begun))

    def _step(self, rows: Rows, share: list[tuple[Rows, Tensor]], stop: bool) -> bool:
        """One step of the optimiser; whether any process was told to stop."""
        accelerator, state, options = self._accelerator, self._progress, self._options
        seed = np.random.SeedSequence((options.seed, state.step, accelerator.process_index))
        torch.manual_seed(int(seed.generate_state(1)[0]))
        everyone = self._network.batch([self._lesson.training.tokens[row] for row in rows.tolist()])
        tokens = max(1, int((everyone.targets != -100).sum()))
        parts = []
        for which, stored in share:
            loss = self._loss(which, stored)
            self._scaler.scale(loss / tokens).backward()  # type: ignore[no-untyped-call]
            parts.append(_Part(which, loss.detach()))
        norm = self._share_gradients()
        loss_sum, stop = self._agree(rows, parts, norm, stop)
        steps = options.epochs * self._per_epoch
        rate = options.learning_rate * rate_at(state.step, steps, options.warm_up, options.schedule)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        self._scaler.step(self._optimizer)
        self._scaler.update()
        self._optimizer.zero_grad()
        state.loss_sum += loss_sum
        state.token_sum += tokens
        return stop

    def _loss(self, rows: Rows, stored: Tensor) -> Tensor:
        """Summed over the caption tokens of some rows."""
        training, device = self._lesson.training, self._device
        features = training.features.at_cut(self._network, stored, device)
        batch = self._network.batch([training.tokens[row] for row in rows.tolist()])
        with computing(device, self._options.precision):
            loss: Tensor = self._module(
                features,
                batch.ids.to(device),
                batch.mask.to(device),
                batch.targets.to(device),
                self._options.smoothing,
            )
        return loss

    def _share_gradients(self) -> Tensor:
        """Sum them over processes, undo their scaling and clip them; their norm before that."""
        weights = list(self._weights.values())
        if self._accelerator.num_processes > 1:
            for weight in weights:
                if weight.grad is None:
                    weight.grad = torch.zeros_like(weight)
            flat = self._accelerator.reduce(
                torch.cat([_gradient(weight).flatten() for weight in weights]), "sum"
            )
            for weight, part in zip(weights, flat.split([weight.numel() for weight in weights]), strict=True):
                _gradient(weight).copy_(part.view_as(weight))
        self._scaler.unscale_(self._optimizer)
        return nn.utils.clip_grad_norm_(weights, _LARGEST_GRADIENT)

    def _agree(self, rows: Rows, parts: list[_Part], norm: Tensor, stop: bool) -> tuple[float, bool]:
        """The summed loss of the step over all processes, and whether any was told to stop.

        Raises:
            TrainingError: the loss is no number, or the gradient is none and loss scaling does not help.
        """
        from accelerate.utils import gather_object

        accelerator, step = self._accelerator, self._progress.step + 1
        several = accelerator.num_processes > 1
        losses = torch.stack([part.loss for part in parts]).cpu().double() if parts else torch.zeros(0)
        spoiled = [
            name
            for part, loss in zip(parts, losses, strict=True)
            if not loss.isfinite()
            for name in self._lesson.training.named(part.rows)
        ]
        told = torch.tensor([float(losses.nansum()), float(stop), float(bool(spoiled))], device=self._device)
        if several:
            told = accelerator.reduce(told, "sum")
        loss_sum, stops, faults = told.tolist()
        if not several:
            loss_sum = float(losses.sum())
        if faults:
            names = gather_object(spoiled) if several else spoiled
            raise spoiled_loss(names, step, self._options.precision)
        scale = self._scaler.get_scale() if self._scaler.is_enabled() else None
        if overflowed(float(norm), scale):
            raise spoiled_gradient(self._lesson.training.named(rows), step)
        self._progress.skipped += not bool(norm.isfinite())
        return loss_sum, stops > 0

    def _end_epoch(self, epoch: int, captions: float) -> None:
        state, options = self._progress, self._options
        row = self._judged(epoch, captions)
        best = state.epochs[state.best_epoch - 1].score(options.stop_by) if state.best_epoch else None
        state.epochs.append(row)
        state.loss_sum, state.token_sum = 0.0, 0
        if row.validation_loss is not None and (best is None or row.score(options.stop_by) > best):
            state.best_epoch = epoch
            self._keep_best(epoch)
        self._warn_of_memorising()
        self._tell(row.told)
        if self._work is not None and self._accelerator.is_main_process:
            self._work.write(EPOCHS, rows_csv(state.epochs, Epoch).encode())
        if not self._finished():
            self._save()

    def _judged(self, epoch: int, captions: float) -> Epoch:
        state, options, validation = self._progress, self._options, self._lesson.validation
        loss, figures = None, {}
        if len(validation):
            size, precision = part_size(options, self._accelerator.num_processes), options.precision
            loss = loss_per_token(self._accelerator, self._network, validation, size, precision)
            if options.stop_by is not StopBy.LOSS:
                made = made_captions(
                    self._accelerator,
                    self._network,
                    validation,
                    self._lesson.judged,
                    size=size,
                    most=options.max_tokens,
                    precision=precision,
                )
                figures = quick_figures(made, validation, self._lesson.judged)
        memory = torch.cuda.max_memory_allocated() / 1e9 if self._device.type == "cuda" else None
        return Epoch(
            epoch,
            self._optimizer.param_groups[0]["lr"],
            state.loss_sum / state.token_sum,
            loss,
            figures.get("cider"),
            figures.get("rouge_l"),
            captions,
            memory,
        )

    def _warn_of_memorising(self) -> None:
        """Say so once."""
        rows, validation = self._progress.epochs, [row.validation_loss for row in self._progress.epochs]
        if not self._progress.warned and learned_by_heart([row.training_loss for row in rows], validation):
            self._progress.warned = True
            if self._accelerator.is_main_process:
                warn_of_memorising(log, validation)

    def _keep_best(self, epoch: int) -> None:
        if self._work is None:
            self._best = {name: weight.detach().clone() for name, weight in self._weights.items()}
            return
        self._progress.best = f"best-{epoch:06d}.safetensors"
        if self._accelerator.is_main_process:
            self._work.write(self._progress.best, tensors_as_bytes(self._weights))

    def _take_best(self) -> None:
        from safetensors.torch import load_file

        self._accelerator.wait_for_everyone()
        best = self._best
        if self._work is not None and self._progress.best is not None:
            best = load_file(self._work.path / self._progress.best)
        if best is not None:
            load_learned(self._network, best)
        # The main process deletes the file when it goes on; the others must have read it.
        self._accelerator.wait_for_everyone()

    def _save(self) -> None:
        """What learns and the state of the optimiser: the frozen base is on disk already."""
        if self._work is not None and self._accelerator.is_main_process:
            state = {"optimizer": self._optimizer.state_dict(), "scaler": self._scaler.state_dict()}
            self._work.save(tensors_as_bytes(self._weights), state, asdict(self._progress))
        self._accelerator.wait_for_everyone()


def part_size(options: CaptionTraining, processes: int) -> int:
    """Captions that one process computes at once, at most."""
    return math.ceil(options.batch_size / (processes * options.accumulation))


def _gradient(weight: nn.Parameter) -> Tensor:
    assert weight.grad is not None
    return weight.grad
