"""The heatmap without its sheet: over the image, and alone."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from tetkik.findings.heatmaps.overlay import blended, coloured, panel, veil


@pytest.mark.parametrize(("rows", "columns"), [(640, 640), (640, 500), (200, 640), (640, 41)])
def test_the_panel_is_the_image_with_the_heat_over_it(rows: int, columns: int):
    random = np.random.default_rng(3)
    picture = random.integers(0, 256, (rows, columns)).astype(np.uint8)
    heat = random.random((rows, columns)).astype(np.float32)
    drawn = panel(picture, heat)
    assert (np.asarray(drawn) == blended(picture, heat)).all()
    assert isinstance(drawn, Image.Image) and drawn.size == (columns, rows)


def test_a_small_picture_is_enlarged_for_the_panel():
    assert panel(np.zeros((80, 160), np.uint8), np.zeros((80, 160), np.float32)).size == (640, 320)


def test_the_veil_hides_nothing_where_there_is_no_heat_and_has_the_colours_of_the_panel():
    heat = np.tile(np.linspace(0, 1, 101, dtype=np.float32), (7, 1))
    drawn = veil(heat)
    assert (drawn.mode, drawn.size) == ("RGBA", (101, 7))
    values = np.asarray(drawn)
    assert (values[..., :3] == coloured(heat)).all()
    alpha = values[0, :, 3].astype(int)
    assert (alpha[:21] == 0).all() and alpha[80] == alpha[100] == 255
    assert (np.diff(alpha) >= 0).all()
    assert veil(np.zeros((1000, 500), np.float32), 256).size == (128, 256)
