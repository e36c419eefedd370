"""Whole trainings of a tiny network on drawn images."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.lab.findings.train_kit import (
    LABELS,
    SIZE,
    draw,
    killable_options,
    quick_options,
    silent,
    tiny_family,
)
from tetkik.bundle import Bundle
from tetkik.errors import DataError, OutputError, TrainingError, UsageError
from tetkik.findings.networks import FAMILIES
from tetkik.findings.predict import load_model
from tetkik.imaging.prepare import prepare
from tetkik.imaging.read import read_image
from tetkik.lab.engine.learned_rows import Pictures, read_learned
from tetkik.lab.engine.precision import Precision, accelerator_for
from tetkik.lab.engine.session import log_folder
from tetkik.lab.engine.trainer import TrainingStopped
from tetkik.lab.findings.data import LabelledImages, match_learned, read_labels
from tetkik.lab.findings.train import train_findings
from tetkik.lab.findings.training.bundle import learned_rows
from tetkik.lab.findings.training.options import TeacherOptions, TeacherUse
from tetkik.lab.findings.training.runs import prepare_training
from tetkik.statistics import auroc
from tetkik.values import FINDING_LABELS

KIT = Path(__file__).with_name("train_kit.py")


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FAMILIES, "tiny", tiny_family())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw(tmp_path_factory.mktemp("drawn"), 160).parent


@pytest.fixture(scope="module")
def images(folder: Path) -> LabelledImages:
    return read_labels(folder / "labels.csv", folder)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, images: LabelledImages) -> Bundle:
    """Out of four folds, with the figures of one source too; not to be changed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(FAMILIES, "tiny", tiny_family())
        out = tmp_path_factory.mktemp("models") / "drawn-signs"
        options = quick_options(folds=4, epochs=5, report_sources=("south",), data_name="drawn")
        return train_findings(images, out, options, silent)


def left_behind(out: Path) -> list[str]:
    return sorted(path.name for path in out.parent.iterdir())


TOLD: set[str] = set()


def ignore(step: str, done: int, total: int | None) -> None:
    TOLD.add(step)


def table(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text("utf-8").splitlines()))


def test_the_bundle_says_what_it_was_taught_and_what_not(bundle):
    manifest = bundle.manifest
    assert manifest.labels == FINDING_LABELS and manifest.kind == "tiny"
    assert set(manifest.thresholds) == set(manifest.calibration["labels"]) == {"Mass", "Effusion"}
    assert manifest.preprocessing["size"] == SIZE
    assert manifest.calibration["threshold_on"] == "probability"
    low, high = manifest.calibration["ages"]
    assert 20 <= low < 25 and 75 < high < 80
    figures = {metric.name: metric for metric in manifest.metrics}
    assert figures["mean_auroc"].value > 0.95 and figures["mean_auroc"].n > 150
    assert figures["sensitivity:Mass"].low is not None
    assert figures["sensitivity:Mass"].low < figures["sensitivity:Mass"].value
    assert "auroc:Mass@south" in figures and "auroc:Nodule" not in figures
    assert {metric.data for metric in manifest.metrics} == {"drawn"}


def test_the_bundle_finds_what_was_drawn(bundle, tmp_path):
    unseen = read_labels(draw(tmp_path / "unseen", 60, seed=7), tmp_path / "unseen")
    model = load_model(str(bundle.path))
    batch = np.stack([prepare(read_image(file), model.preprocessing) for file in unseen.files])
    scores, maps = model.scores_and_maps(batch)
    for label in ("Mass", "Effusion"):
        known = unseen.column(label) >= 0
        found = scores[known, FINDING_LABELS.index(label)].astype(np.float64)
        area = auroc(found, unseen.column(label)[known] == 1)
        assert area is not None and area > 0.95
    assert maps is not None and maps.shape[:2] == (60, len(FINDING_LABELS))


def test_the_bundle_knows_the_images_that_it_learned(bundle, images, tmp_path):
    again = tmp_path / "again.jpg"
    Image.open(images.files[7]).resize((150, 150)).save(again, quality=80)
    match = match_learned(str(bundle.path), [*images.files[:5], again, *drawn_again(tmp_path)], silent)
    assert match is not None
    assert match.same.tolist() == [True] * 5 + [False] * 7
    assert match.near.tolist() == [False] * 5 + [True] + [False] * 6


