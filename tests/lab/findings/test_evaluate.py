"""Judging: figures against scikit-learn, unknown left out, patients kept together, honest about the rest."""

from __future__ import annotations

import json

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn import metrics as reference

from tests.lab.findings.judging import answer, answers, drawn, labelled, predicted
from tetkik.errors import DataError, UsageError
from tetkik.lab.engine.learned_rows import LearnedMatch
from tetkik.lab.engine.options import LearnedTreatment
from tetkik.lab.findings.evaluate import evaluate
from tetkik.lab.findings.summaries import Method
from tetkik.language import Language
from tetkik.values import Sex, View

LABELS = ("Mass", "Effusion", "Hernia")


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory):
    """300 images, every label known; single patients."""
    truth, scores = drawn()
    lines = answers(scores, LABELS)
    return evaluate(predicted(tmp_path_factory.mktemp("made"), lines), labelled(truth, LABELS), bootstrap=200)


def test_the_figures_are_those_of_scikit_learn(evaluation):
    truth, scores = drawn()
    areas = []
    for at, label in enumerate(LABELS):
        found, positive, called = evaluation.per_label[label], truth[:, at] == 1, scores[:, at] >= 0.5
        assert found.auroc == pytest.approx(reference.roc_auc_score(positive, scores[:, at]), abs=1e-12)
        assert found.average_precision == pytest.approx(
            reference.average_precision_score(positive, scores[:, at]), abs=1e-12
        )
        assert found.f1 == found.f1_at_half == pytest.approx(reference.f1_score(positive, called))
        assert found.sensitivity == pytest.approx(reference.recall_score(positive, called))
        assert found.specificity == pytest.approx(reference.recall_score(~positive, ~called))
        wanted = 1 - reference.brier_score_loss(positive, scores[:, at]) / positive.var()
        assert found.brier_skill == pytest.approx(wanted)
        assert (found.n, found.n_positive) == (300, positive.sum())
        areas.append(found.auroc)
    assert evaluation.mean_auroc == pytest.approx(np.mean(areas))
    low, high = evaluation.mean_auroc_ci.as_json()
    assert low < evaluation.mean_auroc < high


def test_the_json_has_the_keys_of_the_contract_first(evaluation):
    made = json.loads(json.dumps(evaluation.as_json(), allow_nan=False))
    assert list(made)[1:5] == ["n", "mean_auroc", "mean_average_precision", "per_label"]
    assert list(made["per_label"]) == ["Effusion", "Mass", "Hernia"], "the shared order"
    assert list(made["per_label"]["Mass"])[:6] == [
        "auroc", "ci", "average_precision", "f1_at_0.5", "f1_at_threshold", "n_positive",
    ]  # fmt: skip
    low, high = made["per_label"]["Mass"]["ci"]
    assert low < made["per_label"]["Mass"]["auroc"] < high


def test_scores_that_know_nothing_come_to_a_half(tmp_path):
    truth, scores = drawn(3000, power=0.0)
    found = evaluate(predicted(tmp_path, answers(scores, LABELS)), labelled(truth, LABELS), bootstrap=100)
    assert found.mean_auroc == pytest.approx(0.5, abs=0.025)
    assert all(figures.auroc == pytest.approx(0.5, abs=0.05) for figures in found.per_label.values())
    said = " ".join(sentence.in_language(Language.EN) for sentence in found.interpretation)
    assert "Not shown to be better than guessing" in said


def test_shuffled_labels_come_to_a_half(tmp_path):
    truth, scores = drawn(3000)
    shuffled = np.random.default_rng(1).permutation(truth)
    predictions = predicted(tmp_path, answers(scores, LABELS))
    assert (evaluate(predictions, labelled(truth, LABELS), bootstrap=0).mean_auroc or 0) > 0.75
    found = evaluate(predictions, labelled(shuffled, LABELS), bootstrap=0)
    assert found.mean_auroc == pytest.approx(0.5, abs=0.025)


def test_unknown_is_left_out_and_never_absent(tmp_path):
    truth, scores = drawn()
    hidden = truth.copy()
    hidden[:100, 0] = -1
    found = evaluate(predicted(tmp_path, answers(scores, LABELS)), labelled(hidden, LABELS), bootstrap=0)
    wanted = reference.roc_auc_score(truth[100:, 0], scores[100:, 0])
    assert found.per_label["Mass"].auroc == pytest.approx(wanted)
    assert (found.per_label["Mass"].n, found.per_label["Effusion"].n) == (200, 300)


