"""Models of findings on ONNX Runtime, OpenVINO and torch: the same answers, and damage said in a sentence."""

from __future__ import annotations

import subprocess
import sys
import threading

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from tests.findings.small_classifiers import SHARED, write_classifier
from tests.findings.small_network import SIZE, small_network
from tetkik.bundle import Manifest, Task, open_bundle, write_manifest
from tetkik.choices import Device, FindingsProvider
from tetkik.errors import BundleCorrupt, BundleMismatch, BundleNotFound, MissingExtra, UsageError
from tetkik.findings import onnx_model
from tetkik.findings.networks import build
from tetkik.findings.onnx_model import OnnxFindings, OpenVinoSession, OrtSession, open_session
from tetkik.findings.operating_points import OperatingPoints
from tetkik.findings.predict import load_findings, load_model
from tetkik.findings.torch_model import TorchFindings
from tetkik.imaging.prepare import Preprocessing
from tetkik.lab.findings.export import to_onnx
from tetkik.settings import settings

IMAGES = np.random.default_rng(0).standard_normal((5, 3, SIZE, SIZE)).astype(np.float32)
LABELS = ("Mass", "Nodule", "Effusion")


def finish(folder, **changes):
    fields = {
        "id": "small",
        "version": "1.0",
        "task": Task.FINDINGS,
        "kind": "small",
        "labels": LABELS,
        "preprocessing": Preprocessing(size=SIZE).as_json(),
        "created": "2026-01-01",
    }
    write_manifest(folder, Manifest.model_validate({**fields, **changes}))
    return open_bundle(folder)


@pytest.fixture(scope="module")
def onnx_file(tmp_path_factory):
    return to_onnx(small_network(), tmp_path_factory.mktemp("model") / "model.onnx", size=SIZE).file


@pytest.fixture
def bundle(onnx_file, tmp_path):
    (tmp_path / "model.onnx").write_bytes(onnx_file.read_bytes())
    return finish(tmp_path)


@pytest.fixture(scope="module")
def expected():
    with torch.no_grad():
        logits, maps = small_network().logits_and_maps(torch.from_numpy(IMAGES))
    return logits.sigmoid().numpy(), maps.numpy()


@pytest.mark.parametrize("provider", FindingsProvider)
def test_every_provider_gives_the_scores_and_maps_of_torch(bundle, expected, provider):
    model = OnnxFindings.load(bundle, provider)
    tolerance = 2e-2 if provider is FindingsProvider.OPENVINO_BF16 else 1e-4
    scores, maps = model.scores_and_maps(IMAGES)
    assert scores == pytest.approx(expected[0], abs=tolerance)
    assert maps == pytest.approx(expected[1], abs=50 * tolerance)
    assert model.scores(IMAGES) == pytest.approx(scores, abs=1e-6)
    assert scores.dtype == np.float32


@pytest.mark.parametrize("provider", FindingsProvider)
def test_no_images_give_no_scores(bundle, provider):
    model = OnnxFindings.load(bundle, provider)
    assert model.scores(IMAGES[:0]).shape == (0, 3)
    assert model.scores_and_maps(IMAGES[:0])[0].shape == (0, 3)


def test_the_setting_chooses_the_provider_and_its_absence_is_borne(onnx_file, monkeypatch):
    assert isinstance(open_session(onnx_file, FindingsProvider.ONNXRUNTIME), OrtSession)
    assert isinstance(open_session(onnx_file, FindingsProvider.OPENVINO), OpenVinoSession)
    monkeypatch.setitem(sys.modules, "openvino", None)
    assert isinstance(open_session(onnx_file, FindingsProvider.OPENVINO), OrtSession)


def test_the_setting_is_read(bundle, monkeypatch):
    monkeypatch.setenv("TETKIK_FINDINGS_PROVIDER", "openvino")
    settings.cache_clear()
    model = load_findings(bundle).model
    assert isinstance(model, OnnxFindings) and isinstance(model._session._session, OpenVinoSession)


@pytest.mark.parametrize("provider", [FindingsProvider.ONNXRUNTIME, FindingsProvider.OPENVINO])
def test_several_threads_may_ask_one_model(bundle, provider):
    model = OnnxFindings.load(bundle, provider)
    alone = [model.scores(IMAGES[number : number + 1]) for number in range(5)]
    wrong = []

    def ask(number):
        for _ in range(20):
            if not np.array_equal(model.scores(IMAGES[number : number + 1]), alone[number]):
                wrong.append(number)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_an_answer_does_not_depend_on_the_other_images(bundle):
    model = load_model(bundle)
    assert model.scores(IMAGES)[2] == pytest.approx(model.scores(IMAGES[2:3])[0], abs=1e-6)


