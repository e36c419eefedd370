"""What each finding adds to the chest phantom, and where: a picture-book sign for a label.

A sign shows what the textbook says of the finding and nothing of how it varies; it is there to be found by a
heatmap and to be recognised by a reader, not to teach a model.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tests.phantom.build import LEFT, RIGHT
from tests.phantom.canvas import Field, Mask, hump, spline, tube
from tests.phantom.chest import Chest


@dataclass(frozen=True)
class Sign:
    """A drawn finding: what it adds to the attenuation and the region it is seen in."""

    added: Field
    region: Mask


def draw_sign(label: str, chest: Chest, rng: np.random.Generator) -> Sign:
    """The sign of `label`, one of `CHEST_SIGNS`, on `chest`; `rng` chooses its side and place."""
    return _DRAW[label](chest, rng)


def _side(rng: np.random.Generator) -> int:
    return LEFT if rng.random() < 0.5 else RIGHT


def _lung(chest: Chest, side: int) -> Field:
    return chest.canvas.soft(chest.lungs[side], 0.003)


def _of(added: Field, within: Mask, least: float = 0.04) -> Sign:
    """The region of a sign is where it adds (or takes) at least `least`."""
    return Sign(added.astype(np.float32), (np.abs(added) >= least) & within)


def _clouds(chest: Chest, rng: np.random.Generator, scale: float = 0.05) -> Field:
    """Uneven density, mean about 1."""
    uneven = 0.28 * chest.canvas.texture(rng, scale) + 0.12 * chest.canvas.texture(rng, scale / 3)
    return np.asarray(np.clip(1 + uneven, 0.2, 1.8))


def _atelectasis(chest: Chest, rng: np.random.Generator) -> Sign:
    """Plates of collapse above the raised left dome."""
    added = chest.canvas.zeros()
    for height, length in ((0.60, 0.15), (0.635, 0.12), (0.570, 0.08)):
        start = 0.17 + rng.uniform(-0.01, 0.01)
        plate = spline(
            [(start, height + 0.012), (start + length / 2, height), (start + length, height - 0.014)]
        )
        ends = np.sin(np.linspace(0.15, np.pi - 0.15, len(plate)))
        added += 0.36 * chest.canvas.stroke(plate, 0.0085, hump, ends)
    haze = chest.canvas.ellipse((0.23, 0.64), (0.15, 0.10), hump)
    added = (chest.canvas.blur(added, 0.002) + 0.20 * haze) * _lung(chest, LEFT)
    return _of(added, chest.lungs[LEFT])


def _heart(chest: Chest, rng: np.random.Generator) -> Sign:
    """The widened heart is anatomy already; its region is the heart."""
    return Sign(chest.canvas.zeros(), chest.heart)


def _effusion(chest: Chest, rng: np.random.Generator) -> Sign:
    """Fluid that fills the angle and climbs the side wall: a meniscus."""
    side, canvas = _side(rng), chest.canvas
    level = rng.uniform(0.58, 0.65)
    out = np.clip(side * canvas.u / 0.35, 0, 1)
    surface = level + 0.055 * (1 - out**2) - 0.11 * np.clip((out - 0.86) / 0.14, 0, 1) ** 2
    fluid = np.clip((canvas.v - surface) / 0.018, 0, 1)
    # The fluid hides the dome too: what lies beneath it is as dense as the abdomen.
    added = 0.80 * fluid * _lung(chest, side)
    return _of(added, chest.lungs[side], 0.2)


def _infiltration(chest: Chest, rng: np.random.Generator) -> Sign:
    """Ill-defined, streaky shadowing in one lower zone."""
    side = _side(rng)
    zone = chest.canvas.ellipse((side * 0.19, 0.58), (0.12, 0.13), hump)
    added = 0.36 * zone * _clouds(chest, rng) * _lung(chest, side)
    return _of(added, chest.lungs[side], 0.06)


def _ball(chest: Chest, rng: np.random.Generator, radius: float, weight: float) -> Sign:
    side = _side(rng)
    place = (side * rng.uniform(0.17, 0.25), rng.uniform(0.26, 0.52))
    wobble = chest.canvas.texture(rng, 0.03)
    ball = chest.canvas.ellipse(place, (radius, radius * 0.94), tube, rng.uniform(0, 3))
    added = weight * chest.canvas.blur(ball, 0.0025) * (1 + 0.06 * wobble)
    return _of(added * _lung(chest, side), chest.lungs[side], 0.08)


def _mass(chest: Chest, rng: np.random.Generator) -> Sign:
    """A round shadow of more than 3 cm (Fleischner Society glossary, Radiology 2008;246:697)."""
    return _ball(chest, rng, rng.uniform(0.055, 0.068), 0.62)


def _nodule(chest: Chest, rng: np.random.Generator) -> Sign:
    """A round shadow of at most 3 cm."""
    return _ball(chest, rng, rng.uniform(0.020, 0.026), 0.48)


def _consolidation(chest: Chest, rng: np.random.Generator) -> Sign:
    """Dense shadowing with an air bronchogram and a straight upper border (a fissure)."""
    return _lobar(chest, rng, RIGHT, 0.62)


def _pneumonia(chest: Chest, rng: np.random.Generator) -> Sign:
    """A patch of airspace shadowing in one lower zone, softer at its border."""
    side, canvas = _side(rng), chest.canvas
    zone = canvas.blur(canvas.ellipse((side * 0.215, 0.60), (0.125, 0.105), hump, 0.4 * side), 0.01)
    added = 0.62 * zone * np.clip(_clouds(chest, rng), 0.5, 1.4) * _lung(chest, side)
    return _of(added, chest.lungs[side], 0.10)


def _lobar(chest: Chest, rng: np.random.Generator, side: int, weight: float) -> Sign:
    canvas = chest.canvas
    fissure = np.clip((canvas.v - 0.475 - 0.05 * side * canvas.u) / 0.010, 0, 1)
    fade = np.clip((0.70 - canvas.v) / 0.14, 0, 1) * np.clip((side * canvas.u - 0.03) / 0.05, 0, 1)
    bronchi = canvas.zeros()
    for drop in (0.05, 0.10, 0.16):
        line = spline(
            [(side * 0.10, 0.49), (side * 0.17, 0.49 + drop * 0.7), (side * 0.26, 0.49 + drop * 1.2)]
        )
        canvas.stroke(line, np.linspace(0.0055, 0.002, len(line)), tube, on=bronchi)
    dense = np.clip(_clouds(chest, rng, 0.05), 0.75, 1.2) - 0.45 * canvas.blur(bronchi, 0.0015)
    added = weight * fissure * fade * dense * _lung(chest, side)
    return _of(added, chest.lungs[side], 0.12)


def _pneumothorax(chest: Chest, rng: np.random.Generator) -> Sign:
    """Air without vessels above and beside a thin line, the edge of the lung."""
    side, canvas = _side(rng), chest.canvas
    edge = [
        (0.06, 0.16),
        (0.12, 0.155),
        (0.185, 0.215),
        (0.235, 0.32),
        (0.268, 0.44),
        (0.285, 0.58),
        (0.29, 0.80),
    ]
    edge = [(side * u * chest.made.width, v) for u, v in edge]
    kept = canvas.inside([*edge, (0.0, 0.95), (0.0, 0.16)], round_off=False)
    gap = chest.lungs[side] & ~kept
    line = canvas.stroke(spline(edge), 0.0026, hump) * _lung(chest, side)
    taken = canvas.soft(gap, 0.002) * (0.13 + chest.vessels)
    return Sign((0.22 * line - taken).astype(np.float32), gap)


def _edema(chest: Chest, rng: np.random.Generator) -> Sign:
    """Shadowing about both hila like a bat's wings, and short lines at the side of the bases (Kerley B)."""
    canvas, added = chest.canvas, chest.canvas.zeros()
    for side in (RIGHT, LEFT):
        wing = canvas.ellipse((side * 0.15, 0.49), (0.135, 0.20), hump, -0.15 * side)
        added += 0.52 * wing * _clouds(chest, rng) * _lung(chest, side)
        for height in np.arange(0.60, 0.72, 0.014):
            line = np.array([[side * 0.335, height], [side * 0.308, height - 0.003]])
            added += 0.16 * canvas.stroke(line, 0.0014, hump) * _lung(chest, side)
    return _of(added, chest.both_lungs, 0.08)


