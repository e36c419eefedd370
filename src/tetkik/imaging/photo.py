"""A phone's photograph of a film or of a screen: found, straightened, marked.

A direct export fills its picture and is never touched. A photograph shows the film as a quadrilateral before
something else: a light box, a table, the frame of a screen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tetkik.imaging.quadrilateral import Points, Quadrilateral, find_quadrilateral
from tetkik.language import Sentence

_WORKING = 480
"""The longest side that the film is looked for at, pixels."""
_LARGEST = 4096

_STRAIGHTENED = Sentence(
    "This is a photograph of a film: it was cut out and straightened; the original file is better."
)
_AS_IT_IS = Sentence(
    "This is a photograph, and the edges of a film were not found in it: it is read as it is; "
    "the original file is better."
)


@dataclass(frozen=True, slots=True, eq=False)
class Straightened:
    """A photographed film in grey, (rows, columns), uint8; less than diagnostic quality.

    `corners`, (4, 2), are column and row in the photograph, clockwise from the top left; None where not
    found.
    """

    pixels: NDArray[np.uint8]
    note: Sentence
    corners: Points | None = None


def straighten(rgb: NDArray[np.uint8], exif_camera: bool = False) -> Straightened | None:
    """The film in a photograph, upright and without its surroundings; None for a direct export.

    `rgb` is (rows, columns, 3), uint8, turned as its EXIF says. Without a camera's name in its EXIF the
    picture itself must show it: colour (a grey picture is an export), four straight sides, and surroundings
    that no export has.
    """
    if not exif_camera and _colour(rgb[:: max(1, rgb.shape[0] // 64), :: max(1, rgb.shape[1] // 64)]) < 2:
        return None
    small = _small(rgb)
    grey = _grey(small)
    found = _film(grey)
    if found is not None and not _is_film(small, grey, found):
        found = None
    if found is not None:
        scale = np.array([rgb.shape[1] / small.shape[1], rgb.shape[0] / small.shape[0]])
        corners = (found.corners + 0.5) * scale - 0.5
        return Straightened(_evened(_cut_out(rgb, corners)), _STRAIGHTENED, corners)
    if exif_camera:
        return Straightened(np.rint(_grey(rgb)).astype(np.uint8), _AS_IT_IS)
    return None


def _small(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    scale = min(1.0, _WORKING / max(rgb.shape[:2]))
    size = (max(1, round(rgb.shape[1] * scale)), max(1, round(rgb.shape[0] * scale)))
    return np.asarray(Image.fromarray(rgb).resize(size, Image.Resampling.BOX))


def _grey(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Luma (ITU-R BT.601), float32, 0 to 255."""
    return np.asarray(rgb @ np.array([0.299, 0.587, 0.114], np.float32), np.float32)


def _film(grey: NDArray[np.float32]) -> Quadrilateral | None:
    """The film's quadrilateral; where the outermost one is a light box, the one on it."""
    found = find_quadrilateral(grey)
    if found is None:
        return None
    rim = _mask(found.corners, grey.shape, 0.97) & ~_mask(found.corners, grey.shape, 0.90)
    if rim.any() and (grey[rim] > 120).mean() > 0.55 and np.median(grey[rim]) > 150:
        inner = find_quadrilateral(grey, _mask(found.corners, grey.shape, 0.96))
        if inner is not None and inner.support > 0.7:
            return inner
    return found


def _is_film(small: NDArray[np.uint8], grey: NDArray[np.float32], found: Quadrilateral) -> bool:
    """Whether what lies in the quadrilateral is a film, and what lies around it is something else.

    A body in a tinted export has straight sides too, but short, soft or crooked ones, and one tint.
    """
    inside = _mask(found.corners, grey.shape, 0.97)
    outside = ~_mask(found.corners, grey.shape, 1.04)
    if outside.mean() < 0.03 or inside.mean() < 0.05:
        return False
    if found.support < 0.75 or found.skew > 20 or found.steepness < 4.5:
        return False
    # A film is grey under one light: every pixel has the same tint.
    tint = small.astype(np.float32) - grey[..., None]
    if tint[inside].std(axis=0).max() > 14:
        return False
    surroundings = grey[outside]
    if np.percentile(surroundings, 90) - np.percentile(surroundings, 10) < 4:
        return False  # the even border of an export
    return (found.support > 0.85 and found.steepness > 15) or _other_tint(tint, grey, inside, outside) > 5


