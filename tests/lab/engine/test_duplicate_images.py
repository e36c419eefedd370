"""Copies are found after what collections do to images, and pictures of their own are left alone."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from tests.lab.findings.tables import draw
from tetkik.lab.engine.duplicate_images import SIDE, duplicate_images, image_similarity, thumbnails


def changed(path, image, name, **options):
    image.save(path.with_name(name), **options)
    return path.with_name(name)


def test_copies_are_found_and_others_left_alone(tmp_path):
    files = [draw(tmp_path / f"{seed}.png", seed, side=160) for seed in range(12)]
    first = Image.open(files[0])
    copies = [
        changed(files[0], first, "recompressed.jpg", quality=40),
        changed(files[0], first.resize((97, 97), Image.Resampling.LANCZOS), "rescaled.png"),
        changed(
            files[0], first.point([round(255 * (value / 255) ** 0.5) for value in range(256)]), "gamma.png"
        ),
        changed(
            files[0], first.point([min(255, round(value * 0.6 + 40)) for value in range(256)]), "flatter.png"
        ),
        changed(files[0], first.convert("RGB"), "colour.png"),
    ]
    squares, readable = thumbnails([*files, *copies], workers=2)
    assert readable.all()
    groups = duplicate_images(squares, readable)
    assert groups.tolist() == [*range(12), *[0] * len(copies)]


def test_a_file_that_cannot_be_read_stays_alone(tmp_path):
    good = draw(tmp_path / "a.png", 1)
    bad = [tmp_path / "b.png", tmp_path / "c.png"]
    bad[0].write_bytes(b"not an image")
    bad[1].write_bytes(b"not an image either")
    result = []
    squares, readable = thumbnails([*bad, good], progress=lambda *step: result.append(step))
    assert readable.tolist() == [False, False, True]
    assert duplicate_images(squares, readable).tolist() == [0, 1, 2]
    assert result[-1] == ("thumbnails", 3, 3)


def test_the_order_of_images_does_not_matter():
    random = np.random.default_rng(5)
    base = random.integers(0, 256, (30, SIDE, SIDE)).astype(np.uint8)
    squares = np.concatenate(
        [base, np.clip(base[:10].astype(int) + random.integers(-2, 3, (10, SIDE, SIDE)), 0, 255)]
    ).astype(np.uint8)
    groups = duplicate_images(squares)
    assert groups.tolist() == [*range(30), *range(10)]
    order = random.permutation(40)
    shuffled = duplicate_images(squares[order])
    for one in range(40):
        same = groups[order] == groups[order][one]
        assert np.array_equal(shuffled == shuffled[one], same)


def test_similarity_by_value_and_by_rank():
    picture = np.arange(SIDE * SIDE, dtype=np.uint32)[None] * 255 // (SIDE * SIDE)
    left = picture.astype(np.uint8)
    darker = (255 * (left / 255.0) ** 3).astype(np.uint8)
    flat = np.full_like(left, 9)
    assert image_similarity(left, left)[0] == pytest.approx(1)
    assert image_similarity(left, darker)[0] > 0.97
    assert image_similarity(left, 255 - left)[0] < -0.99
    assert image_similarity(left, flat)[0] == 0


def test_thousands_of_identical_images_are_one():
    squares = np.zeros((5000, SIDE, SIDE), np.uint8)
    assert set(duplicate_images(squares).tolist()) == {0}
    assert duplicate_images(squares[:0]).tolist() == []
    with pytest.raises(ValueError, match="threshold"):
        duplicate_images(squares, threshold=0)
