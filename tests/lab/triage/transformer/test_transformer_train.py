from __future__ import annotations

import csv
import os
import pickle
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.full_disk import full_disk
from tetkik.bundle import ComplaintReference, read_reference, sha256_of
from tetkik.errors import DataError, OutputError, TrainingError, UsageError
from tetkik.lab.engine.checkpoint import WorkFolder
from tetkik.lab.engine.learned_rows import read_learned
from tetkik.lab.engine.trainer import TrainingStopped
from tetkik.lab.triage.data import Complaints
from tetkik.lab.triage.transformer.data import prepare_data
from tetkik.lab.triage.transformer.train import train_transformer
from tetkik.triage.predict import load_triage


def silent(step, done, total):
    pass


def left_behind(out: Path) -> list[str]:
    return sorted(path.name for path in out.parent.iterdir())


def test_the_bundle_holds_what_it_promises(bundle):
    manifest = bundle.manifest
    assert manifest.kind == "transformer"
    assert manifest.labels == ("Dermatoloji", "Ortopedi", "Göz Hastalıkları")
    assert {"model.onnx", "model.safetensors", "config.json", "tokenizer.json", "README.md"} <= set(
        manifest.files
    )
    assert manifest.training["rows"] == {"training": 192, "validation": 24, "test": 24}
    learned = read_learned(bundle)
    assert learned is not None and not learned.complete  # what the base had learned is not known
    assert (manifest.id, manifest.licence) == ("named-otherwise", "cc0-1.0")
    assert {metric.data for metric in manifest.metrics} == {"invented"}
    figures = {metric.name: metric for metric in manifest.metrics}
    assert {"accuracy", "macro_f1", "macro_precision", "ece", "brier_skill"} <= set(figures)
    assert figures["accuracy"].n == 24 and figures["accuracy"].low is not None
    assert 0 < manifest.thresholds["abstain"] <= 1
    assert not manifest.preprocessing["cased"] or manifest.preprocessing["tokenizer_changed_for_turkish"]


def test_the_reference_is_of_rows_that_no_weight_was_fitted_on(bundle, complaints, options):
    reference = read_reference(bundle)
    assert isinstance(reference, ComplaintReference) and reference.split[0].template.startswith(
        "validation, 10%"
    )
    assert (reference.complaints, reference.data) == (24, "invented")
    held = prepare_data(complaints, options.seed)
    texts = [complaints.texts[row] for row in held.split.validation]
    scores = load_triage(bundle).scores(texts)
    for place, label in enumerate(bundle.manifest.labels):
        one = reference.labels[label]
        assert one.positive == sum(scores.argmax(axis=1) == place)
        assert one.present == sum(held.truth[held.split.validation] == place)
    assert reference.unknown is not None and reference.unknown.total == 24 - reference.refused
    assert "## Reference for drift" in (bundle.path / "README.md").read_text("utf-8")


def test_nothing_of_the_machine_gets_into_the_bundle(bundle, options):
    folder = str(Path(options.base).parent).encode()
    for name in ("model.onnx", "model-fp32.onnx", "manifest.json", "README.md", "config.json"):
        content = (bundle.path / name).read_bytes()
        assert folder not in content and b"site-packages" not in content


def test_the_work_folder_is_gone_and_the_epochs_are_told(bundle):
    assert left_behind(bundle.path) == [bundle.path.name]
    rows = list(csv.DictReader((bundle.path / "epochs.csv").read_text("utf-8").splitlines()))
    assert list(rows[0]) == [
        "epoch", "training_loss", "validation_loss", "accuracy", "macro_f1", "macro_precision"
    ]  # fmt: skip
    card = (bundle.path / "README.md").read_text("utf-8")
    assert all(f"{float(row['validation_loss']):.4f}"[:5] in card for row in rows)
    best = max(rows, key=lambda row: float(row["macro_f1"]))
    assert bundle.manifest.training["best_epoch"] == int(best["epoch"])


def test_the_exports_agree_with_torch(bundle):
    difference = bundle.manifest.training["onnx_difference"]
    assert difference["fp32"] < 1e-4
    assert difference["int8"] < 0.05


def test_transformers_opens_the_bundle_and_answers_alike(bundle, unseen):
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    from tetkik.triage.predict import load_model

    model = AutoModelForSequenceClassification.from_pretrained(bundle.path)
    tokenizer = AutoTokenizer.from_pretrained(bundle.path)
    with torch.no_grad():
        logits = model(**tokenizer([unseen.texts[0]], return_tensors="pt")).logits
    ours = load_model(bundle).probabilities(unseen.texts[:1])
    theirs = torch.softmax(logits / bundle.manifest.calibration["temperature"], dim=1).numpy()
    assert np.abs(ours - theirs).max() < 0.05
    assert model.config.id2label[2] == "Göz Hastalıkları"


