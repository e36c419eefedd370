"""The training of the gate: its examples, its changes, its export, its command."""

from __future__ import annotations

import csv
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.phantom import draw_phantom
from tetkik.bundle import Task
from tetkik.bundle.store import open_bundle
from tetkik.errors import TrainingError
from tetkik.imaging.gate import judge
from tetkik.imaging.gate.judge import load_classifier
from tetkik.imaging.prepare import prepare
from tetkik.values import FileFormat, Radiograph, Route

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))
from imaging_gate_augment import Augmenter, Recipe
from imaging_gate_examples import (
    BRAIN,
    CHEST,
    NOT_CHEST,
    OTHER,
    SIDE,
    Collection,
    Examples,
    draw_scene,
    gather,
    read_others,
    square_of,
)
from imaging_gate_training import (
    LOGITS,
    GateOptions,
    Schedule,
    _shares,
    fit,
    losses,
    main,
    preprocessing,
    train_gate,
)

STILL = Recipe(
    turned=0,
    inverted=0,
    halved=0,
    shuffled=0,
    trimmed=0,
    tilt=0,
    stretch=1,
    framed=0,
    sharpened=0,
    written=0,
)


def tell_nobody(step, done, total):
    pass


@pytest.fixture(scope="module")
def phantoms() -> dict[Route, list[np.ndarray]]:
    """24 of each kind, uint8: three that are drawn, at several exposures."""
    found = {}
    for kind in Route:
        three = [draw_phantom(seed, kind=kind, rows=160, columns=160) / 4095 for seed in range(3)]
        found[kind] = [
            (255 * three[number % 3] ** (0.6 + 0.05 * number)).astype(np.uint8) for number in range(24)
        ]
    return found