def _emphysema(chest: Chest, rng: np.random.Generator) -> Sign:
    """Too much air: dark fields over low, flat domes, few vessels."""
    lung = chest.canvas.soft(chest.both_lungs, 0.003)
    upper = np.clip((0.75 - chest.canvas.v) / 0.4, 0, 1)
    return _of(-0.15 * lung * (0.45 + 0.55 * upper), chest.both_lungs)


def _fibrosis(chest: Chest, rng: np.random.Generator) -> Sign:
    """A net of lines, most in the bases and at the outside."""
    canvas = chest.canvas
    net = sum(np.exp(-((canvas.texture(rng, scale) / 0.25) ** 2)) for scale in (0.010, 0.014, 0.022))
    low = np.clip((canvas.v - 0.42) / 0.25, 0, 1)
    outside = 0.35 + 0.65 * np.clip((np.abs(canvas.u) - 0.12) / 0.15, 0, 1)
    lung = canvas.soft(chest.both_lungs, 0.003)
    zone = chest.both_lungs & (low * outside > 0.3)
    return Sign((0.17 * canvas.blur(np.asarray(net), 0.001) * low * outside * lung).astype(np.float32), zone)


def _pleural_thickening(chest: Chest, rng: np.random.Generator) -> Sign:
    """A band along the side wall and a cap over the apex."""
    side, canvas = _side(rng), chest.canvas
    lung = chest.lungs[side]
    inner = canvas.blur(lung.astype(np.float32), 0.016)
    rim = np.clip((0.97 - inner) / 0.45, 0, 1)
    outside = np.clip((side * canvas.u / chest.made.width - 0.15) / 0.05, 0, 1)
    place = np.maximum(
        np.clip((0.19 - canvas.v) / 0.04, 0, 1), outside * np.clip((0.68 - canvas.v) / 0.05, 0, 1)
    )
    added = 0.62 * rim * place * np.clip(_clouds(chest, rng, 0.05), 0.7, 1.3) * canvas.soft(lung)
    return _of(added, lung, 0.12)