def _other_tint(
    tint: NDArray[np.float32],
    grey: NDArray[np.float32],
    inside: NDArray[np.bool_],
    outside: NDArray[np.bool_],
) -> float:
    """How far the tint outside is from what the film's would be at the same brightness, grey levels."""
    level = (grey / 16).astype(int)
    counts = np.bincount(level[inside], minlength=17)
    known = np.flatnonzero(counts > 20)
    if not known.size:
        return 0.0
    of_film = np.empty((17, 3), np.float32)
    for channel in range(3):
        sums = np.bincount(level[inside], weights=tint[inside, channel], minlength=17)
        of_film[:, channel] = np.interp(range(17), known, sums[known] / counts[known])
    return float(np.abs(tint[outside] - of_film[level[outside]]).max(axis=-1).mean())


def _colour(rgb: NDArray[np.uint8]) -> float:
    """Mean spread of the three channels, 0 to 255; 0 for grey."""
    return float(np.ptp(rgb.astype(np.int16), axis=-1).mean())


def _mask(corners: Points, shape: tuple[int, ...], scale: float) -> NDArray[np.bool_]:
    """The inside of the corners, moved away from their middle by `scale`."""
    middle = corners.mean(axis=0)
    corners = middle + scale * (corners - middle)
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    inside = np.ones(shape, bool)
    for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        inside &= (x1 - x0) * (rows - y0) - (y1 - y0) * (columns - x0) >= 0
    return inside


def _cut_out(rgb: NDArray[np.uint8], corners: Points) -> NDArray[np.float32]:
    """The quadrilateral as an upright rectangle of its own mean sides, grey, float32."""
    sides = np.linalg.norm(corners - np.roll(corners, -1, axis=0), axis=1)
    width, height = (max(1, round(float(np.mean(pair)))) for pair in (sides[::2], sides[1::2]))
    shrink = min(1.0, _LARGEST / max(width, height))
    width, height = max(1, round(width * shrink)), max(1, round(height * shrink))
    rectangle = np.array([[0, 0], [width, 0], [width, height], [0, height]], float)
    picture = Image.fromarray(_grey(rgb))
    cut = picture.transform(
        (width, height),
        Image.Transform.PERSPECTIVE,
        tuple(_homography(rectangle, corners + 0.5)),
        Image.Resampling.BICUBIC,
    )
    return np.asarray(cut, np.float32)


def _homography(source: Points, target: Points) -> list[float]:
    """The 8 numbers of the projective map from `source` to `target`, four places each."""
    rows, values = [], []
    for (x, y), (u, v) in zip(source, target, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        values += [u, v]
    return [float(value) for value in np.linalg.solve(np.array(rows), np.array(values))]


def _evened(film: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Grey with the sideways fall of light halved and the range filled.

    A chest is alike on both sides, so a slope from left to right is mostly the light's; one from top to
    bottom is anatomy and stays.
    """
    light = np.clip(film, 0, 255) + 8
    place = np.linspace(-1, 1, film.shape[1], dtype=np.float32)
    level = np.log(np.median(light, axis=0))
    slope = float(np.clip(np.polyfit(place, level, 1)[0], -0.3, 0.3)) if film.shape[1] > 1 else 0.0
    even = light * np.exp(-0.5 * slope * place) - 8
    low, high = np.percentile(even, [0.5, 99.5])
    stretched = (even - low) * (255 / max(float(high - low), 1.0))
    return np.asarray(np.rint(np.clip(stretched, 0, 255)), np.uint8)
