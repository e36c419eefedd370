"""DeLong against its definition, paired tests, and draws of whole groups against counting rows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tetkik.statistics import (
    ClusterBootstrap,
    auroc,
    auroc_replicates,
    delong,
    holm,
    paired_areas,
    stratified_auroc,
)


def made(seed: int, rows: int = 200, decimals: int = 2) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two related scores, with ties, and the truth."""
    random = np.random.default_rng(seed)
    positive = random.random(rows) < 0.3
    common = random.normal(positive * 1.0, 1)
    first, second = (np.round(common + random.normal(0, 0.6, rows), decimals) for _ in range(2))
    return first, second, positive


def by_definition(scores: np.ndarray, positive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Placements, pair by pair."""
    ups, downs = scores[positive], scores[~positive]
    wins = (ups[:, None] > downs) + 0.5 * (ups[:, None] == downs)
    return wins.mean(axis=1), wins.mean(axis=0)


@pytest.mark.parametrize("decimals", [0, 1, 6])
def test_delong_is_its_definition_with_ties_too(decimals):
    first, second, positive = made(0, decimals=decimals)
    found = delong(np.stack([first, second]), positive)
    assert found is not None
    parts = [by_definition(scores, positive) for scores in (first, second)]
    above, below = np.stack([part[0] for part in parts]), np.stack([part[1] for part in parts])
    wanted = np.cov(above) / positive.sum() + np.cov(below) / (~positive).sum()
    np.testing.assert_allclose(found.covariance, wanted, rtol=1e-10)
    np.testing.assert_allclose(found.areas, above.mean(axis=1), rtol=1e-12)


def test_delong_needs_two_of_each_kind():
    assert delong(np.array([[0.1, 0.5, 0.9]]), np.array([False, False, True])) is None


def test_alike_predictors_do_not_differ_and_a_worse_one_does():
    first, _, positive = made(1, 400)
    groups = np.arange(400)
    same = paired_areas(first, first * 2 + 1, positive, groups)
    assert same is not None and same.p == 1 and same.difference == 0
    noise = np.random.default_rng(2).random(400)
    worse = paired_areas(first, noise, positive, groups)
    assert worse is not None and worse.p < 0.001
    assert worse.difference < 0 and worse.interval.high < 0


def test_the_p_value_keeps_its_level():
    """Of two predictors of one quality one in twenty pairs looks different."""
    values = []
    for seed in range(300):
        first, second, positive = made(seed, 120, 6)
        found = paired_areas(first, second, positive, np.arange(120))
        assert found is not None
        values.append(found.p)
    assert 0.02 < np.mean(np.array(values) < 0.05) < 0.09


def test_copies_of_rows_do_not_make_a_difference_surer():
    first, second, positive = made(3, 150)
    groups = np.arange(150)
    once = paired_areas(first, second, positive, groups)
    thrice = paired_areas(*(np.tile(values, 3) for values in (first, second, positive, groups)))
    assert once and thrice
    assert thrice.error == pytest.approx(once.error, rel=0.1)


def test_replicates_are_the_aurocs_of_the_rows_that_were_drawn():
    first, second, positive = made(4, 60, 1)
    groups = np.repeat(np.arange(20), 3)
    truth = np.stack([positive, np.where(np.arange(60) % 4 == 0, -1, positive)], axis=1).astype(np.int64)
    scores = np.stack([first, second], axis=1)
    scores[::7, 1] = np.nan
    draws = ClusterBootstrap(groups, 40, seed=5)
    found = auroc_replicates(scores, truth, draws)
    counts = np.concatenate(list(draws.draws()))
    for replicate, times in enumerate(counts):
        rows = np.repeat(np.arange(60), times[draws.clusters])
        for label in range(2):
            use = rows[(truth[rows, label] >= 0) & ~np.isnan(scores[rows, label])]
            area = auroc(scores[use, label], truth[use, label] == 1)
            assert found[replicate, label] == pytest.approx(np.nan if area is None else area, nan_ok=True)


def test_a_draw_of_one_kind_has_no_area():
    truth = np.array([[1], [0]])
    found = auroc_replicates(np.array([[0.9], [0.1]]), truth, ClusterBootstrap(np.arange(2), 50))
    assert np.isnan(found).any() and set(found[~np.isnan(found)]) == {1.0}


def test_pairs_across_strata_do_not_count():
    scores = np.array([0.1, 0.2, 0.8, 0.9])
    positive = np.array([True, False, False, True])
    assert stratified_auroc(scores, positive, np.array([0, 0, 1, 1])) == 0.5
    assert stratified_auroc(scores, np.array([False, False, True, True]), np.array([0, 0, 1, 1])) is None
    assert stratified_auroc(scores, positive, np.zeros(4, dtype=np.int64)) == auroc(scores, positive)


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx((0.03, 0.06, 0.06))
    assert holm([]) == ()


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
@settings(deadline=None)
def test_holm_never_lowers_a_value_and_keeps_their_order(values):
    adjusted = holm(values)
    assert all(new >= old for new, old in zip(adjusted, values, strict=True))
    order = np.argsort(values, kind="stable")
    assert (np.diff(np.array(adjusted)[order]) >= 0).all() and max(adjusted) <= 1