@pytest.mark.parametrize(
    ("weights", "complete", "known"), [("model.safetensors", True, 5), ("copy.pth", False, 0)]
)
def test_a_model_that_goes_on_from_another_knows_the_images_of_that(
    bundle, images, tmp_path, weights, complete, known
):
    options = quick_options(weights=str(bundle.path / weights))
    new = read_labels(draw(tmp_path / "new", 40, seed=9), tmp_path / "new")
    learned = learned_rows(prepare_training(new, options, tmp_path / "one", silent))
    old = prepare_training(images, options, tmp_path / "other", silent).config.images
    match = learned.match_pictures(Pictures.of([old.batch(np.arange(5))]))
    assert (learned.complete, int(match.same.sum())) == (complete, known)


def drawn_again(folder: Path) -> list[Path]:
    """Five images that were not learned, and a file that is none."""
    files = draw(folder / "new", 5, seed=9).parent.glob("**/*.png")
    return [*sorted(files), folder / "none.png"]


def test_every_figure_can_be_computed_again_from_the_scores(bundle, images):
    rows = table(bundle.path.parent / "drawn-signs-log" / "scores.csv")
    assert [row["file"] for row in rows] == list(images.names)
    figures = {metric.name: metric for metric in bundle.manifest.metrics}
    for label in ("Mass", "Effusion"):
        known = [row for row in rows if row[f"truth:{label}"] != "-1"]
        positive = np.array([row[f"truth:{label}"] == "1" for row in known])
        scores = np.array([float(row[f"score:{label}"]) for row in known])
        assert auroc(scores, positive) == pytest.approx(figures[f"auroc:{label}"].value, abs=1e-4)
        called = np.array([row[f"called:{label}"] == "1" for row in known])
        assert figures[f"sensitivity:{label}"].value == pytest.approx(called[positive].mean())
    folds: dict[str, str] = {}
    for row in rows:
        assert folds.setdefault(row["group"], row["fold"]) == row["fold"]
    assert set(folds.values()) == {"0", "1", "2", "3"}


def test_nothing_is_left_but_the_bundle_and_its_log(bundle):
    assert left_behind(bundle.path) == ["drawn-signs", "drawn-signs-log"]
    log = bundle.path.parent / "drawn-signs-log"
    assert sorted(path.name for path in log.iterdir()) == ["curves.png", "epochs.csv", "scores.csv"]
    epochs = table(log / "epochs.csv")
    assert len(epochs) == 5 * 5 and epochs[-1]["run"] == "final-member-0"
    assert float(epochs[-1]["training_loss"]) < 0.5 * float(epochs[-5]["training_loss"])


def test_the_card_tells_the_data_the_limits_and_the_sources(bundle):
    card = (bundle.path / "README.md").read_text("utf-8")
    assert "| north | 106 |" in card and "| Mass | " in card
    assert "Wang et al." not in card  # no image of the NIH was learned
    assert "Unknown is never read as absent" in card and "Not for a diagnosis" in card


def test_nothing_of_the_machine_gets_into_the_bundle(bundle, folder):
    for name in bundle.manifest.files:
        content = (bundle.path / name).read_bytes()
        assert str(folder.parent).encode() not in content and b"site-packages" not in content
        assert b"000.png" not in content


@pytest.mark.parametrize("members", [1, 2])
def test_a_training_with_parts_chooses_its_epoch_on_validation(images, tmp_path, members):
    options = quick_options(members=members, half=members == 2, ema=0.5)
    made = train_findings(images, tmp_path / "model", options, silent)
    epochs = table(tmp_path / "model-log" / "epochs.csv")
    assert {row["run"] for row in epochs} == {f"member-{number}" for number in range(members)}
    for number, best in enumerate(made.manifest.training["best_epochs"]):
        own = [row for row in epochs if row["run"] == f"member-{number}"]
        assert float(own[best - 1]["mean_auroc"]) == max(float(row["mean_auroc"]) for row in own)
    learned = read_learned(made)
    assert learned is not None and len(learned.images) < len(images.files)  # all but the test part
    assert ("model.safetensors" in made.manifest.files) == (members == 1)