def test_where_patients_repeat_whole_patients_are_counted(tmp_path):
    truth, scores = drawn(100)
    one = evaluate(predicted(tmp_path, answers(scores, LABELS)), labelled(truth, LABELS), bootstrap=0)
    copies = labelled(np.tile(truth, (3, 1)), LABELS, groups=[*range(100)] * 3)
    many = evaluate(predicted(tmp_path, answers(np.tile(scores, (3, 1)), LABELS)), copies, bootstrap=0)
    for label in LABELS:
        single, repeated = one.per_label[label], many.per_label[label]
        assert (single.method, repeated.method) == (Method.DELONG, Method.OBUCHOWSKI)
        assert single.ci and repeated.ci and single.sensitivity_ci and repeated.sensitivity_ci
        assert repeated.ci.high - repeated.ci.low == pytest.approx(single.ci.high - single.ci.low, rel=0.25)
        width = single.sensitivity_ci.high - single.sensitivity_ci.low
        assert repeated.sensitivity_ci.high - repeated.sensitivity_ci.low == pytest.approx(width, rel=0.05)
    assert many.as_json()["bootstrap"]["groups"] == 100


def test_what_cannot_be_computed_is_null_with_its_reason_and_in_no_mean(tmp_path):
    labels = ("Mass", "Effusion", "Hernia", "Nodule", "Fibrosis")
    truth, scores = drawn(100)
    table = np.full((100, 5), -1)
    table[:, :3] = truth
    table[:, 1] = 0  # never present
    table[:, 3] = 1  # the model does not know it
    made = np.full((100, 5), np.nan)
    made[:, [0, 1, 2, 4]] = np.column_stack([scores, scores[:, 0]])
    found = evaluate(predicted(tmp_path, answers(made, labels)), labelled(table, labels), bootstrap=0)
    known = found.per_label
    assert [known[label].auroc for label in ("Effusion", "Nodule", "Fibrosis")] == [None] * 3
    areas = [known[label].auroc for label in ("Mass", "Hernia")]
    assert found.mean_auroc == pytest.approx(np.mean(np.array(areas, dtype=float)))
    assert known["Nodule"].n_positive == 100
    why = {name: reason.in_language(Language.EN) for name, reason in found.not_computed.items()}
    assert why["per_label.Effusion.auroc"].endswith("of 100 it is present in 0.")
    assert why["per_label.Nodule"] == "The model does not assess this label."
    assert why["per_label.Fibrosis"] == "The data says nothing about this label."
    assert "mean_auroc_ci" in why and "task" in why


def test_few_images_have_an_area_and_no_interval(tmp_path):
    truth, scores = drawn(12)
    truth[:, 0] = [1, 1, *[0] * 10]
    found = evaluate(predicted(tmp_path, answers(scores, LABELS)), labelled(truth, LABELS), bootstrap=50)
    assert found.per_label["Mass"].auroc is not None and found.per_label["Mass"].ci is None
    assert "per_label.Mass.ci" in found.not_computed


def test_a_model_without_calibration_has_no_error_of_it(tmp_path):
    truth, scores = drawn(60)
    lines = answers(scores, LABELS, calibrated=False)
    found = evaluate(predicted(tmp_path, lines), labelled(truth, LABELS), bootstrap=0)
    assert found.mean_ece is None and found.per_label["Mass"].ece is None
    assert "per_label.Mass.ece" in found.not_computed


def test_refused_unread_and_unanswered_images_are_counted_and_in_no_figure(tmp_path):
    truth, scores = drawn(100)
    lines = answers(scores, LABELS)
    for row, flaw in ((0, "rotated"), (1, "rotated"), (2, "lateral")):
        lines[row] = answer(row, {}, suitable=False, flaws=[flaw, "age"], route=None)
    lines[3] = {"path": "images/0003.png", "error": "images/0003.png is broken."}
    del lines[4]
    found = evaluate(predicted(tmp_path, lines), labelled(truth, LABELS), bootstrap=0)
    assert found.as_json()["unscored"] == {
        "refused": {"n": 3, "by_flaw": {"rotated": 2, "lateral": 1}},
        "failed": 1,
        "not_predicted": 1,
        "gated": True,
    }
    assert found.as_json()["n"] == 95
    wanted = reference.roc_auc_score(truth[5:, 0], scores[5:, 0])
    assert found.per_label["Mass"].auroc == pytest.approx(wanted)
    said = [sentence.in_language(Language.EN) for sentence in found.interpretation]
    assert any("refused them: 3 images (rotated 2, lateral 1)" in sentence for sentence in said)
    assert any("could not be read: 1" in sentence for sentence in said)
    assert any("no answer for it: 1 image" in sentence for sentence in said)


def test_figures_without_the_gate_say_so(tmp_path):
    truth, scores = drawn(50)
    lines = answers(scores, LABELS, gated=False)
    found = evaluate(predicted(tmp_path, lines), labelled(truth, LABELS), bootstrap=0)
    assert not found.unscored.gated
    assert any("gate was switched off" in s.in_language(Language.EN) for s in found.interpretation)


