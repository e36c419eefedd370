"""Wilson's interval, shares of rows that come in groups, and percentiles."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tetkik.statistics import share_interval, wilson_interval


def test_wilson_by_hand():
    interval = wilson_interval(8, 10)
    assert interval is not None
    assert interval.as_json() == pytest.approx([0.4901625, 0.9433178], abs=1e-6)
    assert wilson_interval(0, 0) is None


@given(st.integers(1, 300), st.data())
def test_wilson_holds_the_share_and_stays_within_0_and_1(trials, data):
    successes = data.draw(st.integers(0, trials))
    interval = wilson_interval(successes, trials)
    assert interval is not None
    assert 0 <= interval.low <= successes / trials <= interval.high <= 1
    assert (interval.low == 0) == (successes == 0) and (interval.high == 1) == (successes == trials)


def test_rows_of_their_own_get_wilsons_interval():
    success = np.random.default_rng(0).random(80) < 0.7
    assert share_interval(success, np.arange(80)) == wilson_interval(int(success.sum()), 80)
    assert share_interval(np.zeros(0, dtype=bool), np.zeros(0, dtype=np.int64)) is None


@pytest.mark.parametrize("share", [0.7, 1.1])
def test_copies_do_not_narrow_a_share(share):
    success = np.random.default_rng(1).random(60) < share
    once = share_interval(success, np.arange(60))
    thrice = share_interval(np.tile(success, 3), np.tile(np.arange(60), 3))
    fooled = share_interval(np.tile(success, 3), np.arange(180))
    assert once and thrice and fooled
    assert thrice.low == pytest.approx(once.low, abs=0.004)
    assert thrice.high == pytest.approx(once.high, abs=0.004)
    assert fooled.high - fooled.low < 0.75 * (once.high - once.low)


def test_groups_that_agree_by_chance_alone_cost_nothing():
    random = np.random.default_rng(2)
    success, groups = random.random(2000) < 0.8, np.repeat(np.arange(1000), 2)
    grouped, single = share_interval(success, groups), share_interval(success, np.arange(2000))
    assert grouped and single
    assert grouped.high - grouped.low == pytest.approx(single.high - single.low, rel=0.1)


def test_rows_are_never_worth_more_than_they_are():
    """Of a success and a failure in nearly every group: they part the groups better than chance would."""
    success = np.array([True, False] * 9 + [True, True])
    assert share_interval(success, np.repeat(np.arange(10), 2)) == wilson_interval(11, 20)
