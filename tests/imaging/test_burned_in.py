"""The search for text in the pixels: its quick steps give what their plain definitions give."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tetkik.imaging.burned_in import _blobs, _extreme, _quantile, _strokes

shapes = st.tuples(st.integers(1, 24), st.integers(1, 24))


def _random(shape: tuple[int, int], seed: int, coarse: bool) -> NDArray[np.uint8]:
    picture = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    return picture // 200 * 200 if coarse else picture


@given(shapes, st.integers(0, 1000), st.booleans(), st.sampled_from([0.0, 0.25, 0.5, 0.995, 1.0]))
def test_the_quantile_of_a_histogram_is_that_of_the_pixels(
    shape: tuple[int, int], seed: int, coarse: bool, share: float
) -> None:
    picture = _random(shape, seed, coarse)
    assert abs(_quantile(picture, share) - np.quantile(picture, share)) < 1e-9


@given(shapes, st.integers(0, 1000), st.booleans())
def test_an_extreme_is_of_a_window_that_ends_at_the_edge(
    shape: tuple[int, int], seed: int, coarse: bool
) -> None:
    picture = _random(shape, seed, coarse)
    for pick, plain in ((np.minimum, np.min), (np.maximum, np.max)):
        expected = [
            [
                plain(picture[max(0, row - 4) : row + 5, max(0, column - 4) : column + 5])
                for column in range(shape[1])
            ]
            for row in range(shape[0])
        ]
        assert np.array_equal(_extreme(picture, pick), expected)


@given(shapes, st.integers(0, 1000), st.floats(0.05, 0.9))
def test_blobs_are_the_regions_that_a_walk_finds(shape: tuple[int, int], seed: int, density: float) -> None:
    draw = np.random.default_rng(seed)
    mask = draw.random(shape) < density
    sure = mask & (draw.random(shape) < 0.3)
    found = _blobs(mask, sure)
    assert found is not None
    expected = [region for region in _walked(mask) if sum(sure[at] for at in region) >= 0.15 * len(region)]
    rows_and_columns = [tuple(zip(*region, strict=True)) for region in expected]
    boxes = [(min(r), min(c), max(r) + 1, max(c) + 1, len(r)) for r, c in rows_and_columns]
    assert sorted(map(tuple, np.column_stack([found.boxes, found.sizes]).tolist())) == sorted(boxes)


def _walked(mask: NDArray[np.bool_]) -> list[list[tuple[int, int]]]:
    left = {(int(row), int(column)) for row, column in np.argwhere(mask)}
    regions = []
    while left:
        region = [left.pop()]
        for row, column in region:
            near = {(row + down, column + right) for down in (-1, 0, 1) for right in (-1, 0, 1)} & left
            left -= near
            region += near
        regions.append(region)
    return regions


def test_strokes_stand_out_from_what_is_around_them() -> None:
    picture = np.full((40, 40), 60, np.uint8)
    picture[10:12, 5:30] = 255  # a line of a console
    picture[20:22, 5:30] = 110  # a rib: seen, and not sure
    picture[28:40, 5:30] = 255  # wider than the window
    seen, sure = _strokes(picture, bright=True)
    assert seen[10:12, 5:30].all() and sure[10:12, 5:30].all()
    assert seen[20:22, 5:30].all() and not sure[20:22].any()
    assert not seen[30:38, 8:27].any()
    dark, certain = _strokes(255 - picture, bright=False)
    assert np.array_equal(dark, seen) and np.array_equal(certain, sure)
