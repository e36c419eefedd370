"""Pictures as PNG."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from tetkik.workflow.images import png_of


@pytest.mark.parametrize("shape", [(1, 1), (3, 1), (300, 200), (1, 9, 3), (5, 4, 4), (64, 65, 4)])
def test_a_picture_is_packed_without_loss(shape):
    values = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    picture = Image.fromarray(values)
    with Image.open(BytesIO(png_of(picture))) as read:
        assert read.mode == picture.mode
        assert np.array_equal(np.asarray(read), values)
