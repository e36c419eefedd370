"""Fine-tuning: steps, epochs, early stopping, checkpoints, one process or several.

The same rows in the same order give the same result however often training was interrupted: the order of
rows follows from (seed, epoch), dropout from (seed, step, process) and the learning rate from the step, so
that none of them has a state to be saved.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tetkik.errors import TrainingError
from tetkik.lab.engine.checkpoint import WorkFolder, load_state, tensors_as_bytes
from tetkik.lab.engine.interrupt import Stopped, asked_to_stop
from tetkik.lab.engine.log import learned_by_heart, rows_csv, warn_of_memorising
from tetkik.lab.triage.transformer.losses import make_loss
from tetkik.lab.triage.transformer.options import TransformerOptions
from tetkik.lab.triage.transformer.plan import (
    Epoch,
    Progress,
    Rows,
    batches,
    figures_of,
    learning_rate_at,
    parameter_groups,
)
from tetkik.statistics import Ints
from tetkik.triage.transformer.tokens import padded
from tetkik.values import ProgressCallback

log = logging.getLogger("tetkik.triage.transformer")

_LARGEST_GRADIENT = 1.0


class FineTuner:
    """One training of one network.

    Args:
        accelerator: an `accelerate.Accelerator`.
        model: a sequence classifier of transformers, fp32; it is trained in place.
        parts: training and validation rows.
        pad_id: the number that fills up shorter rows.
        options: the settings.
        work: where checkpoints go; None keeps none (a trial of `--tune`).
    """

    def __init__(
        self,
        accelerator: Any,
        model: Any,
        parts: tuple[Rows, Rows],
        pad_id: int,
        *,
        options: TransformerOptions,
        work: WorkFolder | None,
    ) -> None:
        self._accelerator = accelerator
        self._training, self._validation = parts
        self._pad_id = pad_id
        self._options = options
        self._work = work
        self._labels = model.config.num_labels
        self._progress = Progress()
        self._best: dict[str, torch.Tensor] | None = None
        counts = np.bincount(self._training.labels, minlength=self._labels)
        self._loss = make_loss(options.imbalance, counts, accelerator.device)
        self._lengths = np.array([len(row) for row in self._training.ids], dtype=np.int64)
        self._per_epoch = math.ceil(len(self._training) / options.batch_size)
        state = None
        latest = work.latest() if work is not None else None
        if latest is not None:
            weights, state, progress = load_state(latest)
            model.load_state_dict(weights, strict=True)
            self._progress = Progress.from_json(progress)
        optimizer = torch.optim.AdamW(parameter_groups(model), lr=options.learning_rate)
        self._model, self._optimizer = accelerator.prepare(model, optimizer)
        if state is not None:
            self._optimizer.load_state_dict(state["optimizer"])
            if accelerator.scaler is not None and state["scaler"]:
                accelerator.scaler.load_state_dict(state["scaler"])

    def run(self, progress: ProgressCallback) -> Progress:
        """Train to the end; the network then has the weights of its best epoch.

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
        return done >= self._options.epochs or done - self._progress.best_epoch >= self._options.patience

    def _epoch(self, progress: ProgressCallback, asked: Callable[[], bool]) -> None:
        state, options = self._progress, self._options
        epoch = len(state.epochs) + 1
        total = options.epochs * self._per_epoch
        parts = batches(self._lengths, options.batch_size, options.seed, epoch)
        self._model.train()
        for rows in parts[state.step - (epoch - 1) * self._per_epoch :]:
            loss, stop = self._step(rows, state.step, total, asked())
            state.step += 1
            state.loss_sum += loss
            state.rows_seen += len(rows)
            progress("training", state.step, total)
            if stop:
                self._save()
                raise Stopped(
                    "Training was stopped in epoch {epoch}, and all of it was kept; run the same command "
                    "with --resume to go on.",
                    epoch=epoch,
                )
            if state.step % options.checkpoint_steps == 0 and state.step % self._per_epoch:
                self._save()
        row = self._judge(epoch)
        best_before = state.best_f1
        state.epochs.append(row)
        state.loss_sum, state.rows_seen = 0.0, 0
        if row.macro_f1 > best_before:
            state.best_epoch = epoch
            self._keep_best(epoch)
        self._warn_of_divergence()
        self._save()

    def _step(self, rows: Ints, step: int, steps: int, stop: bool) -> tuple[float, bool]:
        """One step of the optimiser; the summed loss over all processes, and whether any was told to stop."""
        accelerator = self._accelerator
        rank, world = accelerator.process_index, accelerator.num_processes
        torch.manual_seed(int(np.random.SeedSequence((self._options.seed, step, rank)).generate_state(1)[0]))
        mine = rows[rank::world]
        # A process without a row still takes part, with a weight of 0: the others wait for its gradient.
        weight = 1.0 if len(mine) else 0.0
        mine = mine if len(mine) else rows[:1]
        parts = np.array_split(mine, min(self._options.accumulation, len(mine)))
        total = 0.0
        for number, part in enumerate(parts, 1):
            alone = accelerator.no_sync(self._model) if number < len(parts) else nullcontext()
            with alone:
                logits = self._logits(self._training, part)
                labels = torch.from_numpy(self._training.labels[part]).to(accelerator.device)
                loss = self._loss(logits, labels) * weight
                # Processes average their gradients, so the mean over the step's rows needs their number.
                accelerator.backward(loss * (world / len(rows)))
                total += float(loss.detach())
        accelerator.clip_grad_norm_(self._model.parameters(), _LARGEST_GRADIENT)
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate_at(step, steps, self._options.learning_rate)
        self._optimizer.step()
        self._optimizer.zero_grad()
        told = torch.tensor([total, float(stop)], dtype=torch.float64 if world == 1 else torch.float32)
        told = accelerator.reduce(told.to(accelerator.device), "sum")
        if not math.isfinite(float(told[0])):
            raise TrainingError(
                "The training loss at step {step} is no number any more; use a lower learning rate or "
                "precision fp32.",
                step=step + 1,
            )
        return float(told[0]), float(told[1]) > 0

    def _logits(self, source: Rows, part: Ints) -> torch.Tensor:
        ids, mask = padded([source.ids[row] for row in part], self._pad_id)
        device = self._accelerator.device
        output = self._model(
            input_ids=torch.from_numpy(ids).to(device), attention_mask=torch.from_numpy(mask).to(device)
        )
        logits: torch.Tensor = output.logits.float()
        return logits

    def _judge(self, epoch: int) -> Epoch:
        logits = self.validation_logits()
        truth = self._validation.labels
        loss = self._loss(
            torch.from_numpy(logits).to(self._accelerator.device),
            torch.from_numpy(truth).to(self._accelerator.device),
        )
        accuracy, macro_f1, macro_precision = figures_of(logits, truth)
        return Epoch(
            epoch,
            self._progress.loss_sum / max(1, self._progress.rows_seen),
            float(loss) / len(truth),
            accuracy,
            macro_f1,
            macro_precision,
        )

    @torch.no_grad()
    def validation_logits(self) -> NDArray[np.float32]:
        """The network's logits on validation, (rows, labels), float32; each process reads its share."""
        from accelerate.utils import gather_object

        self._model.eval()
        accelerator = self._accelerator
        order = np.argsort([len(row) for row in self._validation.ids], kind="stable")
        mine = order[accelerator.process_index :: accelerator.num_processes]
        size = self._options.batch_size
        found = [
            (part.tolist(), self._logits(self._validation, part).cpu().numpy())
            for part in (mine[i : i + size] for i in range(0, len(mine), size))
        ]
        logits = np.zeros((len(self._validation), self._labels), dtype=np.float32)
        for part, values in gather_object(found):
            logits[part] = values
        return logits

    def _warn_of_divergence(self) -> None:
        """Say so once."""
        rows, validation = self._progress.epochs, [row.validation_loss for row in self._progress.epochs]
        if not self._progress.warned and learned_by_heart([row.training_loss for row in rows], validation):
            self._progress.warned = True
            if self._accelerator.is_main_process:
                warn_of_memorising(log, validation)

    def _weights(self) -> dict[str, torch.Tensor]:
        weights: dict[str, torch.Tensor] = self._accelerator.unwrap_model(self._model).state_dict()
        return weights

    def _keep_best(self, epoch: int) -> None:
        if self._work is None:
            self._best = {name: tensor.detach().clone() for name, tensor in self._weights().items()}
            return
        self._progress.best = f"best-{epoch:06d}.safetensors"
        if self._accelerator.is_main_process:
            self._work.write(self._progress.best, tensors_as_bytes(self._weights()))

    def _take_best(self) -> None:
        from safetensors.torch import load_file

        self._accelerator.wait_for_everyone()
        best = self._best
        if self._work is not None and self._progress.best is not None:
            best = load_file(self._work.path / self._progress.best)
        if best is not None:
            self._accelerator.unwrap_model(self._model).load_state_dict(best)

    def _save(self) -> None:
        if self._work is not None and self._accelerator.is_main_process:
            scaler = self._accelerator.scaler
            state = {
                "optimizer": self._optimizer.state_dict(),
                "scaler": scaler.state_dict() if scaler is not None else {},
            }
            self._work.write("epochs.csv", rows_csv(self._progress.epochs, Epoch).encode())
            self._work.save(tensors_as_bytes(self._weights()), state, asdict(self._progress))
        self._accelerator.wait_for_everyone()