_RESUME_AND_DIE = """
import os, pickle, signal, sys
from pathlib import Path
from tetkik.lab.triage.transformer.train import train_transformer
complaints, out, options = pickle.load(open(sys.argv[1], "rb"))
def die(step, done, total):
    if done == 40:
        os.kill(os.getpid(), signal.SIGKILL)
train_transformer(complaints, out, options, die)
"""


def test_ctrl_c_then_kill_then_resume_is_as_if_nothing_had_happened(bundle, complaints, options, tmp_path):
    out = tmp_path / "tiny"

    def interrupt(step, done, total):
        if done == 7:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(TrainingStopped, match="--resume"):
        train_transformer(complaints, out, options, interrupt)
    assert left_behind(out) == [".tiny.training"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler

    with pytest.raises(TrainingError, match="unfinished training"):
        train_transformer(complaints, out, options, silent)
    again = replace(options, resume=True)
    with pytest.raises(TrainingError, match="other data or settings"):
        train_transformer(complaints, out, replace(again, learning_rate=1e-3), silent)

    task = tmp_path / "task"
    task.write_bytes(pickle.dumps((complaints, out, again)))
    ended = subprocess.run([sys.executable, "-c", _RESUME_AND_DIE, str(task)], timeout=120, check=False)
    assert ended.returncode == -signal.SIGKILL
    task.unlink()
    latest = WorkFolder.beside(out).latest()
    assert latest is not None and latest.name == "checkpoint-00000036"

    seen = []
    resumed = train_transformer(complaints, out, again, lambda step, done, total: seen.append(done))
    assert min(done for done in seen if done > 4) == 37
    for name in ("model.safetensors", "epochs.csv"):
        assert sha256_of(resumed.path / name) == sha256_of(bundle.path / name)
    assert left_behind(out) == ["tiny"]


def test_no_room_on_the_disk_is_one_sentence_and_leaves_nothing(complaints, options, tmp_path):
    with full_disk(50_000), pytest.raises(OutputError, match="no room left"):
        train_transformer(complaints, tmp_path / "tiny", options, silent)
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_that_does_not_fit_leaves_the_one_before(tmp_path):
    work = WorkFolder(tmp_path)
    work.save(b"weights", {}, {"step": 1, "best": None})
    with full_disk(50_000), pytest.raises(OutputError):
        work.save(b"0" * 100_000, {}, {"step": 2, "best": None})
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-00000001"]


@pytest.mark.parametrize(
    ("texts", "labels", "fault"),
    [
        (["gözüm", "dizim"], ["Göz", "Diz"], "has 1 distinct row"),
        (["gözüm bir", "gözüm iki", "gözüm üç"], ["Göz"] * 3, "All 3 rows have the label Göz"),
        (["gözüm bir", "gözüm iki", "gözüm üç"], ["Göz", "nan", " "], "2 rows have no label"),
    ],
)
def test_data_that_cannot_be_trained_on_is_one_sentence(texts, labels, fault, options, tmp_path):
    with pytest.raises(DataError, match=fault):
        train_transformer(Complaints(tuple(texts), tuple(labels), {}), tmp_path / "out", options, silent)
    assert list(tmp_path.iterdir()) == []


def test_an_output_with_other_things_in_it_is_refused_before_training(complaints, options, tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(OutputError, match="not a model bundle"):
        train_transformer(complaints, tmp_path, options, silent)


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("./not/there", "no base model at"),
        ("nobody/nothing-of-this-name", "TETKIK_OFFLINE=false"),
        ("not an id", "no base model at"),
    ],
)
def test_a_base_that_cannot_be_had_is_one_sentence(name, fault, complaints, options, tmp_path):
    with pytest.raises(TrainingError, match=fault):
        train_transformer(complaints, tmp_path / "out", replace(options, base=name), silent)
    assert list(tmp_path.iterdir()) == []


def test_pickled_weights_are_refused_and_can_be_converted(complaints, options, tmp_path):
    import torch
    from safetensors.torch import load_file

    from tetkik.lab.triage.transformer.convert import convert_base
    from tetkik.lab.triage.transformer.data import open_base

    pickled = tmp_path / "pickled"
    pickled.mkdir()
    for file in Path(options.base).iterdir():
        if file.suffix != ".safetensors":
            (pickled / file.name).write_bytes(file.read_bytes())
    torch.save(load_file(Path(options.base) / "model.safetensors"), pickled / "pytorch_model.bin")
    with pytest.raises(TrainingError, match=r"transformer\.convert"):
        train_transformer(complaints, tmp_path / "out", replace(options, base=str(pickled)), silent)
    assert open_base(str(convert_base(str(pickled), tmp_path / "safe")), 32).casing.cased


def test_fp16_without_a_gpu_is_refused(complaints, options, tmp_path):
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(UsageError, match="needs a GPU"):
        train_transformer(complaints, tmp_path / "out", replace(options, precision="fp16"), silent)
