"""Photographs of a film with known corners are straightened; exports are left alone."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from tests.phantom import draw_phantom
from tetkik.imaging.photo import straighten
from tetkik.language import Language

ROWS, COLUMNS = 600, 800


@pytest.fixture(scope="module")
def film():
    return (draw_phantom(1, rows=384, columns=360) >> 4).astype(np.uint8)


def coefficients(source, target):
    rows, values = [], []
    for (x, y), (u, v) in zip(source, target, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        values += [u, v]
    return tuple(np.linalg.solve(np.array(rows, float), np.array(values, float)))


def projected(picture, corners, background):
    """`picture` (grey) laid on `background` (rows, columns, 3) with its corners at `corners`."""
    height, width = picture.shape
    rectangle = [(0, 0), (width, 0), (width, height), (0, height)]
    how = (Image.Transform.PERSPECTIVE, coefficients(corners, rectangle), Image.Resampling.BICUBIC)
    size = background.shape[1::-1]
    laid = np.asarray(Image.fromarray(picture).transform(size, *how), float)
    share = np.asarray(Image.new("L", (width, height), 255).transform(size, *how), float) / 255
    tinted = laid[..., None] * [0.95, 0.92, 0.82] + 12
    return background * (1 - share[..., None]) + tinted * share[..., None]


def surroundings(kind):
    y, x = np.mgrid[:ROWS, :COLUMNS].astype(float)
    if kind == "desk":
        grain = 6 * np.sin(x / 9 + 3 * np.sin(y / 60)) + 3 * np.sin(y / 3.1 + x / 40)
        return np.array([150.0, 105, 70]) + grain[..., None]
    if kind == "wall":
        return np.full((ROWS, COLUMNS, 3), (190.0, 185, 165))
    light_box = np.full((ROWS, COLUMNS, 3), (70.0, 72, 78))
    light_box[20:-20, 30:-30] = (230, 238, 250)
    return light_box


def photograph(film, kind, seed):
    """A photograph as (rows, columns, 3), uint8, and the corners of the film in it."""
    rng = np.random.default_rng(seed)
    half = np.array([[-1.0, -1.05], [1, -1.05], [1, 1.05], [-1, 1.05]]) * rng.uniform(170, 215)
    turn = rng.uniform(-0.14, 0.14)
    corners = half @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    corners += rng.uniform(-14, 14, (4, 2))
    corners += np.array([COLUMNS / 2 + rng.uniform(-40, 40), ROWS / 2])
    scene = projected(film, corners, surroundings(kind))
    y, x = np.mgrid[:ROWS, :COLUMNS]
    scene *= (1 - 0.3 * (((x - 250) / COLUMNS) ** 2 + ((y - 200) / ROWS) ** 2))[..., None]  # fall of light
    scene += 110 * np.exp(-(((x - 420) / 40) ** 2) - ((y - 300) / 30) ** 2)[..., None]  # glare
    scene += rng.normal(0, 4, scene.shape)
    return np.clip(scene, 0, 255).astype(np.uint8), corners


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kind", ["desk", "wall", "light box"])
def test_the_corners_are_found(film, kind, seed):
    picture, corners = photograph(film, kind, seed)
    straight = straighten(picture)
    assert straight is not None and straight.corners is not None
    off = np.linalg.norm(straight.corners - corners, axis=1).max()
    assert off < 0.03 * np.linalg.norm(corners[1] - corners[0])


def test_the_film_comes_out_upright(film):
    picture, _ = photograph(film, "wall", 7)
    straight = straighten(picture)
    assert straight is not None and straight.pixels.dtype == np.uint8
    assert abs(straight.pixels.shape[0] / straight.pixels.shape[1] - 384 / 360) < 0.12
    again = np.asarray(Image.fromarray(straight.pixels).resize((360, 384)), float)
    assert np.corrcoef(again.ravel(), film.astype(float).ravel())[0, 1] > 0.93
    assert straight.pixels.min() < 5 and straight.pixels.max() > 250


def test_what_was_done_is_said_in_both_languages(film):
    straight = straighten(photograph(film, "desk", 0)[0])
    assert straight is not None
    assert "photograph" in straight.note.in_language(Language.EN)
    assert straight.note.in_language(Language.TR) != straight.note.in_language(Language.EN)


def test_an_export_is_not_touched(film):
    assert straighten(np.stack([film] * 3, axis=-1)) is None


@pytest.mark.parametrize("tint", [(0.86, 0.98, 1.1), (1.0, 0.93, 0.8)])
def test_a_tinted_export_is_not_touched(film, tint):
    assert straighten(np.clip(film[..., None] * tint, 0, 255).astype(np.uint8)) is None


@pytest.mark.parametrize("border", [0, 255])
def test_a_crooked_field_on_an_even_border_is_an_export(film, border):
    picture = np.asarray(Image.fromarray(film).rotate(4, expand=True, fillcolor=border))
    picture = np.pad(picture, 30, constant_values=border)
    assert straighten(np.clip(picture[..., None] * [0.9, 1.0, 1.1], 0, 255).astype(np.uint8)) is None


def test_colours_are_no_film():
    y, x = np.mgrid[:ROWS, :COLUMNS].astype(float)
    painting = np.stack([128 + 120 * np.sin(x / 20), 128 + 120 * np.sin(y / 25), 255 - x / 4], axis=-1)
    scene = surroundings("wall")
    scene[80:520, 150:650] = painting[80:520, 150:650]
    assert straighten(np.clip(scene, 0, 255).astype(np.uint8)) is None


def test_a_cameras_picture_without_edges_is_read_as_it_is(film):
    picture = np.stack([film] * 3, axis=-1)
    straight = straighten(picture, exif_camera=True)
    assert straight is not None and straight.corners is None
    assert np.array_equal(straight.pixels, film)
    assert "edges" in straight.note.in_language(Language.EN)


@pytest.mark.parametrize("shape", [(1, 1, 3), (2, 500, 3), (40, 40, 3)])
@pytest.mark.parametrize("camera", [True, False])
def test_pictures_without_a_film(shape, camera):
    picture = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    straight = straighten(picture, camera)
    assert (straight is not None) == camera
