from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.lab.findings.judging import answers, drawn, labelled, predicted
from tetkik.errors import DataError
from tetkik.imaging.prepare import Preprocessing
from tetkik.lab.findings.evaluate import evaluate
from tetkik.lab.findings.summaries import metrics_of, source_metrics
from tetkik.lab.findings.thresholds import ThresholdRule
from tetkik.lab.findings.training.data import check_learnable, count_labels, mask_unlearnable
from tetkik.lab.findings.training.held_out import (
    HeldOut,
    OperatingPoints,
    cross_calibrated,
    decide,
)
from tetkik.language import Sentence

LABELS = ("Mass", "Effusion", "Hernia")
CPU = torch.device("cpu")
SMALL = Preprocessing(size=32)

OUT_OF_FOLD = (Sentence("out of fold"),)


def silent(step, done, total):
    pass


# What can be taught


def known_of(columns, source=None, groups=None):
    truth = np.array(columns, np.int8).T
    rows = len(truth)
    labels = ["Mass", "Edema", "Nodule"][: truth.shape[1]]
    return count_labels(truth, labels, np.arange(rows) if groups is None else groups, source or ["a"] * rows)


@pytest.mark.parametrize(
    ("column", "reason"),
    [
        ([-1, -1, -1, -1], "Nothing is known"),
        ([1, 1, -1, 1], "only ever known to be present or only ever absent"),
        ([0, 0, -1, 0], "only ever known to be present or only ever absent"),
        ([1, 0, 0, 0], "best is Mass: 1 and 3"),
    ],
)
def test_data_that_teach_nothing_are_refused_with_the_reason(column, reason):
    with pytest.raises(DataError, match=reason):
        check_learnable(known_of([column]), 2)


def test_a_label_known_one_way_is_not_taught_and_the_others_are():
    columns = [[1, 0, 1, 0], [1, 1, -1, 1]]
    known = known_of(columns)
    check_learnable(known, 2)
    truth = mask_unlearnable(np.array(columns, np.int8).T, known)
    assert truth[:, 0].tolist() == columns[0] and (truth[:, 1] == -1).all()


def test_patients_are_counted_not_images():
    known = known_of([[1, 1, 1, 0, 0]], groups=np.array([5, 5, 5, 6, 7]))
    assert (known[0].present, known[0].present_groups) == (3, 1)
    assert not known[0].assessed(2) and known[0].assessed(1)


def test_a_label_whose_positives_stand_alone_in_their_source_is_a_shortcut():
    column = [1, 1, 1, 0, 0, 1]
    assert known_of([column], source=["covid", "covid", "covid", "nih", "nih", "nih"])[0].shortcut
    assert not known_of([column], source=["nih"] * 6)[0].shortcut


# Calibration, thresholds, figures


def judged_example(seed=0, rows=400):
    random = np.random.default_rng(seed)
    truth = np.stack([random.random(rows) < 0.3, random.random(rows) < 0.4, random.random(rows) < 0.5], 1)
    known = np.where(random.random(truth.shape) < 0.1, -1, truth).astype(np.int8)
    logit = random.normal(size=truth.shape) + 1.5 * truth * np.array([1, 1, 0])
    scores = 1 / (1 + np.exp(-3 * logit))
    return scores, known, np.arange(rows) // 2


def test_the_rows_that_are_reported_choose_nothing():
    scores, truth, groups = judged_example()
    fold, labels = (groups % 4).astype(np.int64), ("Mass", "Edema", "Nodule")
    probability, called, stated = cross_calibrated(
        scores, truth, fold, labels, labels[:2], ThresholdRule.YOUDEN
    )
    mine = fold == 2
    points = OperatingPoints.fitted(scores[~mine], truth[~mine], labels, labels[:2], ThresholdRule.YOUDEN)
    own_probability, own_called, own_stated = decide(scores[mine], labels, points)
    np.testing.assert_array_equal(probability[mine], own_probability)
    np.testing.assert_array_equal(called[mine], own_called)
    np.testing.assert_array_equal(stated[mine], own_stated)
    turned = np.where(mine[:, None], np.where(truth < 0, -1, 1 - truth), truth).astype(np.int8)
    again, _, _ = cross_calibrated(scores, turned, fold, labels, labels[:2], ThresholdRule.YOUDEN)
    np.testing.assert_array_equal(again[mine], probability[mine])


def test_a_label_of_which_too_little_is_known_or_whose_scores_mislead_gets_no_threshold():
    scores, truth, _ = judged_example()
    scores[:, 1] = 1 - scores[:, 1]
    points = OperatingPoints.fitted(
        scores, truth, ("Mass", "Edema", "Nodule"), ("Mass", "Edema"), ThresholdRule.YOUDEN
    )
    assert set(points.thresholds) == set(points.calibration) == {"Mass"}


