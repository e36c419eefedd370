"""Losses, gradients and features that are no numbers: training stops at once, and the rows are named.

A model in fp16 can overflow in a forward pass (BLIP-2's is known for it), and a step would make every weight
NaN. A gradient that overflows is another matter: loss scaling begins too high on purpose, leaves such a step
out and halves its factor, so the first steps of nearly every fp16 training are left out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from tetkik.errors import TrainingError
from tetkik.lab.engine.checkpoint import Diverged
from tetkik.lab.engine.precision import Precision

_NAMED = 8
_SMALLEST_SCALE = 1.0
"""A factor of loss scaling below which gradients overflow for a reason of their own."""


def listed(ids: Sequence[str]) -> str:
    """A few of the ids, and how many there are besides."""
    rest = len(ids) - _NAMED
    return ", ".join(ids[:_NAMED]) + (f" + {rest}" if rest > 0 else "")


def nonfinite_loss(ids: Sequence[str], step: int, precision: Precision) -> Diverged:
    """The error where the loss of these rows is no number in `step`, counted from 1."""
    return Diverged(
        "The loss of the batch {ids} at step {step} is no number any more; use --precision bf16 where the "
        "card has it or fp32 elsewhere, or leave these rows out."
        if precision is Precision.FP16
        else "The loss of the batch {ids} at step {step} is no number any more; use a lower --learning-rate, "
        "or leave these rows out.",
        ids=listed(ids),
        step=step,
    )


def nonfinite_features(ids: Sequence[str], precision: Precision) -> TrainingError:
    """The error where the frozen part makes something other than numbers of these images."""
    return TrainingError(
        "The frozen part of the model overflows in fp16 on the images {ids}; use --precision bf16 or fp32."
        if precision is Precision.FP16
        else "The frozen part of the model makes no numbers of the images {ids}; its weights are damaged, or "
        "these images must be left out.",
        ids=listed(ids),
    )


def overflowing_features(ids: Sequence[str]) -> TrainingError:
    """The error where features are numbers, and too large for the cache."""
    return TrainingError(
        "The features of the images {ids} are too large for fp16, in which they are kept; add "
        "--no-feature-cache, or --precision fp32.",
        ids=listed(ids),
    )


def nonfinite_gradient(ids: Sequence[str], step: int) -> Diverged:
    """The error where the gradient of a step is no number and loss scaling does not help."""
    return Diverged(
        "The gradient of the batch {ids} at step {step} is no number any more; use a lower --learning-rate, "
        "or --precision fp32.",
        ids=listed(ids),
        step=step,
    )


def overflowed(norm: float, scale: float | None) -> bool:
    """Whether training must stop; without loss scaling (`scale` None) no step may overflow."""
    return not math.isfinite(norm) and (scale is None or scale < _SMALLEST_SCALE)