def test_unknown_labels_and_unreadable_images_cost_themselves_alone(folder, images, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    files = (broken, *images.files[1:])
    made = train_findings(
        replace(images, files=files), tmp_path / "model", quick_options(epochs=1, folds=2), silent
    )
    assert made.manifest.training["rows_left_out"] == {"image that cannot be read": 1}
    assert made.manifest.training["images"] == 159


def test_a_killed_training_resumes_to_the_very_same_weights(folder, images, tmp_path):
    whole, cut = (tmp_path / name / "model" for name in ("whole", "cut"))
    cut.parent.mkdir()
    paths = [str(Path(__file__).parents[3]), os.environ.get("PYTHONPATH", "")]
    killed = subprocess.run(
        # In the second epoch of the first network of the second fold, between two checkpoints.
        [sys.executable, str(KIT), str(folder), str(cut), "15"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"},
        timeout=900,
        check=False,
    )
    assert killed.returncode == -9
    train_findings(images, whole, killable_options(), silent)
    assert not cut.exists()
    work = cut.parent / ".model.training"
    assert (work / "fold-0-member-1.safetensors").is_file() and len(list(work.glob("checkpoint-*"))) == 1
    with pytest.raises(TrainingError, match="--resume"):
        train_findings(images, cut, killable_options(), silent)
    train_findings(images, cut, killable_options(resume=True), silent)
    assert (cut / "model.onnx").read_bytes() == (whole / "model.onnx").read_bytes()
    first, second = (out.parent / "model-log" / "scores.csv" for out in (whole, cut))
    assert first.read_bytes() == second.read_bytes()
    assert not work.exists()


def test_a_stop_keeps_everything_and_leaves_no_bundle(images, tmp_path):
    import signal

    def tell(step, done, total):
        if step == "final-member-0" and done == 3:
            signal.raise_signal(signal.SIGINT)

    out, options = tmp_path / "model", quick_options(folds=2, epochs=1)
    with pytest.raises(TrainingStopped, match="--resume"):
        train_findings(images, out, options, tell)
    assert not out.exists()
    train_findings(images, out, replace(options, resume=True), silent)
    assert out.is_dir()


def write_teacher(path: Path, images: LabelledImages) -> Path:
    """A teacher who is sure of Mass on every second image and always calls Nodule the reverse of Effusion."""
    lines = ["file,Mass,Nodule"]
    for row, file in enumerate(images.files):
        if row % 2:
            mass, effusion = images.column("Mass")[row], images.column("Effusion")[row]
            lines.append(f"{file.name},{0.9 if mass == 1 else 0.1},{0.05 if effusion == 1 else 0.6}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("use", TeacherUse)
def test_a_teacher_is_learned(images, tmp_path, use):
    teacher = TeacherOptions(write_teacher(tmp_path / "teacher.csv", images), use, share=1.0)
    cache = tmp_path / "cache"
    options = quick_options(folds=2, epochs=8, teacher=teacher, cache=cache)
    train_findings(images, tmp_path / "model", options, silent)
    assert [path.suffix for path in sorted(cache.iterdir())] == [".index", ".u8"]
    rows = table(tmp_path / "model-log" / "scores.csv")
    effusion = np.array([row["truth:Effusion"] == "1" for row in rows])
    nodule = np.array([float(row["score:Nodule"]) for row in rows])
    area = auroc(nodule, ~effusion)
    # Nodule was never seen present: the teacher alone can have told.
    assert area is not None and area > 0.9
    assert nodule[effusion].mean() < 0.25 < nodule[~effusion].mean()
    assert all(row["probability:Nodule"] == "" for row in rows)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda truth: np.full_like(truth, -1), "Nothing is known"),
        (lambda truth: np.where(truth == 0, -1, truth), "only ever known"),
        (lambda truth: truth, "lower --min-positives"),
    ],
)
def test_data_that_teach_nothing_are_refused_before_an_image_is_read(images, tmp_path, change, reason):
    truth = change(images.truth).astype(np.int8)
    unread = replace(images, truth=truth, files=tuple(tmp_path / name for name in images.names))
    with pytest.raises(DataError, match=reason):
        train_findings(unread, tmp_path / "out" / "model", quick_options(min_positives=1000), silent)
    assert not (tmp_path / "out").exists()


def test_a_loss_that_is_no_number_stops_the_training(images, tmp_path, monkeypatch):
    from tetkik.lab.findings.training import trainer

    def spoiled(rows, *_):
        return lambda logits, truth: logits.sum() * torch.nan

    monkeypatch.setattr(trainer, "make_loss", spoiled)
    with pytest.raises(TrainingError, match="no number any more"):
        train_findings(images, tmp_path / "model", quick_options(), silent)
    assert left_behind(tmp_path / "model") == [".model.squares"]


