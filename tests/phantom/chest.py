"""The chest phantom: attenuation along the beam, organ by organ, then the film's own curve.

Schematic anatomy as it lies on a frontal film: the heart to the viewer's right, the patient's right lung to
the viewer's left. Attenuation is in arbitrary units; the middle of the body without lung has about 1.3.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tests.phantom.bones import ribs, shoulders, spine
from tests.phantom.build import LEFT, RIGHT, Build, mirrored
from tests.phantom.canvas import Canvas, Field, Mask, Points, hump, spline, tube

_SOFT, _AIR = 1.30, 0.84


@dataclass(frozen=True)
class Chest:
    """A chest on its canvas, before it becomes a film.

    Attributes:
        attenuation: along the beam, without the signs that only add to it.
        vessels: their share of it.
        lungs: the aerated fields without heart: the patient's right, the patient's left.
        heart: the outline of the heart.
        made: how the patient is made.
    """

    canvas: Canvas
    attenuation: Field
    vessels: Field
    lungs: dict[int, Mask]
    heart: Mask
    made: Build

    @property
    def both_lungs(self) -> Mask:
        """Both lung fields."""
        return self.lungs[RIGHT] | self.lungs[LEFT]


def draw_chest(canvas: Canvas, made: Build, rng: np.random.Generator) -> Chest:
    """All the anatomy of `made` on `canvas`."""
    trunk, thickness = _body(canvas, made)
    lungs = {side: canvas.inside(_lung_outline(side, made)) for side in (RIGHT, LEFT)}
    heart = canvas.inside(_heart_outline(made))
    both = lungs[RIGHT] | lungs[LEFT]
    lung = canvas.soft(both)
    depth = np.clip((canvas.blur(both.astype(np.float32), 0.035) - 0.5) * 2, 0, 1)
    field = _SOFT * thickness - _AIR * lung * (0.62 + 0.38 * depth)
    field += _below_the_diaphragm(canvas, trunk, both, thickness)
    field += _middle(canvas, made, heart, lung) - _airways(canvas)
    vessels = 0.13 * made.vessels * _vessels(canvas, rng) * lung * (1 - 0.5 * canvas.soft(heart))
    field += vessels
    field += 0.010 * canvas.texture(rng, 0.012) * lung + 0.012 * canvas.texture(rng, 0.05) * thickness
    field += _breasts(canvas, made) * canvas.soft(trunk)
    field += spine(canvas, made) + ribs(canvas, made, lung) + shoulders(canvas, made)
    aerated = {side: mask & ~heart for side, mask in lungs.items()}
    return Chest(canvas, field, vessels, aerated, heart, made)


def _body(canvas: Canvas, made: Build) -> tuple[Mask, Field]:
    right = [
        (0.088, -0.7),
        (0.088, -0.12),
        (0.105, -0.03),
        (0.170, 0.022),
        (0.290, 0.048),
        (0.430, 0.065),
        (0.530, 0.12),
        (0.600, 0.26),
        (0.700, 0.60),
        (0.760, 1.0),
        (0.620, 1.0),
        (0.550, 0.62),
        (0.478, 0.39),
        (0.452, 0.42),
        (0.443, 0.55),
        (0.432, 0.75),
        (0.440, 1.0),
        (0.460, 1.7),
    ]
    outline = np.vstack([mirrored(right, LEFT, made), mirrored(right, RIGHT, made)[::-1]])
    mask = canvas.inside(outline)
    soft = canvas.blur(mask.astype(np.float32), 0.03)
    depth = np.clip((soft - 0.5) * 2, 0, 1) ** 0.55
    trunk = np.exp(-((canvas.u / 0.49) ** 4))
    return mask, (canvas.soft(mask) * depth * (0.52 + 0.48 * trunk) * made.fat).astype(np.float32)


def _dome(side: int, made: Build) -> float:
    """Height of the top of a dome, v."""
    return 0.710 - made.domes[0] if side == RIGHT else 0.738 - made.domes[1]


def _lung_outline(side: int, made: Build) -> Points:
    top = _dome(side, made)
    corner = top + 0.088
    points = [
        (0.046, 0.16),
        (0.080, 0.092),
        (0.125, 0.070),
        (0.178, 0.092),
        (0.235, 0.165),
        (0.282, 0.27),
        (0.315, 0.41),
        (0.334, 0.55),
        (0.344, corner - 0.07),
        (0.346, corner - 0.004),
        (0.343, corner),
        (0.326, corner - 0.024),
        (0.275, top + 0.026),
        (0.205, top + 0.003),
        (0.135, top + 0.004),
        (0.070, top + 0.028),
        (0.038, top + 0.042),
        (0.036, top + 0.03),
        (0.040, 0.55),
        (0.044, 0.40),
        (0.046, 0.26),
    ]
    return mirrored(points, side, made)


def _heart_outline(made: Build) -> Points:
    floor = 0.5 * (_dome(LEFT, made) + 0.735) + 0.03
    wide = made.heart
    points = [
        (-0.045, 0.38),
        (-0.058, 0.47),
        (-0.050 - 0.034 * wide, 0.56),
        (-0.052 - 0.042 * wide, 0.64),
        (-0.040 - 0.040 * wide, floor - 0.025),
        (-0.03, floor + 0.03),
        (0.07, floor + 0.045),
        (0.150 * wide, floor + 0.020),
        (0.199 * wide, floor - 0.025),
        (0.205 * wide, floor - 0.08),
        (0.176 * wide, 0.59),
        (0.122 + 0.02 * (wide - 1), 0.49),
        (0.078, 0.41),
        (0.055, 0.35),
    ]
    return np.asarray(points) * [made.width, 1.0]


def _middle(canvas: Canvas, made: Build, heart: Mask, lung: Field) -> Field:
    """The mediastinum with the aortic knob, the descending aorta, the upper vena cava, and the heart."""
    strip = spline([(0.0, -0.6), (0.0, 0.05), (-0.004, 0.3), (0.0, 0.8), (0.0, 1.6)])
    aorta = spline([(0.056, 0.32), (0.050, 0.45), (0.036, 0.7), (0.02, 0.9)])
    cava = spline([(-0.040, 0.10), (-0.050, 0.25), (-0.054, 0.40), (-0.05, 0.5)])
    soft = canvas.blur(heart.astype(np.float32), 0.024)
    pump = canvas.soft(heart, 0.0025) * (0.62 + 0.38 * np.clip((soft - 0.5) * 2, 0, 1))
    layers = [
        0.95 * canvas.stroke(strip, 0.080 * made.width, hump),
        0.85 * canvas.ellipse((0.046 * made.width, 0.318), (0.036, 0.042), tube),
        0.62 * canvas.stroke(aorta, 0.026, tube),
        0.62 * canvas.stroke(cava, 0.022, hump),
        pump,
    ]
    field = canvas.blur(np.max(layers, axis=0).astype(np.float32), 0.0025)
    return np.asarray(field * (0.14 + 0.60 * lung))


def _below_the_diaphragm(canvas: Canvas, trunk: Mask, lungs: Mask, thickness: Field) -> Field:
    """The liver, the spleen and the gas of the stomach; `thickness` of the body thins them to its edge."""
    under = canvas.soft((np.cumsum(lungs, axis=0) > 0) & ~lungs, 0.002)
    # Between and beside the lungs the abdomen begins gradually.
    deep = np.clip((canvas.v - 0.66) / 0.25, 0, 1) ** 2
    low = canvas.soft(trunk) * np.maximum(under, deep)
    belly = 0.30 * low * np.clip((canvas.v - 0.45) / 0.35, 0, 1) * thickness
    gas = 1.5 * canvas.ellipse((0.165, 0.825), (0.062, 0.034), tube, -0.25)
    gas = gas + 0.8 * canvas.ellipse((0.24, 0.94), (0.07, 0.035), hump, 0.5)
    gas = gas + 0.5 * canvas.ellipse((-0.12, 1.02), (0.09, 0.03), hump, -0.2)
    return np.asarray(belly * (1 - canvas.blur(gas, 0.003)), np.float32)


def _airways(canvas: Canvas) -> Field:
    trachea = spline([(0.0, -0.5), (0.0, 0.05), (-0.002, 0.22), (-0.006, 0.375)])
    branches = [
        canvas.stroke(spline(points), width, tube, np.linspace(0.9, 0.2, 17))
        for points, width in (
            ([(-0.006, 0.37), (-0.045, 0.42), (-0.075, 0.465)], 0.012),
            ([(-0.006, 0.37), (0.045, 0.41), (0.095, 0.44)], 0.011),
        )
    ]
    field = np.max([canvas.stroke(trachea, 0.0175, tube), *branches], axis=0)
    return np.asarray(0.24 * canvas.blur(field, 0.002))


def _vessels(canvas: Canvas, rng: np.random.Generator) -> Field:
    """Branching vessels from each hilum, thinner and fainter outwards."""
    field = canvas.zeros()
    for side, (u, v) in ((RIGHT, (-0.080, 0.455)), (LEFT, (0.085, 0.435))):
        artery = spline(
            [(u - 0.012 * side, v - 0.05), (u, v), (u + 0.010 * side, v + 0.06), (u + 0.03 * side, v + 0.13)]
        )
        thick = np.interp(np.linspace(0, 1, len(artery)), [0, 0.35, 1], [0.010, 0.0165, 0.006])
        np.maximum(field, canvas.blur(canvas.stroke(artery, thick, tube, 1.25), 0.003), out=field)
        for angle in (-1.35, -1.05, -0.7, -0.35, 0.0, 0.3, 0.6, 0.85, 1.1, 1.3):
            # Upper branches leave the top of the hilum, lower ones its tail.
            along = 0.5 + 0.5 * np.sin(angle) + rng.normal(0, 0.06)
            start = np.array([u + side * rng.normal(0.004, 0.006), v - 0.05 + 0.13 * np.clip(along, 0, 1)])
            tree = canvas.zeros()
            for points, width in _branches(rng, start, angle + rng.normal(0, 0.08), side, 0.0062, 0.082, 5):
                if width * canvas.unit < 0.15:
                    continue  # too fine for this picture
                widths = np.linspace(width, 0.8 * width, len(points))
                canvas.stroke(points, widths, tube, min(1.0, width / 0.0055), on=tree)
            field += tree
    return canvas.blur(field, 0.0012)


def _branches(
    rng: np.random.Generator,
    start: Points,
    angle: float,
    side: int,
    width: float,
    length: float,
    generations: int,
) -> Iterator[tuple[Points, float]]:
    """The pieces of a vessel's tree: each with its line and its half width."""
    bend = rng.normal(0, 0.18)
    turns = angle + np.array([0.0, bend / 2, bend])
    steps = np.stack([side * np.cos(turns), np.sin(turns)], axis=1) * length / 3 * rng.uniform(0.8, 1.2)
    points = np.vstack([start, start + np.cumsum(steps, axis=0)])
    yield points, width
    if generations > 1:
        for turn in (-1, 1):
            turned = angle + bend + turn * rng.uniform(0.18, 0.5)
            narrow = 0.8 * width * rng.uniform(0.68, 0.9)
            yield from _branches(rng, points[-1], turned, side, narrow, 0.82 * length, generations - 1)


def _breasts(canvas: Canvas, made: Build) -> Field:
    field = canvas.zeros()
    for side in (RIGHT, LEFT):
        centre = (side * 0.215 * made.width, 0.655)
        field += canvas.ellipse(centre, (0.165, 0.155), tube, 0.2 * side)
    upper = np.clip((canvas.v - 0.48) / 0.25, 0, 1)
    return np.asarray(0.27 * made.breast * canvas.blur(field, 0.004) * upper)
