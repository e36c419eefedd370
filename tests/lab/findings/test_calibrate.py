"""`findings calibrate`: the same scores, read as other images say, and reported on none it was chosen on."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from tests.findings.bundles import make_findings_bundle, sensitivity
from tests.lab.findings.judging import answers, drawn, labelled, predicted
from tetkik.bundle import Bundle, ImageReference, open_bundle, read_reference, write_manifest
from tetkik.cli.app import app
from tetkik.cli.findings.evaluate import _show_of_calibrate
from tetkik.findings.onnx_model import preprocessing_of
from tetkik.findings.operating_points import OperatingPoints
from tetkik.findings.predict import load_findings
from tetkik.lab.engine.learned_rows import LearnedRows
from tetkik.lab.engine.options import LearnedTreatment
from tetkik.lab.engine.results import LearnedReport
from tetkik.lab.findings.calibration import SOURCE_CARD, CalibrationOptions, CalibrationResult, _fitted
from tetkik.lab.findings.data import match_learned, read_pictures
from tetkik.lab.findings.evaluate import judge
from tetkik.lab.findings.summaries import Unscored
from tetkik.values import ThresholdOn

ROWS, LEARNED = 90, 4
BEFORE = [sensitivity("Meningioma", 0.95), sensitivity("Nodule", 0.95), sensitivity("Pituitary", 0.95)]


def quiet(step: str, done: int, total: int | None) -> None:
    """No progress."""


def draw(folder: Path) -> None:
    """A bright blob is a nodule, mostly; `Meningioma` is told the wrong way round, `Glioma` hardly known."""
    random = np.random.default_rng(1)
    y, x = np.mgrid[:64, :64]
    lines = ["file,patient_id,Nodule,Normal,Meningioma,Glioma"]
    for row in range(ROWS):
        nodule = row % 2
        strength = random.uniform(60, 180) if nodule else random.uniform(0, 110)
        down, along = random.uniform(14, 50, 2)
        blob = strength * np.exp(-((y - down) ** 2 + (x - along) ** 2) / 10)
        slope = random.uniform(-0.7, 0.7, 2)
        pixels = 60 + slope[0] * (y - 32) + slope[1] * (x - 32) + blob + random.normal(0, 1, y.shape)
        Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(folder / f"{row:02}.png")
        # The first images are of one patient each; of the last twenty two are of one.
        patient = row if row < ROWS - 20 else ROWS + row // 2
        lines.append(f"{row:02}.png,p{patient},{nodule},{1 - nodule},{1 - nodule},{'1' if row < 3 else ''}")
    copy = np.asarray(Image.open(folder / "30.png"))
    Image.fromarray((copy * 0.9).astype(np.uint8)).save(folder / "90.png")
    lines.append("90.png,somebody else,0,1,1,")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


@dataclass(frozen=True)
class Done:
    """A calibration: its folder, the model before and after, and the JSON."""

    folder: Path
    old: Bundle
    new: Bundle
    said: dict[str, Any]


def run(*words: object) -> tuple[int, str, str]:
    """Exit status, standard output, standard error."""
    result = CliRunner().invoke(app, ["findings", "calibrate", *map(str, words)])
    assert "Traceback" not in result.output
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture(scope="module")
def done(tmp_path_factory) -> Done:
    """Calibrated with the gate off; the model says that it learned the first images, one of patient p1."""
    folder = tmp_path_factory.mktemp("calibrate")
    draw(folder)
    taught = ("Nodule", "Meningioma", "Normal", "Glioma", "Pituitary")
    old = make_findings_bundle(folder / "old", taught=taught, metrics=BEFORE)
    first = [folder / f"{row:02}.png" for row in range(LEARNED)]
    LearnedRows.of("x", pictures=read_pictures(first, preprocessing_of(old), quiet)[0]).write(old.path)
    write_manifest(old.path, old.manifest)
    words = ("--model", old.path, "--out", folder / "new", "--no-gate", "--workers", 0)
    status, said, err = run(folder / "labels.csv", *words, "--min-positives", 15, "--json")
    assert status == 0, err
    return Done(folder, open_bundle(folder / "old"), open_bundle(folder / "new"), json.loads(said))


def test_the_scores_stay_and_the_points_are_new(done):
    before, after = (load_findings(bundle, gate=False) for bundle in (done.old, done.new))
    points = after.points.points
    for row in (40, 41, 90):
        one, other = (model.predict(done.folder / f"{row:02}.png") for model in (before, after))
        assert len(other.findings) == len(one.findings)
        for earlier, later in zip(one.findings, other.findings, strict=True):
            if later.assessed:
                assert later.score == earlier.score
                assert later.threshold == done.new.manifest.thresholds[later.label]
                assert later.positive == ((later.probability or 0.0) >= (later.threshold or 0.0))
    nodule = points["Nodule"]
    assert nodule.platt != (1.0, 0.0) and nodule.threshold != 0.5 and nodule.asserts is not None
    known = np.arange(LEARNED, ROWS)
    found = [after.predict(done.folder / f"{row:02}.png") for row in known]
    claimed = [one.probability or 0.0 for answer in found for one in answer.findings if one.label == "Nodule"]
    assert np.mean(claimed) == pytest.approx(np.mean(known % 2), abs=0.03)


def test_a_label_with_few_cases_keeps_what_it_had_and_a_useless_one_goes(done):
    changes = {label: item["change"] for label, item in done.said["per_label"].items()}
    assert changes == {
        "Meningioma": "not_assessed",
        "Nodule": "calibrated",
        "Normal": "calibrated",
        "Glioma": "kept",
        "Pituitary": "kept",
    }
    assert set(done.new.manifest.thresholds) == {"Nodule", "Normal", "Glioma", "Pituitary"}
    for part in ("platt", "threshold", "on", "asserts", "rules_out"):
        old, new = (OperatingPoints.of(b.manifest, 0.9).points["Pituitary"] for b in (done.old, done.new))
        assert getattr(new, part) == getattr(old, part)
    metrics = {metric.name: metric for metric in done.new.manifest.metrics}
    assert metrics["sensitivity:Pituitary"] == BEFORE[2], "the figure that lets it rule out"
    assert "sensitivity:Meningioma" not in metrics
    nodule = metrics["sensitivity:Nodule"]
    assert nodule.low is not None and nodule.n == 43 and nodule.split[0].values["folds"] == 5
    assert metrics["screening_auroc:chest"].value > 0.8


def test_learned_images_are_left_out_and_the_given_ones_are_learned_from_now_on(done):
    learned = done.said["learned"]
    assert (learned["same"], learned["same_patient"]) == (LEARNED, 0)
    assert done.said["n"] == ROWS + 1 - LEARNED
    # Ten pairs of images are of one patient, and a darkened copy goes with its original.
    assert done.said["groups"] <= ROWS - LEARNED - 10
    files = [done.folder / f"{row:02}.png" for row in range(ROWS + 1)]
    match = match_learned(str(done.new.path), files, quiet)
    assert match is not None and match.same.all()


def test_files_card_and_reference(done):
    old, new = done.old, done.new
    assert (new.path / "model.onnx").read_bytes() == (old.path / "model.onnx").read_bytes()
    assert (new.path / SOURCE_CARD).read_text() == (old.path / "README.md").read_text()
    card = (new.path / "README.md").read_text("utf-8")
    assert old.manifest.name in card and "## Figures" in card
    assert "| Meningioma | 44 | 43 | not assessed |" in card
    reference = read_reference(new)
    assert isinstance(reference, ImageReference) and reference.images == ROWS + 1 - LEARNED
    model = load_findings(new, gate=False)
    called = 0
    for row in range(LEARNED, ROWS + 1):
        called += sum(one.positive for one in model.predict(done.folder / f"{row:02}.png").findings[5:6])
    assert model.predict(done.folder / "40.png").findings[5].label == "Nodule"
    assert reference.labels["Nodule"].positive == called and "Meningioma" not in reference.labels


def test_what_is_reported_was_not_chosen_on_the_reported_rows(tmp_path):
    """Turn the truth of one patient: the reading of that patient's own rows stays, that of others moves."""
    truth, scores = drawn(400)
    labels = ("Mass", "Effusion", "Hernia")
    groups = np.arange(400) // 2
    found = predicted(tmp_path, answers(scores, labels))
    options = CalibrationOptions("made up")
    readings = []
    for turned in (False, True):
        changed = truth.copy()
        changed[:2] = 1 - changed[:2] if turned else changed[:2]
        judged, _ = judge(found, labelled(changed, labels, groups=groups.tolist()))
        at = [judged.labels.index(label) for label in labels]
        readings.append(_fitted(judged, labels, judged.scores[:, at], judged.truth[:, at], options)[1])
    one, other = (reading.probability for reading in readings)
    assert np.array_equal(one[:2], other[:2]) and not np.array_equal(one[2:], other[2:])


