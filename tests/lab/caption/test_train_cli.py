from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from tests.caption.tiny import tiny_blip2
from tests.lab.caption.train_kit import draw, make_prepared
from tetkik.cli.app import app


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return tiny_blip2(tmp_path_factory.mktemp("base") / "tiny-base")


@pytest.fixture(scope="module")
def folder(base, tmp_path_factory):
    parent = tmp_path_factory.mktemp("data")
    return make_prepared(draw(parent / "drawn", 16, 6, 2), base, parent / "prepared")


def run(*words: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["caption", "train", *map(str, words)], prog_name="tetkik")
    return result.exit_code, result.output


def test_a_prepared_folder_becomes_a_bundle(folder, base, tmp_path):
    out = tmp_path / "my-model"
    status, said = run(
        *(folder, "--base", base, "--out", out, "--epochs", 2, "--batch-size", 8, "--accumulation", 2),
        *("--rank", 4, "--target", "q_proj", "--target", "out_proj", "--dora", "--stop-by", "cider"),
        *("--judged", 3, "--max-tokens", 16, "--optimizer", "sgd", "--schedule", "constant"),
        *("--precision", "fp32", "--threads", 1, "--prompt", "An image of", "--licence", "CC BY 4.0"),
    )
    assert status == 0, said
    for words in (
        "The features of 22 images are computed once and take 0.01 GB",
        "weights learn",
        "Epoch 1: training loss",
        "train: training 32/32",
        "rouge_l",
        f"The model is in {out}.",
        f"Log, curves and captions are in {out}-log.",
    ):
        assert words in said, words
    manifest = json.loads((out / "manifest.json").read_text("utf-8"))
    training = manifest["training"]
    assert manifest["id"] == "my-model" and manifest["licence"] == "CC BY 4.0"
    assert manifest["preprocessing"]["prompt"] == "An image of"
    assert training["adapter"]["targets"] == ["q_proj", "out_proj"] and training["adapter"]["dora"]
    assert (training["optimizer"], training["schedule"], training["stop_by"]) == ("sgd", "constant", "cider")
    assert training["data_name"] == "captions" and training["accumulation"] == 2
    assert (out / "adapter_model.safetensors").is_file()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--out", "model"], "There is nothing to train on"),
        (["DATA"], "Nothing says where to write"),
        (["DATA", "--out", "model.zip"], "must be a folder"),
        (["DATA", "--out", "model", "--id", "bad id"], "no name for a model"),
        (["DATA", "--out", "model", "--card", "16GB"], "--card belongs to --plan"),
        (["DATA", "--out", "model", "--learning-rate", 3], "between 0 and 1"),
        (["DATA", "--out", "model", "--learning", "full", "--quantisation", "nf4"], "cannot learn"),
        (["DATA", "--out", "model", "--alpha", 0], "rank is 1 or more"),
        (["DATA", "--out", "model", "--target", "no_such"], "no linear layer called no_such"),
        (["DATA", "--out", "model", "--optimizer", "adamw_8bit"], "needs a GPU"),
    ],
)
def test_wrong_usage_is_one_sentence(words, sentence, folder, base, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = [folder if word == "DATA" else word for word in words]
    status, said = run(*words, "--base", base, "--precision", "fp32")
    assert status == 2 and sentence in said
    assert "Traceback" not in said
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_prepared_is_refused(base, tmp_path):
    status, said = run(tmp_path, "--base", base, "--out", tmp_path / "model")
    assert status == 1 and "not a prepared folder" in said


def test_too_little_memory_is_one_sentence(folder, base, tmp_path, monkeypatch):
    import torch

    from tetkik.lab.caption.training import trainer

    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(trainer.CaptionTrainer, "_loss", full)
    words = (folder, "--base", base, "--out", tmp_path / "model", "--precision", "fp32", "--batch-size", 8)
    status, said = run(*words)
    assert status == 1 and "too little memory for 8 captions at once; add --accumulation 2" in said
    assert [path.name for path in tmp_path.iterdir()] == [".model.features"]
