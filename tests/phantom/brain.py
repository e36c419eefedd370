"""The brain phantom: a T1-weighted axial slice, schematic, with a tumour if asked."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tests.phantom.canvas import Canvas, Field, Mask, Points, hump, spline, tube


def _outline(wide: float, long: float) -> Points:
    """An egg, narrower in front, about the middle of the picture."""
    turn = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    front = 1 - 0.10 * np.clip(-np.sin(turn), 0, 1) ** 2
    return np.stack([wide * front * np.cos(turn), 0.5 + long * np.sin(turn)], axis=1)


def draw_brain(
    canvas: Canvas, signs: tuple[str, ...], rng: np.random.Generator, of_signs: np.random.Generator
) -> tuple[Field, dict[str, Mask]]:
    """A slice as brightness from 0 to about 1, and the region of each sign.

    `rng` makes the patient, `of_signs` the tumour: the same patient with and without it.
    """
    wide, long = rng.uniform(0.325, 0.35), rng.uniform(0.405, 0.43)
    scalp = canvas.inside(_outline(wide, long))
    skull = canvas.inside(_outline(wide - 0.016, long - 0.016))
    inner = canvas.inside(_outline(wide - 0.036, long - 0.036))
    brain = canvas.inside(_outline(wide - 0.046, long - 0.046))
    field = 0.72 * (canvas.soft(scalp) - canvas.soft(skull)) + 0.10 * canvas.soft(skull)
    field += 0.10 * (canvas.soft(inner) - canvas.soft(brain))
    field += canvas.soft(brain) * _tissue(canvas, brain, rng)
    field -= _ventricles(canvas, rng) * canvas.soft(brain)
    smooth = 1 + 0.05 * canvas.texture(rng, 0.5)
    regions = {label: _TUMOURS[label](canvas, brain, field, of_signs) for label in signs}
    return np.asarray(np.clip(field, 0, None) * smooth, np.float32), regions


def _tissue(canvas: Canvas, brain: Mask, rng: np.random.Generator) -> Field:
    """White matter in the depth, a folded grey rim, dark sulci, the fissure and the deep grey nuclei."""
    depth = canvas.blur(brain.astype(np.float32), 0.06)
    rim = np.clip((0.97 - depth) / 0.16, 0, 1)
    # Smooth noise crosses zero in winding lines: the sulci. Cortex lies on both sides of each.
    folds = canvas.texture(rng, 0.036)
    furrow = np.exp(-((folds / 0.13) ** 2)) * rim
    edge = np.clip((0.60 - depth) / 0.05, 0, 1)
    cortex = np.clip(np.clip(1.6 - 2.2 * np.abs(folds), 0, 1) * np.clip(2.5 * rim, 0, 1) + edge, 0, 1)
    field = 0.64 - 0.17 * canvas.blur(cortex, 0.0015) - 0.25 * canvas.blur(furrow * rim, 0.001)
    for side in (-1, 1):
        field -= 0.11 * canvas.ellipse((side * 0.075, 0.52), (0.036, 0.055), hump, 0.35 * side)
        field -= 0.10 * canvas.ellipse((side * 0.125, 0.47), (0.028, 0.075), hump, 0.2 * side)
    fissure = spline([(0, 0.03), (0.002, 0.22), (0, 0.335)]), spline([(0, 0.97), (-0.002, 0.8), (0, 0.66)])
    for line in fissure:
        field -= 0.24 * canvas.stroke(line, 0.0045, hump)
    return np.asarray(field + 0.012 * canvas.texture(rng, 0.008))


def _ventricles(canvas: Canvas, rng: np.random.Generator) -> Field:
    """Frontal horns, third ventricle, the two trigones: dark on T1."""
    size = rng.uniform(0.85, 1.2)
    field = canvas.zeros()
    for side in (-1, 1):
        horn = spline([(side * 0.016, 0.455), (side * 0.028, 0.41), (side * 0.055, 0.365)])
        canvas.stroke(horn, np.linspace(0.010, 0.017, len(horn)) * size, tube, on=field)
        back = spline([(side * 0.070, 0.61), (side * 0.095, 0.655), (side * 0.098, 0.70)])
        canvas.stroke(back, np.linspace(0.010, 0.016, len(back)) * size, tube, on=field)
    canvas.stroke(spline([(0, 0.49), (0, 0.53), (0, 0.575)]), 0.006 * size, tube, on=field)
    return np.asarray(0.44 * canvas.blur(np.minimum(1.6 * field, 1), 0.002))


def _lay(field: Field, where: NDArray[np.floating], brightness: NDArray[np.floating] | float) -> None:
    """Replace `field` by `brightness` as far as `where` (0 to 1) says."""
    field += where * (brightness - field)


def _glioma(canvas: Canvas, brain: Mask, field: Field, rng: np.random.Generator) -> Mask:
    """An irregular enhancing ring about a dark core, with swelling of the white matter around it."""
    side = 1 if rng.random() < 0.5 else -1
    centre = (side * rng.uniform(0.14, 0.17), rng.uniform(0.36, 0.62))
    rough = 0.10 * canvas.texture(rng, 0.035)
    far = canvas.ellipse(centre, (1, 1), lambda d: d, reach=2) / rng.uniform(0.058, 0.072) + rough
    inside = canvas.soft(brain)
    _lay(field, 0.65 * np.clip(2.0 - far, 0, 1) * inside, 0.30)
    _lay(field, np.clip((1.05 - far) / 0.10, 0, 1) * inside, 0.22 + 0.04 * canvas.texture(rng, 0.01))
    _lay(field, np.exp(-(((far - 0.92) / 0.14) ** 2)) * inside, 0.92)
    return np.asarray((far < 1.15) & brain)


def _meningioma(canvas: Canvas, brain: Mask, field: Field, rng: np.random.Generator) -> Mask:
    """An even, bright, round mass that sits on the dura."""
    side = 1 if rng.random() < 0.5 else -1
    turn = rng.uniform(-0.8, 0.6)
    centre = (side * 0.255 * np.cos(turn), 0.5 + 0.335 * np.sin(turn))
    ball = canvas.ellipse(centre, (0.075, 0.070), lambda d: np.clip((1 - d) / 0.05, 0, 1))
    _lay(field, ball * canvas.soft(brain), 0.86 + 0.02 * canvas.texture(rng, 0.02))
    return np.asarray((ball > 0.5) & brain)


def _pituitary(canvas: Canvas, brain: Mask, field: Field, rng: np.random.Generator) -> Mask:
    """A bright round mass in the middle, where the sella lies."""
    centre = (rng.uniform(-0.008, 0.008), 0.455)
    ball = canvas.ellipse(centre, (0.046, 0.040), lambda d: np.clip((1 - d) / 0.07, 0, 1))
    _lay(field, ball, 0.84 + 0.02 * canvas.texture(rng, 0.015))
    return np.asarray(ball > 0.5)


def _none(canvas: Canvas, brain: Mask, field: Field, rng: np.random.Generator) -> Mask:
    """No tumour, no region."""
    return np.zeros(brain.shape, np.bool_)


_TUMOURS: dict[str, Callable[[Canvas, Mask, Field, np.random.Generator], Mask]] = {
    "Glioma": _glioma,
    "Meningioma": _meningioma,
    "Pituitary": _pituitary,
    "No_Tumor": _none,
}
