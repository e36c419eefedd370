"""Operating points: the best there is by each rule, and what a threshold does."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tetkik.lab.findings.thresholds import Decisions, ThresholdRule, choose_precise, choose_threshold

ROWS = st.lists(st.tuples(st.integers(0, 1_000_000), st.booleans()), min_size=2, max_size=40)


def arrays(rows: list[tuple[int, bool]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([a / 1_000_000 for a, _ in rows]), np.array([b for _, b in rows])


def worth(values: np.ndarray, positive: np.ndarray, threshold: float, rule: ThresholdRule) -> float:
    decisions = Decisions.of(values >= threshold, positive)
    assert decisions.sensitivity is not None and decisions.specificity is not None
    match rule:
        case ThresholdRule.YOUDEN:
            return decisions.sensitivity + decisions.specificity
        case ThresholdRule.F1:
            return decisions.f1 or 0.0
        case _:
            return decisions.specificity if decisions.sensitivity >= 0.8 else -1.0


@pytest.mark.parametrize("rule", list(ThresholdRule))
@given(rows=ROWS)
@example(rows=[(999_999, False), (1_000_000, True)])
@settings(max_examples=60, deadline=None)
def test_no_other_threshold_is_better(rule, rows):
    values, positive = arrays(rows)
    threshold = choose_threshold(values, positive, rule, 0.8)
    if positive.all() or not positive.any():
        assert threshold is None
        return
    assert threshold is not None and threshold == round(threshold, 6)
    best = max(worth(values, positive, other, rule) for other in np.unique(values))
    assert worth(values, positive, threshold, rule) == pytest.approx(best)


def test_a_threshold_lies_between_two_rows():
    values, positive = np.array([0.1, 0.2, 0.6, 0.9]), np.array([False, False, True, True])
    for rule in ThresholdRule:
        assert choose_threshold(values, positive, rule) == pytest.approx(0.4)


def test_neighbours_closer_than_the_last_decimal_do_not_lose_the_row():
    values = np.array([0.3, 0.3000004, 0.9])
    threshold = choose_threshold(values, np.array([False, True, True]), ThresholdRule.SENSITIVITY, 1.0)
    assert threshold is not None and threshold <= 0.3000004


def test_decisions_by_hand():
    called = np.array([True, True, False, False, True])
    positive = np.array([True, False, True, False, True])
    decisions = Decisions.of(called, positive)
    assert decisions == Decisions(2, 1, 1, 1)
    assert decisions.sensitivity == pytest.approx(2 / 3) and decisions.specificity == 0.5
    assert decisions.f1 == pytest.approx(2 / 3)
    empty = Decisions.of(~called & called, ~positive & positive)
    assert (empty.sensitivity, empty.f1, empty.specificity) == (None, None, 1.0)


def test_the_operating_point_of_drafts_is_the_lowest_at_which_the_precision_is_borne_out_by_patients():
    values = np.linspace(0.99, 0.0, 100)
    positive = np.arange(100) < 20  # the twenty highest
    people = np.arange(100)
    point = choose_precise(values, positive, people, 0.1, 0.5)
    assert point is not None
    stated = values >= point
    assert positive[stated].mean() >= 0.5 and stated.sum() == 40
    # Twenty films of one patient bear nothing out, nor do few; nor is anything stated below the threshold.
    assert choose_precise(values, positive, np.zeros(100, np.int64), 0.1, 0.7) is None
    assert choose_precise(values[:5], positive[:5], people[:5], 0.1, 0.9) is None
    assert choose_precise(values, positive, people, 0.995, 0.5) is None
    assert choose_precise(values, ~positive, people, 0.9, 0.5) is None
    # Every second row is of a source that nobody selected, and there it is right a quarter of the time.
    apart, right = people % 2 == 1, positive & ((people % 2 == 0) | (people % 8 == 1))
    alone = choose_precise(values, right, people, 0.1, 0.5)
    assert alone is not None and choose_precise(values, right, people, 0.1, 0.5, [apart]) is None
