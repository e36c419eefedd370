"""How one imaginary patient is made, by chance and by the signs that move anatomy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tests.phantom.canvas import Points
from tetkik.values import Sex, View

RIGHT, LEFT = -1, 1
"""The patient's sides, as signs of u: the patient's right is to the viewer's left."""


@dataclass(frozen=True)
class Build:
    """How one imaginary patient is made; the signs that move anatomy are in it.

    Attributes:
        heart: width of the heart, 1 is normal.
        domes: how far each dome of the diaphragm stands above its usual place, in units: (right, left).
        breast: thickness of the breasts, 0 to 1.
        fat: thickness of the chest wall, 1 is normal.
        vessels: prominence of the vessels, 1 is normal.
        width: of the chest, 1 is normal.
        tilt: sideways curve of the spine, in units.
        view: PA or AP.
    """

    heart: float
    domes: tuple[float, float]
    breast: float
    fat: float
    vessels: float
    width: float
    tilt: float
    view: View


def build(rng: np.random.Generator, sex: Sex, view: View, signs: frozenset[str]) -> Build:
    """An imaginary patient: variation by chance, and what the signs change of the anatomy."""
    ap = view is View.AP
    heart = rng.uniform(0.92, 1.08) + 0.12 * ap
    rise = rng.normal(0, 0.012) + 0.035 * ap
    right, left = rise, rise
    vessels = rng.uniform(0.85, 1.1)
    if "Cardiomegaly" in signs:
        heart += 0.5
    if "Emphysema" in signs:
        heart, right, left, vessels = heart - 0.2, right - 0.07, left - 0.07, 0.55
    if "Atelectasis" in signs:
        left += 0.05
    if "Edema" in signs:
        heart, vessels = heart + 0.12, 1.5
    return Build(
        heart=heart,
        domes=(right, left),
        breast=rng.uniform(0.55, 1.0) if sex is Sex.FEMALE else rng.uniform(0.05, 0.2),
        fat=rng.uniform(0.92, 1.1),
        vessels=vessels,
        width=rng.uniform(0.95, 1.03) * (0.97 if sex is Sex.FEMALE else 1.0),
        tilt=rng.normal(0, 0.006),
        view=view,
    )


def mirrored(points: list[tuple[float, float]], side: int, made: Build) -> Points:
    """Places of the patient's left, on `side` of this patient."""
    return np.asarray(points) * [side * made.width, 1.0]
