"""Losses for labels of very unequal frequency.

Each is a sum over rows, without a mean: the caller divides by the rows of the whole step, so that parts of a
step (accumulation) and processes add up to the same gradient as the whole.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy

from tetkik.lab.triage.transformer.options import Imbalance

Loss = Callable[[Tensor, Tensor], Tensor]
"""(logits (rows, labels) float32, labels (rows,) int64) to the sum over rows, a scalar."""

FOCAL_GAMMA = 2.0


def label_weights(counts: NDArray[np.int64]) -> NDArray[np.float32]:
    """The inverse of each label's frequency, with a mean of 1 over the rows; `counts` are all above 0."""
    weights: NDArray[np.float32] = (counts.sum() / (len(counts) * counts)).astype(np.float32)
    return weights


def make_loss(imbalance: Imbalance, counts: NDArray[np.int64], device: torch.device) -> Loss:
    """The loss for `imbalance`, from the training rows of each label, (labels,), all above 0.

    Weights: King and Zeng, "Logistic regression in rare events data", 2001 (scikit-learn's "balanced"). Logit
    adjustment: Menon et al., "Long-tail learning via logit adjustment", ICLR 2021, with tau = 1. Focal: Lin
    et al., "Focal loss for dense object detection", ICCV 2017, with gamma = 2 and no alpha.
    """
    if imbalance is Imbalance.WEIGHTS:
        weights = torch.from_numpy(label_weights(counts)).to(device)
        return lambda logits, labels: cross_entropy(logits, labels, weight=weights, reduction="sum")
    if imbalance is Imbalance.LOGIT_ADJUSTMENT:
        prior = torch.from_numpy(np.log(counts / counts.sum()).astype(np.float32)).to(device)
        return lambda logits, labels: cross_entropy(logits + prior, labels, reduction="sum")
    if imbalance is Imbalance.FOCAL:
        return _focal
    return lambda logits, labels: cross_entropy(logits, labels, reduction="sum")


def _focal(logits: Tensor, labels: Tensor) -> Tensor:
    entropy = cross_entropy(logits, labels, reduction="none")
    return ((1 - torch.exp(-entropy)) ** FOCAL_GAMMA * entropy).sum()
