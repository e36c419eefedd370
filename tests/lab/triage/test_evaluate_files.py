"""The pictures, the page and the files of an evaluation, and its sentences in two languages."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from tetkik.errors import MissingExtra, OutputError
from tetkik.lab.engine.charts import check_target
from tetkik.lab.triage.data import Complaints
from tetkik.lab.triage.evaluate import evaluate
from tetkik.lab.triage.evaluation_page import write_evaluation
from tetkik.language import Language
from tetkik.values import DEPARTMENTS

NAMES = {
    "calibration.png",
    "confusion.png",
    "confusion_normalised.png",
    "coverage.png",
    "metrics.json",
    "per_label.png",
    "predictions.csv",
    "report.html",
    "roc.png",
}


class NumberScorer:
    """Reads the department's number from the text, and is wrong where the text says so."""

    name = "numbers <b>1.0</b>"
    abstain_threshold = 0.5
    trained_on = None

    def __init__(self, labels: Sequence[str] = DEPARTMENTS) -> None:
        self.labels = tuple(labels)

    def scores(self, texts):
        out = np.full((len(texts), len(self.labels)), 0.3 / max(len(self.labels) - 1, 1))
        for row, text in enumerate(texts):
            found = re.search(r"(\d+) gün", text.lower())
            if not found:
                out[row] = np.nan
            else:
                out[row, int(found[1]) % len(self.labels)] = 0.7
        return np.round(out, 6)


def _complaints(rows=150, labels=DEPARTMENTS) -> Complaints:
    texts = tuple(
        f"{row + (row % 4 == 0)} gündür süren gizli yakınma, kod{row} öyle{row}" for row in range(rows)
    )
    return Complaints(texts, tuple(labels[row % len(labels)] for row in range(rows)), {})


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("out") / "sonuç"
    evaluation = evaluate(NumberScorer(), _complaints(), bootstrap=50)
    return evaluation, folder, write_evaluation(evaluation, folder, Language.TR)


def test_every_file_is_written_and_nothing_else_is_left(written):
    _, folder, paths = written
    assert {path.name for path in paths} == NAMES == {path.name for path in folder.iterdir()}
    for path in paths:
        if path.suffix == ".png":
            assert path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
            assert path.stat().st_size > 5_000


def test_metrics_json_is_the_evaluation(written):
    evaluation, folder, _ = written
    assert json.loads((folder / "metrics.json").read_text("utf-8")) == evaluation.as_json(Language.TR)


def test_predictions_are_enough_to_count_again_and_hold_no_words_of_a_patient(written):
    evaluation, folder, _ = written
    rows = list(csv.DictReader((folder / "predictions.csv").read_text("utf-8").splitlines()))
    assert len(rows) == 150
    right = sum(row["label"] == max(DEPARTMENTS, key=lambda name: float(row[name])) for row in rows)
    assert right / 150 == evaluation.accuracy
    for name in NAMES - {"report.html"}:
        assert "gizli yakınma".encode() not in (folder / name).read_bytes()


def test_the_page_stands_alone_and_escapes_what_it_shows(written):
    _, folder, _ = written
    page = (folder / "report.html").read_text("utf-8")
    assert page.count("data:image/png;base64,") == 6
    assert not re.search(r'(?:src|href)="(?!data:)', page), "nothing is loaded from elsewhere"
    assert "numbers &lt;b&gt;1.0" in page and "<b>1.0" not in page
    assert "gizli yakınma" not in page
    assert '<html lang="tr">' in page and "tıbbi cihaz değildir" in page
    assert "Fizik Tedavi ve Rehabilitasyon" in page


def test_an_earlier_evaluation_is_replaced_and_other_files_stay(tmp_path):
    (tmp_path / "notlar.txt").write_text("kalsın", "utf-8")
    evaluation = evaluate(NumberScorer(), _complaints(30), bootstrap=0, robustness=False)
    write_evaluation(evaluation, tmp_path, Language.EN)
    first = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    write_evaluation(evaluation, tmp_path, Language.EN)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == first, "the same bytes each time"
    assert first["notlar.txt"] == "kalsın".encode()


def test_nothing_half_written_is_left_when_writing_fails(tmp_path, monkeypatch):
    evaluation = evaluate(NumberScorer(), _complaints(30), bootstrap=0, robustness=False)
    real = Path.write_bytes

    def full_disk(self, data):
        if self.name == "report.html":
            raise OSError(28, "No space left on device")
        return real(self, data)

    monkeypatch.setattr(Path, "write_bytes", full_disk)
    with pytest.raises(OSError, match="No space"):
        write_evaluation(evaluation, tmp_path, Language.EN)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("labels", [DEPARTMENTS[:1], DEPARTMENTS[:2]])
def test_pictures_of_very_little(tmp_path, labels):
    evaluation = evaluate(NumberScorer(labels), _complaints(2, labels), bootstrap=10)
    names = {path.name for path in write_evaluation(evaluation, tmp_path, Language.TR)}
    assert names == (NAMES if len(labels) == 2 else NAMES - {"roc.png"})


def test_no_readable_text_leaves_out_the_pictures_of_probabilities(tmp_path):
    evaluation = evaluate(NumberScorer(), Complaints(("?",) * 3, DEPARTMENTS[:3], {}), bootstrap=10)
    names = {path.name for path in write_evaluation(evaluation, tmp_path, Language.TR)}
    assert names == NAMES - {"roc.png", "calibration.png"}


def test_a_users_matplotlibrc_does_not_change_the_pictures(written, tmp_path):
    import matplotlib as mpl

    evaluation, folder, _ = written
    before = mpl.rcParams["font.size"]
    with mpl.rc_context({"font.size": 30}):
        write_evaluation(evaluation, tmp_path, Language.TR)
    assert (tmp_path / "per_label.png").read_bytes() == (folder / "per_label.png").read_bytes()
    assert mpl.rcParams["font.size"] == before


def test_a_file_in_the_way_and_a_missing_package_are_said_before_the_work(tmp_path, monkeypatch):
    (tmp_path / "dosya").write_text("", "utf-8")
    with pytest.raises(OutputError, match="is a file; choose a folder"):
        check_target(tmp_path / "dosya")
    monkeypatch.setattr("tetkik.lab.engine.charts.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"need matplotlib; `pip install '\.\[train\]'`"):
        check_target(tmp_path)
