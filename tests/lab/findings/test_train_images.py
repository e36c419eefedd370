from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tetkik.errors import TrainingError
from tetkik.imaging.prepare import Preprocessing, normalise, to_square
from tetkik.imaging.read import read_image
from tetkik.lab.engine.arrays import ArrayStore
from tetkik.lab.engine.batches import in_steps
from tetkik.lab.findings.training.data import augmented, epoch_rows, load_batches, network_input, plain
from tetkik.lab.findings.training.decoded_images import CachedImages, StreamedImages, open_images
from tetkik.lab.findings.training.options import NO_AUGMENTATION, Augmentation
from tetkik.values import Fit

CPU = torch.device("cpu")
SMALL = Preprocessing(size=32)


def silent(step, done, total):
    pass


@pytest.fixture
def files(tmp_path) -> list[Path]:
    """Nine images and one that is none; the last is a copy of the first."""
    random = np.random.default_rng(0)
    paths = []
    for number in range(9):
        path = tmp_path / "images" / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(random.integers(0, 255, (40 + number, 50), np.uint8)).save(path)
        paths.append(path)
    broken, copy = tmp_path / "images" / "broken.png", tmp_path / "images" / "copy.png"
    broken.write_bytes(b"no image at all")
    copy.write_bytes(paths[0].read_bytes())
    return [*paths, broken, copy]


def opened(files, folder, limit=1.0, preprocessing=SMALL):
    return open_images(files, preprocessing, folder, limit=limit, workers=2, progress=silent)


# Decoded images


def test_kept_squares_are_what_serving_makes_of_the_files(files, tmp_path):
    rows = np.array([3, 0, 8])
    for preprocessing in (SMALL, replace(SMALL, fit=Fit.PAD, stretch=(1.0, 99.0))):
        batch = opened(files, tmp_path / "store", preprocessing=preprocessing).batch(rows)
        for row, square in zip(rows, batch, strict=True):
            served = to_square(read_image(files[row]), preprocessing)
            assert np.abs(square / 255 - served).max() <= 0.5 / 255 + 1e-6


def test_an_unreadable_file_costs_itself_alone(files, tmp_path):
    squares = opened(files, tmp_path / "store")
    assert squares.readable.tolist() == [True] * 9 + [False, True]
    assert not squares.batch(np.array([9])).any()
    kept = squares.only(np.array([10, 1]))
    assert (kept.batch(np.array([0])) == squares.batch(np.array([0]))).all()


def test_nothing_is_decoded_twice(files, tmp_path):
    store = tmp_path / "store"
    asked: list[tuple[int, int | None]] = []

    def tell(step, done, total):
        if step == "decoding images":
            asked.append((done, total))

    open_images(files[:4], SMALL, store, limit=1.0, progress=tell)
    assert asked[-1] == (4, 4)
    asked.clear()
    squares = open_images(files, SMALL, store, limit=1.0, progress=tell)
    assert asked[-1] == (6, 6)  # five more images and the broken one; the copy is known already
    assert isinstance(squares, CachedImages) and len(squares.store) == 9
    assert (squares.batch(np.array([0])) == squares.batch(np.array([10]))).all()


def test_a_store_that_was_cut_off_is_taken_up(files, tmp_path):
    store = tmp_path / "store"
    whole = opened(files, store).batch(np.arange(11))
    data, index = next(store.glob("*.u8")), next(store.glob("*.index"))
    data.write_bytes(data.read_bytes()[: 5 * 32 * 32 + 100])  # in the middle of the sixth square
    index.write_text(index.read_text() + "0123")  # and of a digest
    assert (opened(files, store).batch(np.arange(11)) == whole).all()


def test_two_trainings_share_a_store(files, tmp_path):
    store = tmp_path / "store"
    one, two = (ArrayStore(store, "x", {}, (2,), np.dtype(np.uint8)) for _ in range(2))
    one.add([("a", np.array([1, 2])), ("b", np.array([3, 4]))])
    two.add([("b", np.array([3, 4])), ("c", np.array([5, 6]))])
    one.add([("d", np.array([7, 8]))])
    for both in (one.open(), two.open()):
        assert both.arrays[both.places("abcd")].ravel().tolist() == list(range(1, 9))
        assert both.places(["e", None]).tolist() == [-1, -1]


def test_streamed_squares_are_the_kept_ones(files, tmp_path):
    streamed = opened(files, tmp_path / "store", limit=0.0)
    assert isinstance(streamed, StreamedImages)
    rows = np.array([9, 2, 10])
    assert (streamed.batch(rows) == opened(files, tmp_path / "store").batch(rows)).all()
    assert streamed.readable[[9, 2]].tolist() == [False, True]


def test_no_readable_image_is_said(files, tmp_path):
    with pytest.raises(TrainingError, match="Not one of the 1 image can be read"):
        opened(files[9:10], tmp_path / "store")


# Batches and augmentation


