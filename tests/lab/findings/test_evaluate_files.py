"""The pictures, the page and the files of an evaluation, in two languages."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest

from tests.lab.findings.judging import answer, answers, drawn, labelled, predicted
from tetkik.lab.findings.evaluate import evaluate
from tetkik.lab.findings.evaluation_page import write_evaluation
from tetkik.language import Language

LABELS = ("Mass", "Effusion", "<b>Own</b>")
NAMES = {
    "auroc.png",
    "co_occurrence.png",
    "co_occurrence_called.png",
    "metrics.json",
    "precision_recall.png",
    "predictions.csv",
    "reliability.png",
    "report.html",
    "roc.png",
    "task.png",
}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    truth, scores = drawn(120)
    truth[:10, 1] = -1
    images = labelled(truth, LABELS, source=["a", "b"] * 60, groups=[row // 2 for row in range(120)])
    predictions = predicted(tmp_path_factory.mktemp("made"), answers(scores, LABELS, screen=0.5))
    evaluation = evaluate(predictions, images, task=LABELS[:2], bootstrap=50)
    folder = tmp_path_factory.mktemp("out") / "sonuç"
    return evaluation, folder, write_evaluation(evaluation, folder, Language.TR)


def test_every_file_is_written_and_nothing_else_is_left(written):
    _, folder, paths = written
    assert {path.name for path in paths} == NAMES == {path.name for path in folder.iterdir()}
    for path in paths:
        if path.suffix == ".png":
            assert path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n") and path.stat().st_size > 5_000


def test_metrics_json_is_the_evaluation(written):
    evaluation, folder, _ = written
    assert json.loads((folder / "metrics.json").read_text("utf-8")) == evaluation.as_json(Language.TR)


def test_predictions_are_enough_to_count_again_and_name_no_file(written):
    evaluation, folder, _ = written
    rows = list(csv.DictReader((folder / "predictions.csv").read_text("utf-8").splitlines()))
    assert len(rows) == 120 and len({row["group"] for row in rows}) == 60
    known = [row for row in rows if row["Effusion:truth"] != ""]
    called = [row for row in known if float(row["Effusion:score"]) >= 0.5]
    hits = sum(row["Effusion:truth"] == "1" for row in called)
    figures = evaluation.per_label["Effusion"]
    assert (len(known), hits / figures.n_positive) == (110, figures.sensitivity)
    for name in NAMES:
        assert b"0000.png" not in (folder / name).read_bytes()


def test_the_page_stands_alone_and_escapes_what_it_shows(written):
    _, folder, _ = written
    page = (folder / "report.html").read_text("utf-8")
    assert page.count("data:image/png;base64,") == len([name for name in NAMES if name.endswith(".png")])
    assert not re.search(r'(?:src|href)="(?!data:)', page), "nothing is loaded from elsewhere"
    assert "&lt;b&gt;Own" in page and "<b>Own" not in page
    assert '<html lang="tr">' in page and "tıbbi cihaz değildir" in page and "Plevral efüzyon" in page


def test_the_page_is_in_the_language_asked_for(written, tmp_path):
    evaluation, folder, _ = written
    write_evaluation(evaluation, tmp_path, Language.EN)
    english, turkish = ((path / "report.html").read_text("utf-8") for path in (tmp_path, folder))
    assert "Pleural effusion" in english and "What the figures say" in english
    body = re.sub(r"<style>.*?</style>|data:[^\"]*", "", turkish, flags=re.DOTALL)
    for word in ("What the figures", "sensitivity", "Highest AUROC", "images"):
        assert word not in body.replace("predictions.csv", ""), word


def test_the_same_evaluation_gives_the_same_bytes_and_other_files_stay(written, tmp_path):
    evaluation, folder, _ = written
    (tmp_path / "notlar.txt").write_text("kalsın", "utf-8")
    write_evaluation(evaluation, tmp_path, Language.TR)
    assert {path.name for path in tmp_path.iterdir()} == NAMES | {"notlar.txt"}
    for name in NAMES:
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes(), name


def test_nothing_half_written_is_left_when_writing_fails(written, tmp_path, monkeypatch):
    evaluation, _, _ = written
    real = Path.write_bytes

    def full_disk(self, data):
        if self.name == "report.html":
            raise OSError(28, "No space left on device")
        return real(self, data)

    monkeypatch.setattr(Path, "write_bytes", full_disk)
    with pytest.raises(OSError, match="No space"):
        write_evaluation(evaluation, tmp_path / "out", Language.EN)
    assert list(tmp_path.iterdir()) == []


def test_pictures_of_very_little(tmp_path):
    lines = [answer(0, {"Mass": 0.2}, calibrated=False), answer(1, {"Mass": 0.2}, calibrated=False)]
    images = labelled(np.array([[1], [1]]), ("Mass",))
    found = evaluate(predicted(tmp_path, lines), images, bootstrap=10)
    names = {path.name for path in write_evaluation(found, tmp_path / "out", Language.TR)}
    assert names == {"metrics.json", "predictions.csv", "report.html"}
    assert found.mean_auroc is None
