"""Two models on the same images: paired, patient by patient, set by set, and pooled within sets."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from tests.lab.findings.judging import answer, answers, drawn, labelled, written
from tetkik.errors import DataError
from tetkik.lab.engine.learned_rows import LearnedMatch
from tetkik.lab.engine.options import LearnedTreatment
from tetkik.lab.findings.comparison import LabelledSet, compare
from tetkik.lab.findings.evaluate import evaluate
from tetkik.lab.findings.predictions import read_predictions
from tetkik.language import Language
from tetkik.statistics import auroc, paired_areas

LABELS = ("Effusion", "Mass", "Hernia")


def noisy(scores, amount, seed=9):
    logit = np.log(np.clip(scores, 1e-6, 1 - 1e-6) / np.clip(1 - scores, 1e-6, 1))
    changed = logit + np.random.default_rng(seed).normal(0, amount, scores.shape)
    return np.round(1 / (1 + np.exp(-changed)), 6)


@pytest.fixture
def make_set(tmp_path):
    def make(name="set", rows=300, amount=2.0, seed=0, groups=None, **second):
        truth, scores = drawn(rows, LABELS, seed=seed)
        one = written(tmp_path / f"{name}.a.jsonl", answers(scores, LABELS, model="first 1.0"))
        lines = answers(noisy(scores, amount), LABELS, **{"model": "second 1.0", **second})
        other = written(tmp_path / f"{name}.b.jsonl", lines)
        images = labelled(truth, LABELS, groups=groups)
        return LabelledSet(name, images, read_predictions(one), read_predictions(other))

    return make


def test_a_worse_model_is_found_to_be_worse(make_set):
    part = make_set()
    found = compare([part], bootstrap=200)
    (whole,) = found.sets
    assert found.pooled is None and (whole.n, whole.groups) == (300, 300)
    assert whole.difference < 0 and whole.ci is not None and whole.ci.high < 0
    for label in whole.labels:
        column = part.first.labels.index(label.label)
        positive = part.images.column(label.label) == 1
        first, second = part.first.scores[:, column], part.second.scores[:, column]
        assert label.areas == paired_areas(first, second, positive, np.arange(300))
        assert label.areas.first == auroc(first, positive)
    assert whole.first == pytest.approx(np.mean([label.areas.first for label in whole.labels]))
    said = [sentence.in_language(Language.EN) for sentence in found.conclusion]
    assert said[0].startswith("first 1.0 is better")
    assert any("first 1.0 is better at: " in sentence for sentence in said)


def test_the_same_model_twice_does_not_differ_and_is_told_apart_by_letter(make_set):
    found = compare([make_set(amount=0.0, model="first 1.0")], bootstrap=100)
    assert (found.first, found.second) == ("A (first 1.0)", "B (first 1.0)")
    assert found.sets[0].difference == 0
    assert all(label.areas.p == 1 for label in found.sets[0].labels)
    assert found.conclusion[0].template.startswith("No difference is shown")
    assert found.conclusion[1].template.startswith("For no single label")


def test_pairing_makes_a_small_difference_visible(make_set):
    part = make_set(amount=0.3, rows=600)
    (whole,) = compare([part], bootstrap=300).sets
    assert whole.ci is not None
    paired = whole.ci.high - whole.ci.low
    (apart,) = compare([make_set(amount=30.0, rows=600)], bootstrap=300).sets
    assert apart.ci is not None and paired < 0.5 * (apart.ci.high - apart.ci.low)


def test_copies_of_images_do_not_make_a_difference_surer(make_set, tmp_path):
    truth, scores = drawn(100, LABELS)
    other = noisy(scores, 1.0)
    widths = []
    for times in (1, 3):
        one = written(tmp_path / "one.jsonl", answers(np.tile(scores, (times, 1)), LABELS, model="first 1.0"))
        two = written(tmp_path / "two.jsonl", answers(np.tile(other, (times, 1)), LABELS))
        images = labelled(np.tile(truth, (times, 1)), LABELS, groups=[*range(100)] * times)
        part = LabelledSet("set", images, read_predictions(one), read_predictions(two))
        (whole,) = compare([part], bootstrap=400).sets
        assert whole.groups == 100 and whole.ci is not None
        widths.append([whole.ci.high - whole.ci.low, *(label.areas.error for label in whole.labels)])
    np.testing.assert_allclose(widths[1], widths[0], rtol=0.25)


def test_sets_are_pooled_without_comparing_images_across_them(make_set):
    parts = [make_set("one", 200, seed=1), make_set("two", 400, seed=2)]
    found = compare(parts, bootstrap=200)
    assert found.pooled is not None and found.pooled.n == 600
    weights = np.array([200, 400]) / 600
    assert found.pooled.difference == pytest.approx(weights @ [part.difference for part in found.sets])
    for label in found.pooled.labels:
        own = [next(item for item in part.labels if item.label == label.label) for part in found.sets]
        low, high = sorted(item.areas.difference for item in own)
        assert low <= label.areas.difference <= high
        assert label.n == 600 and label.areas.error < max(item.areas.error for item in own)
    json.dumps(found.as_json(Language.TR), allow_nan=False)


def test_a_set_of_other_brightness_does_not_matter_to_the_pool(make_set, tmp_path):
    """Scores of one set all higher: pooled naively the areas would change, within sets they do not."""
    parts = [make_set("one", 200, seed=1), make_set("two", 200, seed=2)]
    before = compare(parts, bootstrap=0).pooled
    shifted = parts[1]
    lines = answers(np.round(0.9 + 0.1 * shifted.second.scores, 6), shifted.second.labels, model="second 1.0")
    moved = read_predictions(written(tmp_path / "moved.jsonl", lines))
    after = compare([parts[0], LabelledSet("two", shifted.images, shifted.first, moved)], bootstrap=0).pooled
    assert before is not None and after is not None
    assert after.difference == pytest.approx(before.difference, abs=1e-3)


def test_only_images_that_both_scored_are_compared(make_set, tmp_path):
    part = make_set(rows=100)
    lines = answers(part.second.scores, part.second.labels, model="second 1.0")
    lines[0] = answer(0, {}, suitable=False, flaws=["lateral"], model="second 1.0")
    del lines[1]
    second = read_predictions(written(tmp_path / "less.jsonl", lines))
    found = compare([LabelledSet("set", part.images, part.first, second)], bootstrap=0)
    assert found.sets[0].n == 98 and found.sets[0].ci is None
    assert "no interval" in found.conclusion[0].template


def test_a_label_with_too_few_images_is_in_the_mean_and_gets_no_test(make_set):
    part = make_set(rows=100)
    truth = part.images.truth.copy()
    truth[:, LABELS.index("Mass")] = 0
    truth[:4, LABELS.index("Mass")] = 1
    few = LabelledSet("set", labelled(truth, LABELS), part.first, part.second)
    found = compare([few], bootstrap=0).sets[0]
    assert [label.label for label in found.labels] == ["Effusion", "Hernia"]
    # The mean is that of `evaluate`.
    alone = evaluate(part.first, few.images, bootstrap=0)
    assert found.mean_labels == tuple(alone.as_json()["mean_auroc_labels"]) and "Mass" in found.mean_labels
    assert found.first == pytest.approx(alone.mean_auroc, abs=1e-12)
    without = np.where(np.arange(3) == LABELS.index("Mass"), 0, truth)
    none = LabelledSet("set", labelled(without, LABELS), part.first, part.second)
    with pytest.raises(DataError, match="no label that both models can be judged on"):
        compare([none], labels=["Mass"], bootstrap=0)


def test_images_that_one_of_the_two_learned_are_left_out(make_set):
    part = make_set(rows=100)
    same = np.arange(100) < 30
    learned = replace(part, learned=(LearnedMatch(same, ~same & False), None))
    found = compare([learned], bootstrap=0)
    reports = found.as_json()["sets"]["set"]["learned_rows"]
    assert (found.sets[0].n, reports["a"]["same"], reports["b"]["known"]) == (70, 30, False)
    assert "30 of the 100 rows" in found.conclusion[0].in_language(Language.EN)
    assert compare([learned], treatment=LearnedTreatment.INCLUDE, bootstrap=0).sets[0].n == 100


def test_other_images_of_a_patient_that_one_of_the_two_learned_are_left_out(make_set):
    part = make_set(rows=100, groups=np.arange(100) % 50)
    same = np.arange(100) < 20
    found = compare([replace(part, learned=(LearnedMatch(same, ~same & False), None))], bootstrap=0)
    report = found.as_json()["sets"]["set"]["learned_rows"]["a"]
    assert (found.sets[0].n, report["same"], report["near"]) == (60, 20, 20)


def test_models_of_other_findings_are_refused(make_set, tmp_path):
    part = make_set(rows=20)
    other = read_predictions(
        written(tmp_path / "other.jsonl", [answer(row, {"Glioma": 0.5}) for row in range(20)])
    )
    with pytest.raises(DataError, match="assess no label in common"):
        compare([LabelledSet("set", part.images, part.first, other)])
