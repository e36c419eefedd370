"""A training leaves a reference for drift, of images that the scoring networks had not learned."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from PIL import Image

from tests.lab.findings.train_kit import draw, quick_options, silent, tiny_family
from tests.phantom import make_phantom
from tetkik.bundle import ImageReference, in_own_language, read_reference
from tetkik.findings.networks import FAMILIES
from tetkik.lab.findings.data import read_labels
from tetkik.lab.findings.train import train_findings

FILMS = 24


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    monkeypatch.setitem(FAMILIES, "tiny", tiny_family())


@pytest.fixture
def films(tmp_path):
    """Films that the gate lets through, half of them with an effusion."""
    lines = ["file,Effusion,Mass,patient_id"]
    for number in range(FILMS):
        signs = ["Effusion"] * (number % 2)
        pixels = make_phantom(number, signs, rows=160, columns=160).pixels
        Image.fromarray((pixels >> 4).astype(np.uint8)).save(tmp_path / f"{number}.png")
        lines.append(f"{number}.png,{number % 2},{number // 2 % 2},p{number}")
    (tmp_path / "labels.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return read_labels(tmp_path / "labels.csv", tmp_path)


def test_with_folds_it_holds_the_scores_of_networks_that_had_not_learned_the_image(films, tmp_path):
    options = quick_options(folds=2, epochs=2, reference=1000, data_name="films")
    made = train_findings(films, tmp_path / "model", options, silent)
    reference = read_reference(made)
    assert isinstance(reference, ImageReference)
    assert (reference.data, reference.images) == ("films", FILMS)
    assert in_own_language(reference.split).startswith("out of fold, 2 folds, each score from networks")
    assert reference.inputs["chest"].refused == 0
    with (tmp_path / "model-log" / "scores.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    for label in made.manifest.thresholds:
        one = reference.labels[label]
        assert (one.scores.total, one.prevalence) == (FILMS, 0.5)
        assert one.scores.mean == pytest.approx(np.mean([float(row[f"score:{label}"]) for row in rows]))
    assert made.manifest.thresholds
    assert "## Reference for drift" in (made.path / "README.md").read_text("utf-8")
    assert "reference" not in made.manifest.training  # it changes no weight


def test_with_parts_it_is_of_the_calibration_rows_and_never_of_the_test(tmp_path):
    images = read_labels(draw(tmp_path / "drawn", 160), tmp_path / "drawn")
    made = train_findings(images, tmp_path / "model", quick_options(epochs=1, reference=5), silent)
    reference = read_reference(made)
    assert isinstance(reference, ImageReference)
    assert (
        reference.split[0].template.startswith("calibration, 10%") and reference.split[1].values["count"] == 5
    )
    # These pictures are far too small for the gate: they are seen, and have no score.
    assert reference.images == 5 and not reference.labels
    assert sum(seen.refused for seen in reference.inputs.values()) == 5
