"""Boxes that radiologists drew around findings: NIH's `BBox_List_2017.csv`, VinDr's `annotations_*.csv`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from tetkik.errors import DataError
from tetkik.findings.label_names import shared_label
from tetkik.lab.engine.tables import read_table


@dataclass(frozen=True, slots=True)
class Box:
    """A finding's place."""

    image: str
    """The image's name in its data set, as `LabelledImages.image` without the prefix."""
    label: str
    """The shared label, or the data set's own name where there is none."""
    left: float
    top: float
    width: float
    height: float
    """`left`, `top`, `width`, `height`: pixels of the original image; left and top from 0."""
    reader: str | None = None


def read_nih_boxes(path: Path) -> tuple[Box, ...]:
    """Read `BBox_List_2017.csv`: 984 boxes on 880 images in the release."""
    sides = ("Bbox [x", "y", "w", "h]")
    table = read_table(path, need=("Image Index", "Finding Label", *sides))
    rows = zip(table["Image Index"], table["Finding Label"], *map(table.numbers, sides), strict=True)
    return tuple(_box(path, image, label, tuple(place)) for image, label, *place in rows)


def read_vindr_boxes(path: Path) -> tuple[Box, ...]:
    """Read VinDr-CXR's `annotations_train.csv` or `annotations_test.csv`; rows of No finding have no box."""
    corners = ("x_min", "y_min", "x_max", "y_max")
    table = read_table(path, need=("image_id", "class_name", *corners))
    names = (table["image_id"], table["class_name"], table.get("rad_id"))
    return tuple(
        _box(path, image, label, (left, top, right - left, bottom - top), reader or None)
        for image, label, reader, left, top, right, bottom in zip(
            *names, *map(table.numbers, corners), strict=True
        )
        if shared_label(label) != "Normal"
    )


def _box(path: Path, image: str, label: str, place: tuple[float, ...], reader: str | None = None) -> Box:
    left, top, width, height = place
    if not (min(left, top) >= 0 and 0 < width < math.inf and 0 < height < math.inf and left + top < math.inf):
        raise DataError(
            "{path} has a box that is none, of the image {image}; correct it.", path=path, image=image
        )
    return Box(image, shared_label(label) or label, left, top, width, height, reader)
