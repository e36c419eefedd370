"""What the pixels of an image show by counting: its size, its exposure, its shape.

The limits lie well beyond every one of the 3,358 chest radiographs and 2,611 brain MRI slices that they were
checked on; docs/model-cards/gate.md has how far.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from tetkik.language import Sentence
from tetkik.values import Flaw, Radiograph, Reason, Route

LEAST_SIDE = 128
"""Pixels. Below it a network of 224 pixels is shown more guesses than image."""
LONGEST_SHAPE = 3.0
"""Longer side over shorter: no film and no slice is a strip."""


_ONE_GREY = 0.45
"""Share of the pixels that one grey other than black may have in a film; paper and screens have more."""
_PRINTED = 0.3
"""Contrast from which on a picture of mostly one grey is a page, and not a film without contrast."""


# Shares beyond which nothing can be recognised: of white the 95th and the 5th percentile, of the pixels black
# and white ones.
_LIMITS = {
    Route.CHEST: (0.2, 0.85, 0.8, 0.5),
    # A slice is mostly air, and air is black.
    Route.BRAIN_MRI: (0.1, 0.6, 0.95, 0.4),
}
_LEAST_CONTRAST, _LEAST_LEVELS = 0.1, 16
_SAMPLE = 1 << 16


def size_flaws(image: Radiograph) -> Iterator[Reason]:
    short, long = sorted((image.rows, image.columns))
    if short < LEAST_SIDE:
        yield Reason(
            Flaw.TOO_SMALL,
            Sentence(
                "The picture has {columns} x {rows} pixels, and at least {least} are needed on each side; "
                "send the original, not a thumbnail.",
                {"columns": image.columns, "rows": image.rows, "least": LEAST_SIDE},
            ),
        )
    if long > LONGEST_SHAPE * short:
        yield Reason(Flaw.CROPPED, Sentence("The picture is a narrow strip; send the whole image."))


def exposure_flaws(image: Radiograph, route: Route) -> Iterator[Reason]:
    """Whether the image is so dark, bright or flat that nothing can be recognised; one reason at most."""
    least_bright, most_dark, most_black, most_white = _LIMITS[route]
    pixels = _some_pixels(image)
    low, dark, bright, high = np.percentile(pixels, (0.5, 5, 95, 99.5)) / image.white
    flaw = None
    if bright < least_bright or (pixels <= 0.02 * image.white).mean() > most_black:
        flaw = Sentence("The picture is nearly black; send the original, with its window set.")
    elif dark > most_dark or (pixels >= 0.98 * image.white).mean() > most_white:
        flaw = Sentence("The picture is nearly white; send the original, with its window set.")
    elif high - low < _LEAST_CONTRAST or len(np.unique(pixels)) < _LEAST_LEVELS:
        flaw = Sentence("The picture has hardly any contrast; send the original, with its window set.")
    if flaw is not None:
        yield Reason(Flaw.EXPOSURE, flaw)


def is_page(image: Radiograph) -> bool:
    """Whether a picture that could be a film is mostly of one grey, as documents, plots and screens are."""
    levels = np.floor(_some_pixels(image) * (256 / (image.white + 1.0))).astype(np.int64)
    share = np.bincount(levels, minlength=256) / len(levels)
    low, high = np.percentile(levels, (0.5, 99.5))
    # Three neighbouring levels are one grey in a compressed picture; the lowest ones are black.
    one_grey = np.convolve(share[5:], np.ones(3), "same").max()
    return bool(one_grey > _ONE_GREY and high - low >= _PRINTED * 256)


def _some_pixels(image: Radiograph) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Some tens of thousands of them, which say as much as ten million."""
    pixels = image.pixels.ravel()
    return pixels[:: max(1, pixels.size // _SAMPLE)]
