from __future__ import annotations

import csv
import json

import pyarrow as pa
import pytest
from pyarrow import parquet
from typer.testing import CliRunner

from tests.lab.findings.train_kit import draw, tiny_family
from tetkik.cli.app import app
from tetkik.findings.networks import FAMILIES
from tetkik.values import FINDING_LABELS


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setitem(FAMILIES, "tiny", tiny_family())


def run(*words: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["findings", "train", *map(str, words)], prog_name="tetkik")
    return result.exit_code, result.output


QUICK = (
    *("--network", "tiny", "--weights", "none", "--epochs", 3, "--batch-size", 8, "--threads", 1),
    *("--learning-rate", 0.01, "--min-positives", 3),
)


def test_a_data_set_with_the_images_inside_becomes_one_that_knows_its_rows(tmp_path):
    drawn = draw(tmp_path / "drawn", 80)
    with drawn.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    images = [{"bytes": (drawn.parent / row["file"]).read_bytes(), "path": row["file"]} for row in rows]
    columns = {name: [row[name] for row in rows] for name in rows[0] if name != "file"}
    path = tmp_path / "drawn.parquet"
    parquet.write_table(pa.table({"image": images, **columns}), path)
    out = tmp_path / "model"
    status, said = run(path, "--out", out, *QUICK)
    assert status == 0 and "80 images in 40 groups." in said, said
    words = ["findings", "evaluate", str(path), "--model", str(out), "--learned-rows", "refuse"]
    judged = CliRunner().invoke(app, words)
    assert judged.exit_code == 1 and "--learned-rows separate" in judged.output, judged.output


def test_a_table_becomes_a_bundle(tmp_path):
    table = draw(tmp_path / "drawn", 80)
    out = tmp_path / "my-model"
    status, said = run(
        table, "--images", table.parent, "--out", out, *QUICK, "--folds", 2, "--report-source", "north"
    )
    assert status == 0, said
    assert "80 images in 40 groups." in said
    assert "they will not be assessed: Atelectasis" in said
    assert "mean_auroc" in said and "auroc:Mass@north" in said
    assert f"2 of {len(FINDING_LABELS)} labels are assessed." in said
    manifest = json.loads((out / "manifest.json").read_text("utf-8"))
    assert manifest["id"] == "my-model" and manifest["training"]["folds"] == 2


def test_a_source_and_a_table_are_one_training(tmp_path):
    first, second = draw(tmp_path / "first", 60), draw(tmp_path / "second", 40, seed=1)
    status, said = run(
        *(first, "--source", f"csv:{second}=0.5", "--out", tmp_path / "model", *QUICK, "--folds", 2)
    )
    assert status == 0, said
    assert "100 images" in said


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--out", "model"], "There is nothing to train on"),
        (["--out", "model.zip"], "must be a folder"),
        (["--out", "model", "--images", "x"], "--images belongs to a table"),
        (["--out", "model", "--id", "bad id"], "no name for a model"),
        (["--out", "model", "--folds", 1], "One fold leaves nothing"),
        (["--out", "model", "--flip", "--no-augment"], "leave one of them out"),
        (["--out", "model", "--teacher", "t.csv", "--teacher-share", 2], "--teacher-share cannot be 2.0"),
        (["--out", "model", "--learning-rate", 3], "--learning-rate cannot be 3.0"),
    ],
)
def test_wrong_usage_is_one_sentence(words, sentence, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, said = run(*words)
    assert status == 2 and sentence in said
    assert list(tmp_path.iterdir()) == []


def test_a_plan_says_what_a_training_needs_and_trains_nothing(tmp_path):
    status, said = run("--out", tmp_path / "model", "--network", "tiny", "--plan")
    assert status == 0, said
    assert "activations of 32 images" in said and "It fits a card with 8 GiB." in said
    assert list(tmp_path.iterdir()) == []