@given(st.integers(1, 60), st.integers(0, 5), st.integers(1, 4))
def test_an_epoch_has_every_row_once_in_an_order_of_its_own(count, seed, epoch):
    rows = epoch_rows(np.ones(count, np.float32), seed, epoch)
    assert sorted(rows.tolist()) == list(range(count))
    assert rows.tolist() == epoch_rows(np.ones(count, np.float32), seed, epoch).tolist()
    assert [row for step in in_steps(rows, 7) for row in step] == rows.tolist()


def test_a_weight_says_how_often_a_row_comes():
    weight = np.array([1.0] * 20 + [0.25] * 100 + [2.0] * 10, np.float32)
    drawn = np.concatenate([epoch_rows(weight, 0, epoch) for epoch in range(1, 41)])
    counts = np.bincount(drawn, minlength=130)
    assert len(epoch_rows(weight, 0, 1)) == 65
    assert (counts[:20] == 40).all() or abs(counts[:20].mean() - 40) < 1
    assert abs(counts[20:120].mean() - 10) < 0.2 and counts[20:120].min() > 0
    assert (counts[120:] >= 79).all()


def test_squares_come_in_the_order_asked_for(files, tmp_path):
    squares = opened(files, tmp_path / "store")
    parts = [np.array([4, 1]), np.array([0]), np.array([2, 2]), np.array([5]), np.array([6]), np.array([7])]
    found = list(load_batches(squares, parts, CPU))
    assert [rows.tolist() for rows, _ in found] == [part.tolist() for part in parts]
    assert all((batch.numpy() == squares.batch(rows)).all() for rows, batch in found)


def test_a_failure_while_fetching_is_not_swallowed():
    class Broken:
        def batch(self, rows):
            raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        list(load_batches(Broken(), [np.array([0])], CPU))  # type: ignore[arg-type]


def shapes(count=4, size=33) -> torch.Tensor:
    squares = torch.zeros(count, size, size, dtype=torch.uint8)
    squares[:, 4:10, 20:28] = 200
    return squares


def test_no_change_leaves_the_image_as_it_is():
    same = augmented(shapes(), NO_AUGMENTATION, torch.Generator())
    torch.testing.assert_close(same, plain(shapes()))


def test_each_image_is_changed_by_amounts_of_its_own_that_follow_from_the_seed():
    first = augmented(shapes(), Augmentation(), torch.Generator().manual_seed(1))
    again = augmented(shapes(), Augmentation(), torch.Generator().manual_seed(1))
    other = augmented(shapes(), Augmentation(), torch.Generator().manual_seed(2))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert not torch.equal(first[0], first[1])
    assert first.min() >= 0 and first.max() <= 1


def centre(image: torch.Tensor) -> tuple[float, float]:
    """(row, column) of the bright region."""
    mass = image / image.sum()
    places = torch.arange(image.shape[-1], dtype=torch.float32)
    return float((mass.sum(1) * places).sum()), float((mass.sum(0) * places).sum())


def test_the_affine_changes_go_as_far_as_they_say():
    many = shapes(300)
    row, column = centre(plain(many)[0, 0])
    moved = replace(NO_AUGMENTATION, shift=0.1)
    places = np.array(
        [centre(image[0]) for image in augmented(many, moved, torch.Generator().manual_seed(0))]
    )
    assert np.abs(places - (row, column)).max() <= 0.1 * 33 + 0.01
    assert np.ptp(places, axis=0).min() > 0.15 * 33
    turned = replace(NO_AUGMENTATION, rotation=10.0)
    places = np.array(
        [centre(image[0]) for image in augmented(many, turned, torch.Generator().manual_seed(0))]
    )
    angles = np.degrees(np.arctan2(places[:, 0] - 16, places[:, 1] - 16) - math.atan2(row - 16, column - 16))
    assert 8.5 < np.abs(angles).max() < 10.5 and abs(angles.mean()) < 1.5


def test_images_are_mirrored_only_where_asked_for():
    flipped = augmented(shapes(200), replace(NO_AUGMENTATION, flip=True), torch.Generator().manual_seed(0))
    mirrored = [torch.allclose(image, plain(shapes(1))[0].flip(2), atol=1e-4) for image in flipped]
    assert 70 < sum(mirrored) < 130
    strong = augmented(shapes(200), Augmentation(), torch.Generator().manual_seed(0))
    assert all(centre(image[0])[1] > 16 for image in strong)


def test_the_grey_values_change_on_their_own():
    bright = augmented(shapes(50), replace(NO_AUGMENTATION, brightness=0.1), torch.Generator().manual_seed(0))
    assert 0.05 < bright[:, 0, 0, 0].max() <= 0.1
    gamma = augmented(shapes(50), replace(NO_AUGMENTATION, gamma=0.3), torch.Generator().manual_seed(0))
    level = gamma[:, 0, 6, 24]
    assert level.min() < 200 / 255 - 0.02 and level.max() > 200 / 255 + 0.02
    assert (gamma[:, 0, 0, 0] == 0).all()


def test_a_network_gets_in_training_what_it_gets_in_use():
    square = np.random.default_rng(0).random((2, 32, 32)).astype(np.float32)
    trained = network_input(torch.from_numpy(square).unsqueeze(1), SMALL)
    np.testing.assert_allclose(trained.numpy(), normalise(square, SMALL), atol=1e-6)
