from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tetkik.triage.calibration import abstain_threshold, ece, fit_temperature, multiclass_brier_skill, softmax


def drawn(temperature: float, rows: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    """Logits that are `temperature` times too large for the labels drawn from them."""
    random = np.random.default_rng(0)
    logits = random.normal(0, 2, (rows, 4))
    labels = np.array([random.choice(4, p=row) for row in softmax(logits)])
    return logits * temperature, labels


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_that_was_put_in_is_found(temperature):
    logits, labels = drawn(temperature)
    assert fit_temperature(logits, labels) == pytest.approx(temperature, rel=0.05)


def test_scaling_calibrates():
    logits, labels = drawn(3.0)
    assert ece(softmax(logits), labels) > 0.1
    assert ece(softmax(logits, fit_temperature(logits, labels)), labels) < 0.015


def test_ece_has_bins_of_equal_mass():
    probabilities = np.array([[0.9, 0.1]] * 10 + [[0.6, 0.4]] * 10)
    labels = np.array([0] * 10 + [1] * 10)
    assert ece(probabilities, labels, bins=2) == pytest.approx((0.1 + 0.6) / 2)


def test_brier_skill_of_a_perfect_and_of_a_know_nothing_model():
    labels = np.array([0, 0, 0, 1])
    assert multiclass_brier_skill(np.eye(2)[labels], labels) == 1
    assert multiclass_brier_skill(np.array([[0.75, 0.25]] * 4), labels) == pytest.approx(0)


@pytest.mark.parametrize("labels", [np.array([], dtype=int), np.array([0, 0])])
def test_brier_skill_needs_two_labels(labels):
    with pytest.raises(ValueError, match="two kinds"):
        multiclass_brier_skill(np.full((len(labels), 2), 0.5), labels)


def test_no_rows_are_refused():
    with pytest.raises(ValueError, match="no rows"):
        ece(np.zeros((0, 2)), np.zeros(0, dtype=np.int64))
    with pytest.raises(ValueError, match="no rows"):
        fit_temperature(np.zeros((0, 2)), np.zeros(0, dtype=np.int64))
    with pytest.raises(ValueError, match="needs rows"):
        abstain_threshold(np.zeros(0))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=60), st.floats(0.01, 1))
def test_the_threshold_keeps_the_coverage_asked_for_and_no_higher_one_does(values, coverage):
    top = np.array(values)
    threshold = abstain_threshold(top, coverage)
    assert (top >= threshold).mean() >= coverage - 1e-12
    assert (top > threshold).mean() < coverage


def test_softmax_does_not_overflow():
    assert softmax(np.array([[1e5, 0.0]])).tolist() == [[1.0, 0.0]]
