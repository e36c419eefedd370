from __future__ import annotations

import csv
import itertools
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tetkik.errors import DataError, OutputError, TrainingError, UsageError
from tetkik.findings.networks import build
from tetkik.imaging.prepare import Preprocessing
from tetkik.lab.engine.card import rows_csv
from tetkik.lab.engine.checkpoint import WorkFolder, load_state, tensors_as_bytes
from tetkik.lab.engine.options import learning_rate_factor
from tetkik.lab.engine.precision import Precision
from tetkik.lab.engine.trainer import TrainingState
from tetkik.lab.findings.summaries import mean_auroc
from tetkik.lab.findings.training.distillation import (
    LogitScale,
    TeacherPredictions,
    last_layer,
    merged,
    read_teacher,
)
from tetkik.lab.findings.training.memory import plan_memory
from tetkik.lab.findings.training.options import TeacherOptions, TrainingOptions
from tetkik.lab.findings.training.trainer import Epoch, MovingAverage

CPU = torch.device("cpu")
SMALL = Preprocessing(size=32)


def silent(step, done, total):
    pass


# Soft targets


def write_teacher(folder: Path, rows: list[list[str]]) -> Path:
    path = folder / "teacher.csv"
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows(rows)
    return path


def test_a_teachers_table_finds_its_images_by_the_end_of_their_path(tmp_path):
    files = [Path("/d/images/1.png"), Path("/d/images/2.png"), Path("/d/other/1.png")]
    table = write_teacher(
        tmp_path,
        [["file", "Mass", "Unheard", "Edema"], ["images/1.png", "0.9", "x", ""], ["2.png", "0.1", "", "1"]],
    )
    soft = read_teacher(table, files, ["Edema", "Mass", "Nodule"])
    assert soft.labels == ("Edema", "Mass")
    np.testing.assert_allclose(soft.probability, [[np.nan, 0.9], [1.0, 0.1], [np.nan, np.nan]])
    assert soft.rows == 2 and np.isfinite(soft.logit[1]).all()


@pytest.mark.parametrize(
    ("rows", "fault"),
    [
        ([["image", "Mass"], ["1.png", "0.5"]], "no teacher's table"),
        ([["file", "Hair"], ["1.png", "0.5"]], "no teacher's table"),
        ([["file", "Mass"], ["1.png", "1.5"]], "no probability"),
        ([["file", "Mass"], ["1.png", "nan"]], "no probability"),
        ([["file", "Mass"], ["1.png", "yes"]], "no probability"),
        ([["file", "Mass"], ["2.png", "0.5"]], "several images"),
    ],
)
def test_a_wrong_teachers_table_is_named_with_its_line(tmp_path, rows, fault):
    files = [Path("/d/1.png"), Path("/d/a/2.png"), Path("/d/b/2.png")]
    with pytest.raises(DataError, match=fault):
        read_teacher(write_teacher(tmp_path, rows), files, ["Mass"])


def test_the_scale_is_that_of_the_training_rows_alone():
    probability = np.array([[0.5], [0.9], [np.nan], [0.001]], np.float32)
    soft = TeacherPredictions(("Mass",), probability)
    scale = LogitScale.of(soft, np.array([0, 1, 2]))
    z = scale.targets(soft)
    np.testing.assert_allclose(z[:2, 0], [-1, 1], atol=1e-5)
    assert np.isnan(z[2, 0]) and z[3, 0] < -3
    with pytest.raises(TrainingError, match="says nothing"):
        LogitScale.of(soft, np.array([2]))


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_merged_heads_give_the_share_of_both_logits(share):
    labels, scale = ("Edema", "Mass"), LogitScale(("Mass",), (-2.0,), (1.5,))
    torch.manual_seed(0)
    both = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))
    layer = last_layer(both, 3)
    one = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 2))
    one.load_state_dict(merged(both.state_dict(), layer, labels, scale, share))
    images = torch.randn(4, 6)
    own, found = both(images), one(images)
    torch.testing.assert_close(found[:, 0], own[:, 0])
    torch.testing.assert_close(found[:, 1], (1 - share) * own[:, 1] + share * (1.5 * own[:, 2] - 2))


def test_a_network_without_a_last_linear_layer_is_refused():
    with pytest.raises(TrainingError, match="linear layer"):
        last_layer(nn.Sequential(nn.Conv2d(1, 3, 1)), 3)


# The moving average, the rate, the log


def test_the_moving_average_follows_and_steps_aside():
    first = nn.Linear(2, 2)
    network = nn.Sequential(first, nn.BatchNorm1d(2))
    average = MovingAverage(network, 0.9)
    before = first.weight.detach().clone()
    with torch.no_grad():
        first.weight += 1
    network(torch.randn(3, 2))
    for step in range(100, 103):
        average.update(step)
    torch.testing.assert_close(average.weights["0.weight"], before + 1 - 0.9**3)
    assert average.weights["1.num_batches_tracked"] == 1
    with average.in_place():
        torch.testing.assert_close(first.weight.detach(), before + 1 - 0.9**3)
    torch.testing.assert_close(first.weight.detach(), before + 1)


