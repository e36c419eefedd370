"""Calibration error and Brier skill against what they are by hand."""

from __future__ import annotations

import numpy as np
import pytest

from tetkik.statistics import brier_skill, expected_calibration_error, reliability


def test_bins_hold_equally_many_rows_and_give_the_error():
    claimed = np.array([0.9] * 10 + [0.2] * 10)
    happened = np.array([1] * 7 + [0] * 3 + [0] * 10, dtype=bool)
    low, high = reliability(claimed, happened, 2)
    assert [low.claimed, low.happened, low.n] == pytest.approx([0.2, 0, 10])
    assert [high.claimed, high.happened, high.n] == pytest.approx([0.9, 0.7, 10])
    assert expected_calibration_error(claimed, happened, 2) == pytest.approx(0.2)


def test_honest_probabilities_have_a_small_error_and_skill():
    random = np.random.default_rng(0)
    claimed = random.random(20_000)
    happened = random.random(20_000) < claimed
    assert expected_calibration_error(claimed, happened) < 0.015
    assert brier_skill(claimed, happened) == pytest.approx(1 - (1 / 6) / (1 / 4), abs=0.02)


def test_the_frequency_has_no_skill_and_the_truth_has_all():
    happened = np.array([True, False, False, False])
    assert brier_skill(np.full(4, 0.25), happened) == 0
    assert brier_skill(happened.astype(float), happened) == 1


@pytest.mark.parametrize("happened", [np.zeros(0, dtype=bool), np.ones(3, dtype=bool)])
def test_no_skill_without_two_kinds(happened):
    with pytest.raises(ValueError, match="two kinds"):
        brier_skill(np.full(len(happened), 0.5), happened)


def test_no_rows_have_no_bins_and_no_error():
    assert reliability(np.zeros(0), np.zeros(0)) == ()
    with pytest.raises(ValueError, match="no rows"):
        expected_calibration_error(np.zeros(0), np.zeros(0))