@pytest.fixture(scope="module")
def folders(tmp_path_factory, phantoms):
    """A table of drawn films and slices, and a folder of drawn scenes."""
    root = tmp_path_factory.mktemp("gate")
    rows = []
    for kind, label in ((Route.CHEST, "Normal"), (Route.BRAIN_MRI, "No_Tumor")):
        for number, pixels in enumerate(phantoms[kind]):
            file = f"{kind.value}-{number}.png"
            Image.fromarray(pixels).save(root / file)
            rows.append({"file": file, "labels": label, "patient_id": str(number), "source": "site"})
    with (root / "labels.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    (root / "others").mkdir()
    random = np.random.default_rng(0)
    for number in range(24):
        Image.fromarray(draw_scene(random)).save(root / "others" / f"{number}.png")
    return root


def example(kind=CHEST, count=1, pixels=None) -> Examples:
    """One example many times: a bright corner at the top left, so that its pose can be seen."""
    if pixels is None:
        pixels = np.full((SIDE, SIDE), 60, np.uint8)
        pixels[: SIDE // 2, : SIDE // 2] = 200
    return Examples(
        np.repeat(pixels[None], count, axis=0),
        np.ones(count, np.float32),
        np.full(count, kind, np.int64),
        np.arange(count),
        ("here",) * count,
    )


def batch_of(examples, recipe, seed=0, size=80):
    return Augmenter(size, recipe, seed).batch(
        torch.from_numpy(examples.squares), torch.from_numpy(examples.aspect), torch.from_numpy(examples.kind)
    )


def corners(image) -> list[bool]:
    """Whether each corner (top left, top right, bottom left, bottom right) is the bright one."""
    half = image.shape[-1] // 2
    parts = (slice(half), slice(half, None))
    means = [image[0, rows, columns].mean() for rows in parts for columns in parts]
    return [bool(mean == max(means)) for mean in means]


def test_a_turned_example_is_labelled_as_numpy_turns():
    batch = batch_of(example(count=200), replace(STILL, turned=0.8))
    upright = np.zeros((2, 2), int)
    upright[0, 0] = 1
    for image, turn in zip(batch.images, batch.turn.tolist(), strict=True):
        poses = [np.rot90(pose, turn).ravel().astype(bool).tolist() for pose in (upright, upright[:, ::-1])]
        assert corners(image) in poses
    assert set(batch.turn.tolist()) == {0, 1, 2, 3}


def test_an_inverted_example_is_dark_where_it_was_bright():
    batch = batch_of(example(count=200), replace(STILL, inverted=0.5))
    for image, inverted in zip(batch.images, batch.inverted.tolist(), strict=True):
        bright_share = float((image > (image.max() + image.min()) / 2).float().mean())
        assert (bright_share > 0.5) is bool(inverted)
    assert set(batch.inverted.tolist()) == {0.0, 1.0}


def test_a_cut_example_fills_half_the_square_and_a_whole_one_all_of_it():
    pixels = np.full((SIDE, SIDE), 180, np.uint8)
    pixels[::2] = 160
    batch = batch_of(example(count=200, pixels=pixels), replace(STILL, halved=0.5))
    for image, cropped in zip(batch.images, batch.cropped.tolist(), strict=True):
        filled = float((image > 0.4 * image.max()).float().mean())
        assert filled < 0.72 if cropped else filled > 0.72
    assert set(batch.cropped.tolist()) == {0.0, 1.0}


def test_a_shuffled_film_is_no_film():
    batch = batch_of(example(count=60), replace(STILL, shuffled=1.0))
    assert (batch.allowed == torch.tensor([0.0, 0.0, 1.0])).all()
    assert (batch.turn == -1).all() and (batch.inverted == -1).all() and (batch.cropped == -1).all()


@pytest.mark.parametrize(
    ("kind", "allowed"), [(CHEST, [1, 0, 0]), (BRAIN, [0, 1, 0]), (OTHER, [0, 0, 1]), (NOT_CHEST, [0, 1, 1])]
)
def test_a_kind_allows_its_routes(kind, allowed):
    batch = batch_of(example(kind), STILL)
    assert batch.allowed[0].tolist() == allowed
    assert (batch.turn[0] >= 0) == (kind == CHEST)


def test_what_is_not_known_of_an_example_costs_nothing():
    batch = batch_of(example(OTHER, count=4), STILL)
    logits = torch.zeros(4, LOGITS, requires_grad=True)
    losses(logits, batch).backward()
    assert logits.grad is not None
    assert (logits.grad[:, 3:] == 0).all() and (logits.grad[:, :3] != 0).any()


def test_one_of_two_kinds_is_right_with_either():
    batch = batch_of(example(NOT_CHEST), STILL)
    for route in (1, 2):
        logits = torch.full((1, LOGITS), -20.0)
        logits[0, route] = 20.0
        assert float(losses(logits, batch)) < 1e-6


def test_every_kind_and_every_source_has_its_share():
    many, few = example(CHEST, 90), example(CHEST, 10)
    few = Examples(few.squares, few.aspect, few.kind, few.group, ("there",) * 10)
    every = many.with_more(few).with_more(example(BRAIN, 5)).with_more(example(OTHER, 5))
    share = _shares(every)
    assert share.sum() == pytest.approx(1)
    assert share[:100].sum() == pytest.approx(0.4 / 0.96)
    assert share[:90].sum() / share[90:100].sum() == pytest.approx(3)


def test_the_same_seed_gives_the_same_network():
    schedule = Schedule(steps=3, batch=8)
    answer: list[tuple[int, int]] = []
    first, second = (
        fit(example(count=9), 80, Recipe(), schedule, lambda *done: answer.append(done)) for _ in range(2)
    )
    for left, right in zip(first.state_dict().values(), second.state_dict().values(), strict=True):
        assert torch.equal(left, right)
    assert answer[2] == (3, 3)


def test_training_writes_a_bundle_that_judges(phantoms, tmp_path):
    images = [
        Radiograph(pixels=pixels, white=255, file_format=FileFormat.PNG, sha256="")
        for kind in Route
        for pixels in phantoms[kind]
    ]
    kinds = np.array([CHEST] * 24 + [BRAIN] * 24)
    examples = Examples(
        np.stack([square_of(image) for image in images]),
        np.ones(48, np.float32),
        kinds,
        np.arange(48),
        ("phantom",) * 48,
    )
    options = GateOptions(id="small", scenes=60, schedule=Schedule(steps=40, batch=32))
    steps = []
    bundle = train_gate(examples, tmp_path / "gate", options, lambda *answer: steps.append(answer))
    assert steps[-1] == ("train", 40, 40)
    classifier = load_classifier(bundle.path)
    batch = np.stack([prepare(image, preprocessing(options.size)) for image in images])
    assert (classifier.logits(batch)[:, :3].argmax(axis=1) == kinds).mean() > 0.8
    assert judge(images[-1], classifier=classifier).route is not Route.CHEST
    card = (bundle.path / "README.md").read_text("utf-8")
    assert "lateral" in card and "phantom" in card


def test_too_few_images_of_a_kind_are_refused(tmp_path):
    with pytest.raises(TrainingError, match="brain MRI"):
        train_gate(example(CHEST, 30), tmp_path / "gate", GateOptions(scenes=0), tell_nobody)
    assert not (tmp_path / "gate").exists()


def test_files_that_cannot_be_read_are_left_out(tmp_path):
    Image.fromarray(np.full((140, 200), 90, np.uint8)).save(tmp_path / "good.png")
    (tmp_path / "bad.png").write_bytes(b"not an image")
    files = (tmp_path / "bad.png", tmp_path / "good.png")
    found = gather(Collection(files, (CHEST, OTHER), (0, 1), ("a", "b")), 1, tell_nobody)
    assert found.kind.tolist() == [OTHER] and found.source == ("b",)
    assert found.aspect[0] == pytest.approx(200 / 140)


def test_a_folder_of_others_is_what_it_is_or_what_its_table_says(tmp_path):
    for name in ("a.png", "b.png", "c.png", "d.png", "e.png"):
        Image.fromarray(np.zeros((9, 9), np.uint8)).save(tmp_path / name)
    plain = read_others(tmp_path)
    assert len(plain) == 5 and set(plain.kind) == {OTHER} and len(set(plain.group)) == 5
    rows = [
        ("a.png", "CT|CT - noncontrast|Axial|Chest, Pulmonary|Thorax|ACR 6.2", "A nodule.", "1"),
        ("b.png", "MR|MR - FLAIR|Axial|Brain and Neuro|Head|ACR 1.3", "A lesion.", "1"),
        ("c.png", "MR|MR - FLAIR|Axial|Head and Neck|Head|ACR 2.2", "A cyst.", "2"),
        ("c.png", "MR|MRA - MR Angiography|Axial|Brain and Neuro|Head|ACR 1.7", "Vessels.", "2"),
        ("c.png", "MR|MR - FLAIR|Sagittal|Brain and Neuro|Head|ACR 3.4", "The cord.", "2"),
        ("d.png", "CT|CT - noncontrast|AP|Chest, Pulmonary|Thorax|ACR 6.2", "Scout.", "2"),
        ("e.png", "CT|CT - noncontrast|Axial|Chest, Pulmonary|Thorax|ACR 6.2", "The plain film shows", "3"),
    ]
    with (tmp_path / "captions.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("file", "concepts", "caption", "case"), *rows])
    found = read_others(tmp_path)
    assert [path.name for path in found.files] == ["a.png", "b.png", "c.png", "c.png", "c.png"]
    assert found.kind == (OTHER, BRAIN, NOT_CHEST, NOT_CHEST, NOT_CHEST)
    assert found.group == (0, 0, 1, 1, 1)


def test_the_command_trains_from_a_table_with_figures_for_its_card(folders, tmp_path, capsys):
    row = {"row": "asked", "source": "all", "hits": 9, "n": 10, "rate": 0.9, "low": 0.6, "high": 1.0}
    (tmp_path / "figures.json").write_text(json.dumps([row]), encoding="utf-8")
    words = [folders / "labels.csv", "--others", folders / "others", "--out", tmp_path / "gate"]
    quick = ["--steps", "2", "--scenes", "20", "--workers", "1", "--figures", tmp_path / "figures.json"]
    main([*map(str, words), *map(str, quick)])
    assert f"The model is in {tmp_path / 'gate'}." in capsys.readouterr().out
    assert load_classifier(tmp_path / "gate").preprocessing.size == 80
    manifest = open_bundle(tmp_path / "gate", Task.GATE).manifest
    assert manifest.training["images_by_kind"]["brain MRI slice"] == 24
    assert [(metric.name, metric.value, metric.n) for metric in manifest.metrics] == [("asked", 0.9, 10)]
    (tmp_path / "empty").mkdir()
    words[2] = tmp_path / "empty"
    with pytest.raises(SystemExit, match="no image"):
        main([*map(str, words)])
