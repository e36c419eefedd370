"""What a measurement looks like to a program, and what it may send of one."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

from tetkik.documents.words import measured_name, measured_words, measurement_words
from tetkik.language import Language
from tetkik.records.reports.measuring import LONGEST_LABEL, NewMeasurement
from tetkik.values import Measurement, MeasurementKind, MeasurementUnit, SpacingPlane

_FARTHEST = 10**6
Coordinate = Annotated[float, Field(ge=0, le=_FARTHEST, allow_inf_nan=False)]
Pair = Annotated[list[Coordinate], Field(min_length=2, max_length=2)]
Points = Annotated[list[Pair], Field(min_length=2, max_length=3)]
Label = Annotated[str, Field(max_length=LONGEST_LABEL)]


class MeasurementShape(BaseModel):
    """A length or an angle in an image.

    Attributes:
        id: of the measurement, the same in every version of the report.
        image_id: in which image: the report's own, or an earlier one of the same patient.
        frame: which of several, from 1; None in an image of one.
        earlier: whether it is an earlier image.
        kind: `length`, between two points, or `angle`, at the second of three.
        points: column and row of each, in pixels from the outer corner of the first one.
        label: a few words of the radiologist; may be empty.
        value: how much, in `unit`.
        unit: `mm`, `deg`, or `{pixels}` where the file does not say how large a pixel is.
        calibrated: whether the file says so.
        plane: where millimetres hold: in the `patient`, at the `detector` (larger than in the patient), or
            `unstated`; None where it is not calibrated.
        name: the label, else what it is.
        text: the value with its unit, in the reader's language.
        about: how far it is to be trusted, in the reader's language.
    """

    id: str
    image_id: str
    frame: int | None
    earlier: bool
    kind: MeasurementKind
    points: list[list[float]]
    label: str
    value: float
    unit: MeasurementUnit
    calibrated: bool
    plane: SpacingPlane | None
    name: str
    text: str
    about: str

    @classmethod
    def of(cls, item: Measurement, language: Language) -> MeasurementShape:
        """The same for a program."""
        return cls(
            id=item.id,
            image_id=item.image.id,
            frame=item.image.frame,
            earlier=item.image.earlier,
            kind=item.kind,
            points=[list(point) for point in item.points],
            label=item.label,
            value=item.rounded,
            unit=item.unit,
            calibrated=item.calibrated,
            plane=item.image.plane if item.calibrated else None,
            name=measured_name(item, language),
            text=measurement_words(item, language),
            about=measured_words(item, language),
        )


class MeasurementSent(BaseModel):
    """A new measurement; how large a pixel is comes from the image."""

    kind: MeasurementKind
    image_id: Annotated[str, Field(max_length=26)]
    points: Points
    label: Label = ""
    frame: Annotated[int, Field(ge=1, lt=2**31)] | None = None

    def value(self) -> NewMeasurement:
        """The same for the records."""
        points = [(column, row) for column, row in self.points]
        return NewMeasurement(self.kind, self.image_id, points, self.label, self.frame)


class MeasurementChanged(BaseModel):
    """What changes of a measurement; what is null stays."""

    points: Points | None = None
    label: Label | None = None

    def places(self) -> list[tuple[float, float]] | None:
        """The points for the records."""
        return None if self.points is None else [(column, row) for column, row in self.points]
