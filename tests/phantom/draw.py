"""A phantom from its arguments: the anatomy, its signs, and how a detector would have seen them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypedDict, Unpack

import numpy as np
from numpy.typing import NDArray

from tests.phantom.brain import draw_brain
from tests.phantom.build import build
from tests.phantom.canvas import Canvas, Field, Mask, Points, blur_pixels, spline, zoom
from tests.phantom.chest import draw_chest
from tests.phantom.signs import CHEST_SIGNS, draw_sign
from tetkik.values import BRAIN_LABELS, Route, Sex, View

BITS = 12
"""Bits of a drawn pixel: 0 to 4095."""

_WORKING = 1024
"""The longest side that anatomy is drawn at; a larger picture is enlarged before its noise is added."""


@dataclass(frozen=True, slots=True, eq=False)
class Phantom:
    """A drawn image with its truth.

    Attributes:
        pixels: (rows, columns), uint16, 12 bit, larger is brighter.
        regions: where each sign was drawn, (rows, columns), bool; empty for `Normal` and `No_Tumor`.
        kind: chest or brain.
        sex: of the imaginary patient.
        view: PA or AP; None for the brain.
        seed: with the arguments, it decides every pixel.
    """

    pixels: NDArray[np.uint16]
    regions: Mapping[str, NDArray[np.bool_]]
    kind: Route
    sex: Sex
    view: View | None
    seed: int


class Options(TypedDict, total=False):
    """What may be asked of a phantom besides its seed and signs.

    Attributes:
        kind: `chest` or `brain_mri`.
        rows: height in pixels, 32 to 8192; 1024 unless told.
        columns: width in pixels, 32 to 8192; 1024 unless told.
        sex: decides breasts and width; the seed chooses unless told.
        view: PA, or AP as in a film taken in bed: a larger heart, the scapulae over the lungs, high domes.
        marker: whether a lead R stands at the patient's right shoulder; it does unless told.
        collimation: width of the unexposed border as a share of the shorter side, 0.012 unless told.
    """

    kind: Route | str
    rows: int
    columns: int
    sex: Sex | None
    view: View
    marker: bool
    collimation: float


def make_phantom(seed: int = 0, signs: Iterable[str] = (), **options: Unpack[Options]) -> Phantom:
    """Draw a synthetic image.

    Args:
        seed: the imaginary patient; the same arguments give the same pixels.
        signs: shared labels to show, such as `Effusion`; those of the kind alone.
        options: as in `Options`.

    Raises:
        ValueError: a sign that the kind cannot show, or an impossible size.
    """
    kind, wanted = Route(options.get("kind", Route.CHEST)), tuple(signs)
    rows, columns = options.get("rows", 1024), options.get("columns", 1024)
    sex, view = options.get("sex"), options.get("view", View.PA)
    known = CHEST_SIGNS if kind is Route.CHEST else BRAIN_LABELS
    for sign in wanted:
        if sign not in known:
            raise ValueError(f"a {kind.value} phantom cannot show {sign}")
    if not (32 <= rows <= 8192 and 32 <= columns <= 8192):
        raise ValueError(f"a phantom cannot have {rows} x {columns} pixels")
    # Three streams: a sign must not change the patient, and neither may change the noise.
    rng, of_signs, of_noise = (np.random.default_rng([seed, stream]) for stream in (1, 2, 3))
    if sex is None:
        sex = Sex.FEMALE if rng.random() < 0.5 else Sex.MALE
    scale = min(1.0, _WORKING / max(rows, columns))
    canvas = Canvas(max(1, round(rows * scale)), max(1, round(columns * scale)))
    if kind is Route.BRAIN_MRI:
        light, regions = draw_brain(canvas, wanted, rng, of_signs)
        return Phantom(
            _mr(light, rows, columns, of_noise), _enlarged(regions, rows, columns), kind, sex, None, seed
        )
    chest = draw_chest(canvas, build(rng, sex, view, frozenset(wanted)), rng)
    drawn = {sign: draw_sign(sign, chest, of_signs) for sign in wanted}
    attenuation = chest.attenuation + sum((sign.added for sign in drawn.values()), canvas.zeros())
    if options.get("marker", True):
        # Lead: nothing comes through it.
        attenuation = attenuation + 2.2 * _marker(canvas)
    pixels = _film(canvas, attenuation, rows, columns, options.get("collimation", 0.012), of_noise)
    regions = {label: sign.region for label, sign in drawn.items()}
    return Phantom(pixels, _enlarged(regions, rows, columns), kind, sex, view, seed)


def draw_phantom(seed: int = 0, signs: Iterable[str] = (), **options: Unpack[Options]) -> NDArray[np.uint16]:
    """The pixels of `make_phantom`: (rows, columns), uint16, 12 bit, larger is brighter."""
    return make_phantom(seed, signs, **options).pixels


def _enlarged(regions: Mapping[str, Mask], rows: int, columns: int) -> dict[str, NDArray[np.bool_]]:
    return {
        label: mask[
            np.ix_(np.arange(rows) * mask.shape[0] // rows, np.arange(columns) * mask.shape[1] // columns)
        ]
        for label, mask in regions.items()
    }


def _film(
    canvas: Canvas,
    attenuation: Field,
    rows: int,
    columns: int,
    collimation: float,
    rng: np.random.Generator,
) -> NDArray[np.uint16]:
    """From attenuation to a film: scattered light, quantum noise, the curve of the screen, the border."""
    light = np.exp(-1.6 * np.maximum(attenuation, 0))
    light = 0.86 * light + 0.14 * canvas.blur(light, 0.08)
    light = zoom(light, rows, columns)
    light += 0.012 * np.sqrt(light) * _grain(rng, rows, columns)
    grey = 1 - np.exp(-(np.maximum(-np.log(np.clip(light, 1e-3, None)) / 1.6, 0) ** 1.7))
    grey *= _aperture(rng, rows, columns, collimation)
    return np.asarray(np.rint(np.clip(0.01 + 0.985 * grey, 0, 1) * (2**BITS - 1)), np.uint16)


def _mr(light: Field, rows: int, columns: int, rng: np.random.Generator) -> NDArray[np.uint16]:
    """Rician noise: the magnitude of a complex signal (Gudbjartsson & Patz, MRM 1995;34:910)."""
    real = zoom(light, rows, columns) + 0.012 * _grain(rng, rows, columns)
    magnitude = np.hypot(real, 0.012 * _grain(rng, rows, columns))
    return np.asarray(np.rint(np.clip(0.93 * magnitude, 0, 1) * (2**BITS - 1)), np.uint16)


def _grain(rng: np.random.Generator, rows: int, columns: int) -> Field:
    """Noise with the correlation of neighbours that a detector has; deviation 1."""
    noise = rng.standard_normal((rows, columns), np.float32)
    return (blur_pixels(noise, 0.6) / np.float32(0.46)).astype(np.float32)


def _marker(canvas: Canvas) -> Field:
    """A lead R on the patient's right."""
    left, top, size = -0.43, 0.045, 0.038
    bow = [(0, 0), (0.35, 0.0), (0.58, 0.12), (0.58, 0.38), (0.35, 0.5), (0, 0.5)]
    lines: list[Points] = [np.array([[0, 0], [0, 1.0]]), spline(bow, 6), np.array([[0.25, 0.5], [0.62, 1.0]])]
    field = canvas.zeros()
    for line in lines:
        canvas.stroke(line * size + [left, top], 0.0040, np.ones_like, on=field)
    return canvas.blur(field, 0.0006)


def _aperture(rng: np.random.Generator, rows: int, columns: int, share: float) -> Field:
    """1 inside the collimator's opening, near 0 outside; its edges are a little unequal and soft."""
    if share <= 0:
        return np.ones((rows, columns), np.float32)
    unit = min(rows, columns)
    widths = share * unit * rng.uniform(0.6, 1.5, 4)
    soft = max(1.0, 0.002 * unit)
    y, x = np.arange(rows, dtype=np.float32)[:, None], np.arange(columns, dtype=np.float32)[None]
    sides = (y - widths[0], rows - 1 - y - widths[1], x - widths[2], columns - 1 - x - widths[3])
    opening = np.ones((rows, columns), np.float32)
    for inward in sides:
        opening = opening * np.clip(inward / soft + 0.5, 0, 1)
    return np.asarray(0.02 + 0.98 * opening, np.float32)
