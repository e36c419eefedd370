"""The ridge member: linear in grid means, exact maps, a closed form that is what it claims to be."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from tetkik.errors import TrainingError, UsageError
from tetkik.lab.findings.training.distillation import TeacherPredictions
from tetkik.lab.findings.training.ridge import (
    PENALTIES,
    GridPooled,
    check_row_count,
    fit_ridge,
    grid_means,
    solve,
    stages_of,
)


def stages() -> nn.Sequential:
    torch.manual_seed(0)
    layers: list[nn.Module] = [nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.ReLU())]
    layers += [nn.Sequential(nn.Conv2d(4, 4, 3, 1, 1), nn.ReLU()) for _ in range(2)]
    layers += [nn.Sequential(nn.Conv2d(4, 6, 3, 2, 1), nn.ReLU())]
    return nn.Sequential(*layers, nn.Sequential(nn.Conv2d(6, 8, 1), nn.ReLU()))


def test_grid_means_are_adaptive_pooling():
    image = torch.randn(2, 3, 14, 7)
    expected = nn.functional.adaptive_avg_pool2d(image, 3)
    assert torch.allclose(grid_means(image), expected, atol=1e-6)


def test_a_map_means_to_its_logit():
    network = GridPooled.over(stages(), labels=3)
    image = torch.randn(2, 3, 28, 28)
    numbers = network.pooled(image).shape[1]
    weight, bias = torch.randn(3, numbers), torch.randn(3)
    network.set_linear(weight, bias)
    logits = network.pooled(image) @ weight.T + bias
    assert torch.allclose(network(image), logits, atol=1e-4)
    assert network.has_maps(image)
    mapped, maps = network.logits_and_maps(image)
    assert torch.allclose(mapped, logits, atol=1e-3)
    assert torch.allclose(maps.mean(dim=(2, 3)) + bias, logits, atol=1e-3)
    assert maps.shape == (2, 3, 7, 7)


def test_a_map_shows_the_place_that_counts():
    # One channel that copies the image; only the upper left cell has weight.
    features = nn.Sequential(nn.Identity(), nn.Identity(), nn.Identity(), nn.Identity())
    network = GridPooled.over(features, labels=1, channels=1)
    numbers = network.pooled(torch.zeros(1, 1, 9, 9)).shape[1]
    weight = torch.zeros(1, numbers)
    weight[0, 0::9] = 1.0
    network.set_linear(weight, torch.zeros(1))
    with torch.no_grad():
        _, maps = network.logits_and_maps(torch.ones(1, 1, 9, 9))
    assert (maps[0, 0, :3, :3] > 0).all()
    assert maps[0, 0].sum() == pytest.approx(float(maps[0, 0, :3, :3].sum()))


def test_the_closed_form_is_leaving_one_out():
    random = np.random.default_rng(0)
    features = random.normal(size=(25, 60))
    target = features[:, 0] + 0.3 * random.normal(size=25)
    kernel = features @ features.T
    found = solve(kernel, target)
    mean_eigenvalue = np.linalg.eigvalsh(kernel).mean()
    errors = []
    for penalty in PENALTIES:
        inverse = np.linalg.inv(kernel + penalty * mean_eigenvalue * np.eye(25))
        left_out = np.empty(25)
        for row in range(25):
            others = np.arange(25) != row
            part = kernel[np.ix_(others, others)] + penalty * mean_eigenvalue * np.eye(24)
            said = kernel[row, others] @ np.linalg.solve(part, target[others] - target.mean())
            left_out[row] = said + target.mean()
        errors.append(float(((target - left_out) ** 2).mean()))
        if np.allclose(inverse @ (target - target.mean()), found.dual):
            assert np.allclose(found.left_out, left_out)
    assert float(((target - found.left_out) ** 2).mean()) == pytest.approx(min(errors))


def taught(truth: np.ndarray, teacher: tuple[TeacherPredictions, float] | None = None) -> np.ndarray:
    """Logits of the training images themselves after a fit on images whose brightness is their label."""
    network = GridPooled.over(stages(), labels=truth.shape[1])
    torch.manual_seed(1)
    bright = torch.from_numpy((truth[:, 0] == 1).astype(np.float32))[:, None, None, None]
    images = torch.randn(len(truth), 3, 28, 28) * 0.3 + bright
    with torch.no_grad():
        features = network.pooled(images).numpy()
        fit_ridge(network, features, truth, [f"label {n}" for n in range(truth.shape[1])], teacher)
        logits: np.ndarray = network(images).numpy()
    return logits


def test_it_learns_and_leaves_unknown_and_single_class_labels_alone():
    truth = np.full((40, 3), -1, np.int8)
    truth[:30, 0] = np.arange(30) % 2
    truth[:, 2] = 1
    logits = taught(truth)
    known = truth[:30, 0] == 1
    assert logits[:30, 0][known].min() > logits[:30, 0][~known].max()
    assert (logits[:, 1:] == 0).all()


def test_a_teacher_alone_gives_its_logits():
    truth = np.zeros((40, 1), np.int8)
    truth[::2] = 1
    probability = np.where(truth == 1, 0.9, 0.2).astype(np.float32)
    probability[5:9] = np.nan
    logits = taught(truth, (TeacherPredictions(("label 0",), probability), 1.0))
    expected = np.where(truth == 1, np.log(9), np.log(0.25))
    assert np.abs(logits - expected).mean() < 0.5


def test_refusals_say_why():
    with pytest.raises(UsageError, match="--ridge"):
        stages_of(nn.Linear(3, 3))
    with pytest.raises(TrainingError, match="at most 20000 images"):
        check_row_count(20_001)
