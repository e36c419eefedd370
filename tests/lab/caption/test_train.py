from __future__ import annotations

import csv
import errno
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.caption.tiny import tiny_blip2, tiny_paligemma
from tests.lab.caption import train_kit
from tests.lab.caption.train_kit import (
    draw,
    killable_options,
    make_prepared,
    quick_options,
    silent,
)
from tetkik.caption.network import DecodingOptions
from tetkik.caption.options import Learning
from tetkik.caption.storage import load_captioner
from tetkik.errors import DataError, OutputError, TrainingError
from tetkik.lab.caption.prepared import Prepared, Split, open_prepared
from tetkik.lab.caption.train import train_caption
from tetkik.lab.caption.training.data import SPLIT
from tetkik.lab.caption.training.options import StopBy
from tetkik.lab.engine.session import log_folder
from tetkik.language import Language, Sentence

ROOT = Path(__file__).parents[3]
TIMELESS = ("epoch", "learning_rate", "training_loss", "validation_loss", "cider", "rouge_l")


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return tiny_blip2(tmp_path_factory.mktemp("base") / "tiny-base")


@pytest.fixture(scope="module")
def folder(base, tmp_path_factory):
    """A prepared folder; tests do not change it."""
    parent = tmp_path_factory.mktemp("data")
    return make_prepared(draw(parent / "drawn"), base, parent / "prepared")


@pytest.fixture
def prepared(folder):
    return open_prepared(folder)


def table(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as content:
        return list(csv.DictReader(content))


def epochs_of(out: Path) -> list[list[str]]:
    """Everything in the log but how fast it was."""
    return [[row[name] for name in TIMELESS] for row in table(log_folder(out) / "epochs.csv")]


def captions(network, prepared, split=Split.VALID, rows=6):
    squares = prepared.part(split).squares(np.arange(rows))
    with torch.no_grad():
        features = network.frozen_features(torch.from_numpy(network.image.normalised(squares)))
    return [item.text for item in network.generate(features, DecodingOptions(beams=1, max_tokens=40))]


def test_training_never_opens_the_test_split(folder, base, tmp_path, monkeypatch):
    mine = shutil.copytree(folder, tmp_path / "prepared")
    # Unreadable for everyone, an administrator too.
    shutil.rmtree(mine / "test")
    (mine / "test").write_text("not a folder")
    opened = []
    true = Prepared.part

    def part(self, split):
        opened.append(split)
        return true(self, split)

    monkeypatch.setattr(Prepared, "part", part)
    bundle = train_caption(open_prepared(mine), tmp_path / "model", quick_options(base, epochs=1), silent)
    assert set(opened) == {Split.TRAIN, Split.VALID}
    assert bundle.manifest.training["data_counts"] == {"train": 48, "valid": 16, "test": 8}


def test_a_bundle_says_what_it_is_and_stands_on_its_base(prepared, base, tmp_path):
    result = []
    options = quick_options(
        base, stop_by=StopBy.ROUGE_L, judged=16, data_name="drawn pictures", licence="MIT"
    )
    bundle = train_caption(
        prepared,
        tmp_path / "my-model",
        options,
        silent,
        lambda item: result.append(item.in_language(Language.EN)),
    )
    manifest = bundle.manifest
    assert (manifest.id, manifest.kind, manifest.labels) == ("my-model", "blip2", ("caption",))
    assert manifest.training["base"] == "tiny-base" and manifest.training["revision"] is None
    assert manifest.preprocessing["size"] == 28
    assert manifest.preprocessing["tokenizer"] == prepared.fingerprint
    named = {metric.name: metric for metric in manifest.metrics}
    assert set(named) == {"loss", "cider", "rouge_l", "distinct"}
    assert {metric.split for metric in manifest.metrics} == {SPLIT}
    assert {metric.n for metric in manifest.metrics} == {16}
    assert named["rouge_l"].low is not None and named["rouge_l"].low <= named["rouge_l"].value
    assert "image features" not in str(result) and "behind the Q-Former" in result[0]
    assert "features of 64 images" in result[1]
    assert result[2].endswith("of 53,232 weights learn (1.924%).") and result[3].startswith(
        "Epoch 1: training"
    )

    # The captions that were judged are those the bundle makes on its base.
    network = load_captioner(bundle, base=str(base))
    rows = table(log_folder(bundle.path) / "validation_captions.csv")
    assert [row["caption"] for row in rows] == captions(network, prepared, rows=16)
    assert [row["reference"] for row in rows] == list(prepared.part(Split.VALID).captions)

    card = (bundle.path / "README.md").read_text("utf-8")
    for words in (
        "drawn pictures",
        "| CC BY | 64 |",
        "| 2 (best epoch) |",
        "LoRA, rank 4",
        "curves.png",
        "Research and",
    ):
        assert words in card, words
    assert 'language: "en"' in card
    # Nothing of a patient: no name of an image, no caption, no path of this computer.
    for secret in ("row-0", "nodule", str(tmp_path), str(base.parent)):
        assert secret not in card + (bundle.path / "manifest.json").read_text("utf-8")
    assert (bundle.path / "curves.png").read_bytes().startswith(b"\x89PNG")
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"my-model", "my-model-log"}


