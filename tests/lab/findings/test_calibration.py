"""Platt's calibration: it finds what was put in, stays finite, keeps the ranking, and calibrates."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tetkik.findings.operating_points import platt
from tetkik.lab.findings.training.held_out import LEAST, calibrated, fit_calibration, fit_platt
from tetkik.statistics import brier_skill, expected_calibration_error


def drawn(slope: float, intercept: float, rows: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    """Scores, and truths drawn with the probability that slope and intercept make of them."""
    random = np.random.default_rng(0)
    scores = 1 / (1 + np.exp(-random.normal(-1, 1.5, rows)))
    return scores, random.random(rows) < platt(scores, slope, intercept)


@pytest.mark.parametrize(("slope", "intercept"), [(1.0, 0.0), (0.5, -2.0), (2.0, 1.0)])
def test_slope_and_intercept_that_were_put_in_are_found(slope, intercept):
    scores, positive = drawn(slope, intercept)
    found = fit_platt(scores, positive)
    assert found is not None
    assert found[0] == pytest.approx(slope, rel=0.07) and found[1] == pytest.approx(intercept, abs=0.12)


def test_it_is_the_maximum_of_the_penalised_likelihood():
    from scipy.optimize import minimize

    scores, positive = drawn(0.7, -1.0, 300)
    logit = np.log(scores / (1 - scores))

    def loss(at):
        value = at[0] * logit + at[1]
        return (np.logaddexp(0, value) - positive * value).sum() + (at[0] - 1) ** 2 / 2 + 5e-7 * at[1] ** 2

    wanted = minimize(loss, [1.0, 0.0], tol=1e-12).x
    assert fit_platt(scores, positive) == pytest.approx(tuple(wanted), abs=1e-4)


def test_calibration_mends_scores_that_are_too_sure():
    scores, positive = drawn(0.4, -1.5)
    fitted = fit_platt(scores, positive)
    assert fitted is not None
    mended = platt(scores, *fitted)
    assert expected_calibration_error(scores, positive) > 0.1
    assert expected_calibration_error(mended, positive) < 0.015
    assert brier_skill(mended, positive) > 0 > brier_skill(scores, positive)


def test_weights_count_rows():
    scores, positive = drawn(1.0, 0.0, 400)
    weight = np.where(np.arange(400) < 100, 3.0, 1.0)
    repeated = np.concatenate([np.arange(400), np.tile(np.arange(100), 2)])
    assert fit_platt(scores, positive, weight) == pytest.approx(
        fit_platt(scores[repeated], positive[repeated]), abs=1e-6
    )


@given(
    st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=2, max_size=60),
)
@settings(max_examples=100, deadline=None)
def test_any_rows_give_finite_values_that_never_turn_the_ranking_round(rows):
    scores, positive = np.array([a for a, _ in rows]), np.array([b for _, b in rows])
    found = fit_platt(scores, positive)
    assert (found is None) == (min(positive.sum(), (~positive).sum()) < LEAST)
    if found is not None:
        assert np.isfinite(found).all() and found[0] >= 0


def test_a_ranking_that_is_wrong_becomes_the_frequency():
    scores, positive = drawn(-1.0, 0.0, 2000)
    fitted = fit_platt(scores, positive)
    assert fitted is not None and fitted[0] == 0
    assert platt(0.3, *fitted) == pytest.approx(positive.mean())


def test_labels_are_calibrated_on_what_is_known_and_those_with_too_little_are_not():
    scores, positive = drawn(0.5, -1.0, 600)
    table = np.stack([scores, scores, scores], axis=1)
    truth = np.stack([positive, positive, np.zeros(600)], axis=1).astype(np.int8)
    truth[300:, 1] = -1
    table[500:, 0] = np.nan
    found = fit_calibration(table, truth, ("Mass", "Nodule", "Hernia"))
    assert found == {
        "Mass": fit_platt(scores[:500], positive[:500]),
        "Nodule": fit_platt(scores[:300], positive[:300]),
    }
    probabilities = calibrated(table, ("Mass", "Nodule", "Hernia"), found)
    np.testing.assert_array_equal(probabilities[:500, 0], platt(scores[:500], *found["Mass"]))
    assert np.isnan(probabilities[500:, 0]).all() and np.isnan(probabilities[:, 2]).all()
