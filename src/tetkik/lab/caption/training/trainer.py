"""The training of one captioner.

The loss of a step is the mean over its caption tokens, wherever they are computed, so that neither parts nor
processes change it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from tetkik.caption.adapters import make_trainable
from tetkik.caption.families.loading import load_base
from tetkik.caption.families.staged import StagedNetwork
from tetkik.caption.options import Learning, Quantisation
from tetkik.errors import MissingExtra, TrainingError, UsageError
from tetkik.lab.caption.metrics.scores import quick_scores
from tetkik.lab.caption.training.data import TrainingData, loss_per_token, make_captions, process_parts
from tetkik.lab.caption.training.nonfinite import nonfinite_gradient, nonfinite_loss, overflowed
from tetkik.lab.caption.training.options import CaptionTraining, OptimizerKind, StopBy
from tetkik.lab.caption.training.tuning import Epoch
from tetkik.lab.engine.batches import Rows, bucketed_steps, prefetched
from tetkik.lab.engine.checkpoint import WorkFolder
from tetkik.lab.engine.precision import autocast, torch_type
from tetkik.lab.engine.session import Notify
from tetkik.lab.engine.trainer import Trainer, decaying_groups

if TYPE_CHECKING:
    from tetkik.caption.image_spec import ImageSpec


# The network of a training: the base, opened frozen, the weights that learn, and what changes them.


_MOMENTUM = 0.9


def new_network(options: CaptionTraining, image: ImageSpec, device: torch.device) -> StagedNetwork:
    """A network to be trained, the same for the same seed.

    Frozen weights are kept in the numbers that are computed in, no longer AUTO; what learns is fp32.
    """
    full = options.learning is Learning.FULL
    network = load_base(
        options.base,
        revision=options.revision,
        quantisation=options.quantisation,
        device=device,
        dtype=torch.float32 if full else torch_type(options.precision),
        image=image,
    )
    if options.prompt is not None:
        network.prompt = options.prompt
    torch.manual_seed(options.seed)
    make_trainable(network, options.learning, options.adapter)
    return network


def whole_network(
    weights: Mapping[str, Tensor], options: CaptionTraining, image: ImageSpec, device: torch.device
) -> StagedNetwork:
    """A trained network with the frozen part that was dropped.

    Only quantised weights need the device; others wait on the CPU, which has more room.
    """
    plain = options.quantisation is Quantisation.NONE
    network = new_network(options, image, torch.device("cpu") if plain else device)
    load_learned(network, weights)
    return network


def learned_weights(network: StagedNetwork) -> dict[str, nn.Parameter]:
    return {name: weight for name, weight in network.model.named_parameters() if weight.requires_grad}


def load_learned(network: StagedNetwork, weights: Mapping[str, Tensor]) -> None:
    """Put weights of the same names in place of those that learn."""
    own = learned_weights(network)
    if own.keys() != weights.keys() or any(own[name].shape != weights[name].shape for name in own):
        raise TrainingError("The checkpoint is of a model with other weights; delete it and train afresh.")
    with torch.no_grad():
        for name, weight in weights.items():
            own[name].copy_(weight)


def make_optimizer(
    parameters: Sequence[torch.nn.Parameter], options: CaptionTraining, device: torch.device
) -> torch.optim.Optimizer:
    """An optimiser of the parameters that learn, in fp32; only matrices decay."""
    groups, rate = decaying_groups(parameters, options.weight_decay), options.learning_rate
    match options.optimizer:
        case OptimizerKind.ADAMW:
            return torch.optim.AdamW(groups, lr=rate, fused=device.type == "cuda")
        case OptimizerKind.SGD:
            return torch.optim.SGD(groups, lr=rate, momentum=_MOMENTUM)
        case OptimizerKind.ADAFACTOR:
            from transformers.optimization import Adafactor

            # The schedule is ours, so its own must be off (Shazeer and Stern, 2018).
            made: torch.optim.Optimizer = Adafactor(
                groups, lr=rate, scale_parameter=False, relative_step=False, warmup_init=False
            )
            return made
        case OptimizerKind.ADAMW_8BIT:
            return _eight_bit(groups, rate, device)


def _eight_bit(groups: list[dict[str, Any]], rate: float, device: torch.device) -> torch.optim.Optimizer:
    if device.type != "cuda":
        raise UsageError("--optimizer adamw_8bit needs a GPU; choose adamw or adafactor.")
    try:
        from bitsandbytes.optim import AdamW8bit
    except ImportError:
        raise MissingExtra(
            "--optimizer adamw_8bit needs the package bitsandbytes; `{extra}`.", extra="caption"
        ) from None
    made: torch.optim.Optimizer = AdamW8bit(groups, lr=rate)
    return made


WINDOW = 32
"""Steps whose rows are sorted by length together."""


class CaptionTrainer(Trainer[Epoch]):
    """One training of one captioner; without `work` no checkpoints are kept (a trial of `--tune`).

    DistributedDataParallel is not used: what learns is small beside what does not, so its gradients are
    summed in one go at the end of a step. That is exact for processes with different numbers of tokens, or
    with none, and it leaves gradient checkpointing and accumulation alone. The accelerator has no mixed
    precision, and what learns is fp32.
    """

    epoch_type: ClassVar[Any] = Epoch

    def __init__(
        self,
        accelerator: Any,
        network: StagedNetwork,
        data: TrainingData,
        options: CaptionTraining,
        *,
        run: str,
        work: WorkFolder | None,
        notify: Notify,
    ) -> None:
        steps = math.ceil(len(data.training) / options.batch_size)
        super().__init__(accelerator, options, run=run, steps_per_epoch=steps, seed=options.seed, work=work)
        self._network, self._data, self._options, self._notify = network, data, options, notify
        self._module = network.trainable()
        self._parameters = learned_weights(network)
        if not self._parameters:
            raise TrainingError("No weight of the model learns; choose other --target layers.")
        if options.checkpointing:
            network.checkpoint_activations()
        state = self._resume()
        optimizer = make_optimizer(list(self._parameters.values()), options, self._device)
        self._use_optimizer(optimizer, options.precision, state)
        if self._world > 1:
            self._broadcast_weights()

    def _weights(self) -> Mapping[str, Tensor]:
        """What learns: the frozen base is on disk already."""
        return self._parameters

    def _load_weights(self, weights: Mapping[str, Tensor]) -> None:
        load_learned(self._network, weights)

    def _broadcast_weights(self) -> None:
        from accelerate.utils import broadcast

        with torch.no_grad():
            for weight in self._parameters.values():
                weight.copy_(broadcast(weight.detach().clone()))

    def _training_mode(self) -> None:
        self._module.train()

    def _epoch_rows(self, epoch: int) -> list[Rows]:
        lengths = -self._data.training.lengths
        return bucketed_steps(lengths, self._options.batch_size, self._seed, epoch, window=WINDOW)

    def _batches(self, steps: list[Rows]) -> Iterator[list[tuple[Rows, Tensor]]]:
        parts = [process_parts(step, self._rank, self._world, self._options.accumulation) for step in steps]
        stream = prefetched(self._data.training.features.fetch, [part for share in parts for part in share])
        for share in parts:
            yield [next(stream) for _ in share]

    def _position(self, epoch: int, remaining: int) -> tuple[int, int]:
        rows = len(self._data.training)
        return epoch * rows - remaining, self._options.epochs * rows

    def _train_step(self, rows: Rows, batch: list[tuple[Rows, Tensor]]) -> Tensor:
        options = self._options
        self._seed_step()
        everyone = self._network.batch([self._data.training.tokens[row] for row in rows.tolist()])
        tokens = max(1, int((everyone.targets != -100).sum()))
        losses = []
        for which, stored in batch:
            loss = self._loss(which, stored)
            self._scaler.scale(loss / tokens).backward()  # type: ignore[no-untyped-call]
            losses.append(loss.detach())
        norm = self._reduce_gradients()
        total = self._check(rows, [which for which, _ in batch], losses, norm)
        self._update_weights(options.warm_up, options.schedule)
        self._state.loss_count += tokens
        return self._scalar(total)

    def _loss(self, rows: Rows, stored: Tensor) -> Tensor:
        """Summed over the caption tokens of some rows."""
        training, device = self._data.training, self._device
        features = training.features.at_cut(self._network, stored, device)
        batch = training.batch(self._network, rows)
        with autocast(device, self._options.precision):
            loss: Tensor = self._module(
                features,
                batch.ids.to(device),
                batch.mask.to(device),
                batch.targets.to(device),
                self._options.smoothing,
            )
        return loss

    def _reduce_gradients(self) -> Tensor:
        """Sum them over processes, undo their scaling and clip them; their norm before that."""
        weights = list(self._parameters.values())
        if self._world > 1:
            for weight in weights:
                if weight.grad is None:
                    weight.grad = torch.zeros_like(weight)
            flat = self._accelerator.reduce(
                torch.cat([_gradient(weight).flatten() for weight in weights]), "sum"
            )
            for weight, part in zip(weights, flat.split([weight.numel() for weight in weights]), strict=True):
                _gradient(weight).copy_(part.view_as(weight))
        return self._clip_gradients(weights)

    def _check(self, rows: Rows, parts: list[Rows], losses: list[Tensor], norm: Tensor) -> float:
        """The loss of the step in this process."""
        from accelerate.utils import gather_object

        step, training = self._state.step + 1, self._data.training
        values = torch.stack(losses).cpu().double() if losses else torch.zeros(0)
        names = [
            name
            for part, loss in zip(parts, values, strict=True)
            if not loss.isfinite()
            for name in training.ids_of(part)
        ]
        if self._world > 1:
            names = gather_object(names)
        if names:
            raise nonfinite_loss(names, step, self._options.precision)
        scale = self._scaler.get_scale() if self._scaler.is_enabled() else None
        if overflowed(float(norm), scale):
            raise nonfinite_gradient(training.ids_of(rows), step)
        self._state.skipped += not bool(norm.isfinite())
        return float(values.sum())

    def _evaluate(self, epoch: int, rows_per_second: float) -> Epoch:
        options, validation = self._options, self._data.validation
        loss, figures = None, {}
        if len(validation):
            size, precision = part_size(options, self._world), options.precision
            loss = loss_per_token(self._accelerator, self._network, validation, size, precision)
            if options.stop_by is not StopBy.LOSS:
                made = make_captions(
                    self._accelerator,
                    self._network,
                    validation,
                    self._data.sample,
                    size=size,
                    most=options.max_tokens,
                    precision=precision,
                )
                truth = [validation.captions[row] for row in self._data.sample.tolist()]
                figures = quick_scores(made, truth)
        memory = torch.cuda.max_memory_allocated() / 1e9 if self._device.type == "cuda" else None
        return Epoch(
            epoch,
            self._optimizer.param_groups[0]["lr"],
            self._mean_loss(),
            loss,
            figures.get("cider"),
            figures.get("rouge_l"),
            rows_per_second,
            memory,
        )

    def _score(self, row: Epoch) -> tuple[float, ...] | None:
        return None if row.validation_loss is None else row.score(self._options.stop_by)

    def _epoch_done(self, row: Epoch) -> None:
        self._notify(row.sentence)


def part_size(options: CaptionTraining, processes: int) -> int:
    """Captions that one process computes at once, at most."""
    return math.ceil(options.batch_size / (processes * options.accumulation))


def _gradient(weight: nn.Parameter) -> Tensor:
    assert weight.grad is not None
    return weight.grad