def test_parts_by_view_source_sex_age_and_prevalence(tmp_path):
    truth, scores = drawn(400)
    truth[:, 2] = np.arange(400) % 60 == 0
    rows = range(400)
    images = labelled(
        truth,
        LABELS,
        source=["a" if row % 4 else "b" for row in rows],
        view=[View.PA if row < 300 else View.AP if row < 390 else None for row in rows],
        sex=[Sex.FEMALE if row % 2 else Sex.MALE for row in rows],
        age=[None if row < 40 else 10 + row % 80 for row in rows],
    )
    found = evaluate(predicted(tmp_path, answers(scores, LABELS)), images, bootstrap=100)
    made = found.as_json()["slices"]
    for dimension in ("view", "source", "sex", "age"):
        assert sum(part["n"] for part in made[dimension].values()) == 400, dimension
    assert made["view"]["unknown"]["mean_auroc"] is None and "Fewer than" in made["view"]["unknown"]["reason"]
    inside = np.arange(400) < 300
    wanted = reference.roc_auc_score(truth[inside, 0], scores[inside, 0])
    assert made["view"]["PA"]["per_label"]["Mass"] == pytest.approx(wanted)
    assert "Hernia" not in made["view"]["AP"]["per_label"], "too few to tell"
    assert set(made["prevalence"]) == {"under_2", "10_or_more"}
    low, high = made["sex"]["F"]["ci"]
    assert low < made["sex"]["F"]["mean_auroc"] < high


def test_a_label_that_comes_with_its_source_is_warned_of(tmp_path):
    truth, scores = drawn(200)
    truth[:, 0] = np.arange(200) < 100
    scores[:, 0] = np.round(0.8 - 0.6 * (np.arange(200) >= 100), 6)
    images = labelled(truth, LABELS, source=["covid" if row < 100 else "others" for row in range(200)])
    found = evaluate(predicted(tmp_path, answers(scores, LABELS)), images, bootstrap=50)
    figures = found.per_label["Mass"]
    assert (figures.auroc, figures.source_shortcut, figures.auroc_within_source) == (1, 1, None)
    assert (found.per_label["Effusion"].source_shortcut or 1) < 0.7
    said = [
        sentence.in_language(Language.EN)
        for sentence in found.interpretation
        if "Warning: {label}" in sentence.template
    ]
    (warning,) = said
    assert warning.startswith(
        "Warning: Mass comes with its source. Knowing the source alone scores AUROC 1.00"
    )


def test_screening_tells_the_normal_from_the_rest(tmp_path):
    labels = ("Mass", "Effusion", "Normal", "Glioma", "No_Tumor")
    random = np.random.default_rng(0)
    truth = np.full((200, 5), -1)
    ill = random.random(200) < 0.4
    truth[:120, :3] = np.column_stack([ill, ill & (random.random(200) < 0.5), ~ill])[:120]
    truth[120:, 3:] = np.column_stack([ill, ~ill])[120:]
    screen = np.round(np.clip(0.3 * ill + random.random(200) * 0.7, 0, 1), 6)
    lines = [answer(row, dict.fromkeys(labels, 0.5), screen=float(screen[row])) for row in range(200)]
    found = evaluate(predicted(tmp_path, lines), labelled(truth, labels), bootstrap=50)
    chest, brain = found.screening
    assert (chest.route, chest.n, brain.route, brain.n) == ("chest", 120, "brain_mri", 80)
    assert chest.auroc == pytest.approx(reference.roc_auc_score(ill[:120], screen[:120]))
    assert brain.auroc == pytest.approx(reference.roc_auc_score(ill[120:], screen[120:]))
    assert chest.by == "screen" and chest.ci is not None


def test_screening_without_a_probability_goes_by_the_highest_score(tmp_path):
    truth, scores = drawn(100)
    table = np.column_stack([truth, ~truth.any(axis=1)]).astype(np.int8)
    labels = (*LABELS, "Normal")
    lines = answers(np.column_stack([scores, 1 - scores[:, 0]]), labels, calibrated=False)
    (chest,) = evaluate(predicted(tmp_path, lines), labelled(table, labels), bootstrap=0).screening
    assert chest.by == "highest_score"
    assert chest.auroc == pytest.approx(reference.roc_auc_score(truth.any(axis=1), scores.max(axis=1)))


