"""What a child, told of or not, does to the departments."""

from __future__ import annotations

import numpy as np
import pytest

from tetkik.triage.predict import NO_CHILD_FACTOR, adjust_for_age, log_odds

LABELS = ("Pediatri", "Kardiyoloji", "Göz Hastalıkları")


def test_a_child_is_exchanged_from_a_department_for_adults() -> None:
    row = np.array([0.2, 0.7, 0.1])
    adjust_for_age(row, LABELS, child=True)
    assert row.tolist() == [0.7, 0.2, 0.1]


def test_a_child_stays_with_a_department_that_sees_children() -> None:
    row = np.array([0.2, 0.1, 0.7])
    adjust_for_age(row, LABELS, child=True)
    assert row.tolist() == [0.2, 0.1, 0.7]


def test_without_a_child_the_odds_of_pediatrics_fall() -> None:
    row = np.array([0.5, 0.3, 0.2])
    adjust_for_age(row, LABELS, child=False)
    assert row.sum() == pytest.approx(1)
    assert row[0] / row[1] == pytest.approx(NO_CHILD_FACTOR * 0.5 / 0.3)
    assert row[1] / row[2] == pytest.approx(1.5)


def test_labels_without_pediatrics_are_left_alone() -> None:
    row = np.array([0.4, 0.6])
    adjust_for_age(row, LABELS[1:], child=False)
    assert row.tolist() == [0.4, 0.6]
    assert not log_odds(["basim agriyor"], LABELS[1:]).any()


def test_training_calibrates_with_the_same_shift() -> None:
    row = np.array([0.5, 0.3, 0.2])
    shift = log_odds(["gozum kizardi", "5 yasindaki oglumun gozu kizardi"], LABELS)
    shifted = row * np.exp(shift[0])
    adjust_for_age(row, LABELS, child=False)
    np.testing.assert_allclose(shifted / shifted.sum(), row)
    assert not shift[1].any()