def test_a_model_without_a_calibration_gets_one_where_there_are_cases(done, tmp_path):
    old = make_findings_bundle(
        tmp_path / "old",
        taught=("Nodule", "Glioma"),
        thresholds={"Nodule": 0.4, "Glioma": 0.4},
        calibration={"kind": "none", "threshold_on": "score", "band": [0.3, 0.5]},
    )
    words = (done.folder / "labels.csv", "--model", old.path, "--out", tmp_path / "new", "--no-gate")
    status, said, err = run(*words, "--workers", 0, "--min-positives", 15, "--threshold", "sensitivity")
    assert status == 0 and "does not tell which rows it learned" in " ".join(said.split()), err
    assert "Too few cases; they keep what they had: Glioma." in err
    points = load_findings(str(tmp_path / "new")).points.points
    nodule, glioma = points["Nodule"], points["Glioma"]
    assert (nodule.on, nodule.band) == (ThresholdOn.PROBABILITY, None) and nodule.platt is not None
    assert glioma == OperatingPoints.of(old.manifest, 0.9).points["Glioma"]
    assert (glioma.on, glioma.threshold, glioma.band) == (ThresholdOn.SCORE, 0.4, (0.3, 0.5))
    # What it learned before stays unknown; that these images are learned from now on does not.
    match = match_learned(str(tmp_path / "new"), [done.folder / "60.png"], quiet)
    assert match is not None and match.same.all() and not match.complete


