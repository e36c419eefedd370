"""A model gets its reference: from images, from a table, from a training's log; and never in its place."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from tests.findings.bundles import make_findings_bundle
from tests.phantom import write_phantom
from tetkik.bundle import ImageReference, Task, open_bundle, read_reference, resolve
from tetkik.cli.app import app
from tetkik.errors import DataError
from tetkik.findings.predict import load_findings
from tetkik.lab.findings.reference import ReferenceImages, make_reference, read_log
from tetkik.language import Sentence

CHEST = 3


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return make_findings_bundle(tmp_path_factory.mktemp("bundles") / "blobs")


@pytest.fixture(scope="module")
def folder(tmp_path_factory, chest, brain):
    """Three chests, a brain, a picture of noise that no model may see, and a file that is no image."""
    place = tmp_path_factory.mktemp("films")
    shutil.copy(chest, place / "a.dcm")
    for seed in range(1, CHEST):
        write_phantom(place / f"b{seed}.dcm", seed, rows=300, columns=300)
    shutil.copy(brain, place / "c.dcm")
    noise = np.random.default_rng(0).integers(0, 255, (300, 300), np.uint8)
    Image.fromarray(noise).save(place / "d.png")
    (place / "e.png").write_bytes(b"no image")
    return place


def run(*arguments: object) -> tuple[int, str, str]:
    """Exit status, standard output, standard error."""
    result = CliRunner().invoke(app, ["findings", "reference", *map(str, arguments)])
    assert "Traceback" not in result.output
    return result.exit_code, result.stdout, result.stderr


def test_a_folder_gives_what_the_service_would_have_seen(model, folder, tmp_path):
    out = tmp_path / "with"
    before = {file.name: file.read_bytes() for file in model.path.iterdir()}
    status, said, warned = run("--model", model.path, "--images", folder, "--out", out, "--split", "spring")
    assert status == 0 and "5 images" in said and "Images that cannot be read: 1" in warned
    made = open_bundle(out, Task.FINDINGS)  # every hash holds
    reference = read_reference(made)
    assert isinstance(reference, ImageReference)
    assert (reference.data, reference.split, reference.images, reference.unreadable) == (
        folder.name,
        (Sentence("spring"),),
        5,
        1,
    )
    chest, brain, none = (reference.inputs[route] for route in ("chest", "brain_mri", ""))
    assert (chest.images, brain.images, none.images, none.refused) == (CHEST, 1, 1, 1)
    assert chest.modalities == {"DX": CHEST} and none.modalities == {"": 1} and none.without_spacing == 1
    findings = load_findings(model)
    answers = [findings.predict(file) for file in sorted(folder.glob("[ab]*.dcm"))]
    scores = [one.score or 0.0 for answer in answers for one in answer.findings if one.label == "Nodule"]
    nodule = reference.labels["Nodule"]
    assert nodule.scores.mean == pytest.approx(np.mean(scores), rel=1e-4)
    assert (nodule.scores.total, nodule.present, reference.labels["Glioma"].scores.total) == (CHEST, None, 1)
    assert "## Reference for drift" in (out / "README.md").read_text("utf-8")
    assert {file.name: file.read_bytes() for file in model.path.iterdir()} == before
    shown = CliRunner().invoke(app, ["models", "show", str(out)]).stdout
    assert "Reference for drift: 5 images" in shown and "spring" in shown


def test_a_table_gives_the_prevalence_and_another_name(model, folder, tmp_path):
    table = tmp_path / "labels.csv"
    table.write_text("file,Nodule\na.dcm,1\nb1.dcm,0\n", encoding="utf-8")
    out = tmp_path / "with"
    status, said, _ = run(
        table, "--images", folder, "--model", model.path, "--out", out, "--id", "ours", "--data-name", "two"
    )
    made = resolve(str(out))
    assert status == 0 and "0.500" in said and made.manifest.id == "ours"
    reference = read_reference(made)
    assert isinstance(reference, ImageReference) and reference.data == "two"
    nodule = reference.labels["Nodule"]
    assert (nodule.scores.total, nodule.present, nodule.absent) == (2, 1, 1)


def test_the_scores_of_a_log_take_the_place_of_the_models_own(model, folder, tmp_path):
    log = tmp_path / "m-log"
    log.mkdir()
    (log / "scores.csv").write_text(
        "file,fold,truth:Nodule,score:Nodule\na.dcm,0,1,0.9\nb1.dcm,1,0,0.3\n", encoding="utf-8"
    )
    images = read_log(log, folder)
    reference = make_reference(load_findings(model), images, "d", (Sentence("s"),))
    nodule = reference.labels["Nodule"]
    assert nodule.scores.mean == pytest.approx(0.6)
    assert (nodule.positive, nodule.present, nodule.absent) == (1, 1, 1)
    assert run("--model", model.path, "--log", log, "--images", folder, "--out", tmp_path / "out")[0] == 0


def test_some_of_many_are_drawn_by_chance():
    images = ReferenceImages.unlabelled(tuple(range(100)))  # type: ignore[arg-type]
    assert len(images.some(10)) == 10 and images.some(10).files == images.some(10).files
    assert images.some(10, 1).files != images.some(10).files and images.some(100) is images


def test_a_model_is_never_changed_in_its_place(model, folder):
    status, _, said = run("--model", model.path, "--images", folder, "--out", model.path)
    assert status == 2 and "stays as it is" in said
    assert "reference.json" not in json.loads((model.path / "manifest.json").read_text())["files"]


def test_what_cannot_be_is_said_in_one_sentence(model, folder, tmp_path):
    out = tmp_path / "out"
    assert run("--model", model.path, "--out", out)[0] == 2
    assert run("--model", model.path, "--out", out, "--log", folder)[0] == 2
    status, _, said = run("--model", model.path, "--out", out, "--log", folder, "--images", folder)
    assert status == 1 and "is not the log of a training" in said
    assert not out.exists()
    with pytest.raises(DataError, match="Not one of the images"):
        make_reference(
            load_findings(model), ReferenceImages.unlabelled((folder / "e.png",)), "d", (Sentence("s"),)
        )
