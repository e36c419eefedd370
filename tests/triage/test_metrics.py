"""The figures in NumPy against scikit-learn and against their definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from tetkik.triage.bootstrap import ClusterBootstrap, percentile_interval
from tetkik.triage.metrics import (
    NO_ANSWER,
    DecisionFigures,
    Floats,
    Ints,
    accuracy_by_coverage,
    auroc,
    auroc_interval,
    confusion,
    decision_columns,
    decision_figures,
    predicted_labels,
    rank_of_truth,
    roc_curve,
)


def _rows(seed: int, rows: int, labels: int, decimals: int = 6) -> tuple[Ints, Floats]:
    random = np.random.default_rng(seed)
    truth = random.integers(0, labels, rows)
    probabilities = random.dirichlet(np.full(labels, 0.4), rows)
    probabilities[np.arange(rows), truth] += random.random(rows) * 0.5
    return truth, np.round(probabilities / probabilities.sum(axis=1, keepdims=True), decimals)


def _figures(truth: Ints, probabilities: Floats) -> DecisionFigures:
    columns = decision_columns(
        truth,
        predicted_labels(probabilities),
        probabilities.shape[1],
        rank_of_truth(probabilities, truth) <= 3,
    )
    return decision_figures(columns.sum(axis=0))


@pytest.mark.parametrize(("seed", "rows", "labels"), [(0, 400, 15), (1, 50, 4), (2, 1000, 7)])
def test_every_figure_of_decisions_is_that_of_scikit_learn(seed, rows, labels):
    truth, probabilities = _rows(seed, rows, labels)
    predicted = predicted_labels(probabilities)
    figures = _figures(truth, probabilities)
    expected = reference.precision_recall_fscore_support(truth, predicted, labels=range(labels))
    for found, wanted in zip((figures.precision, figures.recall, figures.f1), expected[:3], strict=True):
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-12)
    means = (figures.macro_precision, figures.macro_recall, figures.macro_f1)
    np.testing.assert_allclose(means, [part.mean() for part in expected[:3]], rtol=0, atol=1e-12)
    assert figures.accuracy == pytest.approx(reference.accuracy_score(truth, predicted), abs=1e-12)
    top3 = reference.top_k_accuracy_score(truth, probabilities, k=3, labels=range(labels))
    assert figures.top3_accuracy == pytest.approx(top3, abs=1e-12)
    wanted = reference.confusion_matrix(truth, predicted, labels=range(labels))
    np.testing.assert_array_equal(confusion(truth, predicted, labels), wanted)


@pytest.mark.parametrize("decimals", [6, 1])
def test_roc_is_that_of_scikit_learn_with_ties_too(decimals):
    truth, probabilities = _rows(3, 500, 5, decimals)
    for label in range(5):
        positive, scores = truth == label, probabilities[:, label]
        assert auroc(scores, positive) == pytest.approx(reference.roc_auc_score(positive, scores), abs=1e-12)
        false, true = roc_curve(scores, positive)
        wanted_false, wanted_true, _ = reference.roc_curve(positive, scores, drop_intermediate=False)
        np.testing.assert_allclose(false, wanted_false, atol=1e-12)
        np.testing.assert_allclose(true, wanted_true, atol=1e-12)


def test_a_label_that_is_absent_from_the_data_is_left_out_of_the_means():
    truth = np.array([0, 0, 1, 1])
    probabilities = np.array([[0.7, 0.2, 0.1], [0.1, 0.2, 0.7], [0.2, 0.7, 0.1], [0.3, 0.6, 0.1]])
    figures = _figures(truth, probabilities)
    assert np.isnan(figures.f1[2]) and np.isnan(figures.recall[2])
    predicted = predicted_labels(probabilities)
    assert figures.macro_f1 == pytest.approx(
        reference.f1_score(truth, predicted, labels=[0, 1], average="macro")
    )


def test_a_label_never_chosen_has_no_precision_but_counts_as_0_in_the_mean():
    truth = np.array([0, 0, 1])
    figures = _figures(truth, np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3]]))
    assert np.isnan(figures.precision[1])
    assert figures.f1[1] == 0
    assert figures.macro_precision == pytest.approx((2 / 3 + 0) / 2)


def test_a_row_without_an_answer_is_wrong_everywhere():
    truth = np.array([0, 1])
    probabilities = np.array([[np.nan, np.nan], [0.1, 0.9]])
    assert predicted_labels(probabilities).tolist() == [NO_ANSWER, 1]
    assert rank_of_truth(probabilities, truth).tolist() == [3, 1]
    assert confusion(truth, predicted_labels(probabilities), 2).tolist() == [[0, 0], [0, 1]]
    figures = _figures(truth, probabilities)
    assert figures.accuracy == 0.5
    assert figures.recall.tolist() == [0, 1]


def test_equal_probabilities_are_ranked_by_the_order_of_labels():
    probabilities = np.array([[0.4, 0.4, 0.2]] * 3)
    assert rank_of_truth(probabilities, np.array([0, 1, 2])).tolist() == [1, 2, 3]
    assert predicted_labels(probabilities).tolist() == [0, 0, 0]


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=40), st.randoms())
@settings(max_examples=60, deadline=None)
def test_the_coverage_curve_does_not_depend_on_the_order_of_rows(rows, random):
    shuffled = rows.copy()
    random.shuffle(shuffled)
    curves = [
        accuracy_by_coverage(np.array([a / 5 for a, _ in part]), np.array([b for _, b in part]))
        for part in (rows, shuffled)
    ]
    np.testing.assert_allclose(curves[0], curves[1], atol=1e-12)
    assert curves[0][-1] == pytest.approx(np.mean([right for _, right in rows]))


def test_the_coverage_curve_of_rows_without_ties():
    curve = accuracy_by_coverage(np.array([0.2, 0.9, 0.5]), np.array([False, True, False]))
    np.testing.assert_allclose(curve, [1, 1 / 2, 1 / 3])


def test_the_auroc_interval_of_single_rows_is_that_of_delong():
    truth, probabilities = _rows(5, 300, 3)
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


def test_copies_in_one_group_do_not_narrow_an_interval():
    truth, probabilities = _rows(6, 200, 3)
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
    monkeypatch.setattr("tetkik.triage.bootstrap._CELLS", 64)
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