def test_the_rate_rises_in_a_line_and_falls_as_a_cosine():
    rates = [learning_rate_factor(step, 100, 0.1) for step in range(100)]
    assert rates[:10] == pytest.approx([0.1 * (step + 1) for step in range(10)])
    assert max(rates) == 1 and rates[55] == pytest.approx(0.5) and rates[99] < 0.001
    assert all(later < earlier for earlier, later in itertools.pairwise(rates[10:]))
    assert learning_rate_factor(0, 10, 0.0) == 1


def test_the_mean_auroc_leaves_out_what_is_known_one_way():
    truth = np.array([[1, 1, -1], [0, 1, -1], [0, -1, -1]], np.int8)
    scores = np.array([[0.9, 0.1, 0.2], [0.8, 0.2, 0.3], [0.95, 0.0, 0.1]], np.float32)
    assert mean_auroc(scores, truth) == 0.5
    assert mean_auroc(scores, np.full((3, 3), -1, np.int8)) is None


def test_the_log_says_nothing_where_nothing_was_measured():
    rows = list(
        csv.DictReader(rows_csv([Epoch("final", 1, 1e-4, 0.5, None, None, 12.5)], Epoch).splitlines())
    )
    assert rows[0]["mean_auroc"] == "" and float(rows[0]["training_loss"]) == 0.5
    state = TrainingState(
        "final", 7, 0.25, epochs=[Epoch("final", 1, 1e-4, 0.5, 0.4, 0.7, 12.5)], best_epoch=1
    )
    from dataclasses import asdict

    assert TrainingState.from_json(asdict(state), Epoch) == state


# The work folder


def test_a_checkpoint_is_read_back_and_replaces_the_one_before(tmp_path):
    work = WorkFolder(tmp_path / ".x.training")
    work.begin({"data": 1}, resume=False)
    network = nn.Linear(2, 2)
    for step in (9, 10):
        work.save(tensors_as_bytes(network.state_dict()), {"optimizer": {}}, {"step": step, "best": None})
    latest = work.latest()
    assert latest is not None and len(list(work.path.glob("checkpoint-*"))) == 1
    weights, _, progress = load_state(latest)
    assert progress["step"] == 10 and torch.equal(weights["weight"], network.weight)
    (latest / "state.pt").write_bytes(b"no state")
    with pytest.raises(TrainingError, match="damaged"):
        load_state(latest)


def test_an_unfinished_training_is_not_overwritten_nor_mistaken(tmp_path):
    work = WorkFolder(tmp_path / ".x.training")
    work.begin({"seed": 1}, resume=False)
    work.begin({"seed": 2}, resume=False)  # nothing was done yet
    work.finish("fold-0-member-0", b"weights", {"run": "fold-0-member-0"})
    with pytest.raises(TrainingError, match="--resume"):
        work.begin({"seed": 2}, resume=False)
    with pytest.raises(TrainingError, match="other data or settings"):
        work.begin({"seed": 3}, resume=True)
    work.begin({"seed": 2}, resume=True)
    found = work.finished("fold-0-member-0")
    assert found is not None and found[1] == {"run": "fold-0-member-0"}


def test_a_full_disk_is_one_sentence(tmp_path, monkeypatch):
    def full(handle):
        raise OSError(28, "No space left on device")

    work = WorkFolder(tmp_path / ".x.training")
    work.begin({}, resume=False)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match="no room left"):
        work.write("best.safetensors", b"1")


# Settings


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": 0},
        {"learning_rate": 0.0},
        {"ema": 1.0},
        {"folds": 1},
        {"folds": 5, "tune": 3},
        {"size": 8},
        {"warm_up": 1.0},
    ],
)
def test_settings_that_cannot_be_are_refused(wrong):
    with pytest.raises(UsageError):
        TrainingOptions(**wrong)


def test_the_settings_of_a_bundle_tell_nothing_of_the_machine(tmp_path):
    options = TrainingOptions(
        weights=str(tmp_path / "w.pt"), teacher=TeacherOptions(tmp_path / "t.csv"), cache=tmp_path
    )
    assert str(tmp_path) not in str(options.as_json())
    assert options.as_json()["weights"] == "w.pt"


# Memory


def test_the_plan_counts_what_the_backward_pass_keeps():
    options = TrainingOptions(batch_size=8, precision=Precision.FP32)
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Sigmoid(), nn.Conv2d(4, 2, 1))
    plan = plan_memory(network, SMALL, options)
    assert plan.parameters == 16 + 10
    # The input, and the sigmoid's output, which the second convolution shares.
    assert plan.activations == 8 * 32 * 32 * 4 * (3 + 4)
    assert plan.weights == plan.parameters * 16
    halves = plan_memory(network, SMALL, replace(options, accumulation=2))
    assert halves.activations == plan.activations // 2


def test_the_reference_fits_a_card_with_8_gib():
    network = build("densenet121", [f"label {number}" for number in range(22)])
    plan = plan_memory(network, Preprocessing(), TrainingOptions(precision=Precision.BF16))
    assert 2 << 30 < plan.total < 8 << 30
