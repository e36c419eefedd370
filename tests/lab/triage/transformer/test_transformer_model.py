from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from tetkik.bundle import Task, open_bundle, write_manifest
from tetkik.choices import Device
from tetkik.errors import BundleCorrupt, UsageError
from tetkik.networks.onnx_session import onnx_session
from tetkik.triage import transformer as transformer_model
from tetkik.triage.predict import load_model
from tetkik.triage.transformer import OnnxTransformer


def test_it_beats_chance_on_unseen_complaints(bundle, unseen):
    model = load_model(bundle)
    found = [model.manifest.labels[index] for index in model.probabilities(unseen.texts).argmax(axis=1)]
    assert np.mean([a == b for a, b in zip(found, unseen.labels, strict=True)]) > 0.8


def test_probabilities_are_rows_that_sum_to_one(bundle, unseen):
    model = load_model(bundle)
    probabilities = model.probabilities(unseen.texts[:5])
    assert probabilities.dtype == np.float32
    assert probabilities.sum(axis=1) == pytest.approx(1, abs=1e-5)
    assert model.probabilities([]).shape == (0, 3)


def test_an_answer_does_not_depend_on_the_other_complaints(bundle, unseen):
    model = load_model(bundle)
    together = model.probabilities(["gözüm", *unseen.texts, "dizim " * 200])
    assert together[3].tolist() == model.probabilities([unseen.texts[2]])[0].tolist()


@pytest.mark.parametrize("text", ["", "   ", "!!", "𐍈 ☂", "a" * 10_000])
def test_odd_texts_have_probabilities_and_evidence_of_their_own(bundle, text):
    model = load_model(bundle)
    assert np.isfinite(model.probabilities([text])).all()
    assert all(item.text == text[item.span.start : item.span.end] for item in model.evidence(text, 0))


def test_the_deciding_words_are_the_evidence(bundle):
    model = load_model(bundle)
    text = "Merhaba hocam, sabah gözüm bulanık ve yaşarıyor; acaba gözlük nedir?"
    label = model.manifest.labels.index("Göz Hastalıkları")
    evidence = model.evidence(text, label)
    assert all(item.text == text[item.span.start : item.span.end] for item in evidence)
    assert [item.weight for item in evidence] == sorted((item.weight for item in evidence), reverse=True)
    assert {item.text for item in evidence[:2]} <= {"gözüm", "bulanık", "yaşarıyor", "gözlük"}


def test_a_long_text_is_explained_in_runs_of_words(bundle):
    text = "Merhaba hocam " * 500
    assert len(load_model(bundle).evidence(text, 0)) <= 48


def test_answering_needs_neither_torch_nor_transformers(bundle):
    script = (
        "import sys; from pathlib import Path; from tetkik.triage.predict import load_model\n"
        f"model = load_model({str(bundle.path)!r})\n"
        "model.evidence('gözüm bulanık', 0)\n"
        "assert not {'torch', 'transformers', 'onnx', 'scipy', 'sklearn'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)


def test_a_gpu_that_fails_is_not_taken_for_a_damaged_bundle(bundle, monkeypatch):
    expected = load_model(bundle).probabilities(["gözüm"]).tolist()

    def without_memory(network, threads, device=Device.CPU):
        if device is not Device.CPU:
            raise MemoryError
        return onnx_session(network, threads)

    monkeypatch.setattr(transformer_model, "onnx_session", without_memory)
    found = OnnxTransformer.load(bundle, Device.AUTO)
    assert found.probabilities(["gözüm"]).tolist() == expected
    with pytest.raises(UsageError, match=r"The GPU failed with .* \(MemoryError\)"):
        OnnxTransformer.load(bundle, Device.CUDA)


@pytest.mark.parametrize(
    ("name", "content"),
    [("model.onnx", b"no network"), ("tokenizer.json", b"{}"), ("tokenizer.json", b"\xff")],
)
def test_a_damaged_file_is_one_sentence(bundle, tmp_path, name, content):
    for file in bundle.path.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / name).write_bytes(content)
    write_manifest(tmp_path, bundle.manifest)
    with pytest.raises(BundleCorrupt, match=r"(train or export|fetch or train) it again"):
        load_model(open_bundle(tmp_path, Task.TRIAGE))


def test_a_manifest_without_what_is_needed_is_one_sentence(bundle, tmp_path):
    for file in bundle.path.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    write_manifest(tmp_path, bundle.manifest.model_copy(update={"calibration": {}}))
    with pytest.raises(BundleCorrupt, match="temperature"):
        load_model(str(tmp_path))
