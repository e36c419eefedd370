"""Shortcuts, co-occurrence, screening and tasks, by hand and against what they must not do."""

from __future__ import annotations

import numpy as np
import pytest

from tetkik.lab.findings.summaries import Judged, abnormal_truth, co_occurrence, source_shortcut, task_figures


def test_a_label_from_its_own_source_is_given_away_by_it():
    positive = np.repeat([True, False], 50)
    assert source_shortcut(positive, ["covid"] * 50 + ["others"] * 50, np.arange(100)) == 1
    mixed = np.array([True] * 40 + [False] * 10 + [True] * 10 + [False] * 40)
    found = source_shortcut(mixed, ["a"] * 50 + ["b"] * 50, np.arange(100))
    # 40·40 pairs are won, 10·10 lost, the others are of one source.
    assert found == pytest.approx((1600 + 0.5 * 800) / 2500)


def test_a_source_that_says_nothing_scores_a_half():
    random = np.random.default_rng(0)
    found = []
    for _ in range(60):
        positive = random.random(120) < 0.2
        source = random.integers(0, 3, 120)
        found.append(source_shortcut(positive, [str(name) for name in source], np.arange(120)))
    assert np.mean(np.array(found, dtype=float)) == pytest.approx(0.5, abs=0.08)


def test_images_of_a_patient_do_not_foretell_each_other():
    """Each patient is a source of its own: nothing but the patient tells, and that is left out."""
    positive = np.repeat([True, False] * 10, 5)
    groups = np.repeat(np.arange(20), 5)
    assert source_shortcut(positive, [str(group) for group in groups], groups) == 0.5


def test_no_shortcut_with_one_source_or_one_kind():
    assert source_shortcut(np.array([True, False]), ["a", "a"], np.arange(2)) is None
    assert source_shortcut(np.array([True, True]), ["a", "b"], np.arange(2)) is None


def test_pairs_are_counted_where_both_are_known():
    truth = np.array([[1, 1], [1, 0], [0, 1], [0, 0], [1, -1], [-1, 1]], dtype=np.int8)
    found = co_occurrence(truth, ("Mass", "Effusion"))
    assert found.n[0, 1] == 4 and found.observed[0, 1] == 1
    assert found.expected[0, 1] == pytest.approx(2 * 2 / 4) and found.ratio[0, 1] == pytest.approx(1)
    assert np.isnan(found.ratio[0, 0]) and found.observed[0, 0] == 3


def test_findings_that_always_stand_together_and_never():
    truth = np.array([[1, 1, 0]] * 5 + [[0, 0, 1]] * 5, dtype=np.int8)
    ratio = co_occurrence(truth, ("A", "B", "C")).ratio
    assert ratio[0, 1] == pytest.approx(2) and ratio[0, 2] == 0


def test_anything_abnormal_is_known_only_where_the_labels_say_so():
    labels = ("Mass", "Normal")
    truth = np.array([[1, 0], [1, -1], [0, 1], [-1, 1], [0, 0], [-1, -1], [0, -1], [1, 1]], dtype=np.int8)
    assert abnormal_truth(truth, labels).tolist() == [1, 1, 0, 0, -1, -1, -1, -1]
    assert abnormal_truth(truth[:, :0], ()).tolist() == [-1] * 8


def test_a_task_takes_rows_with_exactly_one_of_its_labels():
    labels = ("Glioma", "Meningioma", "Mass")
    truth = np.array([[1, 0, 0], [0, 1, 0], [1, 1, 0], [0, 0, 1], [1, 0, -1], [0, 1, 0]], dtype=np.int8)
    scores = np.array(
        [[0.9, 0.1, 1], [0.8, 0.2, 1], [0.5, 0.5, 1], [0.5, 0.5, 1], [0.4, 0.4, 1], [0.1, np.nan, 1]]
    )
    judged = Judged.bare(
        source=("one",) * 6,
        labels=labels,
        truth=truth,
        scores=scores,
        probabilities=np.full(scores.shape, np.nan),
        positive=np.full(truth.shape, -1, np.int8),
        screen=np.full(6, np.nan),
        operated_at={},
        groups=np.arange(6),
    )
    found = task_figures(judged, ("Glioma", "Meningioma"))
    assert found.n == 3 and found.accuracy == pytest.approx(2 / 3)
    assert found.confusion.tolist() == [[2, 0], [1, 0]]
    alone = [task_figures(judged.only(np.arange(6) == row), labels[:2]).accuracy for row in range(6)]
    assert alone == [1, 0, None, None, 1, None]
