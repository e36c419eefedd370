"""`findings import`: a checkpoint or a model of transformers becomes a bundle, which was not evaluated."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from tests.findings.small_classifiers import SHARED, SINGLE, write_classifier
from tests.lab.triage.transformer.conftest import silent
from tetkik.bundle import open_bundle
from tetkik.cli.app import app
from tetkik.errors import InputError, OutputError, UsageError
from tetkik.findings.networks import build
from tetkik.findings.predict import load_model
from tetkik.findings.torch_model import TorchFindings
from tetkik.lab.findings.import_checkpoint import ImportOptions, import_model, read_label_list
from tetkik.values import FINDING_LABELS, NIH_LABELS

SIZE = 32
IMAGES = np.random.default_rng(0).standard_normal((3, 3, SIZE, SIZE)).astype(np.float32)


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
    assert {"model.onnx", "model.safetensors", "README.md"} == set(bundle.manifest.files)
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
    assert "It was not evaluated" in checkpoint[1].output


def test_a_densenet_is_read_as_the_shared_reference(tmp_path):
    from tetkik.lab.findings.import_checkpoint import open_source

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
    options = ImportOptions(exclusive=False if problem is None else None)
    bundle = import_model(str(folder), tmp_path / "out", options, silent)
    assert bundle.manifest.labels == SHARED and bundle.manifest.kind == "huggingface"
    model = AutoModelForImageClassification.from_pretrained(bundle.path)
    assert tuple(model.config.id2label.values()) == SHARED
    with torch.no_grad():
        logits = model(pixel_values=torch.from_numpy(IMAGES)).logits
    expected = (logits.softmax(1) if problem else logits.sigmoid()).numpy()
    assert load_model(bundle).scores(IMAGES) == pytest.approx(expected, abs=1e-4)
    assert TorchFindings.load(bundle).scores(IMAGES) == pytest.approx(expected, abs=1e-4)
    assert "Nodule/Mass" in (bundle.path / "README.md").read_text("utf-8")


def test_a_folder_with_one_checkpoint_is_that_checkpoint(tmp_path):
    from tetkik.lab.findings.import_checkpoint import open_source

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
        (ImportOptions(labels=NIH_LABELS, size=5), UsageError, "--size 5 cannot be used"),
    ],
)
def test_what_does_not_fit_is_one_sentence_and_nothing_is_written(tmp_path, options, error, sentence):
    write_checkpoint(tmp_path / "model.pth")
    with pytest.raises(error, match=re.escape(sentence)):
        import_model(str(tmp_path / "model.pth"), tmp_path / "out", options, silent)
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
        import_model(str(checkpoint[2]), tmp_path / "out", ImportOptions(), silent)


def test_another_folder_is_not_overwritten(tmp_path):
    write_checkpoint(tmp_path / "model.pth")
    with pytest.raises(OutputError, match="not a model bundle"):
        import_model(str(tmp_path / "model.pth"), tmp_path, ImportOptions(labels=NIH_LABELS), silent)


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
