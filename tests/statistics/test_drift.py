"""Two samples of one population are stable; of two populations they are not; and too few say nothing."""

from __future__ import annotations

import numpy as np
import pytest

from tetkik.statistics import Stability
from tetkik.statistics.drift import _chi_square, histogram, share_shift, shift


def moved(seed: int, by: float, size: int = 400, comparisons: int = 1):
    draw = np.random.default_rng(seed)
    return shift(histogram(draw.normal(0, 1, size)), draw.normal(by, 1, size), comparisons)


def test_one_population_rarely_passes_what_chance_reaches():
    found = [moved(seed, 0) for seed in range(200)]
    assert 2 <= sum(one.psi > one.psi_chance for one in found if one) <= 20  # 5% of 200 is 10


def test_of_many_comparisons_at_once_hardly_any_passes():
    found = [moved(seed, 0, size=100, comparisons=20) for seed in range(200)]
    assert sum(one.psi > one.psi_chance for one in found if one) <= 2  # 5% of ten sets of twenty is 0.5


def test_one_population_is_never_called_another():
    assert Stability.SHIFTED not in {one.stability for one in map(moved, range(100), [0] * 100) if one}


def test_a_shift_of_a_standard_deviation_is_another_population():
    found = moved(1, 1.0)
    assert found is not None and found.stability is Stability.SHIFTED
    assert found.ks == pytest.approx(0.38, abs=0.06)  # 2 * Phi(1/2) - 1
    assert found.ks > found.ks_chance
    assert found.mean_now - found.mean_before == pytest.approx(1, abs=0.2)


def test_a_small_shift_is_watched():
    found = moved(1, 0.4, size=4000)
    assert found is not None and found.stability is Stability.WATCH


def test_the_index_is_as_computed_by_hand():
    before = np.repeat(np.arange(10.0), 10)
    now = np.repeat(np.arange(10.0), [20, 0, *[10] * 8])
    found = shift(histogram(before), now)
    assert found is not None
    # Half a value more in each of the ten bins; the first holds 10 and then 20, the second 10 and then 0.
    then, since = 10.5 / 105, np.array([20.5, 0.5]) / 105
    assert found.psi == pytest.approx(float(np.sum((since - then) * np.log(since / then))))
    assert found.bins[0] == (0.1, 0.2) and found.bins[1] == (0.1, 0.0)
    assert found.ks == pytest.approx(0.1)


def test_a_histogram_keeps_what_the_values_say():
    values = np.random.default_rng(2).beta(2, 5, 1000)
    kept = histogram(values)
    assert kept.total == 1000 and len(kept.counts) == 102 and max(kept.counts) <= 12
    assert kept.counts[0] == kept.counts[-1] == 0  # nothing lies beyond
    assert kept.mean == pytest.approx(values.mean(), rel=1e-5)
    assert kept.quantile(0.5) == pytest.approx(np.median(values), abs=0.005)
    within = (values[:, None] >= np.array(kept.edges)).sum(axis=1)
    assert np.bincount(within, minlength=102).tolist() == list(kept.counts)


def test_shares_are_compared_by_yes_and_no():
    found = share_shift((0, 1000), (20, 100))
    assert found is not None and found.stability is Stability.SHIFTED
    assert (found.mean_before, found.mean_now, found.ks) == (0, 0.2, None)
    same = share_shift((100, 1000), (9, 100))
    assert same is not None and same.stability is Stability.STABLE
    assert share_shift((1, 49), (1, 500)) is None


def test_too_few_say_nothing():
    assert shift(histogram(np.zeros(49)), np.zeros(500)) is None
    assert shift(histogram(np.zeros(500)), np.zeros(49)) is None


def test_a_constant_does_not_break_it():
    found = shift(histogram(np.full(60, 0.5)), np.full(60, 0.5))
    assert found is not None and found.psi == pytest.approx(0) and found.ks == 0


@pytest.mark.parametrize("other", [0.4, 0.6])
def test_whatever_leaves_a_constant_is_seen(other):
    found = shift(histogram(np.full(60, 0.5)), np.full(60, other))
    assert found is not None and found.stability is Stability.SHIFTED and found.ks == 1


@pytest.mark.parametrize(
    ("degrees", "exact"), [(1, 3.841459), (2, 5.991465), (5, 11.070498), (9, 16.918978), (10, 18.307038)]
)
def test_the_quantile_is_the_one_of_the_tables(degrees, exact):
    assert _chi_square(degrees, 1) == pytest.approx(exact, abs=1e-6)


def test_the_quantile_allows_for_every_comparison():
    assert _chi_square(9, 25) == pytest.approx(26.0564, abs=1e-4)  # the 99.8th percentile
