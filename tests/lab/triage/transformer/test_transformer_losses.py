from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from tetkik.lab.triage.transformer.data import Imbalance
from tetkik.lab.triage.transformer.trainer import label_weights, make_loss

COUNTS = np.array([90, 9, 1])
CPU = torch.device("cpu")


def test_weights_have_a_mean_of_one_over_the_rows():
    weights = label_weights(COUNTS)
    assert (weights * COUNTS).sum() == pytest.approx(COUNTS.sum())
    assert weights[2] / weights[0] == pytest.approx(90)


@pytest.mark.parametrize("imbalance", list(Imbalance))
def test_parts_add_up_to_the_whole(imbalance):
    logits, labels = torch.randn(8, 3, generator=torch.Generator().manual_seed(0)), torch.arange(8) % 3
    loss = make_loss(imbalance, COUNTS, CPU)
    assert float(loss(logits, labels)) == pytest.approx(
        float(loss(logits[:3], labels[:3]) + loss(logits[3:], labels[3:])), rel=1e-5
    )


def test_logit_adjustment_asks_more_of_rare_labels():
    loss = make_loss(Imbalance.LOGIT_ADJUSTMENT, COUNTS, CPU)
    undecided = torch.zeros(1, 3)
    assert float(loss(undecided, torch.tensor([2]))) == pytest.approx(-np.log(0.01), rel=1e-5)
    assert float(loss(undecided, torch.tensor([0]))) == pytest.approx(-np.log(0.90), rel=1e-5)


def test_focal_loss_lets_go_of_what_is_right():
    loss = make_loss(Imbalance.FOCAL, COUNTS, CPU)
    logits = torch.tensor([[0.0, 0.0, 3.0]])
    plain = float(cross_entropy(logits, torch.tensor([2])))
    right = np.exp(-plain)
    assert float(loss(logits, torch.tensor([2]))) == pytest.approx((1 - right) ** 2 * plain, rel=1e-5)
