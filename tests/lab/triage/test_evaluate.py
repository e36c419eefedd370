"""A whole evaluation and a whole comparison, on invented complaints and a small scorer of words."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binomtest
from sklearn import metrics as reference

from tetkik import turkish
from tetkik.errors import DataError
from tetkik.lab.triage.comparison import compare, mcnemar
from tetkik.lab.triage.data import Complaints, read_complaints
from tetkik.lab.triage.evaluate import PERTURBING, SCORING, evaluate
from tetkik.language import Language
from tetkik.triage.calibration import ece

WORDS = {
    "Kardiyoloji": ("kalbim", "çarpıntı", "tansiyonum", "göğsüm"),
    "Göğüs Hastalıkları": ("öksürük", "nefesim", "balgam", "göğsüm"),
    "Nöroloji": ("başım", "uyuşma", "migren", "unutkanlık"),
    "Üroloji": ("idrarım", "böbrek", "yanma", "prostat"),
}


class WordScorer:
    """Counts the words of each department in the folded text: enough to be right most of the time."""

    def __init__(self, weight: float = 1.0, name: str = "words 1.0", threshold: float | None = 0.5) -> None:
        self.name, self.labels, self.abstain_threshold = name, tuple(WORDS), threshold
        self.trained_on = None
        self._weight = weight

    def scores(self, texts: Sequence[str]) -> NDArray[np.float64]:
        out = np.empty((len(texts), len(self.labels)))
        for row, text in enumerate(texts):
            words = turkish.fold(text).split()
            if not words:
                out[row] = np.nan
                continue
            counts = [sum(words.count(turkish.fold(word)) for word in WORDS[label]) for label in self.labels]
            powers = np.exp(self._weight * np.array(counts))
            out[row] = np.round(powers / powers.sum(), 6)
        return out


def _complaints(rows: int = 240, seed: int = 0, labels: Sequence[str] = tuple(WORDS)) -> Complaints:
    random = np.random.default_rng(seed)
    texts, truth = [], []
    for row in range(rows):
        label = labels[row % len(labels)]
        own = random.choice(WORDS[label], 3)
        other = random.choice(WORDS[labels[int(random.integers(len(labels)))]], random.integers(5))
        filler = [f"söz{random.integers(500)}" for _ in range(random.integers(2, 40))]
        texts.append(f"{' '.join([*filler[:2], *own, *other, *filler[2:]])} {row}.")
        truth.append(label)
    return Complaints(tuple(texts), tuple(truth), {})


@pytest.fixture(scope="module")
def evaluation():
    return evaluate(WordScorer(), _complaints(), bootstrap=200)


def test_every_figure_can_be_had_from_the_printed_probabilities(evaluation):
    complaints, found = _complaints(), evaluation.as_json()
    scores = WordScorer().scores(complaints.texts)
    labels = list(WORDS)
    truth = np.array([labels.index(label) for label in complaints.labels])
    predicted = scores.argmax(axis=1)
    assert found["n"] == 240
    assert found["accuracy"] == pytest.approx(reference.accuracy_score(truth, predicted))
    assert found["macro_f1"] == pytest.approx(reference.f1_score(truth, predicted, average="macro"))
    assert found["macro_precision"] == pytest.approx(
        reference.precision_score(truth, predicted, average="macro")
    )
    assert found["macro_recall"] == pytest.approx(reference.recall_score(truth, predicted, average="macro"))
    assert found["ece"] == pytest.approx(ece(scores, truth))
    assert found["confusion"] == {
        "labels": labels,
        "counts": reference.confusion_matrix(truth, predicted).tolist(),
    }
    for place, label in enumerate(labels):
        one = found["per_label"][label]
        assert one["support"] == 60
        assert one["f1"] == pytest.approx(reference.f1_score(truth == place, predicted == place))
        assert one["auroc"] == pytest.approx(reference.roc_auc_score(truth == place, scores[:, place]))
        for name in ("f1", "precision", "recall", "auroc"):
            low, high = one["ci"][name]
            assert low <= one[name] <= high


def test_the_json_has_the_keys_of_the_contract_and_is_json(evaluation):
    contract = ["n", "accuracy", "macro_f1", "macro_precision", "macro_recall", "top3_accuracy", "ece"]
    contract += ["brier_skill", "per_label", "confusion"]
    found = evaluation.as_json()
    assert set(contract) <= set(found)
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_the_same_seed_gives_the_same_evaluation(evaluation):
    again = evaluate(WordScorer(), _complaints(), bootstrap=200)
    assert again.as_json() == evaluation.as_json()


def test_the_order_of_rows_does_not_matter(evaluation):
    turned = evaluate(WordScorer(), _complaints().only(np.arange(240)[::-1]), bootstrap=0)
    for name in ("accuracy", "macro_f1", "top3_accuracy", "brier_skill"):
        assert getattr(turned, name) == pytest.approx(getattr(evaluation, name))
    assert turned.coverage.area == pytest.approx(evaluation.coverage.area)
    assert [item.accuracy for item in turned.robustness] == pytest.approx(
        [item.accuracy for item in evaluation.robustness]
    )


def test_folding_makes_the_scorer_deaf_to_letters_and_case(evaluation):
    changes = {item.id: item.accuracy_change for item in evaluation.robustness}
    assert changes["no_turkish_letters"] == changes["capitals"] == changes["lower_case"] == 0
    assert changes["typing_errors"] < 0
    for item in evaluation.robustness:
        low, high = item.ci["accuracy_change"].as_json()
        assert low <= item.accuracy_change <= high


def test_coverage_and_the_models_own_threshold(evaluation):
    found = evaluation.as_json()
    points = found["coverage"]["points"]
    assert [point["coverage"] for point in points] == [1.0, 0.95, 0.9, 0.8, 0.7, 0.6, 0.5]
    assert points[0]["accuracy"] == pytest.approx(found["accuracy"])
    confidence, correct = evaluation.judged.confidence, evaluation.judged.correct
    kept = confidence >= 0.5
    assert found["abstain"] == {
        "threshold": 0.5,
        "coverage": kept.mean(),
        "n": kept.sum(),
        "accuracy": pytest.approx(correct[kept].mean()),
    }


def test_parts_of_fewer_than_thirty_rows_have_a_reason_and_no_figure(evaluation):
    found = evaluation.as_json()["slices"]
    assert sum(part["n"] for part in found["length"].values()) == 240
    assert found["age"]["old"] == {
        "n": 0,
        "accuracy": None,
        "macro_f1": None,
        "ci": None,
        "reason": "Fewer than 30 complaints.",
    }
    assert found["age"]["not_told"]["accuracy"] is not None


def test_the_reading_is_in_both_languages(evaluation):
    english, turkish_ = (evaluation.as_json(tongue)["reading"] for tongue in (Language.EN, Language.TR))
    assert len(english) == len(turkish_) >= 5
    assert all(one != other for one, other in zip(english, turkish_, strict=True))
    assert "240" in english[0] and "240" in turkish_[0]


def test_a_confused_pair_and_neighbours_told_apart_are_named():
    class Confused(WordScorer):
        def scores(self, texts):
            scores = np.tile([0.05, 0.05, 0.85, 0.05], (len(texts), 1))
            for row, text in enumerate(texts):
                number = int(text.split()[-1].rstrip("."))
                own = number % 4
                # One in three of Nöroloji goes to Üroloji; all others are right.
                chosen = 3 if own == 2 and number % 3 == 0 else own
                scores[row] = np.where(np.arange(4) == chosen, 0.85, 0.05)
            return scores

    evaluation = evaluate(Confused(), _complaints(), bootstrap=100, robustness=False)
    reading = " ".join(evaluation.as_json()["reading"])
    assert "Often confused: Nöroloji → Üroloji 20 of 60 (33%), Üroloji → Nöroloji 0 of 60 (0%)." in reading
    assert "Kardiyoloji / Göğüs Hastalıkları (0/120)" in reading
    assert "Weakest departments: Nöroloji" in reading


def test_departments_that_are_never_named_are_not_told_apart_and_a_collapsed_model_is_warned_of():
    class Collapsed(WordScorer):
        def scores(self, texts):
            return np.tile([0.05, 0.05, 0.05, 0.85], (len(texts), 1))

    evaluation = evaluate(Collapsed(), _complaints(), bootstrap=0, robustness=False)
    reading = evaluation.as_json()["reading"]
    assert "100% of the complaints get the answer Üroloji, and 25% are of it" in reading[0]
    assert not any("Kardiyoloji / Göğüs Hastalıkları" in sentence for sentence in reading)
    assert not any("rarely confused" in sentence for sentence in reading)


def test_overconfidence_is_said():
    sure = evaluate(WordScorer(weight=9.0), _complaints(), bootstrap=0, robustness=False)
    assert any("too sure of itself" in sentence for sentence in sure.as_json()["reading"])


def test_unreadable_texts_count_as_wrong_and_are_stated():
    complaints = _complaints(40)
    with_blank = Complaints((*complaints.texts, "?!", "..."), (*complaints.labels, "Üroloji", "Nöroloji"), {})
    plain = evaluate(WordScorer(), complaints, bootstrap=50, robustness=False)
    found = evaluate(WordScorer(), with_blank, bootstrap=50, robustness=False)
    assert found.judged.unreadable == 2
    assert found.accuracy == pytest.approx(plain.accuracy * 40 / 42)
    assert found.ece == pytest.approx(plain.ece)
    assert found.brier_skill == pytest.approx(plain.brier_skill)
    assert found.coverage.points[0].accuracy == pytest.approx(found.accuracy)
    assert any("could not be read as complaints: 2;" in sentence for sentence in found.as_json()["reading"])


def test_nothing_but_unreadable_texts():
    found = evaluate(
        WordScorer(), Complaints(("?", "!!"), ("Üroloji", "Nöroloji"), {}), bootstrap=20
    ).as_json()
    assert found["accuracy"] == 0
    assert found["ece"] is None and found["brier_skill"] is None
    assert found["not_computed"]["ece"] == "No text could be read as a complaint."
    json.dumps(found, allow_nan=False)


def test_labels_the_model_was_never_taught_are_listed_and_in_no_figure():
    complaints = _complaints(40)
    more = Complaints(
        (*complaints.texts, "saçım dökülüyor"), (*complaints.labels, "Dermatoloji"), {"no label": 1}
    )
    found = evaluate(WordScorer(), more, bootstrap=20, robustness=False).as_json()
    assert found["n"] == 40
    assert found["not_evaluated"] == {"Dermatoloji": 1}
    assert found["left_out"] == {"no label": 1}
    assert any("Dermatoloji (1)" in sentence for sentence in found["reading"])


def test_a_label_that_the_data_lacks_is_null_with_its_reason():
    complaints = _complaints(40, labels=tuple(WORDS)[:3])
    found = evaluate(WordScorer(), complaints, bootstrap=20, robustness=False).as_json()
    assert found["per_label"]["Üroloji"] is None
    assert found["not_computed"]["per_label.Üroloji"] == "The data has no complaint with this label."
    present = [one["f1"] for one in found["per_label"].values() if one]
    assert found["macro_f1"] == pytest.approx(np.mean(present))


def test_two_rows():
    found = evaluate(WordScorer(), _complaints(2), bootstrap=100).as_json()
    assert found["n"] == 2
    assert all(part["accuracy"] is None for parts in found["slices"].values() for part in parts.values())
    json.dumps(found, allow_nan=False)


def test_one_class_only():
    found = evaluate(WordScorer(), _complaints(12, labels=("Üroloji",)), bootstrap=50).as_json()
    assert found["per_label"]["Üroloji"]["auroc"] is None
    assert found["brier_skill"] is None
    assert {"brier_skill", "per_label.Üroloji.auroc"} <= set(found["not_computed"])
    json.dumps(found, allow_nan=False)


def test_copies_of_one_complaint_have_no_interval():
    complaints = Complaints(("idrarım yanma yapıyor ve sızlıyor",) * 5, ("Üroloji",) * 5, {})
    found = evaluate(WordScorer(), complaints).as_json()
    assert found["bootstrap"]["groups"] == 1
    assert found["ci"]["accuracy"] is None
    assert "two groups" in found["not_computed"]["ci"]


def test_copies_do_not_narrow_the_interval():
    complaints = _complaints(60)
    thrice = Complaints(complaints.texts * 3, complaints.labels * 3, {})
    one, three = (
        evaluate(WordScorer(), part, robustness=False).ci["accuracy"] for part in (complaints, thrice)
    )
    assert one and three
    assert three.high - three.low == pytest.approx(one.high - one.low, abs=0.02)


def test_no_row_with_a_known_label_is_one_clear_sentence():
    with pytest.raises(
        DataError, match=r"No row has a label of the model, which knows: Kardiyoloji, .*check"
    ):
        evaluate(WordScorer(), Complaints(("dişim ağrıyor",), ("Diş",), {}))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("text\nbaşım ağrıyor\n", "has no column label"),
        ("text,label\nbaşım ağrıyor,nan\n,Üroloji\n", "has no row with a text and a usable label"),
    ],
)
def test_tables_that_cannot_be_judged_are_one_sentence(tmp_path, content, said):
    file = tmp_path / "data.csv"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=said):
        read_complaints(file)


def test_rows_with_a_nan_label_are_left_out_and_counted(tmp_path):
    file = tmp_path / "data.csv"
    file.write_text("text,label\nidrarım yanma yapıyor,Üroloji\nbaşım ağrıyor,NaN\n", encoding="utf-8")
    found = evaluate(WordScorer(), read_complaints(file)).as_json()
    assert (found["n"], found["left_out"]) == (1, {"no label": 1})


def test_a_scorer_with_the_wrong_shape_is_a_fault_of_the_program():
    class Wrong(WordScorer):
        def scores(self, texts):
            return np.zeros((len(texts), 2))

    with pytest.raises(ValueError, match="4 labels"):
        evaluate(Wrong(), _complaints(4))


def test_progress_counts_every_text_once_and_ends_at_the_total():
    result: dict[str, list[tuple[int, int | None]]] = {}
    evaluate(
        WordScorer(),
        _complaints(1100),
        bootstrap=0,
        progress=lambda step, done, total: result.setdefault(step, []).append((done, total)),
    )
    assert result[SCORING] == [(512, 1100), (1024, 1100), (1100, 1100)]
    assert result[PERTURBING][-1] == (6600, 6600)


@pytest.mark.parametrize(("b", "c"), [(0, 0), (5, 0), (3, 9), (7, 7), (40, 71), (1000, 1100)])
def test_mcnemar_is_the_binomial_test(b, c):
    test = mcnemar(b, c)
    assert test.p == pytest.approx(binomtest(b, b + c).pvalue if b + c else 1.0, rel=1e-9)
    point = math.comb(b + c, b) / 2 ** (b + c)
    assert test.mid_p == pytest.approx(min(1.0, test.p - point if b != c else 1.0), rel=1e-9)


def test_a_model_against_itself_is_alike():
    found = compare(WordScorer(), WordScorer(), _complaints(), bootstrap=100)
    assert (found.mcnemar.b, found.mcnemar.c, found.mcnemar.p) == (0, 0, 1.0)
    assert found.accuracy_difference == found.macro_f1_difference == 0
    assert found.as_json()["conclusion"][0] == "The two answer exactly alike on these complaints."


class Worse(WordScorer):
    """Never says Nöroloji."""

    def __init__(self) -> None:
        super().__init__(name="worse 2.0")

    def scores(self, texts):
        scores = super().scores(texts)
        scores[:, 2] = 0
        return scores


def test_the_better_model_is_named_whichever_comes_first():
    for first, second, sign in ((WordScorer(), Worse(), -1), (Worse(), WordScorer(), 1)):
        found = compare(first, second, _complaints(), bootstrap=200)
        assert math.copysign(1, found.accuracy_difference) == sign
        assert found.mcnemar.p < 0.001
        sentence = found.as_json()["conclusion"][0]
        assert sentence.startswith("words 1.0 is right more often than worse 2.0")
        assert "p < 0.001" in sentence
        low, high = found.as_json()["ci"]["macro_f1_difference"]
        assert low <= found.macro_f1_difference <= high
        assert (low > 0) == (sign > 0)
        pairs = found.both_right + found.both_wrong + found.mcnemar.b + found.mcnemar.c
        assert pairs == found.n == 240


def test_two_models_are_judged_on_the_labels_that_both_know():
    class Fewer(WordScorer):
        def __init__(self) -> None:
            super().__init__(name="fewer 1.0")
            self.labels = tuple(WORDS)[:3]

    found = compare(WordScorer(), Fewer(), _complaints(), bootstrap=20)
    assert found.n == 180
    assert found.not_evaluated == {"Üroloji": 60}


def test_models_of_one_name_are_told_apart():
    found = compare(WordScorer(), WordScorer(weight=-1.0), _complaints(40), bootstrap=20)
    assert (found.first.model, found.second.model) == ("A (words 1.0)", "B (words 1.0)")
