"""What a radiologist drew in an image: measurements, arrows and texts, with the image that they are in."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from tetkik.values.common import ADDED
from tetkik.values.radiograph import SpacingPlane

Point = tuple[float, float]
"""Column and row in pixels, counted from the outer corner of the first pixel, as in DICOM's spatial
coordinates (PS3.3, section C.18.6.1.1): the middle of the first pixel is (0.5, 0.5)."""


class MeasurementKind(StrEnum):
    """What was drawn."""

    LENGTH = "length"
    """Between two points."""
    ANGLE = "angle"
    """At the second of three points."""
    COBB = "cobb"
    """The angle between two lines, of two points each: 0 to 90 degrees."""
    CARDIOTHORACIC = "cardiothoracic"
    """The cardiothoracic ratio: the borders of the heart, then the inner chest wall."""
    ELLIPSE = "ellipse"
    """A region of interest: two opposite corners of the rectangle around an ellipse along the rows."""
    RECTANGLE = "rectangle"
    """A region of interest: two opposite corners."""
    ARROW = "arrow"
    """From its end to its head; it measures nothing."""
    TEXT = "text"
    """The label at one point; it measures nothing."""

    @property
    def points(self) -> int:
        return _POINTS[self]

    @property
    def is_region(self) -> bool:
        """Whether the pixels in it are counted."""
        return self in (MeasurementKind.ELLIPSE, MeasurementKind.RECTANGLE)

    @property
    def measures(self) -> bool:
        return self not in (MeasurementKind.ARROW, MeasurementKind.TEXT)


_POINTS = MappingProxyType(
    {
        MeasurementKind.LENGTH: 2,
        MeasurementKind.ANGLE: 3,
        MeasurementKind.COBB: 4,
        MeasurementKind.CARDIOTHORACIC: 4,
        MeasurementKind.ELLIPSE: 2,
        MeasurementKind.RECTANGLE: 2,
        MeasurementKind.ARROW: 2,
        MeasurementKind.TEXT: 1,
    }
)


class MeasurementUnit(StrEnum):
    """In which a measurement is said, as UCUM writes it (https://ucum.org/ucum)."""

    MILLIMETRE = "mm"
    PIXEL = "{pixels}"
    """Of an image whose file does not say how large a pixel is: a length, or an area."""
    DEGREE = "deg"
    RATIO = "1"
    HOUNSFIELD = "[hnsf'U]"
    GREY = "{grey}"
    """The values of a file that are no Hounsfield units."""
    SQUARE_MILLIMETRE = "mm2"
    NONE = ""
    """Of an arrow or a text."""


class FigureKind(StrEnum):
    """What one figure of a measurement says."""

    LENGTH = "length"
    ANGLE = "angle"
    COBB = "cobb"
    CARDIOTHORACIC = "cardiothoracic"
    HEART = "heart"
    """The heart's widest horizontal diameter."""
    THORAX = "thorax"
    """The widest horizontal diameter within the ribs."""
    MEAN = "mean"
    DEVIATION = "deviation"
    """The standard deviation."""
    MINIMUM = "minimum"
    MAXIMUM = "maximum"
    AREA = "area"


@dataclass(frozen=True, slots=True)
class Figure:
    """One number of a measurement, in its unit."""

    kind: FigureKind
    value: float
    unit: MeasurementUnit

    @property
    def rounded(self) -> float:
        """As it is said and coded."""
        return round(self.value, self.decimals)

    @property
    def decimals(self) -> int:
        return _DECIMALS.get(self.unit, 1)


_DECIMALS = MappingProxyType({MeasurementUnit.PIXEL: 0, MeasurementUnit.RATIO: 2, MeasurementUnit.NONE: 0})


@dataclass(frozen=True, slots=True)
class RegionStatistics:
    """The values of the pixels whose middle lies in a region, after the modality transformation of the file.

    Attributes:
        deviation: the standard deviation of all of them, not of a sample.
        hounsfield: whether the file says that the values are Hounsfield units.
    """

    pixels: int
    mean: float
    deviation: float
    minimum: float
    maximum: float
    hounsfield: bool = False


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
    """A measurement, an arrow or a text, the same in every version of a report; its label may be empty."""

    id: str
    kind: MeasurementKind
    image: MeasuredImage
    points: tuple[Point, ...]
    label: str = ""
    statistics: RegionStatistics | None = field(default=None, metadata=ADDED)  # exactly a region has them

    def __post_init__(self) -> None:
        if len(self.points) != self.kind.points or not all(self.image.holds(one) for one in self.points):
            raise ValueError("a measurement has as many points as its kind takes, all of them in its image")
        if self.kind.is_region is not (self.statistics is not None):
            raise ValueError("a region of interest has statistics, and nothing else has")
        if self.kind is MeasurementKind.CARDIOTHORACIC and not 0 < self.value <= 1:
            raise ValueError("a heart is not wider than the thorax")

    @property
    def figures(self) -> tuple[Figure, ...]:
        """Everything that was measured, what it is named after first; empty of an arrow and of a text."""
        return tuple(Figure(kind, *found) for kind, found in self._figures().items())

    @property
    def unit(self) -> MeasurementUnit:
        """Millimetres where the file says how large a pixel is."""
        return next((item.unit for item in self.figures), MeasurementUnit.NONE)

    @property
    def calibrated(self) -> bool:
        """Whether the file says how large a pixel is."""
        return self.image.spacing is not None

    @property
    def value(self) -> float:
        """How much, in the unit; an angle is between 0 and 180."""
        return next((item.value for item in self.figures), 0.0)

    @property
    def rounded(self) -> float:
        """As it is said and coded: to a tenth, pixels whole, a ratio to a hundredth."""
        return next((item.rounded for item in self.figures), 0.0)

    @property
    def spans(self) -> tuple[tuple[Point, Point], ...]:
        """The lines of a cardiothoracic ratio: of the heart and of the thorax, each between its two ends.

        Both run along the rows (the columns, in an image that lies on its side), in the middle between the
        heights of their ends: what counts is how far apart the borders are sideways.
        """
        axis = self._axis
        found = []
        for one, other in (self.points[:2], self.points[2:]):
            level = (one[1 - axis] + other[1 - axis]) / 2
            ends = ((end[0], level) if axis == 0 else (level, end[1]) for end in (one, other))
            found.append((*ends,))
        return tuple(found)  # type: ignore[arg-type]

    @property
    def _axis(self) -> int:
        """Along what a thorax is wide: 0 for the rows, 1 for the columns."""
        across, down = self._way(2, 3)
        return 0 if abs(across) >= abs(down) else 1

    def _figures(self) -> dict[FigureKind, tuple[float, MeasurementUnit]]:
        length = MeasurementUnit.MILLIMETRE if self.calibrated else MeasurementUnit.PIXEL
        kind = self.kind
        if kind is MeasurementKind.LENGTH:
            return {FigureKind.LENGTH: (math.hypot(*self._way(0, 1)), length)}
        if kind is MeasurementKind.ANGLE:
            return {FigureKind.ANGLE: (_between(self._way(1, 0), self._way(1, 2)), MeasurementUnit.DEGREE)}
        if kind is MeasurementKind.COBB:
            angle = _between(self._way(0, 1), self._way(2, 3))
            return {FigureKind.COBB: (min(angle, 180 - angle), MeasurementUnit.DEGREE)}
        if kind is MeasurementKind.CARDIOTHORACIC:
            heart, thorax = (abs(self._way(start, start + 1)[self._axis]) for start in (0, 2))
            return {
                FigureKind.CARDIOTHORACIC: (heart / thorax if thorax else math.inf, MeasurementUnit.RATIO),
                FigureKind.HEART: (heart, length),
                FigureKind.THORAX: (thorax, length),
            }
        return {} if self.statistics is None else self._region(self.statistics)

    def _region(self, found: RegionStatistics) -> dict[FigureKind, tuple[float, MeasurementUnit]]:
        unit = MeasurementUnit.HOUNSFIELD if found.hounsfield else MeasurementUnit.GREY
        across, down = self._way(0, 1)
        area = abs(across * down) * (math.pi / 4 if self.kind is MeasurementKind.ELLIPSE else 1)
        square = MeasurementUnit.SQUARE_MILLIMETRE if self.calibrated else MeasurementUnit.PIXEL
        return {
            FigureKind.MEAN: (found.mean, unit),
            FigureKind.DEVIATION: (found.deviation, unit),
            FigureKind.MINIMUM: (found.minimum, unit),
            FigureKind.MAXIMUM: (found.maximum, unit),
            FigureKind.AREA: (area, square),
        }

    def _way(self, start: int, end: int) -> Point:
        """From one point to another, in millimetres where they are known."""
        (left, top), (right, bottom) = self.points[start], self.points[end]
        row, column = self.image.spacing or (1.0, 1.0)
        return (right - left) * column, (bottom - top) * row


def _between(one: Point, other: Point) -> float:
    """The angle between two directions, 0 to 180 degrees."""
    turned = math.atan2(one[0] * other[1] - one[1] * other[0], one[0] * other[0] + one[1] * other[1])
    return abs(math.degrees(turned))
