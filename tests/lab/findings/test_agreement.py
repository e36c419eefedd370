"""Labels from reports against radiologists: the figures by hand, the intervals by patient."""

from __future__ import annotations

import numpy as np
import pytest

from tetkik.errors import DataError
from tetkik.lab.engine.results import to_json
from tetkik.lab.findings.agreement import Adjudicated, agreement, judge_text_labels
from tetkik.values import FINDING_LABELS


def columns(tp, fp, fn, tn):
    judged = np.repeat([1, 1, 0, 0], [tp, fp, fn, tn]).astype(np.int8)
    reference = np.repeat([1, 0, 1, 0], [tp, fp, fn, tn]).astype(np.int8)
    return judged, reference


def ends(rate):
    return rate.ci.low, rate.ci.high


def test_figures_by_hand():
    judged, reference = columns(20, 10, 30, 140)
    found = agreement("Mass", judged, reference, [str(row) for row in range(200)], replicates=500)
    assert (found.n, found.patients, found.true_positive, found.false_negative) == (200, 200, 20, 30)
    assert found.sensitivity.value == 0.4 and found.specificity.value == pytest.approx(140 / 150)
    assert found.ppv.value == pytest.approx(2 / 3) and found.npv.value == pytest.approx(140 / 170)
    assert found.prevalence.value == 0.25 and found.labelled.value == 0.15
    chance = (30 * 50 + 170 * 150) / 200**2
    assert found.kappa.value == pytest.approx((0.8 - chance) / (1 - chance))
    assert ends(found.kappa)[0] < found.kappa.value < ends(found.kappa)[1]
    standard_error = np.sqrt(0.4 * 0.6 / 50)
    assert ends(found.sensitivity)[0] == pytest.approx(0.4 - 1.96 * standard_error, abs=0.03)


def test_kappa_against_another_implementation():
    from sklearn.metrics import cohen_kappa_score

    random = np.random.default_rng(3)
    reference = (random.random(400) < 0.3).astype(np.int8)
    judged = np.where(random.random(400) < 0.8, reference, 1 - reference).astype(np.int8)
    found = agreement("Mass", judged, reference, [str(row) for row in range(400)], replicates=0)
    assert found.kappa.value == pytest.approx(cohen_kappa_score(reference, judged))
    assert found.kappa.ci is None


def test_patients_are_drawn_whole():
    judged, reference = columns(20, 20, 20, 140)
    many = np.tile(judged, 4), np.tile(reference, 4)
    people = [str(row) for row in range(200)] * 4
    apart = agreement("Mass", *many, [str(row) for row in range(800)], replicates=400).sensitivity
    together = agreement("Mass", *many, people, replicates=400).sensitivity
    assert np.ptp(ends(together)) > 1.6 * np.ptp(ends(apart))


def test_unknown_rows_are_left_out_and_nothing_left_is_an_error():
    judged = np.array([1, 0, -1, 1], np.int8)
    reference = np.array([1, -1, 0, 0], np.int8)
    found = agreement("Mass", judged, reference, list("abcd"), replicates=100)
    assert found.n == 2 and found.sensitivity.value == 1 and found.npv.value is None
    assert to_json(found)["npv"] == {"value": None, "ci": None}
    with pytest.raises(DataError, match="Mass"):
        agreement("Mass", judged[[2]], reference[[2]], ["c"])


def test_text_labels_are_judged_where_they_have_a_twin():
    text = np.full((4, len(FINDING_LABELS)), 0, np.int8)
    text[0, FINDING_LABELS.index("Mass")] = 1
    text[1, FINDING_LABELS.index("Nodule")] = 1
    text[2, FINDING_LABELS.index("Pneumothorax")] = 1
    truth = np.array([[1, 0, 1, 1], [0, 0, 1, 1], [0, 1, 0, 0], [0, 0, 0, 1]], np.int8)
    table = Adjudicated(tuple("abcd"), tuple("1234"), truth, text, ("test",) * 4)
    pneumothorax, lump = judge_text_labels(table, replicates=50)
    assert (pneumothorax.label, pneumothorax.sensitivity.value) == ("Pneumothorax", 1)
    assert (lump.label, lump.true_positive, lump.false_negative) == ("Nodule or Mass", 2, 1)