def test_a_task_has_an_accuracy_beside_its_auroc(tmp_path):
    labels = ("Glioma", "Meningioma", "Pituitary", "No_Tumor")
    random = np.random.default_rng(0)
    true = random.integers(0, 4, 160)
    truth = np.eye(4, dtype=np.int8)[true]
    raised = 0.35 * truth + random.random((160, 4)) * 0.6
    scores: NDArray[np.float64] = np.round(np.clip(raised, 0, 1), 6).astype(np.float64)
    images = labelled(truth, labels)
    found = evaluate(predicted(tmp_path, answers(scores, labels)), images, task=labels, bootstrap=50)
    right = scores.argmax(axis=1) == true
    assert found.task is not None and found.task.ci is not None
    assert found.task.accuracy == pytest.approx(right.mean())
    assert found.task.n == 160 and found.task.confusion.trace() == right.sum()
    wanted = reference.balanced_accuracy_score(true, scores.argmax(axis=1))
    assert found.task.balanced_accuracy == pytest.approx(wanted)
    assert found.task.ci.low < right.mean() < found.task.ci.high


def test_findings_called_together_without_belonging_together_are_told(tmp_path):
    random = np.random.default_rng(0)
    truth = np.zeros((400, 2), dtype=np.int8)
    truth[:80, 0], truth[60:140, 1] = 1, 1
    both = random.random(400) < 0.2
    scores = np.round(np.where(both[:, None], 0.9, 0.1) + random.random((400, 2)) * 0.05, 6)
    labels = ("Cardiomegaly", "Effusion")
    found = evaluate(predicted(tmp_path, answers(scores, labels)), labelled(truth, labels), bootstrap=0)
    made = found.as_json()["co_occurrence"]
    assert made["labels"] == list(labels) and made["observed"][0][1] == 20
    assert made["expected"][0][1] == pytest.approx(16) and made["predicted"][0][1] == both.sum()
    assert any(
        "more often than they belong together" in sentence.template for sentence in found.interpretation
    )


def test_labels_can_be_chosen(tmp_path):
    truth, scores = drawn(60)
    predictions = predicted(tmp_path, answers(scores, LABELS))
    found = evaluate(predictions, labelled(truth, LABELS), labels=["Mass"], bootstrap=0)
    assert list(found.per_label) == ["Mass"] and found.mean_auroc == found.per_label["Mass"].auroc
    with pytest.raises(UsageError, match="know the label Tumour; choose among: Effusion, Hernia, Mass"):
        evaluate(predictions, labelled(truth, LABELS), labels=["Tumour"])


@pytest.mark.parametrize(
    ("task", "message"), [(["Mass"], "needs two labels"), (["Mass", "Glioma"], "names Glioma, which")]
)
def test_a_task_that_cannot_be_is_refused(tmp_path, task, message):
    truth, scores = drawn(30)
    with pytest.raises(UsageError, match=message):
        evaluate(predicted(tmp_path, answers(scores, LABELS)), labelled(truth, LABELS), task=task)


def test_a_table_that_the_answers_do_not_meet_is_refused(tmp_path):
    truth, scores = drawn(30)
    predictions = predicted(tmp_path, answers(scores, LABELS))
    with pytest.raises(DataError, match="assesses none of the labels"):
        evaluate(predictions, labelled(truth, ("Fibrosis", "Edema", "Nodule")))


def test_learned_images_are_left_out_with_figures_of_their_own(tmp_path):
    truth, scores = drawn(200)
    same = np.arange(200) < 60
    scores[:60] = np.where(truth[:60] == 1, 0.9, 0.1)
    answered = predicted(tmp_path, answers(scores, LABELS))
    learned = LearnedMatch(same, np.zeros(200, bool))
    found = evaluate(answered, labelled(truth, LABELS), learned=learned, bootstrap=0)
    report = found.as_json()["learned_rows"]
    assert (len(found.judged), report["same"], report["figures"]) == (140, 60, {"mean_auroc": 1.0})
    assert "60 of the 200 rows" in found.interpretation[0].in_language(Language.EN)
    with pytest.raises(DataError, match="60 of the 200 rows"):
        evaluate(answered, labelled(truth, LABELS), learned=learned, treatment=LearnedTreatment.REFUSE)


def test_other_images_of_a_learned_patient_are_left_out_too(tmp_path):
    truth, scores = drawn(200)
    same = np.arange(200) < 60
    images = labelled(truth, LABELS, groups=[row % 100 for row in range(200)])
    answered = predicted(tmp_path, answers(scores, LABELS))
    found = evaluate(answered, images, learned=LearnedMatch(same, ~same & False), bootstrap=0)
    report = found.as_json()["learned_rows"]
    assert (len(found.judged), report["same"], report["near"]) == (80, 60, 60)


def test_a_model_that_says_the_same_of_every_image_is_warned_of(tmp_path):
    truth, scores = drawn(100)
    scores[:, 1] = 0.3
    found = evaluate(predicted(tmp_path, answers(scores, LABELS)), labelled(truth, LABELS), bootstrap=0)
    said = found.interpretation[0].in_language(Language.EN)
    assert said.endswith("the same score, so the model tells nothing apart: Pleural effusion.")
