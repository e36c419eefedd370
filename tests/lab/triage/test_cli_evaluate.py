"""`tetkik triage evaluate` and `compare` as a script meets them."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tetkik.bundle import available
from tetkik.cli import main
from tetkik.settings import settings

pytest.importorskip("tetkik.triage.predict")

ROWS = (
    ("idrar yaparken yanma var, böbrek taşım düşmedi", "Üroloji"),
    ("başım dönüyor, migren ağrım üç gündür geçmiyor", "Nöroloji"),
    ("prostatım büyümüş, gece sık idrara çıkıyorum", "Üroloji"),
    ("ellerimde uyuşma ve unutkanlık başladı", "Nöroloji"),
    ("cildimde kaşıntılı kızarıklık ve sivilce çıktı", "Dermatoloji"),
    ("gözüm bulanık görüyor ve sulanıyor", "Göz Hastalıkları"),
)


class Fixed:
    """Says the same of every text."""

    labels = ("Üroloji", "Nöroloji")
    abstain_threshold = None
    trained_on = None

    def __init__(self, name: str, *, device: object = None) -> None:
        self.name = f"{name} 1.0"
        self._first = 0.25 if name == "nöro" else 0.75

    def scores(self, texts: Sequence[str]) -> NDArray[np.float64]:
        return np.tile([self._first, 1 - self._first], (len(texts), 1))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "veri.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerows([("text", "label"), *ROWS, ("etiketsiz satır", "nan")])
    return path


@pytest.fixture
def fixed(monkeypatch):
    monkeypatch.setattr("tetkik.triage.predict.load_triage", Fixed)


@pytest.fixture
def run(monkeypatch, capsys):
    monkeypatch.setenv("TETKIK_LANGUAGE", "en")
    monkeypatch.setenv("COLUMNS", "100")
    settings.cache_clear()

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["tetkik", "triage", *map(str, arguments)])
        with pytest.raises(SystemExit) as ending:
            main()
        said = capsys.readouterr()
        return int(ending.value.code or 0), said.out, said.err

    yield call
    settings.cache_clear()


@pytest.mark.usefixtures("fixed")
def test_json_is_one_object_on_standard_output_and_nothing_else(run, data):
    status, out, err = run("evaluate", data, "--model", "üro", "--json")
    found = json.loads(out)
    assert (status, found["n"], found["accuracy"]) == (0, 4, 0.5)
    assert found["not_evaluated"] == {"Dermatoloji": 1, "Göz Hastalıkları": 1}
    assert found["left_out"] == {"no label": 1}
    assert "Rows of the file left out (no label): 1." in err


@pytest.mark.usefixtures("fixed")
def test_out_gets_the_files_and_the_terminal_the_tables(run, data, tmp_path):
    status, out, err = run("evaluate", data, "--model", "üro", "--out", tmp_path / "out", "--no-robustness")
    assert status == 0
    assert "üro 1.0" in out and "Accuracy" in out and "Nöroloji" in out and "Not computed: 8;" in out
    assert "begin with report.html" in " ".join(err.split())
    assert {"metrics.json", "confusion.png", "roc.png", "calibration.png"} <= {
        path.name for path in (tmp_path / "out").iterdir()
    }


@pytest.mark.usefixtures("fixed")
def test_compare_says_who_is_right_where(run, data):
    status, out, _ = run("compare", "üro", "nöro", data)
    assert status == 0
    assert "No difference in accuracy is shown: only üro 1.0 is right on 2 complaints" in " ".join(
        out.split()
    )
    found = json.loads(run("compare", "üro", "nöro", data, "--json")[1])
    assert (found["only_a_right"], found["only_b_right"], found["mcnemar"]["p"]) == (2, 2, 1.0)


@pytest.mark.usefixtures("fixed")
@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("text\nbaşım ağrıyor\n", "has no column label"),
        ("text,label\nsaçım dökülüyor,Saç\n", "No row has a label of the model"),
        ("", "is empty; give a file with a header and rows"),
    ],
)
def test_a_fault_is_one_sentence_and_never_a_traceback(run, tmp_path, content, said):
    path = tmp_path / "kötü.csv"
    path.write_text(content, "utf-8")
    status, out, err = run("evaluate", path, "--model", "üro", "--json")
    assert (status, out) == (1, "")
    assert said in err and "Traceback" not in err


def test_the_figures_can_be_had_from_predict_by_anyone(run, data):
    if not any(bundle.manifest.id == settings().triage_model for bundle in available()):
        pytest.skip("the built-in model is not in this build")
    found = json.loads(run("evaluate", data, "--json", "--no-robustness")[1])
    _, lines, _ = run("predict", "--input", data, "--json")
    answers = [json.loads(line) for line in lines.splitlines()][: len(ROWS)]
    right = [
        answer["departments"][0]["name"] == label for answer, (_, label) in zip(answers, ROWS, strict=True)
    ]
    assert found["accuracy"] == pytest.approx(np.mean(right))
    errors = 0.0
    frequency = {
        label: sum(true == label for _, true in ROWS) / len(ROWS) for label in found["confusion"]["labels"]
    }
    reference = 0.0
    for answer, (_, label) in zip(answers, ROWS, strict=True):
        given = {item["name"]: item["probability"] for item in answer["departments"]}
        errors += sum((given[name] - (name == label)) ** 2 for name in frequency)
        reference += sum((share - (name == label)) ** 2 for name, share in frequency.items())
    assert found["brier_skill"] == pytest.approx(1 - errors / reference)