def test_after_a_loss_that_is_no_number_a_resume_may_lower_the_rate(images, tmp_path, monkeypatch):
    from tetkik.lab.findings.training import trainer

    make_loss, out, options = trainer.make_loss, tmp_path / "model", quick_options(epochs=2)
    with monkeypatch.context() as patch:
        calls = []

        def spoiled(*arguments):
            loss = make_loss(*arguments)

            def fails_later(logits, truth):
                calls.append(1)
                return loss(logits, truth) * (torch.nan if len(calls) > 9 else 1)

            return fails_later

        patch.setattr(trainer, "make_loss", spoiled)
        with pytest.raises(TrainingError, match="no number any more"):
            train_findings(images, out, options, silent)
    lower = replace(options, learning_rate=1e-3, resume=True)
    with pytest.raises(TrainingError, match="other data or settings"):
        train_findings(images, out, replace(lower, batch_size=4), silent)
    ran = []
    made = train_findings(images, out, lower, lambda step, done, _: ran.append((step, done)))
    assert made.manifest.training["learning_rate"] == 1e-3
    assert min(done for step, done in ran if step == "member-0") == 9, "it began after the checkpoint"
    rates = [float(row["learning_rate"]) for row in table(log_folder(out) / "epochs.csv")]
    assert max(rates) < 1e-3


def test_a_folder_with_other_things_is_left_alone(images, tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "notes.txt").write_text("keep")
    with pytest.raises(OutputError, match="already holds"):
        train_findings(images, tmp_path / "model", quick_options(), silent)


def test_settings_are_tried_on_validation(images, tmp_path):
    made = train_findings(images, tmp_path / "model", quick_options(tune=2, epochs=2), silent)
    card = (made.path / "README.md").read_text("utf-8")
    assert "## Settings tried" in card
    rates = {line.split("|")[1].strip() for line in card.split("## Settings tried")[1].split("\n")[4:7]}
    assert f"{made.manifest.training['learning_rate']:.2g}" in rates


def test_squares_that_would_be_too_many_are_decoded_each_time(images, tmp_path):
    train_findings(images, tmp_path / "model", quick_options(folds=2, epochs=1, cache_limit=0.0), ignore)
    assert left_behind(tmp_path / "model") == ["model", "model-log"]
    assert not [step for step in TOLD if "decoding" in step] and "final-member-0" in TOLD


def test_fp16_without_a_gpu_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with (
        pytest.raises(UsageError, match="fp16 needs a GPU"),
        accelerator_for(Precision.FP16),
    ):
        pass


def test_labels_of_the_kit_are_shared_ones():
    assert set(LABELS) <= set(FINDING_LABELS)


@pytest.mark.filterwarnings("ignore::DeprecationWarning:transformers")
def test_a_classifier_of_transformers_is_trained_and_opens_there(images, tmp_path):
    from transformers import AutoModelForImageClassification, ViTConfig, ViTForImageClassification

    from tetkik.findings.torch_model import TorchFindings

    base = tmp_path / "tiny-vit"
    small = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    ViTForImageClassification(ViTConfig(image_size=SIZE, patch_size=8, **small)).save_pretrained(base)
    processor = {"size": SIZE, "image_mean": [0.5] * 3, "image_std": [0.5] * 3, "do_normalize": True}
    (base / "preprocessor_config.json").write_text(json.dumps(processor), encoding="utf-8")
    options = quick_options(network=str(base), folds=2, epochs=1, learning_rate=1e-3)
    made = train_findings(images, tmp_path / "model", options, silent)
    assert made.manifest.kind == "huggingface" and made.manifest.training["network"] == "tiny-vit"
    batch = np.random.default_rng(0).random((2, 3, SIZE, SIZE)).astype(np.float32)
    found = load_model(str(made.path)).scores(batch)
    np.testing.assert_allclose(TorchFindings.load(made).scores(batch), found, atol=1e-4)
    assert AutoModelForImageClassification.from_pretrained(made.path).config.num_labels == len(FINDING_LABELS)
    assert not any(str(tmp_path).encode() in (made.path / name).read_bytes() for name in made.manifest.files)
