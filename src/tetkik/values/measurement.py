"""What a radiologist measured in an image: lengths and angles, with the image that they were taken in."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from tetkik.values.radiograph import SpacingPlane

Point = tuple[float, float]
"""Column and row in pixels, counted from the outer corner of the first pixel, as in DICOM's spatial
coordinates (PS3.3, section C.18.6.1.1): the middle of the first pixel is (0.5, 0.5)."""


class MeasurementKind(StrEnum):
    """What was measured."""

    LENGTH = "length"
    """Between two points."""
    ANGLE = "angle"
    """At the second of three points."""

    @property
    def points(self) -> int:
        return 2 if self is MeasurementKind.LENGTH else 3


class MeasurementUnit(StrEnum):
    """In which a measurement is said, as UCUM writes it (https://ucum.org/ucum)."""

    MILLIMETRE = "mm"
    PIXEL = "{pixels}"
    """Of an image whose file does not say how large a pixel is."""
    DEGREE = "deg"


@dataclass(frozen=True, slots=True)
class MeasuredImage:
    """The image that something was measured in: all that a document needs in order to point into it.

    Attributes:
        spacing: millimetres between (rows, columns), which holds at `plane`; None where the file has none.
        earlier: whether it is not the image that the report is about, but an earlier one of the patient.
    """

    id: str
    rows: int
    columns: int
    spacing: tuple[float, float] | None = None
    plane: SpacingPlane | None = None
    earlier: bool = False
    study_date: str | None = None  # `YYYYMMDD`, where the file has one
    study_uid: str | None = None
    series_uid: str | None = None
    instance_uid: str | None = None
    sop_class: str | None = None
    frame: int | None = None  # which of several was shown, from 1; None in a file of one

    def holds(self, point: Point) -> bool:
        column, row = point
        return 0 <= column <= self.columns and 0 <= row <= self.rows


@dataclass(frozen=True, slots=True)
class Measurement:
    """A length or an angle, the same in every version of a report; its label may be empty."""

    id: str
    kind: MeasurementKind
    image: MeasuredImage
    points: tuple[Point, ...]
    label: str = ""

    def __post_init__(self) -> None:
        if len(self.points) != self.kind.points or not all(self.image.holds(one) for one in self.points):
            raise ValueError("a measurement has as many points as its kind takes, all of them in its image")

    @property
    def unit(self) -> MeasurementUnit:
        """Millimetres where the file says how large a pixel is."""
        if self.kind is MeasurementKind.ANGLE:
            return MeasurementUnit.DEGREE
        return MeasurementUnit.PIXEL if self.image.spacing is None else MeasurementUnit.MILLIMETRE

    @property
    def calibrated(self) -> bool:
        """Whether the file says how large a pixel is."""
        return self.image.spacing is not None

    @property
    def value(self) -> float:
        """How much, in the unit; an angle is between 0 and 180."""
        first, second = self._way(0, 1), self._way(-2, -1)
        if self.kind is MeasurementKind.LENGTH:
            return math.hypot(*first)
        back = (-first[0], -first[1])
        turned = math.atan2(
            back[0] * second[1] - back[1] * second[0], back[0] * second[0] + back[1] * second[1]
        )
        return abs(math.degrees(turned))

    @property
    def rounded(self) -> float:
        """As it is said and coded: to a tenth, pixels whole."""
        return round(self.value, _DECIMALS[self.unit])

    @property
    def decimals(self) -> int:
        return _DECIMALS[self.unit]

    def _way(self, start: int, end: int) -> Point:
        """From one point to another, in millimetres where they are known."""
        (left, top), (right, bottom) = self.points[start], self.points[end]
        row, column = self.image.spacing or (1.0, 1.0)
        return (right - left) * column, (bottom - top) * row


_DECIMALS = MappingProxyType(
    {MeasurementUnit.MILLIMETRE: 1, MeasurementUnit.DEGREE: 1, MeasurementUnit.PIXEL: 0}
)
