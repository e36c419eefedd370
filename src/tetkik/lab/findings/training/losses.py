"""Losses of many labels at once in which what is unknown has no part.

Each is a sum over the known entries, without a mean: the caller divides by the known entries of the whole
step, so that parts of a step (accumulation) and processes add up to the same gradient as the whole.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid

from tetkik.lab.findings.sources.rows import Truth
from tetkik.lab.findings.training.options import ClassWeights, LossKind

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
