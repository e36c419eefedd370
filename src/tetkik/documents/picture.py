"""A report's pictures, opened as what every document can hold: 8 bits, grey or RGB."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass

import numpy as np
from PIL import Image

from tetkik.documents.parts import measurement_words
from tetkik.language import Language
from tetkik.values.common import one_line
from tetkik.values.measurement import MeasuredImage, Measurement, MeasurementKind, Point


def opened(content: bytes) -> Image.Image:
    """A PNG or JPEG in the mode `L` or `RGB`: of 16 bits the upper 8, transparency shows white."""
    with Image.open(io.BytesIO(content)) as picture:
        if picture.mode in {"1", "L"}:
            return picture.convert("L")
        if picture.mode.startswith("I"):
            return Image.fromarray((np.asarray(picture, np.uint32) >> 8).astype(np.uint8))
        if "A" in picture.getbands() or "transparency" in picture.info:
            clear = picture.convert("RGBA")
            return Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear).convert("RGB")
        return picture.convert("RGB")


# What a measurement, an arrow or a text looks like over its image: lines, an ellipse, words at a point.


Line = tuple[Point, ...]
_HEAD = math.radians(25)
"""Between the shaft of an arrow and each side of its head."""


@dataclass(frozen=True, slots=True)
class Drawing:
    """All in pixels of the image, from the outer corner of the first one, as points of a measurement are.

    Attributes:
        ellipse: two opposite corners of the rectangle around it; None where there is none.
        anchor: where the words stand.
    """

    lines: tuple[Line, ...]
    ellipse: tuple[Point, Point] | None
    words: str
    anchor: Point


def drawing_of(item: Measurement, language: Language) -> Drawing:
    """How a measurement is drawn, with what it says."""
    words = " ".join(filter(None, (one_line(item.label), measurement_words(item, language))))
    points = item.points
    rightmost = max(points)
    if item.kind is MeasurementKind.ELLIPSE:
        return Drawing((), (points[0], points[1]), words, _corner(points))
    if item.kind is MeasurementKind.RECTANGLE:
        (left, top), (right, bottom) = points
        around = ((left, top), (right, top), (right, bottom), (left, bottom), (left, top))
        return Drawing((around,), None, words, _corner(points))
    if item.kind is MeasurementKind.TEXT:
        return Drawing((), None, words, points[0])
    if item.kind is MeasurementKind.ARROW:
        return Drawing(_arrow(points[0], points[1], item.image), None, words, points[0])
    if item.kind is MeasurementKind.CARDIOTHORACIC:
        spans = item.spans
        # From where each border was set to its level on the line.
        drops = zip(points, (end for span in spans for end in span), strict=True)
        return Drawing((*spans, *drops), None, words, max(spans[1]))
    if item.kind is MeasurementKind.COBB:
        return Drawing((points[:2], points[2:]), None, words, rightmost)
    return Drawing((points,), None, words, points[1] if item.kind is MeasurementKind.ANGLE else rightmost)


def _corner(points: Line) -> Point:
    """The upper right corner of what lies between two points."""
    return max(x for x, _ in points), min(y for _, y in points)


def _arrow(end: Point, head: Point, image: MeasuredImage) -> tuple[Line, ...]:
    way = math.atan2(end[1] - head[1], end[0] - head[0])
    length = min(math.dist(end, head) / 2, 0.03 * math.hypot(image.rows, image.columns))
    sides = []
    for turned in (way - _HEAD, way + _HEAD):
        side = (head[0] + length * math.cos(turned), head[1] + length * math.sin(turned))
        sides.append((min(max(side[0], 0), image.columns), min(max(side[1], 0), image.rows)))
    return (end, head), (sides[0], head, sides[1])
