"""`findings evaluate` and `findings compare` as they are typed: a real small network, real files."""

from __future__ import annotations

import contextlib
import io
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.findings.bundles import blob_image, make_findings_bundle
from tetkik.cli import main
from tetkik.settings import settings


@dataclass(frozen=True)
class Said:
    """What a command left behind."""

    status: int
    out: str
    err: str


def tetkik(folder: Path, *words: str, language: str = "en") -> Said:
    """Run `tetkik findings` in `folder`."""
    out, err = io.StringIO(), io.StringIO()
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.chdir(folder),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        patch.setattr(sys, "argv", ["tetkik", "findings", *words])
        patch.setenv("TETKIK_LANGUAGE", language)
        patch.setenv("COLUMNS", "160")
        settings.cache_clear()
        with pytest.raises(SystemExit) as ended:
            main()
    return Said(int(ended.value.code or 0), out.getvalue(), err.getvalue())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A bundle, 24 images (a bright blob is a nodule, mostly), a broken one, and their table."""
    folder = tmp_path_factory.mktemp("evaluate")
    make_findings_bundle(folder / "blobs")
    make_findings_bundle(folder / "deaf", taught=("Nodule",), thresholds={"Nodule": 0.3}, id="findings-deaf")
    (folder / "images").mkdir()
    random = np.random.default_rng(0)
    lines = ["file,Nodule,Normal,patient_id,view,sex,age"]
    for row in range(24):
        pixels = np.array(blob_image(0.5, 0.5).pixels, np.float64)
        strength = 1.0 if row % 2 else random.random() * 0.6
        pixels = 40 + (pixels - 40) * strength + random.normal(0, 2, pixels.shape)
        Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(folder / "images" / f"{row:02}.png")
        nodule = int(row % 2 != (row in (3, 8)))
        lines.append(f"{row:02}.png,{nodule},{1 - nodule},p{row // 2},{'PA' if row % 3 else 'AP'},F,50")
    (folder / "images" / "99.png").write_bytes(b"\x89PNG broken")
    lines.append("99.png,1,0,p99,PA,M,40")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "wrong.jsonl").write_text("file,Mass\n", encoding="utf-8")
    return folder


RUN = ("evaluate", "labels.csv", "--images", "images", "--bootstrap", "50", "--json", "--no-gate")


@pytest.fixture(scope="module")
def figures(folder):
    result = tetkik(folder, *RUN[:-1], "--model", "./blobs", "--no-gate", "--workers", "0", "--out", "out")
    assert result.status == 0, result.err
    return json.loads(result.out)


def test_the_figures_are_there(figures, folder):
    assert figures["n"] == 24 and figures["unscored"]["failed"] == 1
    assert 0.6 < figures["per_label"]["Nodule"]["auroc"] < 1
    assert figures["bootstrap"]["groups"] == 12
    assert figures["screening"]["chest"]["n"] == 24
    assert (folder / "out" / "report.html").is_file()


@pytest.fixture(scope="module")
def answers(folder):
    """What `predict --json` prints of the same images."""
    images = [f"images/{path.name}" for path in sorted((folder / "images").iterdir())]
    said = tetkik(folder, "predict", *images, "--model", "./blobs", "--no-gate", "--json", "--workers", "0")
    assert said.status == 1, "one file is broken"
    (folder / "answers.jsonl").write_text(said.out, encoding="utf-8")
    return "answers.jsonl"


def test_the_output_of_predict_gives_the_very_same_figures(figures, answers, folder):
    result = tetkik(folder, *RUN[:-1], "--predictions", answers)
    assert result.status == 0, result.err
    assert json.loads(result.out) == figures


def test_a_table_of_scores_has_the_areas_of_the_model_and_thresholds_that_are_given(figures, folder):
    images = [f"images/{path.name}" for path in sorted((folder / "images").iterdir())]
    said = tetkik(folder, "predict", *images, "--model", "./blobs", "--no-gate", "--csv", "--workers", "0")
    assert said.status == 1 and "99.png" in said.err, "the broken file is no line"
    assert said.out.startswith("file,") and said.out.count("\n") == 25
    (folder / "scores.csv").write_text(said.out, encoding="utf-8")
    run = (*RUN[:-1], "--predictions", "scores.csv", "--threshold", "nodule=0.4")
    result = tetkik(folder, *run)
    assert result.status == 0, result.err
    found = json.loads(result.out)["per_label"]["Nodule"]
    assert found["auroc"] == figures["per_label"]["Nodule"]["auroc"]
    assert (found["threshold"], found["threshold_on"], found["ece"]) == (0.4, "score", None)
    own = tetkik(folder, *RUN[:-1], "--model", "./blobs", "--no-gate", "--threshold", "Nodule=0.4")
    assert own.status == 0, own.err
    other = json.loads(own.out)["per_label"]["Nodule"]
    # The test's model has the identity as its calibration.
    assert [other[name] for name in ("threshold", "sensitivity", "specificity")] == [
        found[name] for name in ("threshold", "sensitivity", "specificity")
    ]
    assert found["sensitivity"] != figures["per_label"]["Nodule"]["sensitivity"]


def test_with_the_gate_what_it_refuses_is_counted_and_in_no_figure(folder):
    """A bare blob is no radiograph."""
    result = tetkik(folder, *RUN[:-1], "--model", "./blobs", "--workers", "0")
    assert result.status == 1
    assert "None of the 25 images in the table was scored: the quality gate refused 24, 1 could" in result.err


@pytest.mark.parametrize(("language", "words"), [("en", "Mean AUROC"), ("tr", "Ortalama AUROC")])
def test_a_person_reads_tables_and_sentences(folder, answers, language, words):
    result = tetkik(folder, *RUN[:-2], "--predictions", answers, language=language)
    assert result.status == 0, result.err
    assert words in result.out and "•" in result.out


def test_two_models_on_two_sets(folder):
    table = (folder / "labels.csv").read_text("utf-8")
    (folder / "again.csv").write_text(table, encoding="utf-8")
    common = ("compare", "./blobs", "./deaf", "labels.csv", "again.csv", "--images", "images", "--no-gate")
    result = tetkik(folder, *common, "--bootstrap", "20", "--workers", "0", "--json")
    assert result.status == 0, result.err
    found = json.loads(result.out)
    assert (found["a"], found["b"]) == ("findings-blobs 1.0", "findings-deaf 1.0")
    assert set(found["sets"]) == {"labels", "again"} and list(found["pooled"]["per_label"]) == ["Nodule"]
    assert found["pooled"]["difference"] == 0, "one network, two names"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("evaluate",), "Give a table of labels, or data sets with --source"),
        (
            ("evaluate", "labels.csv", "--predictions", "a.jsonl", "--model", "m"),
            "takes the place of a model",
        ),
        (("evaluate", "labels.csv", "--predictions", "wrong.jsonl"), "is not what `tetkik findings predict"),
        (("evaluate", "labels.csv", "--predictions", "none.jsonl"), "There is no file none.jsonl"),
        (
            ("evaluate", "labels.csv", "--predictions", "labels.csv"),
            "p0 in the column patient_id is no",
        ),
        (("evaluate", "labels.csv", "--model", "./deaf", "--threshold", "Nodule=2"), "write it as Mass=0.3"),
        (
            ("evaluate", "labels.csv", "--images", "images", "--model", "./deaf", "--threshold", "Mass=0.3"),
            "does not assess Mass",
        ),
        (("predict", "images", "--csv", "--json"), "--csv prints scores alone"),
        (("evaluate", "nothing.csv", "--images", "images"), "There is no file nothing.csv"),
        (("compare", "a", "b", "labels.csv", "--images", "x", "--images", "y"), "Give --images once"),
    ],
)
def test_wrong_words_are_one_sentence(folder, words, message):
    result = tetkik(folder, *words)
    assert result.status in {1, 2} and message in result.err
    assert result.err.count("\n") <= 2 and result.out == ""
