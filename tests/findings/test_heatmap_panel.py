"""The heatmap alone, cut from its sheet."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from tetkik.findings.heatmaps import Legend, Method, blended, draw, panel
from tetkik.language import Language
from tetkik.values import Finding, ThresholdOn

FINDING = Finding("Effusion", True, 0.8, 0.8, 0.5, ThresholdOn.PROBABILITY, positive=True)


@pytest.mark.parametrize(("rows", "columns"), [(640, 640), (640, 500), (200, 640), (640, 41)])
def test_the_panel_is_the_image_with_the_heat_over_it(rows: int, columns: int):
    random = np.random.default_rng(3)
    picture = random.integers(0, 256, (rows, columns)).astype(np.uint8)
    heat = random.random((rows, columns)).astype(np.float32)
    sheet = draw(picture, heat, Legend(FINDING, Method.CAM, "model 1.0", Language.TR))
    cut = panel(sheet, 4 * rows, 4 * columns)  # the sheet is of a smaller picture than the image
    assert (np.asarray(cut) == blended(picture, heat)).all()
    assert isinstance(cut, Image.Image) and cut.size == (columns, rows)