def test_it_learns_what_its_pictures_show(base, tmp_path):
    data = open_prepared(make_prepared(draw(tmp_path / "drawn", 96, 24, 0), base, tmp_path / "prepared"))
    options = quick_options(base, learning=Learning.FULL, epochs=8, learning_rate=5e-3, patience=8)
    bundle = train_caption(data, tmp_path / "model", options, silent)
    # Without its base: all weights are in the bundle.
    network = load_captioner(bundle)
    part = data.part(Split.VALID)
    pixels = torch.from_numpy(network.image.normalised(part.squares(np.arange(24))))
    features, batch = network.frozen_features(pixels), network.batch(network.encode(part.captions))
    with torch.no_grad():
        own, anothers = (
            float(network.trainable()(shown, batch.ids, batch.mask, batch.targets, 0.0))
            / int((batch.targets != -100).sum())
            for shown in (features, features.roll(1, 0))
        )
    assert own < 0.5 and anothers > own + 0.004
    assert own == pytest.approx(bundle.manifest.metrics[0].value, rel=1e-5)


def test_a_merged_adapter_needs_no_base(prepared, base, tmp_path):
    options = quick_options(base, learning_rate=5e-2)
    adapter = train_caption(prepared, tmp_path / "adapter", options, silent)
    merged = train_caption(prepared, tmp_path / "merged", replace(options, merge=True), silent)
    assert "adapter_model.safetensors" in adapter.manifest.files
    assert "model.safetensors" in merged.manifest.files
    assert captions(load_captioner(merged), prepared) == captions(
        load_captioner(adapter, base=str(base)), prepared
    )


def test_quantised_weights_are_trained_on_and_merged(prepared, base, tmp_path):
    result: list[Sentence] = []
    options = quick_options(base, quantisation="nf4", merge=True)
    bundle = train_caption(prepared, tmp_path / "model", options, silent, result.append)
    assert any("taken back" in item.in_language(Language.EN) for item in result)
    assert captions(load_captioner(bundle), prepared)


def test_another_family_is_a_setting(tmp_path):
    base = tiny_paligemma(tmp_path / "base")
    data = open_prepared(make_prepared(draw(tmp_path / "drawn", 16, 4, 0), base, tmp_path / "prepared"))
    bundle = train_caption(data, tmp_path / "model", quick_options(base, epochs=1), silent)
    assert bundle.manifest.kind == "paligemma"
    assert len(captions(load_captioner(bundle, base=str(base)), data, rows=2)) == 2


def test_a_killed_training_goes_on_to_the_same_curve(prepared, folder, base, tmp_path):
    whole, cut = (tmp_path / name / "model" for name in ("whole", "cut"))
    cut.parent.mkdir()
    killed = subprocess.run(
        [sys.executable, train_kit.__file__, str(folder), str(base), str(cut), str(48 + 40)],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
            "OMP_NUM_THREADS": "1",
        },
        timeout=300,
        check=False,
    )
    assert killed.returncode == -9
    train_caption(prepared, whole, killable_options(base), silent)
    assert not cut.exists()
    work = cut.parent / ".model.training"
    assert [path.name for path in work.glob("checkpoint-*")] == ["checkpoint-00000010"]
    with pytest.raises(TrainingError, match="--resume"):
        train_caption(prepared, cut, killable_options(base), silent)
    with pytest.raises(TrainingError, match="other data or settings"):
        train_caption(prepared, cut, killable_options(base, seed=1, resume=True), silent)
    read = []
    train_caption(prepared, cut, killable_options(base, resume=True), lambda step, *_: read.append(step))
    assert "image features" not in read, "they were on disk"
    assert epochs_of(cut) == epochs_of(whole) and len(epochs_of(cut)) == 3
    first, second = (out / "adapter_model.safetensors" for out in (whole, cut))
    assert first.read_bytes() == second.read_bytes()
    assert not work.exists() and not (cut.parent / ".model.features").exists()


