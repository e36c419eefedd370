"""`findings import`: a checkpoint or a model of transformers becomes a bundle, which was not evaluated."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from tests.findings.small_classifiers import SHARED, SINGLE, write_classifier
from tests.lab.findings.train_kit import tiny_family
from tests.lab.triage.transformer.conftest import silent
from tetkik.bundle import open_bundle
from tetkik.cli.app import app
from tetkik.errors import InputError, OutputError, UsageError
from tetkik.findings.heatmaps import Method, heatmaps_for
from tetkik.findings.label_names import to_shared
from tetkik.findings.networks import FAMILIES, build
from tetkik.findings.predict import load_findings, load_model
from tetkik.findings.torch_model import TorchFindings
from tetkik.imaging.prepare import Resample, prepare, to_square
from tetkik.imaging.read import read_image
from tetkik.lab.findings import import_checkpoint
from tetkik.lab.findings.import_checkpoint import (
    XRV_LABELS,
    ImportOptions,
    import_model,
    open_source,
    read_label_list,
)
from tetkik.networks.network import set_input_channels
from tetkik.networks.state import LAYOUTS, Layout
from tetkik.values import FINDING_LABELS, NIH_LABELS, FileFormat, Radiograph

SIZE = 32
IMAGES = np.random.default_rng(0).standard_normal((3, 3, SIZE, SIZE)).astype(np.float32)


def imported(source, folder, options=None):
    options = options or ImportOptions()
    return import_model(open_source(str(source), options), folder, options, silent)


def in_torch(network):
    with torch.no_grad():
        return network(torch.from_numpy(IMAGES)).sigmoid().numpy()


def write_checkpoint(file, labels=14):
    torch.manual_seed(0)
    network = build("resnet18", [str(number) for number in range(labels)]).eval()
    state = {
        "module." + key.removeprefix("features.").replace("classifier.", "fc."): value
        for key, value in network.state_dict().items()
    }
    torch.save({"state_dict": state}, file)
    return network


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A ResNet18 of 14 labels as torchvision has it, and the bundle that the command made of it."""
    folder = tmp_path_factory.mktemp("import")
    network = write_checkpoint(folder / "hospital.pth")
    arguments = ["findings", "import", str(folder / "hospital.pth"), "--labels", "nih", "--size", str(SIZE)]
    result = CliRunner().invoke(app, [*arguments, "--out", str(folder / "bundle"), "--licence", "mit"])
    return network, result, folder / "bundle"


def test_the_command_writes_a_bundle_with_the_same_answers(checkpoint):
    network, result, folder = checkpoint
    assert result.exit_code == 0, result.output
    bundle = open_bundle(folder)
    files = {"model.onnx", "model.safetensors", "preprocessor_config.json", "README.md"}
    assert files == set(bundle.manifest.files)
    assert bundle.manifest.labels == NIH_LABELS and bundle.manifest.kind == "resnet18"
    assert bundle.manifest.licence == "mit" and bundle.manifest.id == "bundle"
    expected = in_torch(network)
    assert load_model(bundle).scores(IMAGES) == pytest.approx(expected, abs=1e-4)
    assert TorchFindings.load(bundle).scores(IMAGES) == pytest.approx(expected, abs=1e-4)


def test_the_bundle_is_uncalibrated_and_says_that_it_was_not_evaluated(checkpoint):
    manifest = open_bundle(checkpoint[2]).manifest
    assert set(manifest.thresholds) == set(NIH_LABELS) and set(manifest.thresholds.values()) == {0.4}
    assert manifest.calibration == {"kind": "none", "threshold_on": "score", "band": [0.3, 0.5]}
    assert manifest.metrics == ()
    assert manifest.training["imported_from"] == "hospital.pth"
    assert manifest.training["largest_score_difference_onnx_torch"] < 1e-4
    card = (checkpoint[2] / "README.md").read_text("utf-8")
    assert "## Not evaluated" in card and "No figure was measured" in card
    told = " ".join(checkpoint[1].output.split())
    assert "It was not evaluated" in told
    assert "Outputs: sigmoid, for 14 of the labels are findings of NIH, which occur together." in told
    assert "Images: both sides to 32, bilinear; mean 0.485, 0.456, 0.406, deviation" in told


def test_a_densenet_is_read_as_the_shared_reference(tmp_path):
    torch.manual_seed(0)
    network = build("densenet121", FINDING_LABELS).eval()
    torch.save(network.state_dict(), tmp_path / "best_model.pt")
    found = open_source(str(tmp_path / "best_model.pt"), ImportOptions())
    assert (found.kind, found.labels, found.preprocessing.size) == ("densenet121", FINDING_LABELS, 224)
    assert in_torch(found.network) == pytest.approx(in_torch(network), abs=1e-6)