def test_answering_needs_neither_torch_nor_transformers(bundle):
    script = (
        "import sys, numpy; from tetkik.findings.predict import load_model\n"
        f"model = load_model({str(bundle.path)!r})\n"
        f"model.scores(numpy.zeros((1, 3, {SIZE}, {SIZE}), 'float32'))\n"
        "assert not {'torch', 'transformers', 'onnx', 'openvino', 'scipy', 'sklearn'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)


@pytest.mark.parametrize("provider", [FindingsProvider.ONNXRUNTIME, FindingsProvider.OPENVINO])
def test_a_damaged_network_is_one_sentence(tmp_path, provider):
    (tmp_path / "model.onnx").write_bytes(b"\x3a\0")  # a graph with nothing in it
    with pytest.raises(BundleCorrupt, match="train or import it again"):
        OnnxFindings.load(finish(tmp_path), provider)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"labels": ("Mass", "Nodule")}, "the network has 3 outputs and the manifest 2 labels"),
        ({"preprocessing": {}}, "preprocessing in the manifest"),
        ({"preprocessing": {**Preprocessing().as_json(), "size": "wide"}}, "preprocessing in the manifest"),
        (
            {"preprocessing": Preprocessing(size=SIZE, mean=(0.5,), std=(0.5,)).as_json()},
            "can be run",
        ),
    ],
)
def test_a_manifest_that_does_not_fit_is_one_sentence(onnx_file, tmp_path, changes, sentence):
    (tmp_path / "model.onnx").write_bytes(onnx_file.read_bytes())
    with pytest.raises(BundleCorrupt, match=sentence):
        load_model(finish(tmp_path, **changes))


def test_a_gpu_that_fails_is_not_taken_for_a_damaged_bundle(bundle, expected, monkeypatch):
    def without_memory(file, provider, threads, device):
        if device is not Device.CPU:
            raise MemoryError
        return open_session(file, provider, threads)

    monkeypatch.setattr(onnx_model, "open_session", without_memory)
    model = OnnxFindings.load(bundle, device=Device.AUTO)
    assert model.scores(IMAGES) == pytest.approx(expected[0], abs=1e-4)
    with pytest.raises(UsageError, match=r"The GPU failed with .* \(MemoryError\)"):
        OnnxFindings.load(bundle, device=Device.CUDA)


def write_torch_bundle(folder, kind="resnet18"):
    torch.manual_seed(0)
    network = build("resnet18", LABELS).eval()
    save_file(network.state_dict(), folder / "model.safetensors")
    return network, finish(folder, kind=kind)


def test_a_bundle_without_onnx_runs_on_torch(tmp_path):
    network, bundle = write_torch_bundle(tmp_path)
    model = load_model(bundle)
    assert isinstance(model, TorchFindings)
    with torch.no_grad():
        logits, maps = network.logits_and_maps(torch.from_numpy(IMAGES))
    scores, found = model.scores_and_maps(np.concatenate([IMAGES] * 4))
    assert scores == pytest.approx(np.concatenate([logits.sigmoid().numpy()] * 4), abs=1e-5)
    assert found is not None and found[:5] == pytest.approx(maps.numpy(), rel=1e-3, abs=1e-3)
    assert model.scores(IMAGES[:0]).shape == (0, 3)


def test_a_bundle_of_an_unknown_kind_is_one_sentence(tmp_path):
    _, bundle = write_torch_bundle(tmp_path, kind="resnet9000")
    with pytest.raises(BundleMismatch, match="of kind resnet9000"):
        load_model(bundle)


def test_a_bundle_without_weights_is_one_sentence(tmp_path):
    with pytest.raises(BundleCorrupt, match=r"has no file model\.safetensors"):
        load_model(finish(tmp_path))


def test_torch_that_is_not_installed_is_named(tmp_path, monkeypatch):
    _, bundle = write_torch_bundle(tmp_path)
    monkeypatch.setitem(sys.modules, "tetkik.findings.torch_model", None)
    with pytest.raises(MissingExtra, match=r"\.\[torch\]"):
        load_model(bundle)


@pytest.mark.parametrize("kind", ["vit", "resnet"])
def test_a_folder_of_transformers_is_a_model(tmp_path, kind):
    folder = write_classifier(tmp_path / "hospital", kind)
    model = load_model(str(folder))
    assert model.manifest.labels == SHARED
    assert model.manifest.id == "hospital"
    assert model.preprocessing.size == 32
    scores, maps = model.scores_and_maps(IMAGES)
    assert scores.shape == (5, 5) and (maps is None) is (kind == "vit")
    points = OperatingPoints.of(model.manifest, 0.9)
    assert {point.threshold for point in points.points.values()} == {0.4}
    assert points.points["Effusion"].band == (0.3, 0.5)
    assert points.points["Effusion"].probability(0.45) is None


@pytest.mark.parametrize("name", ["model.pt", "model.pth", "model.safetensors"])
def test_a_checkpoint_is_sent_to_import(tmp_path, name):
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(BundleMismatch, match="tetkik findings import"):
        load_model(str(tmp_path / name))


@pytest.mark.parametrize("name", ["", "owner/model", "no-such-model", "./nowhere"])
def test_a_model_that_is_not_there_is_one_sentence(name):
    with pytest.raises(BundleNotFound):
        load_model(name)
