"""The pictures, the page and the files of every evaluation, in two languages."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.lab.caption.test_page import TRUE, evaluation_of
from tests.lab.findings.judging import answer, answers, drawn, labelled, predicted
from tests.pins.test_evaluations import trial_of
from tests.templates import translations
from tetkik.errors import MissingExtra, OutputError
from tetkik.lab.caption import evaluation_page as caption_page
from tetkik.lab.engine.charts import check_target, write_evaluation
from tetkik.lab.engine.figure_tables import EvaluationView
from tetkik.lab.findings import evaluation_page as findings_page
from tetkik.lab.findings.evaluate import evaluate as evaluate_findings
from tetkik.lab.triage import evaluation_page as triage_page
from tetkik.lab.triage.data import Complaints
from tetkik.lab.triage.evaluate import evaluate as evaluate_triage
from tetkik.lab.trial import trial_page
from tetkik.lab.trial.evaluate import evaluate_trial
from tetkik.language import Language
from tetkik.values import DEPARTMENTS

HOSTILE = "<b>Own</b>"
LABELS = ("Mass", "Effusion", HOSTILE)
BOTH_LANGUAGES = {"", "n", "F1", "AUROC", "ECE", "distinct-1", "distinct-2"}
FILES = {"metrics.json", "report.html"}
FINDINGS = (
    *("auroc", "co_occurrence", "co_occurrence_called", "precision_recall", "reliability", "roc", "task"),
)
TRIAGE = ("calibration", "confusion", "confusion_normalised", "coverage", "per_label", "roc")
TRIAL_TABLES = {"labels.csv", "checks.csv", "parts.csv", "cases.csv", "claim.csv", "decide-ai.csv"}


class NumberScorer:
    """Reads the department's number from the text, and is wrong where the text says so."""

    name = f"numbers {HOSTILE}"
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


