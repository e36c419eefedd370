"""The figures in NumPy against scikit-learn and against their definitions."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as reference

from tests.statistics.random_answers import random_answers
from tetkik.statistics import (
    ClusterBootstrap,
    auroc,
    auroc_interval,
    average_precision,
    percentile_interval,
    roc_curve,
    sensitivity_at_specificity,
    specificity_at_sensitivity,
)


@pytest.mark.parametrize("decimals", [6, 1])
def test_roc_is_that_of_scikit_learn_with_ties_too(decimals):
    truth, probabilities = random_answers(3, 500, 5, decimals)
    for label in range(5):
        positive, scores = truth == label, probabilities[:, label]
        assert auroc(scores, positive) == pytest.approx(reference.roc_auc_score(positive, scores), abs=1e-12)
        false, true = roc_curve(scores, positive)
        wanted_false, wanted_true, _ = reference.roc_curve(positive, scores, drop_intermediate=False)
        np.testing.assert_allclose(false, wanted_false, atol=1e-12)
        np.testing.assert_allclose(true, wanted_true, atol=1e-12)


def test_the_auroc_interval_of_single_rows_is_that_of_delong():
    truth, probabilities = random_answers(5, 300, 3)
    positive, scores = truth == 0, probabilities[:, 0]
    interval = auroc_interval(scores, positive, np.arange(300))
    assert interval is not None
    ups, downs = scores[positive], scores[~positive]
    wins = (ups[:, None] > downs) + 0.5 * (ups[:, None] == downs)
    area = wins.mean()
    variance = wins.mean(axis=1).var(ddof=1) / len(ups) + wins.mean(axis=0).var(ddof=1) / len(downs)
    # The paper's variance has a further term between the two kinds, which is null only on average.
    own = np.log(interval.high / (1 - interval.high)) - np.log(interval.low / (1 - interval.low))
    delong = 2 * 1.959964 * np.sqrt(variance) / (area * (1 - area))
    assert own == pytest.approx(delong, rel=0.02)
    assert interval.low < area < interval.high


def test_the_auroc_interval_of_groups_is_that_of_obuchowski():
    """Her sums term by term, with groups that hold rows of both kinds."""
    random = np.random.default_rng(9)
    groups = random.integers(0, 14, 60)
    positive = random.random(60) < 0.4
    scores = np.round(positive * 0.6 + random.normal(0, 0.5, 60) + groups % 3 * 0.4, 1).astype(np.float64)
    wins = (scores[positive][:, None] > scores[~positive]) + 0.5 * (
        scores[positive][:, None] == scores[~positive]
    )
    area, (count, other) = wins.mean(), wins.shape
    ups, downs = groups[positive], groups[~positive]
    up = {g: (wins.mean(axis=1)[ups == g] - area).sum() for g in set(groups.tolist())}
    down = {g: (wins.mean(axis=0)[downs == g] - area).sum() for g in set(groups.tolist())}
    all_groups, with_up, with_down = len(up), len(set(ups.tolist())), len(set(downs.tolist()))
    variance = (
        with_up / (with_up - 1) / count**2 * sum(value**2 for value in up.values())
        + with_down / (with_down - 1) / other**2 * sum(value**2 for value in down.values())
        + 2 * all_groups / (all_groups - 1) / (count * other) * sum(up[g] * down[g] for g in up)
    )
    interval = auroc_interval(scores, positive, groups)
    assert interval is not None
    logits = [np.log(end / (1 - end)) for end in (interval.low, area, interval.high)]
    half = 1.959964 * np.sqrt(variance) / (area * (1 - area))
    assert logits[2] - logits[1] == pytest.approx(half, rel=1e-6)
    assert logits[1] - logits[0] == pytest.approx(half, rel=1e-6)


def test_copies_in_one_group_do_not_narrow_an_interval():
    truth, probabilities = random_answers(6, 200, 3)
    positive, scores = truth == 1, probabilities[:, 1]
    groups = np.arange(200)
    once = auroc_interval(scores, positive, groups)
    thrice = auroc_interval(np.tile(scores, 3), np.tile(positive, 3), np.tile(groups, 3))
    fooled = auroc_interval(np.tile(scores, 3), np.tile(positive, 3), np.arange(600))
    assert once and thrice and fooled
    assert thrice.low == pytest.approx(once.low, abs=1e-9)
    assert fooled.high - fooled.low < 0.7 * (once.high - once.low)


def test_no_auroc_where_only_one_kind_occurs():
    scores = np.array([0.1, 0.2])
    assert auroc(scores, np.array([True, True])) is None
    assert auroc_interval(scores, np.array([False, False]), np.arange(2)) is None
    assert auroc_interval(scores, np.array([False, True]), np.arange(2)) is None


def test_the_bootstrap_draws_whole_groups():
    groups = np.array([7, 7, 7, 3, 3, 9])
    ones = np.eye(6)
    sums = ClusterBootstrap(groups, 200, seed=1).sums(ones)
    assert (sums[:, 0] == sums[:, 1]).all() and (sums[:, 1] == sums[:, 2]).all()
    assert (sums[:, 3] == sums[:, 4]).all()
    assert (sums[:, [0, 3, 5]].sum(axis=1) == 3).all()
    assert not (sums[:, 0] == sums[:, 3]).all()


def test_the_bootstrap_repeats_itself_and_changes_with_the_seed(monkeypatch):
    column = np.arange(50.0)[:, None]
    draws = ClusterBootstrap(np.arange(50), 30, seed=4)
    first = draws.sums(column)
    np.testing.assert_array_equal(first, draws.sums(column))
    assert (first != ClusterBootstrap(np.arange(50), 30, seed=5).sums(column)).any()
    # The same draws whatever the size of a chunk in memory.
    monkeypatch.setattr("tetkik.statistics.intervals._CELLS", 64)
    np.testing.assert_array_equal(first, draws.sums(column))


def test_the_interval_of_an_accuracy_is_close_to_the_normal_one():
    random = np.random.default_rng(0)
    right = random.random(2000) < 0.7
    sums = ClusterBootstrap(np.arange(2000), 1000).sums(right[:, None].astype(float))
    interval = percentile_interval(sums[:, 0] / 2000)
    assert interval is not None
    half = 1.96 * np.sqrt(right.mean() * (1 - right.mean()) / 2000)
    assert interval.low == pytest.approx(right.mean() - half, abs=0.002)
    assert interval.high == pytest.approx(right.mean() + half, abs=0.002)


def test_no_interval_where_many_replicates_mean_nothing():
    values = np.append(np.full(90, 0.5), np.full(10, np.nan))
    assert percentile_interval(values) is None
    assert percentile_interval(values[:93]) is not None
    assert not ClusterBootstrap(np.zeros(5, dtype=np.int64)).possible


@pytest.mark.parametrize("decimals", [6, 1])
def test_average_precision_is_that_of_scikit_learn_with_ties_too(decimals):
    truth, probabilities = random_answers(7, 300, 4, decimals)
    for label in range(4):
        positive, scores = truth == label, probabilities[:, label]
        wanted = reference.average_precision_score(positive, scores)
        assert average_precision(scores, positive) == pytest.approx(wanted, abs=1e-12)
    assert average_precision(scores, np.zeros(300, dtype=bool)) is None


def test_points_on_the_curve_are_the_best_thresholds():
    truth, probabilities = random_answers(8, 200, 3, 1)
    positive, scores = truth == 0, probabilities[:, 0]
    pairs = []
    for threshold in [*np.unique(scores), 2.0]:
        called = scores >= threshold
        pairs.append(
            ((called & positive).sum() / positive.sum(), (~called & ~positive).sum() / (~positive).sum())
        )
    for at in (0.5, 0.9, 0.95, 1.0):
        assert sensitivity_at_specificity(scores, positive, at) == pytest.approx(
            max(sensitivity for sensitivity, specificity in pairs if specificity >= at)
        )
        assert specificity_at_sensitivity(scores, positive, at) == pytest.approx(
            max(specificity for sensitivity, specificity in pairs if sensitivity >= at)
        )
    assert sensitivity_at_specificity(scores, np.ones(200, dtype=bool), 0.9) is None
    assert specificity_at_sensitivity(scores, np.ones(200, dtype=bool), 0.9) is None