@pytest.mark.parametrize("problem", [None, SINGLE])
def test_a_model_of_transformers_is_a_bundle_that_transformers_opens_too(tmp_path, problem):
    from transformers import AutoModelForImageClassification

    folder = write_classifier(tmp_path / "model", "vit", problem=problem)
    bundle = imported(folder, tmp_path / "out", ImportOptions(exclusive=False if problem is None else None))
    assert bundle.manifest.labels == SHARED and bundle.manifest.kind == "huggingface"
    model = AutoModelForImageClassification.from_pretrained(bundle.path)
    assert tuple(model.config.id2label.values()) == SHARED
    with torch.no_grad():
        logits = model(pixel_values=torch.from_numpy(IMAGES)).logits
    expected = (logits.softmax(1) if problem else logits.sigmoid()).numpy()
    assert load_model(bundle).scores(IMAGES) == pytest.approx(expected, abs=1e-4)
    assert TorchFindings.load(bundle).scores(IMAGES) == pytest.approx(expected, abs=1e-4)
    assert "Nodule/Mass" in (bundle.path / "README.md").read_text("utf-8")


def test_transformers_opens_an_imported_bundle_and_answers_the_same(tmp_path):
    from PIL import Image
    from transformers import pipeline

    processor = {
        "image_processor_type": "ConvNextImageProcessor",
        "size": {"shortest_edge": SIZE},
        "crop_pct": 0.8,
    }
    folder = write_classifier(tmp_path / "model", "convnext", problem=SINGLE, processor=processor)
    bundle = imported(folder, tmp_path / "out")
    pixels = np.random.default_rng(0).integers(0, 256, (61, 90), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "film.png")
    ours = load_findings(bundle, gate=False).predict(tmp_path / "film.png")
    square = to_square(read_image(tmp_path / "film.png"), load_model(bundle).preprocessing)
    with pytest.raises(UsageError, match="allows no grad_cam"):
        heatmaps_for(load_model(bundle), Method.GRAD_CAM)
    ways = heatmaps_for(load_model(bundle, on_torch=True), Method.GRAD_CAM)
    assert ways.method is Method.GRAD_CAM and ways.maps(square, [0, 1]).max() == 1
    for opened in (folder, bundle.path):
        answers = pipeline("image-classification", str(opened), top_k=None, device="cpu")(
            str(tmp_path / "film.png")
        )
        theirs = {answer["label"]: answer["score"] for answer in answers}
        for label in SHARED:
            given = next(value for name, value in theirs.items() if to_shared([name]) == (label,))
            assert next(f.score for f in ours.findings if f.label == label) == pytest.approx(given, abs=1e-4)


@pytest.fixture
def tiny(monkeypatch):
    """A family of three convolutions, which is quick to export."""
    monkeypatch.setitem(FAMILIES, "tiny", tiny_family())
    monkeypatch.setitem(LAYOUTS, "tiny", Layout(("features.0.weight",), r"fc(?:\.\d+)?"))


def write_head(file, head, channels=3, **extra):
    """A network of the tiny family with another head."""
    network: Any = build("tiny", ["A"]).eval()
    set_input_channels(network, channels)
    state = network.features.state_dict(prefix="features.")
    torch.save({"state_dict": {**state, **head.state_dict(prefix="fc."), **extra}}, file)
    network.classifier = head
    return network


def test_a_head_of_several_layers_is_rebuilt_as_stated(tmp_path, tiny):
    torch.manual_seed(0)
    head = torch.nn.Sequential(
        torch.nn.Linear(16, 40), torch.nn.BatchNorm1d(40), torch.nn.GELU(), torch.nn.Linear(40, 4)
    ).eval()
    network = write_head(tmp_path / "model.pth", head)
    labels = ("Glioma", "Meningioma", "Pituitary", "No_Tumor")
    stated = ("linear", "batchnorm", "gelu", "linear")
    options = ImportOptions(labels=labels, exclusive=True, size=SIZE, head=stated)
    with pytest.raises(InputError, match="--head linear,batchnorm,relu,linear"):
        open_source(str(tmp_path / "model.pth"), replace(options, head=None))
    bundle = imported(tmp_path / "model.pth", tmp_path / "out", options)
    with torch.no_grad():
        expected = network(torch.from_numpy(IMAGES)).softmax(1).numpy()
    assert load_model(bundle).scores(IMAGES) == pytest.approx(expected, abs=1e-4)
    again = TorchFindings.load(bundle)
    assert again.scores(IMAGES) == pytest.approx(expected, abs=1e-4)
    assert again.scores_and_maps(IMAGES)[1] is None