def _findings(folder: Path) -> Any:
    truth, scores = drawn(120)
    truth[:10, 1] = -1
    images = labelled(truth, LABELS, source=["a", "b"] * 60, groups=[row // 2 for row in range(120)])
    predictions = predicted(folder, answers(scores, LABELS, screen=0.5))
    return evaluate_findings(predictions, images, task=LABELS[:2], bootstrap=50)


def _captions(_: Path) -> Any:
    found = evaluation_of([HOSTILE, *TRUE[1:]], near=TRUE[::-1])
    return replace(found, interpretation=caption_page.interpret(found))


@dataclass(frozen=True)
class Kind:
    """An evaluation: how it is made and shown, its tables and pictures, a word of its pages."""

    make: Callable[[Path], Any]
    view: Callable[[Any], EvaluationView]
    tables: set[str]
    pictures: Sequence[str]
    turkish: str
    english: str
    hidden: str = "0000.png"

    @property
    def names(self) -> set[str]:
        return FILES | self.tables | {f"{name}.png" for name in self.pictures}


KINDS = {
    "findings": Kind(
        _findings, findings_page.view, {"predictions.csv"}, FINDINGS, "Plevral efüzyon", "Pleural effusion"
    ),
    "triage": Kind(
        lambda _: evaluate_triage(NumberScorer(), _complaints(), bootstrap=50),
        triage_page.view,
        {"predictions.csv"},
        TRIAGE,
        "Fizik Tedavi ve Rehabilitasyon",
        "Departments",
        "gizli yakınma",
    ),
    "trial": Kind(
        lambda folder: replace(evaluate_trial(trial_of(folder)), model=HOSTILE),
        trial_page.view,
        TRIAL_TABLES,
        ("auroc", "parts", "sensitivity", "specificity"),
        "Sessiz deneme",
        "Silent trial",
    ),
    "caption": Kind(_captions, caption_page.view, {"captions.csv"}, ("lengths",), "ölçüt", "quartiles"),
}


@dataclass(frozen=True)
class Written:
    kind: Kind
    evaluation: Any
    folder: Path
    paths: tuple[Path, ...]

    @property
    def view(self) -> EvaluationView:
        return self.kind.view(self.evaluation)

    @property
    def page(self) -> str:
        return (self.folder / "report.html").read_text("utf-8")


@pytest.fixture(scope="module", params=KINDS)
def written(request, tmp_path_factory):
    kind = KINDS[request.param]
    evaluation = kind.make(tmp_path_factory.mktemp("made"))
    folder = tmp_path_factory.mktemp("out") / "sonuç"
    return Written(kind, evaluation, folder, write_evaluation(kind.view(evaluation), folder, Language.TR))


def test_every_file_is_written_and_nothing_else_is_left(written):
    assert {path.name for path in written.paths} == written.kind.names
    assert written.kind.names == {path.name for path in written.folder.iterdir()}
    for path in written.paths:
        if path.suffix == ".png":
            assert path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n") and path.stat().st_size > 5_000


def test_metrics_json_is_the_evaluation(written):
    found = json.loads((written.folder / "metrics.json").read_text("utf-8"))
    assert found == written.evaluation.as_json(Language.TR)


def test_no_file_names_an_image_or_has_words_of_a_patient(written):
    for path in written.paths:
        assert written.kind.hidden.encode() not in path.read_bytes()


def test_the_page_stands_alone_and_escapes_what_it_shows(written):
    page = written.page
    assert page.count("data:image/png;base64,") == len(written.kind.pictures)
    assert not re.search(r'(?:src|href)="(?!data:)', page), "nothing is loaded from elsewhere"
    assert "&lt;b&gt;Own" in page and "<b>Own" not in page
    assert '<html lang="tr">' in page and "tıbbi cihaz değildir" in page and written.kind.turkish in page


def test_the_page_is_in_the_language_asked_for(written, tmp_path):
    write_evaluation(written.view, tmp_path, Language.EN)
    english = (tmp_path / "report.html").read_text("utf-8")
    body = re.sub(r"<style>.*?</style>|data:[^\"]*", "", written.page, flags=re.DOTALL)
    for word in ("What the figures", "sensitivity", "Highest AUROC", " images", "In brackets", "How it was"):
        assert word not in body.replace("predictions.csv", ""), word
    for word in ("What the figures say", "In brackets: 95% intervals.", written.kind.english):
        assert word in english


def test_every_column_has_a_turkish_title(written):
    known = {english for _, english, _ in translations()}
    tables = (*written.view.tables, *written.view.more_tables)
    assert {title for table in tables for title in table.columns} - known <= BOTH_LANGUAGES


def test_the_same_evaluation_gives_the_same_bytes_and_other_files_stay(written, tmp_path):
    (tmp_path / "notlar.txt").write_text("kalsın", "utf-8")
    write_evaluation(written.view, tmp_path, Language.TR)
    assert {path.name for path in tmp_path.iterdir()} == written.kind.names | {"notlar.txt"}
    for name in written.kind.names:
        assert (tmp_path / name).read_bytes() == (written.folder / name).read_bytes(), name


def test_nothing_half_written_is_left_when_writing_fails(written, tmp_path, monkeypatch):
    real = Path.write_bytes

    def full_disk(self, data):
        if self.name == "report.html":
            raise OSError(28, "No space left on device")
        return real(self, data)

    monkeypatch.setattr(Path, "write_bytes", full_disk)
    with pytest.raises(OSError, match="No space"):
        write_evaluation(written.view, tmp_path / "out", Language.EN)
    assert list(tmp_path.iterdir()) == []


def _predictions(written: Written) -> list[dict[str, str]]:
    return list(csv.DictReader((written.folder / "predictions.csv").read_text("utf-8").splitlines()))


@pytest.mark.parametrize("written", ["findings"], indirect=True)
def test_predictions_of_findings_are_enough_to_count_again(written):
    rows = _predictions(written)
    assert len(rows) == 120 and len({row["group"] for row in rows}) == 60
    known = [row for row in rows if row["Effusion:truth"] != ""]
    called = [row for row in known if float(row["Effusion:score"]) >= 0.5]
    hits = sum(row["Effusion:truth"] == "1" for row in called)
    figures = written.evaluation.per_label["Effusion"]
    assert (len(known), hits / figures.n_positive) == (110, figures.sensitivity)


@pytest.mark.parametrize("written", ["triage"], indirect=True)
def test_predictions_of_triage_are_enough_to_count_again(written):
    rows = _predictions(written)
    assert len(rows) == 150
    right = sum(row["label"] == max(DEPARTMENTS, key=lambda name: float(row[name])) for row in rows)
    assert right / 150 == written.evaluation.accuracy


@pytest.mark.parametrize("written", ["triage"], indirect=True)
def test_a_users_matplotlibrc_does_not_change_the_pictures(written, tmp_path):
    import matplotlib as mpl

    before = mpl.rcParams["font.size"]
    with mpl.rc_context({"font.size": 30}):
        write_evaluation(written.view, tmp_path, Language.TR)
    assert (tmp_path / "per_label.png").read_bytes() == (written.folder / "per_label.png").read_bytes()
    assert mpl.rcParams["font.size"] == before


def test_pictures_of_very_few_images(tmp_path):
    lines = [answer(0, {"Mass": 0.2}, calibrated=False), answer(1, {"Mass": 0.2}, calibrated=False)]
    images = labelled(np.array([[1], [1]]), ("Mass",))
    found = evaluate_findings(predicted(tmp_path, lines), images, bootstrap=10)
    names = {path.name for path in write_evaluation(findings_page.view(found), tmp_path / "out", Language.TR)}
    assert names == FILES | {"predictions.csv"}
    assert found.mean_auroc is None


@pytest.mark.parametrize(
    ("given", "labels", "missing"),
    [
        (_complaints(2, DEPARTMENTS[:1]), DEPARTMENTS[:1], {"roc.png"}),
        (_complaints(2, DEPARTMENTS[:2]), DEPARTMENTS[:2], set()),
        (Complaints(("?",) * 3, DEPARTMENTS[:3], {}), DEPARTMENTS, {"roc.png", "calibration.png"}),
    ],
    ids=["one label", "two labels", "no readable text"],
)
def test_pictures_of_very_few_complaints(tmp_path, given, labels, missing):
    evaluation = evaluate_triage(NumberScorer(labels), given, bootstrap=10)
    names = {path.name for path in write_evaluation(triage_page.view(evaluation), tmp_path, Language.TR)}
    assert names == KINDS["triage"].names - missing


def test_a_file_in_the_way_and_a_missing_package_are_said_before_the_work(tmp_path, monkeypatch):
    (tmp_path / "dosya").write_text("", "utf-8")
    with pytest.raises(OutputError, match="is a file; choose a folder"):
        check_target(tmp_path / "dosya")
    monkeypatch.setattr("tetkik.lab.engine.charts.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"need matplotlib; `pip install '\.\[train\]'`"):
        check_target(tmp_path)
