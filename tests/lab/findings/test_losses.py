from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch.nn.functional import binary_cross_entropy_with_logits

from tetkik.lab.findings.training.options import ClassWeights, LossKind
from tetkik.lab.findings.training.trainer import (
    make_loss,
    presence_weights,
    teacher_entropy,
    teacher_regression,
)

CPU = torch.device("cpu")
truths = arrays(np.int8, st.tuples(st.integers(1, 6), st.integers(1, 5)), elements=st.integers(-1, 1))


def loss_of(kind, truth, weights=ClassWeights.NONE):
    return make_loss(kind, weights, truth, 20.0, CPU)


@settings(max_examples=60, deadline=None)
@given(truths, st.sampled_from(LossKind), st.sampled_from(ClassWeights), st.integers(0, 9))
def test_the_gradient_of_an_unknown_label_is_exactly_zero(truth, kind, weights, seed):
    torch.manual_seed(seed)
    logits = torch.randn(truth.shape, requires_grad=True)
    loss_of(kind, truth, weights)(logits, torch.from_numpy(truth)).backward()
    gradient = logits.grad
    assert gradient is not None
    assert (gradient[torch.from_numpy(truth) < 0] == 0).all()
    assert (gradient[torch.from_numpy(truth) >= 0] != 0).all() or kind is LossKind.ASYMMETRIC


@pytest.mark.parametrize("kind", LossKind)
def test_an_unknown_label_cannot_spoil_the_loss_even_where_its_logit_is_infinite(kind):
    truth = np.array([[1, -1], [0, -1]], np.int8)
    logits = torch.tensor([[0.3, torch.inf], [0.1, torch.nan]], requires_grad=True)
    loss = loss_of(kind, truth)(logits, torch.from_numpy(truth))
    loss.backward()
    assert torch.isfinite(loss)
    assert logits.grad is not None and (logits.grad[:, 1] == 0).all()


@settings(max_examples=30, deadline=None)
@given(truths, st.sampled_from(LossKind), st.integers(0, 9))
def test_the_parts_of_a_step_add_up_to_the_step(truth, kind, seed):
    torch.manual_seed(seed)
    logits, known = torch.randn(truth.shape), torch.from_numpy(truth)
    loss = loss_of(kind, truth)
    cut = len(truth) // 2
    apart = loss(logits[:cut], known[:cut]) + loss(logits[cut:], known[cut:])
    torch.testing.assert_close(apart, loss(logits, known))


def test_bce_is_torchs_over_the_known_entries():
    truth = np.array([[1, 0, -1], [-1, 1, 0]], np.int8)
    logits = torch.randn(2, 3)
    known = torch.from_numpy(truth) >= 0
    expected = binary_cross_entropy_with_logits(
        logits[known], torch.from_numpy(truth)[known].float(), reduction="sum"
    )
    torch.testing.assert_close(loss_of(LossKind.BCE, truth)(logits, torch.from_numpy(truth)), expected)


def test_focal_and_asymmetric_follow_their_papers():
    logits, truth = torch.tensor([[0.7, -1.2]]), np.array([[1, 0]], np.int8)
    p = torch.sigmoid(logits)[0]
    focal = -((1 - p[0]) ** 2) * p[0].log() - p[1] ** 2 * (1 - p[1]).log()
    torch.testing.assert_close(loss_of(LossKind.FOCAL, truth)(logits, torch.from_numpy(truth)), focal)
    shifted = p[1] - 0.05
    asymmetric = -(1 - p[0]) * p[0].log() - shifted**4 * (1 - shifted).log()
    found = loss_of(LossKind.ASYMMETRIC, truth)(logits, torch.from_numpy(truth))
    torch.testing.assert_close(found, asymmetric)


def test_an_easy_absence_costs_nothing_in_the_asymmetric_loss():
    truth = np.zeros((1, 1), np.int8)
    assert loss_of(LossKind.ASYMMETRIC, truth)(torch.tensor([[-4.0]]), torch.from_numpy(truth)) == 0


def test_presences_weigh_as_many_as_the_absences_up_to_the_limit():
    truth = np.array([[1, 1, 1, -1]] + [[0, -1, 1, -1]] * 3 + [[0, -1, 1, 0]] * 96, np.int8)
    assert presence_weights(truth, 20.0).tolist() == [20.0, 1.0, 1.0, 1.0]
    assert presence_weights(truth[:4], 20.0).tolist() == [3.0, 1.0, 1.0, 1.0]


def test_class_weights_change_presences_alone():
    truth = np.array([[1], [0], [0], [0]], np.int8)
    logits = torch.randn(4, 1)
    known = torch.from_numpy(truth)
    plain = loss_of(LossKind.BCE, truth)
    weighted = loss_of(LossKind.BCE, truth, ClassWeights.BALANCED)
    torch.testing.assert_close(weighted(logits[:1], known[:1]), 3 * plain(logits[:1], known[:1]))
    torch.testing.assert_close(weighted(logits[1:], known[1:]), plain(logits[1:], known[1:]))


def test_what_a_teacher_was_not_asked_has_no_part():
    predicted = torch.tensor([[1.0, 5.0]], requires_grad=True)
    target = torch.tensor([[0.5, torch.nan]])
    loss = teacher_regression(predicted, target)
    loss.backward()
    assert loss.item() == 0.25
    assert predicted.grad is not None and predicted.grad.tolist() == [[1.0, 0.0]]
    entropy = teacher_entropy(torch.zeros(1, 2), torch.tensor([[0.5, torch.nan]]))
    assert entropy.item() == pytest.approx(np.log(2))
