"""The training of one network: steps, epochs, early stopping, checkpoints, one process or several.

The same rows in the same order give the same result however often training was interrupted: the order of
rows follows from (seed, epoch), augmentation and dropout from (seed, step, process) and the learning rate
from the step, so that none of them has a state to be saved.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tetkik.errors import TrainingError
from tetkik.imaging.prepare import Preprocessing
from tetkik.lab.engine.checkpoint import WorkFolder, load_state, tensors_as_bytes
from tetkik.lab.engine.interrupt import Stopped, asked_to_stop
from tetkik.lab.engine.log import learned_by_heart, rows_csv, warn_of_memorising
from tetkik.lab.engine.precision import Precision
from tetkik.lab.findings.training.augment import augmented, plain
from tetkik.lab.findings.training.batches import Rows, fetched, in_steps, rows_of_epoch, steps_of_epoch
from tetkik.lab.findings.training.ema import MovingAverage
from tetkik.lab.findings.training.freeze import keep_frozen_still
from tetkik.lab.findings.training.lesson import Lesson, logits_of, network_input, parameter_groups
from tetkik.lab.findings.training.losses import make_loss, teacher_entropy, teacher_regression
from tetkik.lab.findings.training.options import NO_AUGMENTATION, TeacherUse, TrainingOptions
from tetkik.lab.findings.training.progress import Epoch, Progress, mean_auroc, rate_at
from tetkik.values import ProgressCallback

log = logging.getLogger("tetkik.lab.findings.training")

_LARGEST_GRADIENT = 1.0
_TYPES = {Precision.BF16: torch.bfloat16, Precision.FP16: torch.float16}
_CHECK_ON_GPU = 20
"""Steps between two looks at the loss; each look makes the GPU wait."""


class Learner:
    """One training of one network.

    Args:
        accelerator: an `accelerate.Accelerator` without mixed precision, which is done here.
        network: fp32; trained in place. Its outputs are the labels, then a teacher's head where there is one.
        head: name of its last layer, whose rate is `head_rate` times the others'.
        lesson: what it is taught.
        preprocessing: what the network wants.
        options: the settings; `precision` is no longer AUTO.
        seed: of this network.
        run: its name.
        work: where checkpoints go; None keeps none (a trial of `--tune`).
    """

    def __init__(
        self,
        accelerator: Any,
        network: nn.Module,
        head: str,
        lesson: Lesson,
        preprocessing: Preprocessing,
        *,
        options: TrainingOptions,
        seed: int,
        run: str,
        work: WorkFolder | None,
    ) -> None:
        self._accelerator, self._lesson, self._options = accelerator, lesson, options
        self._preprocessing, self._seed, self._work = preprocessing, seed, work
        self._device: torch.device = accelerator.device
        self._progress = Progress(run)
        self._best: dict[str, Tensor] | None = None
        self._weight = lesson.weight[lesson.training]
        self._per_epoch = steps_of_epoch(self._weight, options.batch_size)
        self._loss = make_loss(
            options.loss,
            options.class_weights,
            lesson.truth[lesson.training],
            options.class_weight_limit,
            self._device,
        )
        self._network = network.to(self._device)
        self._network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        state = self._resumed(run)
        self._optimizer = torch.optim.AdamW(
            parameter_groups(network, head, options),
            lr=options.learning_rate,
            fused=self._device.type == "cuda",
        )
        self._scaler = torch.amp.GradScaler(self._device.type, enabled=options.precision is Precision.FP16)
        self._average = MovingAverage(self._network, options.ema) if options.ema else None
        if state is not None:
            self._optimizer.load_state_dict(state["optimizer"])
            self._scaler.load_state_dict(state["scaler"])
            if self._average is not None:
                self._average.load(state["average"])
        self._model = accelerator.prepare_model(self._network)

    def _resumed(self, run: str) -> dict[str, Any] | None:
        latest = self._work.latest() if self._work is not None else None
        if latest is None:
            return None
        weights, state, progress = load_state(latest)
        if progress["run"] != run:  # of a network that was finished just before the machine stopped
            return None
        self._network.load_state_dict(weights)
        self._progress = Progress.from_json(progress)
        return state

    def run(self, progress: ProgressCallback) -> Progress:
        """Train to the end; the network then has the weights of its best epoch, or of its last.

        Raises:
            Stopped: Ctrl-C; the state was saved.
            TrainingError: the loss is no number.
            OutputError: the disk is full.
        """
        with asked_to_stop() as asked:
            while not self._finished():
                self._epoch(progress, asked)
        self._take_best()
        return self._progress

    def _finished(self) -> bool:
        done = len(self._progress.epochs)
        since_best = done - self._progress.best_epoch
        waits = self._lesson.validation is not None and since_best >= self._options.patience
        return done >= self._options.epochs or (done > 0 and waits)

    def _epoch(self, progress: ProgressCallback, asked: Callable[[], bool]) -> None:
        state, options, lesson = self._progress, self._options, self._lesson
        epoch = len(state.epochs) + 1
        begun, seen = time.perf_counter(), 0
        rows = lesson.training[rows_of_epoch(self._weight, self._seed, epoch)]
        steps = in_steps(rows, options.batch_size)[state.step - (epoch - 1) * self._per_epoch :]
        rank, world = self._accelerator.process_index, self._accelerator.num_processes
        # A process without a row still takes part, with a weight of 0: the others wait for its gradient.
        shares = [step[rank::world] if len(step) > rank else step[:1] for step in steps]
        # Of this process alone; what was summed before a resume belongs to the first.
        total = self._number(state.loss_sum if rank == 0 else 0.0)
        self._model.train()
        keep_frozen_still(self._network)
        for number, (_, batch) in enumerate(fetched(lesson.squares, shares, self._device)):
            total += self._step(steps[number], shares[number], batch)
            state.step += 1
            seen += len(steps[number])
            progress("training", state.step, options.epochs * self._per_epoch)
            every = 1 if self._device.type == "cpu" else _CHECK_ON_GPU
            last = number + 1 == len(steps)
            save = state.step % options.checkpoint_steps == 0 and not last
            if last or save or state.step % every == 0:
                state.loss_sum, stop = self._agree(total, asked())
                if stop:
                    self._save()
                    raise Stopped(
                        "Training was stopped in epoch {epoch}, and all of it was kept; run the same command "
                        "with --resume to go on.",
                        epoch=epoch,
                    )
            if save:
                self._save()
        self._end_epoch(epoch, seen / (time.perf_counter() - begun))

    def _step(self, rows: Rows, mine: Rows, batch: Tensor) -> Tensor:
        """One step of the optimiser; the loss of this process's share, a scalar on the device."""
        accelerator, step = self._accelerator, self._progress.step
        rank, world = accelerator.process_index, accelerator.num_processes
        torch.manual_seed(int(np.random.SeedSequence((self._seed, step, rank)).generate_state(1)[0]))
        weight = 1.0 if len(rows) > rank else 0.0
        known = max(1, int((self._lesson.truth[rows] >= 0).sum()))
        teacher = self._lesson.teacher
        taught = 1 if teacher is None else max(1, int((~np.isnan(teacher[rows])).sum()))
        images = self._augmented(batch)
        parts = np.array_split(np.arange(len(mine)), min(self._options.accumulation, len(mine)))
        loss_sum = self._number(0.0)
        for number, part in enumerate(parts, 1):
            alone = accelerator.no_sync(self._model) if number < len(parts) else nullcontext()
            with alone:
                loss = self._part_loss(images[part[0] : part[-1] + 1], mine[part], known, taught) * weight
                # Processes average their gradients, and this is already the mean over all rows of the step.
                self._scaler.scale(loss * world).backward()
                loss_sum += loss.detach()
        rate = rate_at(step, self._options.epochs * self._per_epoch, self._options.warm_up)
        for group in self._optimizer.param_groups:
            group["lr"] = rate * group["highest"]
        self._scaler.unscale_(self._optimizer)
        nn.utils.clip_grad_norm_(self._network.parameters(), _LARGEST_GRADIENT)
        self._scaler.step(self._optimizer)
        self._scaler.update()
        self._optimizer.zero_grad()
        if self._average is not None:
            self._average.update(step + 1)
        return loss_sum

    def _augmented(self, batch: Tensor) -> Tensor:
        augmentation = self._options.augmentation
        if augmentation == NO_AUGMENTATION:
            return network_input(plain(batch), self._preprocessing)
        # torch's own generator was seeded for this step.
        generator = torch.Generator().manual_seed(torch.initial_seed())
        return network_input(augmented(batch, augmentation, generator), self._preprocessing)

    def _part_loss(self, images: Tensor, rows: Rows, known: int, taught: int) -> Tensor:
        """The loss of some rows as their share of the step's."""
        lesson, options = self._lesson, self._options
        number = _TYPES.get(options.precision)
        with torch.autocast(self._device.type, number, enabled=number is not None):
            outputs = self._model(images)
        outputs = outputs.float()
        truth = torch.from_numpy(lesson.truth[rows]).to(self._device)
        loss = self._loss(outputs[:, : lesson.labels], truth) / known
        if lesson.teacher is not None and options.teacher is not None:
            target = torch.from_numpy(lesson.teacher[rows]).to(self._device)
            if options.teacher.use is TeacherUse.HEAD:
                soft = teacher_regression(outputs[:, lesson.labels :], target)
            else:
                soft = teacher_entropy(outputs, target)
            loss = loss + options.teacher.weight * soft / taught
        return loss

    def _number(self, value: float) -> Tensor:
        """A number for sums of losses; Apple's GPUs have no float64."""
        kind = torch.float32 if self._device.type == "mps" else torch.float64
        return torch.tensor(value, dtype=kind, device=self._device)

    def _agree(self, total: Tensor, stop: bool) -> tuple[float, bool]:
        """The loss summed over steps and processes, and whether any process was told to stop.

        Raises:
            TrainingError: the loss is no number.
        """
        told = torch.stack((total, torch.tensor(float(stop), dtype=total.dtype, device=total.device)))
        if self._accelerator.num_processes > 1:
            told = self._accelerator.reduce(told, "sum")
        loss_sum, any_stop = float(told[0]), bool(told[1] > 0)
        if not math.isfinite(loss_sum):
            raise TrainingError(
                "The training loss at step {step} is no number any more; use a lower --learning-rate or "
                "--precision fp32.",
                step=self._progress.step,
            )
        return loss_sum, any_stop

    def _end_epoch(self, epoch: int, images: float) -> None:
        state = self._progress
        loss, area = self._judge() if self._lesson.validation is not None else (None, None)
        before = state.best_place
        state.epochs.append(
            Epoch(
                state.run,
                epoch,
                max(group["lr"] for group in self._optimizer.param_groups[:1]),
                state.loss_sum / self._per_epoch,
                loss,
                area,
                images,
            )
        )
        state.loss_sum = 0.0
        if area is not None and loss is not None and (area, -loss) > before:
            state.best_epoch = epoch
            self._keep_best(epoch)
        self._warn_of_divergence()
        if self._work is not None and self._accelerator.is_main_process:
            self._work.write(f"{state.run}.csv", rows_csv(state.epochs, Epoch).encode())
        if not self._finished():
            self._save()

    def _judge(self) -> tuple[float, float]:
        """Loss and mean AUROC on validation, the same in every process."""
        lesson = self._lesson
        assert lesson.validation is not None
        with self._average.in_place() if self._average is not None else nullcontext():
            logits = self._everyones_logits(lesson.validation)[:, : lesson.labels]
        truth = lesson.truth[lesson.validation]
        loss = self._loss(torch.from_numpy(logits).to(self._device), torch.from_numpy(truth).to(self._device))
        area = mean_auroc(logits, truth)
        if area is None:
            raise TrainingError(
                "No label is known both ways in the validation rows, so no epoch can be judged; give more "
                "images, or train with --folds."
            )
        return float(loss) / max(1, int((truth >= 0).sum())), area

    def _everyones_logits(self, rows: Rows) -> NDArray[np.float32]:
        """Each process reads its share."""
        from accelerate.utils import gather_object

        rank, world = self._accelerator.process_index, self._accelerator.num_processes
        size = self._options.batch_size
        mine = logits_of(
            self._network, self._lesson.squares, rows[rank::world], self._preprocessing, size, self._device
        )
        if world == 1:
            return mine
        logits = np.zeros((len(rows), max(mine.shape[1], 1)), np.float32)
        for place, part in gather_object([(rank, mine)]):
            if len(part):
                logits[place::world] = part
        return logits

    def _warn_of_divergence(self) -> None:
        """Say so once."""
        rows, validation = self._progress.epochs, [row.validation_loss for row in self._progress.epochs]
        if not self._progress.warned and learned_by_heart([row.training_loss for row in rows], validation):
            self._progress.warned = True
            if self._accelerator.is_main_process:
                warn_of_memorising(log, validation)

    def _kept(self) -> dict[str, Tensor]:
        """The weights that are judged and kept: the moving average where there is one."""
        return self._average.weights if self._average is not None else self._network.state_dict()

    def _keep_best(self, epoch: int) -> None:
        if self._work is None:
            self._best = {name: tensor.detach().clone() for name, tensor in self._kept().items()}
            return
        self._progress.best = f"best-{epoch:06d}.safetensors"
        if self._accelerator.is_main_process:
            self._work.write(self._progress.best, tensors_as_bytes(self._kept()))

    def _take_best(self) -> None:
        from safetensors.torch import load_file

        self._accelerator.wait_for_everyone()
        best = self._best
        if self._work is not None and self._progress.best is not None:
            best = load_file(self._work.path / self._progress.best)
        self._network.load_state_dict(best if best is not None else dict(self._kept()))
        # The main process deletes the file when it goes on; the others must have read it.
        self._accelerator.wait_for_everyone()

    def _save(self) -> None:
        if self._work is not None and self._accelerator.is_main_process:
            state = {
                "optimizer": self._optimizer.state_dict(),
                "scaler": self._scaler.state_dict(),
                "average": self._average.weights if self._average is not None else {},
            }
            self._work.save(tensors_as_bytes(self._network.state_dict()), state, asdict(self._progress))
        self._accelerator.wait_for_everyone()
