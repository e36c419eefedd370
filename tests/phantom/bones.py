"""The bones of the chest phantom: spine, ribs, shoulder girdle; attenuation in the units of `chest`."""

from __future__ import annotations

import numpy as np

from tests.phantom.build import LEFT, RIGHT, Build, mirrored
from tests.phantom.canvas import Canvas, Field, bone, hump, spline, tube
from tetkik.values import View


def spine(canvas: Canvas, made: Build) -> Field:
    """Vertebral bodies with bright end plates, darker discs, pedicles and spinous processes."""
    pitch, half = 0.056, 0.033
    sway = made.tilt * np.sin(canvas.v * 5)
    across = np.abs(canvas.u - sway) / half
    phase = ((canvas.v - 0.02) / pitch) % 1.0
    edge = np.minimum(phase, 1 - phase)
    body = np.clip((1.08 - across - 0.10 * np.cos(2 * np.pi * phase)) * 6, 0, 1)
    disc, plate = np.exp(-((edge / 0.07) ** 2)), np.exp(-(((edge - 0.12) / 0.035) ** 2))
    field = body * (0.12 - 0.055 * disc + 0.05 * plate + 0.05 * np.exp(-(((across - 0.95) / 0.1) ** 2)))
    for index in range(-10, 30):
        middle = 0.02 + (index + 0.5) * pitch
        axis = made.tilt * np.sin(middle * 5)
        for side in (RIGHT, LEFT):
            pedicle = (side * 0.62 * half + axis, middle - 0.007)
            field += 0.05 * canvas.ellipse(pedicle, (0.0075, 0.010), _ring, reach=1.6)
        field += 0.045 * canvas.ellipse((axis, middle + 0.012), (0.008, 0.015), hump)
    return np.asarray(canvas.blur(field.astype(np.float32), 0.0015))


def _ring(distance: Field) -> Field:
    return np.asarray(np.exp(-(((distance - 0.8) / 0.3) ** 2)))


_WALL_AT = (0.08, 0.17, 0.28, 0.42, 0.57, 0.72, 0.90)
_WALL = (0.150, 0.245, 0.293, 0.325, 0.343, 0.351, 0.345)
"""Half the width of the rib cage, units, at the heights above."""


def ribs(canvas: Canvas, made: Build, lung: Field) -> Field:
    """Twelve pairs; the hind limb runs down and outwards, the front limb down and inwards, as on a film."""
    field = canvas.zeros()
    for number in range(1, 13):
        a = 0.088 + 0.0565 * (number - 1)
        drop = 0.030 if number == 1 else 0.075 + 0.0065 * min(number, 8)
        wall = 0.150 if number == 1 else float(np.interp(a + drop, _WALL_AT, _WALL))
        wall *= {11: 0.86, 12: 0.62}.get(number, 1.0)
        hind = [(0.030, a), (0.075, a - 0.012), (0.4 * wall + 0.02, a + 0.03 * drop)]
        hind += [(0.72 * wall, a + 0.30 * drop), (0.92 * wall, a + 0.68 * drop)]
        turn = (wall, a + 1.05 * drop)
        front = [(0.975 * wall, a + 1.42 * drop), (0.85 * wall, a + 1.82 * drop)]
        front += [(0.66 * wall, a + 2.14 * drop), (0.50 * wall, a + 2.30 * drop)]
        knots = [*hind, turn, *(front if number <= 10 else [])]
        # Where the rib turns round the side the beam runs along it; the front end fades into cartilage.
        weights = [0.85, 0.95, 0.95, 1.0, 1.15, 1.35, 1.1, 0.85, 0.70, 0.0][: len(knots)]
        widths = [0.0085, 0.0100, 0.0108, 0.0110, 0.0108, 0.0095, 0.0105, 0.0118, 0.0125, 0.0130][
            : len(knots)
        ]
        for side in (RIGHT, LEFT):
            line = spline(mirrored(knots, side, made))
            along = np.linspace(0, len(knots) - 1, len(line))
            heavy = np.interp(along, range(len(knots)), weights)
            field += canvas.stroke(line, np.interp(along, range(len(knots)), widths), bone, heavy)
    shown = 0.45 + 0.55 * lung
    return np.asarray(0.170 * canvas.blur(field, 0.0008) * shown)


def shoulders(canvas: Canvas, made: Build) -> Field:
    """Clavicles, scapulae (turned out of the lungs in PA), the heads and shafts of the humeri."""
    lift, out = (-0.03, 0.0) if made.view is View.AP else (0.0, 0.035)
    field = canvas.zeros()
    for side in (RIGHT, LEFT):
        collar = [(0.028, 0.168), (0.075, 0.160 + lift / 2), (0.15, 0.128 + lift), (0.24, 0.098 + lift)]
        line = spline(mirrored([*collar, (0.32, 0.088 + lift / 2), (0.395, 0.072)], side, made))
        share = np.linspace(0, 1, len(line))
        field += canvas.stroke(line, 0.0105 + 0.0045 * (1 - share) ** 3, bone, 0.95 - 0.25 * share)
        blade = [(0.295, 0.14), (0.302, 0.27), (0.325, 0.40), (0.335, 0.425)]
        blade += [(0.355, 0.38), (0.395, 0.27), (0.415, 0.20), (0.405, 0.15)]
        outline = mirrored([(u + out, v) for u, v in blade], side, made)
        field += 0.16 * canvas.soft(canvas.inside(outline), 0.006)
        rim = spline(np.vstack([outline, outline[:1]]), closed=True)
        heavy = np.interp(
            np.linspace(0, 8, len(rim)), range(9), [0.05, 0.12, 0.25, 0.3, 0.32, 0.35, 0.3, 0.1, 0.05]
        )
        field += canvas.stroke(rim, 0.004, hump, heavy)
        ridge = [(0.31 + out, 0.185), (0.37 + out, 0.140), (0.43, 0.092), (0.452, 0.088)]
        field += canvas.stroke(spline(mirrored(ridge, side, made)), 0.010, bone, 0.55)
        head = (side * 0.480 * made.width, 0.150)
        field += canvas.ellipse(head, (0.040, 0.043), lambda d: 0.42 * tube(np.minimum(d, 1)))
        shaft = spline(mirrored([(0.49, 0.17), (0.525, 0.26), (0.60, 0.55), (0.68, 0.95)], side, made))
        field += canvas.stroke(shaft, np.linspace(0.032, 0.023, len(shaft)), bone, 0.9)
    return np.asarray(0.30 * canvas.blur(field, 0.0014))