def test_a_model_of_torchxrayvision_brings_its_labels_thresholds_and_scaling(tmp_path, tiny):
    torch.manual_seed(0)
    points = torch.tensor([0.3] * 13 + [float("nan")] * 5)
    network = write_head(tmp_path / "xrv.pth", torch.nn.Linear(16, 18), channels=1, op_threshs=points)
    bundle = imported(tmp_path / "xrv.pth", tmp_path / "out", ImportOptions(size=SIZE))
    manifest = bundle.manifest
    assert manifest.labels == XRV_LABELS and set(manifest.thresholds) == set(XRV_LABELS[:13])
    assert "band" not in manifest.calibration and manifest.training["left_out"] == []
    pixels = np.random.default_rng(0).integers(0, 256, (50, 60), np.uint8)
    image = Radiograph(pixels, 255, FileFormat.PNG, "")
    for model in (load_model(bundle), TorchFindings.load(bundle)):
        assert model.preprocessing.channels == 1
        given = prepare(image, model.preprocessing)[None]
        assert -1024 <= given.min() < -900 and 900 < given.max() <= 1024
        with torch.no_grad():
            expected = network(torch.from_numpy(given)).sigmoid().numpy()
        assert model.scores(given) == pytest.approx(expected, abs=1e-4)
    hernia = next(f for f in load_findings(bundle, gate=False).read(image).findings if f.label == "Hernia")
    assert not hernia.assessed


def test_thresholds_of_torchxrayvision_that_are_none_can_be_ignored(tmp_path, tiny):
    points = {"model.op_threshs": torch.full((18,), 2.0)}
    write_head(tmp_path / "xrv.pth", torch.nn.Linear(16, 18), channels=1, **points)
    with pytest.raises(InputError, match="--ignore op_threshs"):
        open_source(str(tmp_path / "xrv.pth"), ImportOptions())
    found = open_source(str(tmp_path / "xrv.pth"), ImportOptions(ignore=("op_threshs",)))
    assert (found.thresholds, found.left_out) == (None, ("model.op_threshs",))
    assert (found.labels, found.preprocessing.resample) == (XRV_LABELS, Resample.GAUSSIAN)


def test_softmax_of_one_output_is_refused(tmp_path, tiny):
    write_head(tmp_path / "model.pth", torch.nn.Linear(16, 1))
    folder = write_classifier(tmp_path / "model", names=("Mass",), problem=None)
    options = ImportOptions(labels=("Mass",), exclusive=True)
    for source in (tmp_path / "model.pth", folder):
        with pytest.raises(UsageError, match="has one output, of which softmax makes 1"):
            open_source(str(source), options)
        found = open_source(str(source), replace(options, exclusive=None))
        assert found.activation.name == "sigmoid" and not found.network.exclusive


def test_a_network_of_another_usual_size_needs_its_own(tmp_path, tiny, monkeypatch):
    assert set(import_checkpoint._SIZES) <= set(FAMILIES)
    monkeypatch.setitem(import_checkpoint._SIZES, "tiny", 300)
    write_head(tmp_path / "model.pth", torch.nn.Linear(16, 14))
    with pytest.raises(UsageError, match="such as --size 300, which is torchvision's"):
        open_source(str(tmp_path / "model.pth"), ImportOptions(labels=NIH_LABELS))
    found = open_source(str(tmp_path / "model.pth"), ImportOptions(labels=NIH_LABELS, size=SIZE))
    assert found.preprocessing.size == SIZE


def test_one_channel_needs_its_scaling(tmp_path, tiny):
    write_head(tmp_path / "model.pth", torch.nn.Linear(16, 14), channels=1)
    options = ImportOptions(labels=NIH_LABELS, size=SIZE)
    with pytest.raises(UsageError, match="give --mean and --std of values from 0 to 1"):
        open_source(str(tmp_path / "model.pth"), options)
    found = open_source(str(tmp_path / "model.pth"), replace(options, mean=(0.0,), std=(1.0,)))
    assert found.preprocessing.mean == (0.0,) and found.network.get_submodule("features.0").in_channels == 1


