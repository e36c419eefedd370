"""The figures in NumPy against scikit-learn and against their definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from tests.statistics.random_answers import random_answers
from tetkik.lab.engine.results import confusion
from tetkik.lab.triage.summaries import (
    NO_ANSWER,
    DecisionFigures,
    accuracy_by_coverage,
    decision_columns,
    decision_figures,
    predicted_labels,
    rank_of_truth,
)
from tetkik.statistics import (
    Floats,
    Ints,
)


def _figures(truth: Ints, probabilities: Floats) -> DecisionFigures:
    return decision_figures(decision_columns(probabilities, truth).sum(axis=0))


@pytest.mark.parametrize(("seed", "rows", "labels"), [(0, 400, 15), (1, 50, 4), (2, 1000, 7)])
def test_every_figure_of_decisions_is_that_of_scikit_learn(seed, rows, labels):
    truth, probabilities = random_answers(seed, rows, labels)
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
