"""What the pages show of a measurement: how much, how far it is to be trusted, and what the viewer draws."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tetkik.documents.words import measured_name, measured_words, measurement_words
from tetkik.language import Language
from tetkik.values import Measurement, MeasurementUnit


@dataclass(frozen=True, slots=True)
class MeasurementLine:
    """A measurement as the list beside the draft shows it.

    Attributes:
        item: the measurement.
        number: its place in the list, from 1.
        name: the radiologist's, else what it is.
        text: how much, in the reader's language.
        about: how far it is to be trusted, and in which image it was made.
        where: its points, column and row.
        put: how much, as a sentence of the report says it; empty for pixels, which no report says.
    """

    item: Measurement
    number: int
    name: str
    text: str
    about: str
    where: str
    put: str

    @property
    def drawn(self) -> dict[str, object]:
        """What the viewer draws it from."""
        item = self.item
        points = [list(point) for point in item.points]
        return {
            "id": item.id,
            "image": item.image.id,
            "frame": item.image.frame,
            "kind": item.kind,
            "points": points,
            "label": item.label,
        }


def measurement_lines(
    measurements: Sequence[Measurement], language: Language, spoken: Language
) -> tuple[MeasurementLine, ...]:
    """The measurements as a page shows them.

    Args:
        measurements: in the order in which they were made.
        language: of the reader.
        spoken: of the report.
    """
    return tuple(
        MeasurementLine(
            item=item,
            number=number,
            name=measured_name(item, language),
            text=measurement_words(item, language),
            about=measured_words(item, language),
            where=" → ".join(f"{column:.0f}, {row:.0f}" for column, row in item.points),
            put="" if item.unit is MeasurementUnit.PIXEL else measurement_words(item, spoken),
        )
        for number, item in enumerate(measurements, 1)
    )