def test_that_a_model_does_not_tell_all_is_said_beside_what_it_tells(done, capsys):
    told = LearnedReport(LearnedTreatment.SEPARATE, 9, 2, 0, complete=False)
    _show_of_calibrate(
        CalibrationResult(done.new, "old", 7, 7, told, 0, Unscored({}, 0, 0, gated=False), (), ())
    )
    said = " ".join(capsys.readouterr().out.split())
    assert "2 of the 9 rows are among those that old learned" in said
    assert "does not tell which rows the model that it was trained from had learned" in said


def test_what_cannot_be_is_said_in_one_sentence(done, tmp_path):
    table, words = done.folder / "labels.csv", ("--model", done.old.path, "--no-gate", "--workers", 0)
    status, _, err = run(table, *words, "--out", done.old.path)
    assert status == 2 and "stays as it is" in err
    status, _, err = run(table, *words, "--out", tmp_path / "out", "--min-positives", 60)
    assert status == 1 and "(best is " in err and "lower --min-positives" in err
    few = tmp_path / "few.csv"
    few.write_text("file,Nodule\n00.png,0\n01.png,1\n", encoding="utf-8")
    status, _, err = run(few, "--images", done.folder, *words, "--out", tmp_path / "out")
    assert status == 1 and "All 2 images are among those" in err
    wrong = tmp_path / "wrong.csv"
    wrong.write_text("".join(f"{r:02}.png,{1 - r % 2}\n" if r else "file,Nodule\n" for r in range(90)))
    options = ("--images", done.folder, "--out", tmp_path / "out", "--min-positives", 15)
    status, _, err = run(wrong, *words, *options)
    assert status == 1 and "tell these images apart in no label" in err
    assert not (tmp_path / "out").exists()
