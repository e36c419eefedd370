"""How an image is looked at: window, turn, mirror, part of it, and what is drawn over it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from tetkik.values.measurement import Point

Area = tuple[Point, Point]
"""Two opposite corners in pixels of the image, the upper left one first."""


@dataclass(frozen=True, slots=True)
class Words:
    """A text over an image, at a point of it."""

    text: str = field(repr=False)
    at: Point


@dataclass(frozen=True, slots=True)
class Presentation:
    """All that a viewer shows of an image; points as those of a measurement are.

    Attributes:
        window: centre and width in parts of the image's white, as a viewer has them; None leaves it as it is.
        turn: 0, 90, 180 or 270 degrees clockwise, after the image was mirrored.
        lines: each of a point or more; an ellipse is one of many points.
        left_out: how many drawings could not be read or are of kinds that are not shown.
    """

    window: tuple[float, float] | None = None
    inverted: bool = False
    turn: int = 0
    mirrored: bool = False
    area: Area | None = None
    lines: tuple[tuple[Point, ...], ...] = ()
    words: tuple[Words, ...] = ()
    left_out: int = 0

    def __post_init__(self) -> None:
        if self.turn not in (0, 90, 180, 270):
            raise ValueError("an image is turned by quarters")
        numbers = [*(self.window or ()), *(one for corner in self.area or () for one in corner)]
        if not all(map(math.isfinite, numbers)) or (self.window is not None and self.window[1] <= 0):
            raise ValueError("a window has a width, and all of it is finite")

    @property
    def rotation(self) -> int:
        """Image Rotation (0070,0042): DICOM turns first and mirrors then (PS3.3, section C.10.6)."""
        return (360 - self.turn) % 360 if self.mirrored else self.turn


def turn_of(rotation: int, mirrored: bool) -> int:
    """The turn after mirroring of DICOM's rotation before it."""
    return (360 - rotation) % 360 if mirrored else rotation % 360


def place_in_image(shown: Point, rotation: int, mirrored: bool) -> Point:
    """Where in the image something lies that is shown at `shown`: both in parts of what is shown, 0 to 1."""
    u, v = (1 - shown[0] if mirrored else shown[0]), shown[1]
    return {0: (u, v), 90: (v, 1 - u), 180: (1 - u, 1 - v), 270: (1 - v, u)}[rotation]