def example_held_out():
    scores, truth, groups = judged_example()
    labels = ("Mass", "Edema", "Nodule")
    probability, called, stated = cross_calibrated(
        scores, truth, groups % 4, labels, labels[:2], ThresholdRule.YOUDEN
    )
    source = tuple("ab"[row % 2] for row in range(len(scores)))
    return HeldOut(labels, np.arange(len(scores)), truth, groups, source, scores, probability, called, stated)


def test_figures_are_those_of_the_rows_that_know():
    held_out = example_held_out()
    found = {metric.name: metric for metric in metrics_of(held_out, "invented", OUT_OF_FOLD)}
    use = held_out.truth[:, 0] >= 0
    hit = (held_out.called[use, 0] == 1) & (held_out.truth[use, 0] == 1)
    assert found["sensitivity:Mass"].value == pytest.approx(hit.sum() / (held_out.truth[:, 0] == 1).sum())
    assert found["sensitivity:Mass"].n == (held_out.truth[:, 0] == 1).sum()
    assert found["auroc:Mass"].n == use.sum() and found["auroc:Mass"].value > 0.75
    stated = held_out.stated[use, 0]
    assert 0 < stated.sum() <= (held_out.called[use, 0] == 1).sum()
    assert found["precision:Mass"].value == pytest.approx((held_out.truth[use, 0] == 1)[stated].mean())
    assert found["precision:Mass"].value >= 0.5 and found["precision"].n >= found["precision:Mass"].n
    # Not assessed, so no figure of the model.
    assert not any(name.endswith(":Nodule") for name in found)
    areas = [found[f"auroc:{label}"].value for label in ("Mass", "Edema")]
    assert found["mean_auroc"].value == pytest.approx(np.mean(areas))
    low, high = found["mean_auroc"].low, found["mean_auroc"].high
    assert low is not None and high is not None and low < found["mean_auroc"].value < high
    assert found["mean_ece"].value < 0.1 and found["mean_brier_skill"].value > 0.1
    assert "mean_auroc_nih" not in found


def test_the_bound_of_a_sensitivity_counts_patients_not_images():
    held_out = replace(example_held_out(), groups=np.arange(400))
    once = {item.name: item for item in metrics_of(held_out, "d", OUT_OF_FOLD)}["sensitivity:Mass"]
    twice = held_out.only(np.repeat(np.arange(len(held_out.rows)), 2))
    doubled = {item.name: item for item in metrics_of(twice, "d", OUT_OF_FOLD)}["sensitivity:Mass"]
    assert doubled.n == 2 * once.n and doubled.low == pytest.approx(once.low, abs=0.002)


def test_figures_of_one_source_are_named_so():
    held_out = example_held_out()
    found = source_metrics(held_out, "b", "invented", OUT_OF_FOLD)
    assert {metric.name for metric in found} >= {"mean_auroc@b", "auroc:Mass@b"}
    assert not any("sensitivity" in metric.name for metric in found)
    pooled = {metric.name: metric.n for metric in metrics_of(held_out, "invented", OUT_OF_FOLD)}
    assert all(metric.n < pooled[metric.name.removesuffix("@b")] for metric in found)


def test_card_and_evaluation_say_the_same_of_the_same_rows(tmp_path):
    truth, scores = drawn(200)
    groups = np.arange(200) // 2
    rows = answers(scores, LABELS)
    held_out = HeldOut(
        LABELS,
        np.arange(200),
        truth,
        groups,
        ("one",) * 200,
        scores,
        scores,
        (scores >= 0.5).astype(np.int8),
        np.zeros(truth.shape, np.bool_),
    )
    card = {metric.name: metric for metric in metrics_of(held_out, "d", OUT_OF_FOLD)}
    found = evaluate(predicted(tmp_path, rows), labelled(truth, LABELS, groups=groups.tolist()))
    for label, item in found.per_label.items():
        for name, value, interval in (
            ("auroc", item.auroc, item.ci),
            ("sensitivity", item.sensitivity, item.sensitivity_ci),
            ("specificity", item.specificity, item.specificity_ci),
        ):
            stated = card[f"{name}:{label}"]
            assert interval is not None
            assert (stated.value, stated.low, stated.high) == (value, interval.low, interval.high)
    assert found.mean_auroc_ci is not None
    assert (card["mean_auroc"].value, card["mean_auroc"].low) == (found.mean_auroc, found.mean_auroc_ci.low)
    for name in ("mean_average_precision", "mean_ece", "mean_brier_skill"):
        assert card[name].value == getattr(found, name)