def test_a_folder_with_one_checkpoint_is_that_checkpoint(tmp_path):
    (tmp_path / "model").mkdir()
    write_checkpoint(tmp_path / "model" / "best.pth", labels=22)
    found = open_source(str(tmp_path / "model"), ImportOptions())
    assert found.labels == FINDING_LABELS
    write_checkpoint(tmp_path / "model" / "last.pth", labels=22)
    with pytest.raises(InputError, match="holds 2 checkpoints"):
        open_source(str(tmp_path / "model"), ImportOptions())


@pytest.mark.parametrize(
    ("options", "error", "sentence"),
    [
        (ImportOptions(), UsageError, "has 14 outputs and does not name them"),
        (ImportOptions(labels=("A", "B")), UsageError, "has 14 outputs and 2 labels were given"),
        (ImportOptions(labels=NIH_LABELS, size=5), UsageError, "(size must be 16 to 4096, not 5)"),
        (ImportOptions(labels=NIH_LABELS, resize=100), UsageError, "(resized must be 224 to 4096, not 100)"),
        (
            ImportOptions(labels=tuple("ABCDEFGHIJKLMN")),
            UsageError,
            "does not say whether its labels can occur together; give --activation",
        ),
    ],
)
def test_what_does_not_fit_is_one_sentence_and_nothing_is_written(tmp_path, options, error, sentence):
    write_checkpoint(tmp_path / "model.pth")
    with pytest.raises(error, match=re.escape(sentence)):
        imported(tmp_path / "model.pth", tmp_path / "out", options)
    assert [path.name for path in tmp_path.iterdir()] == ["model.pth"]


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        (["nowhere.pt", "--out", "x"], 1, "There is no file nowhere.pt"),
        (["nowhere.pt", "--out", "x.zip"], 2, "must be a folder"),
        (["nowhere.pt", "--out", "x", "--id", "ğ ü"], 2, "is no name for a model"),
        (["nowhere.pt", "--out", "x", "--labels", "Rib,Rib"], 2, "--labels names Rib twice"),
        (["nowhere.pt", "--out", "x", "--labels", " , "], 2, "names no labels"),
        (["nowhere.pt", "--out", "x", "--labels", "none.txt"], 1, "There is no file none.txt"),
        (["nowhere.pt", "--out", "x", "--head", "linear,swish"], 2, "swish is no layer"),
        (["nowhere.pt", "--out", "x", "--mean", "half"], 2, "--mean half is no number"),
        (["owner/model", "--out", "x"], 2, "TETKIK_OFFLINE=false"),
    ],
)
def test_a_wrong_command_is_one_sentence(tmp_path, monkeypatch, arguments, status, sentence):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["findings", "import", *arguments])
    assert result.exit_code == status
    assert sentence in result.output
    assert "Traceback" not in result.output
    assert not list(tmp_path.iterdir())


def test_a_bundle_is_not_imported_twice(checkpoint, tmp_path):
    with pytest.raises(UsageError, match="is a bundle already"):
        imported(checkpoint[2], tmp_path / "out")


def test_another_folder_is_not_overwritten(tmp_path):
    write_checkpoint(tmp_path / "model.pth")
    with pytest.raises(OutputError, match="not a model bundle"):
        imported(tmp_path / "model.pth", tmp_path, ImportOptions(labels=NIH_LABELS))


def test_labels_come_from_a_list_a_file_or_a_set(tmp_path):
    expected = ("Effusion", "Mass", "Lung Opacity")
    (tmp_path / "lines.txt").write_text("pleural effusion\nMASS\n\nLung Opacity\n", encoding="utf-8-sig")
    (tmp_path / "list.json").write_text(json.dumps(["Effusion", "mass", "Lung Opacity"]), encoding="utf-8")
    assert read_label_list("Pleural Effusion, Mass,Lung Opacity") == expected
    assert read_label_list(str(tmp_path / "lines.txt")) == expected
    assert read_label_list(str(tmp_path / "list.json")) == expected
    assert read_label_list("nih") == NIH_LABELS and read_label_list("all") == FINDING_LABELS
    assert read_label_list("Mass") == ("Mass",)
    assert len(read_label_list(",".join(f"label {number}" for number in range(2000)))) == 2000
    (tmp_path / "latin.txt").write_bytes("Akciğer".encode("iso-8859-9"))
    with pytest.raises(InputError, match="not text in UTF-8"):
        read_label_list(str(tmp_path / "latin.txt"))


@given(st.text())
def test_any_text_is_labels_or_one_sentence(text):
    try:
        labels = read_label_list(text)
    except (InputError, UsageError) as error:
        assert str(error).endswith(".")
    else:
        assert labels and len(set(labels)) == len(labels)
        assert all(label.strip() and label.isprintable() for label in labels)