def test_a_bundle_that_could_not_be_written_is_written_without_training_again(prepared, base, tmp_path):
    from tetkik.lab.caption.training import run as bundle

    out, result = tmp_path / "model", []
    options = quick_options(base, epochs=1)
    with pytest.MonkeyPatch.context() as patch:

        def full(*_, **__):
            raise OSError(errno.ENOSPC, "No space left on device")

        patch.setattr(bundle, "write_network", full)
        with pytest.raises(OutputError, match="--resume"):
            train_caption(prepared, out, options, silent)
    assert not out.exists()
    train_caption(prepared, out, replace(options, resume=True), lambda step, *_: result.append(step))
    assert out.is_dir() and "training" not in result


def test_settings_are_tried_on_validation(prepared, base, tmp_path):
    options = quick_options(base, tune=3, epochs=2)
    bundle = train_caption(prepared, tmp_path / "model", options, silent)
    trials = table(log_folder(bundle.path) / "trials.csv")
    assert [row["epochs"] for row in trials] == ["1", "1", "1", "2"]
    best = min(trials[:3], key=lambda row: float(row["validation_loss"]))
    assert float(best["learning_rate"]) == pytest.approx(bundle.manifest.training["learning_rate"])
    assert int(best["rank"]) == bundle.manifest.training["adapter"]["rank"]
    # What is trained at the end is what was tried last.
    kept = float(epochs_of(bundle.path)[-1][TIMELESS.index("validation_loss")])
    assert kept == pytest.approx(float(trials[3]["validation_loss"]), rel=1e-5)
    assert "Settings tried" in (bundle.path / "README.md").read_text("utf-8")


def test_features_are_kept_for_the_next_time_where_that_was_asked_for(prepared, base, tmp_path):
    options = quick_options(base, epochs=1, cache=tmp_path / "cache")
    train_caption(prepared, tmp_path / "first", options, silent)
    result, read = [], []
    train_caption(
        prepared,
        tmp_path / "second",
        replace(options, learning_rate=1e-3),
        lambda step, *_: read.append(step),
        lambda item: result.append(item.in_language(Language.EN)),
    )
    assert "image features" not in read
    assert result[1] == f"The features of 64 images are in {tmp_path / 'cache'} already."
    assert {path.name for path in tmp_path.iterdir()} == {
        "cache",
        "first",
        "first-log",
        "second",
        "second-log",
    }


def test_without_validation_the_last_epoch_is_kept(base, tmp_path):
    data = open_prepared(make_prepared(draw(tmp_path / "drawn", 16, 0, 0), base, tmp_path / "prepared"))
    bundle = train_caption(data, tmp_path / "model", quick_options(base, epochs=3, patience=1), silent)
    assert bundle.manifest.metrics == () and len(epochs_of(bundle.path)) == 3
    assert "no validation split" in (bundle.path / "README.md").read_text("utf-8")
    with pytest.raises(DataError, match="--tune would choose"):
        train_caption(data, tmp_path / "tuned", quick_options(base, tune=2), silent)


def test_what_cannot_be_trained_is_refused_at_once(prepared, base, tmp_path):
    larger = tiny_blip2(tmp_path / "larger", size=42)
    with pytest.raises(DataError, match="pictures of 28 pixels and the base wants 42"):
        train_caption(prepared, tmp_path / "model", quick_options(larger), silent)
    empty = make_prepared(draw(tmp_path / "drawn", 0, 8, 0), base, tmp_path / "empty")
    with pytest.raises(DataError, match="no training rows"):
        train_caption(open_prepared(empty), tmp_path / "model", quick_options(base), silent)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "thesis.txt").write_text("mine")
    with pytest.raises(OutputError, match="not a model bundle"):
        train_caption(prepared, tmp_path / "taken", quick_options(base), silent)
    assert {path.name for path in tmp_path.iterdir()} == {"larger", "drawn", "empty", "taken"}