def _hernia(chest: Chest, rng: np.random.Generator) -> Sign:
    """A hiatal hernia: a round shadow behind the heart with air above a level."""
    canvas = chest.canvas
    centre = (0.035, 0.675)
    sac = canvas.ellipse(centre, (0.078, 0.066), tube)
    air = np.clip((centre[1] - 0.012 - canvas.v) / 0.003, 0, 1) * canvas.ellipse(centre, (0.070, 0.058), tube)
    return Sign(canvas.blur(0.26 * sac - 0.52 * air, 0.003), sac > 0)


def _peripheral(chest: Chest, rng: np.random.Generator) -> Sign:
    """Ground-glass patches on both sides, at the outside and below."""
    canvas, added = chest.canvas, chest.canvas.zeros()
    for side in (RIGHT, LEFT):
        for height in (0.38, 0.50, 0.61):
            place = (side * rng.uniform(0.23, 0.28), height + rng.uniform(-0.03, 0.03))
            patch = canvas.ellipse(
                place, (rng.uniform(0.055, 0.085), rng.uniform(0.05, 0.08)), hump, rng.uniform(0, 3)
            )
            added = np.maximum(added, 0.42 * patch * _lung(chest, side))
    return _of(added * _clouds(chest, rng), chest.both_lungs, 0.07)


def _tuberculosis(chest: Chest, rng: np.random.Generator) -> Sign:
    """A cavity in an upper zone with patchy shadowing about it."""
    side, canvas = _side(rng), chest.canvas
    centre = (side * 0.165, 0.215)
    patch = canvas.ellipse(centre, (0.085, 0.095), hump) * _clouds(chest, rng)
    wall = canvas.ellipse(centre, (0.030, 0.034), lambda d: np.exp(-(((d - 1) / 0.2) ** 2)), reach=1.6)
    hole = canvas.ellipse(centre, (0.027, 0.031), tube)
    added = (0.42 * patch * (1 - 0.9 * hole) + 0.34 * wall) * _lung(chest, side)
    return _of(added, chest.lungs[side], 0.06)


def _nothing(chest: Chest, rng: np.random.Generator) -> Sign:
    """Normal: no sign, no region."""
    return Sign(chest.canvas.zeros(), np.zeros(chest.heart.shape, np.bool_))


_DRAW: dict[str, Callable[[Chest, np.random.Generator], Sign]] = {
    "Atelectasis": _atelectasis,
    "Cardiomegaly": _heart,
    "Effusion": _effusion,
    "Infiltration": _infiltration,
    "Mass": _mass,
    "Nodule": _nodule,
    "Pneumonia": _pneumonia,
    "Pneumothorax": _pneumothorax,
    "Consolidation": _consolidation,
    "Edema": _edema,
    "Emphysema": _emphysema,
    "Fibrosis": _fibrosis,
    "Pleural_Thickening": _pleural_thickening,
    "Hernia": _hernia,
    "COVID-19": _peripheral,
    "Viral_Pneumonia": _peripheral,
    "Tuberculosis": _tuberculosis,
    "Normal": _nothing,
}

CHEST_SIGNS = tuple(_DRAW)
"""The labels that the chest phantom can show: every shared label of the chest."""
