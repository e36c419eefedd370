"""Two samples of one population are steady; of two populations they are not; and too few say nothing."""

from __future__ import annotations

import numpy as np
import pytest

from tetkik.statistics import shift
from tetkik.statistics.drift import _chi_square_95


def samples(seed: int, moved: float, size: int = 400):
    draw = np.random.default_rng(seed)
    return draw.normal(0, 1, size), draw.normal(moved, 1, size)


def test_one_population_rarely_passes_what_chance_reaches():
    found = [shift(*samples(seed, 0)) for seed in range(200)]
    assert sum(one.psi > one.psi_chance for one in found if one) <= 20  # 5% of 200 is 10


def test_one_population_is_steady():
    found = [shift(*samples(seed, 0)) for seed in range(100)]
    assert not any(one.large for one in found if one)


def test_a_shift_of_a_standard_deviation_is_large():
    found = shift(*samples(1, 1.0))
    assert found is not None and found.large and found.notable
    assert found.ks == pytest.approx(0.38, abs=0.06)  # 2 * Phi(1/2) - 1
    assert found.ks > found.ks_chance
    assert found.mean_now - found.mean_before == pytest.approx(1, abs=0.2)


def test_the_index_is_as_computed_by_hand():
    before = np.repeat(np.arange(10.0), 10)
    now = np.repeat(np.arange(10.0), [20, 0, *[10] * 8])
    found = shift(before, now)
    assert found is not None
    # Half a value more in each of the ten bins; the first holds 10 and then 20, the second 10 and then 0.
    then, since = 10.5 / 105, np.array([20.5, 0.5]) / 105
    assert found.psi == pytest.approx(float(np.sum((since - then) * np.log(since / then))))


def test_too_few_say_nothing():
    assert shift(np.zeros(49), np.zeros(500)) is None
    assert shift(np.zeros(500), np.zeros(49)) is None


def test_a_constant_does_not_break_it():
    found = shift(np.full(60, 0.5), np.full(60, 0.5))
    assert found is not None and found.psi == pytest.approx(0) and found.ks == 0


@pytest.mark.parametrize(("degrees", "exact"), [(1, 3.841), (5, 11.070), (9, 16.919)])
def test_the_quantile_is_near_the_exact_one(degrees, exact):
    assert _chi_square_95(degrees) == pytest.approx(exact, rel=0.03)
