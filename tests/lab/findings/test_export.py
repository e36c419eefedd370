"""A network as ONNX, fp32, half and int8: held against torch, and refused where it differs."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from PIL import Image
from torch import nn

from tests.findings.small_network import SIZE, small_network
from tests.lab.triage.transformer.conftest import silent
from tetkik.bundle import Manifest, Metric, Task, open_bundle, write_manifest
from tetkik.errors import InputError, OutputError, TrainingError
from tetkik.findings.onnx_model import OpenVinoSession, OrtSession
from tetkik.findings.predict import load_model
from tetkik.imaging.prepare import Preprocessing
from tetkik.lab.findings.export import to_onnx
from tetkik.lab.findings.quantize import quantise_bundle, to_int8
from tetkik.language import Sentence

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.standard_normal((40, 3, SIZE, SIZE)).astype(np.float32)


def run(file, images, outputs=("scores",)):
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    return session.run(list(outputs), {"image": images})


def in_torch(network, images):
    with torch.no_grad():
        return network(torch.from_numpy(images)).sigmoid().numpy()


@pytest.fixture(scope="module")
def network():
    return small_network()


@pytest.fixture(scope="module")
def fp32(network, tmp_path_factory):
    return to_onnx(network, tmp_path_factory.mktemp("export") / "model.onnx", size=SIZE)


@pytest.mark.parametrize("count", [1, 2, 7])
def test_the_scores_are_those_of_torch_for_any_number_of_images(network, fp32, count):
    scores = run(fp32.file, IMAGES[:count])[0]
    assert scores.shape == (count, 3)
    assert scores.std() > 0.01
    assert np.abs(scores - in_torch(network, IMAGES[:count])).max() < 1e-5
    assert fp32.difference < 1e-5


def test_the_mean_of_a_map_and_the_bias_are_the_logit(network, fp32):
    scores, maps = run(fp32.file, IMAGES[:4], ("scores", "maps"))
    assert fp32.maps and maps.shape == (4, 3, 8, 8)
    logits = maps.mean(axis=(2, 3)) + network.classifier.bias.detach().numpy()
    assert 1 / (1 + np.exp(-logits)) == pytest.approx(scores, abs=1e-5)


def test_the_network_is_left_as_it_was(tmp_path):
    network = small_network().train()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    to_onnx(network, tmp_path / "model.onnx", size=SIZE, maps=False)
    assert network.training
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


def test_the_file_names_no_folder_and_can_be_read_by_an_old_runtime(fp32):
    model = onnx.load(fp32.file)
    onnx.checker.check_model(model, full_check=True)
    assert b"site-packages" not in fp32.file.read_bytes() and b".py" not in fp32.file.read_bytes()
    assert model.opset_import[0].version == 18 and model.ir_version <= 10
    assert [output.name for output in model.graph.output] == ["scores", "maps"]


def test_half_precision_takes_half_the_bytes_and_is_fp32_when_loaded(network, fp32, tmp_path):
    layers = nn.Conv2d(3, 256, 3), nn.ReLU(), nn.Conv2d(256, 256, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    wide = nn.Sequential(*layers)
    whole = to_onnx(wide, tmp_path / "whole.onnx", size=SIZE)
    half = to_onnx(wide, tmp_path / "half.onnx", size=SIZE, half=True)
    assert not half.maps
    assert half.file.stat().st_size < 0.52 * whole.file.stat().st_size
    assert half.difference < 1e-2
    scores = run(half.file, IMAGES[:2])[0]
    assert scores.dtype == np.float32
    assert np.abs(scores - run(whole.file, IMAGES[:2])[0]).max() < 1e-2
    small = to_onnx(network, tmp_path / "small.onnx", size=SIZE, half=True)
    for session in (OrtSession, OpenVinoSession):
        found = session(small.file).run(("scores",), IMAGES)[0]
        assert np.abs(found - run(fp32.file, IMAGES)[0]).max() < 2e-2


def test_several_members_give_the_mean_logit_and_the_mean_map(tmp_path):
    members = [small_network(seed=seed) for seed in (1, 2, 3)]
    exported = to_onnx(members, tmp_path / "model.onnx", size=SIZE)
    with torch.no_grad():
        pairs = [member.logits_and_maps(torch.from_numpy(IMAGES)) for member in members]
        expected = torch.stack([logits for logits, _ in pairs]).mean(dim=0).sigmoid().numpy()
        expected_maps = torch.stack([maps for _, maps in pairs]).mean(dim=0).numpy()
    scores, maps = run(exported.file, IMAGES, ("scores", "maps"))
    assert scores == pytest.approx(expected, abs=1e-5)
    assert maps == pytest.approx(expected_maps, abs=1e-4)


def test_members_with_maps_of_different_sizes_give_none(tmp_path):
    members = [small_network(seed=1), small_network(seed=2, stride=8)]
    exported = to_onnx(members, tmp_path / "model.onnx", size=SIZE)
    assert not exported.maps
    assert [output.name for output in onnx.load(exported.file).graph.output] == ["scores"]


class Broken(nn.Module):
    """What no exporter can follow, or what is not what it was a moment ago."""

    def __init__(self, fault):
        super().__init__()
        self.fault = fault
        self.calls = 0

    def forward(self, image):
        if self.fault == "branch":
            return image.mean((2, 3)) if float(image.sum()) > 0 else image.sum((2, 3))
        if self.fault == "nan":
            return image.mean((2, 3)) * float("nan")
        self.calls += 1
        return image.mean((2, 3)) + self.calls


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ("branch", "cannot be exported to ONNX"),
        ("nan", "differs from the trained one"),
        ("drift", "differs from"),
    ],
)
def test_what_cannot_be_exported_faithfully_is_refused(tmp_path, fault, sentence):
    with pytest.raises(TrainingError, match=sentence):
        to_onnx(Broken(fault), tmp_path / "model.onnx", size=SIZE)


@pytest.fixture(scope="module")
def int8(fp32, tmp_path_factory):
    return to_int8(fp32.file, IMAGES, tmp_path_factory.mktemp("int8") / "model.onnx")


@pytest.mark.parametrize("session", [OrtSession, OpenVinoSession])
def test_int8_is_near_and_not_the_same(fp32, int8, session):
    exact = run(fp32.file, IMAGES)[0]
    found = session(int8.file).run(("scores",), IMAGES)[0]
    assert 0 < np.abs(found - exact).max() < 0.1
    assert np.corrcoef(found.ravel(), exact.ravel())[0, 1] > 0.99


def test_int8_says_how_far_it_is_on_images_that_it_did_not_see(fp32, int8):
    assert (int8.calibrated, int8.compared) == (30, 10)
    unseen = IMAGES[3::4]
    difference = np.abs(run(int8.file, unseen)[0] - run(fp32.file, unseen)[0])
    assert int8.difference == pytest.approx(difference.max(), abs=1e-6)
    assert int8.mean_difference == pytest.approx(difference.mean(), abs=1e-6)


def test_int8_can_be_made_of_half_precision(network, int8, tmp_path):
    half = to_onnx(network, tmp_path / "half.onnx", size=SIZE, half=True)
    made = to_int8(half.file, IMAGES, tmp_path / "int8.onnx")
    assert np.abs(run(made.file, IMAGES)[0] - run(int8.file, IMAGES)[0]).max() < 5e-2


def test_weights_are_int8_and_the_classifier_is_not(int8):
    graph = onnx.load(int8.file).graph
    kinds = {tensor.data_type for tensor in graph.initializer if len(tensor.dims) == 4}
    assert onnx.TensorProto.INT8 in kinds
    stored = [tensor for tensor in graph.initializer if list(tensor.dims) in ([3, 16], [16, 3])]
    assert stored and all(tensor.data_type == onnx.TensorProto.FLOAT for tensor in stored)


@pytest.fixture
def bundle(fp32, tmp_path):
    folder = tmp_path / "fp32"
    folder.mkdir()
    (folder / "model.onnx").write_bytes(fp32.file.read_bytes())
    manifest = Manifest(
        id="small",
        version="1.0",
        task=Task.FINDINGS,
        kind="small",
        labels=("Mass", "Nodule", "Effusion"),
        preprocessing=Preprocessing(size=SIZE).as_json(),
        thresholds={"Mass": 0.4},
        metrics=(Metric(name="auroc:Mass", value=0.9, n=10, data="d", split=(Sentence("s"),)),),
        created="2026-01-01",
    )
    write_manifest(folder, manifest)
    return open_bundle(folder)


def write_images(folder, count):
    folder.mkdir()
    for number in range(count):
        pixels = np.random.default_rng(number).integers(0, 255, (40, 40), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:03}.png")
    return sorted(folder.iterdir())


def test_a_bundle_in_int8_keeps_what_holds_and_drops_what_was_measured(bundle, tmp_path):
    files = write_images(tmp_path / "images", 20)
    files[3].write_bytes(b"no image")
    result = []
    written = quantise_bundle(
        bundle, files, tmp_path / "int8", lambda step, done, total: result.append((step, done, total))
    )
    manifest = written.manifest
    assert manifest.id == "small-int8" and manifest.thresholds == {"Mass": 0.4} and manifest.metrics == ()
    assert manifest.training["int8"]["from"] == "small 1.0"
    told_of = manifest.training["int8"]
    assert told_of["calibration_images"] + told_of["compared_images"] == 19
    assert "evaluate it before use" in (written.path / "README.md").read_text("utf-8")
    assert result[-1] == ("images", 20, 20)
    scores, maps = load_model(written).scores_and_maps(IMAGES[:2])
    assert scores.shape == (2, 3) and maps is not None


def test_too_few_images_are_one_sentence_and_nothing_is_written(bundle, tmp_path):
    with pytest.raises(InputError, match="Only 15 of the images can be read"):
        quantise_bundle(bundle, write_images(tmp_path / "images", 15), tmp_path / "int8", silent)
    assert not (tmp_path / "int8").exists()


def test_another_folder_is_not_overwritten(bundle, tmp_path):
    files = write_images(tmp_path / "images", 16)
    with pytest.raises(OutputError, match="not a model bundle"):
        quantise_bundle(bundle, files, tmp_path / "images", silent)
    assert len(list((tmp_path / "images").iterdir())) == 16
