"""A Grayscale Softcopy Presentation State (PS3.3, section A.33.1) that came as a file, within bounds.

Compound graphics are counted and left out; what cannot be true is as if it were not there.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from pydicom import Dataset
from pydicom.uid import ExplicitVRBigEndian, GrayscaleSoftcopyPresentationStateStorage

from tetkik.errors import InputError
from tetkik.imaging.dicom import in_units, is_dicom, parse_dicom
from tetkik.imaging.dicom_pixels import Grey, grey_of, read_frame, read_layout, used_range
from tetkik.imaging.read import one_file
from tetkik.imaging.tags import FrameTags, identity_of, items, numbers, text, texts
from tetkik.values import Identity
from tetkik.values.common import one_line
from tetkik.values.measurement import Point
from tetkik.values.presentation import Presentation, Words, place_in_image, turn_of

LARGEST = 4 << 20
"""Bytes of a file."""
_MOST = 500
"""Graphics and texts together that are drawn."""
_MOST_POINTS = 5000
"""Of one graphic."""
_LONGEST = 300
"""Characters of a text."""
_FARTHEST = 1e5
"""Pixels: what lies beyond is no place of an image."""
_ROUND = 64
"""Points of an ellipse that is drawn as a line."""
_MOST_REFERENCES = 2000


@dataclass(frozen=True, slots=True)
class PresentationReference:
    """An image that the object is about; without frames, all of them."""

    uid: str
    frames: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class StateFile:
    """What a file says of itself, without how the image is shown."""

    uid: str
    identity: Identity
    references: tuple[PresentationReference, ...]
    label: str = ""
    description: str = field(default="", repr=False)
    creator: str = field(default="", repr=False)
    created: str | None = None
    """`YYYYMMDD`."""


@dataclass(frozen=True, slots=True)
class ShownState:
    """A file and how it shows one image."""

    file: StateFile
    shown: Presentation


@dataclass(frozen=True, slots=True)
class ShownRange:
    """Which values after the modality transformation are shown as black and white, before any other window.

    `inverted` is whether the lowest is white. `straight` is whether the values between are in proportion: a
    table or a sigmoid is not, and no window of one can be expressed in values.
    """

    black: float
    white: float
    inverted: bool
    straight: bool = True


def is_presentation_state(content: bytes) -> bool:
    """Whether a file says so near its beginning: a quick look before it is parsed."""
    return GrayscaleSoftcopyPresentationStateStorage.encode() in content[:4096] and is_dicom(content)


def read_state(request: tuple[bytes, str]) -> StateFile:
    """What a presentation state says of itself."""
    content, name = request
    with one_file(name):
        return _file(_parsed(content, name), name)


def states_of(request: tuple[tuple[bytes, ...], bytes, str, str, int]) -> tuple[ShownState, ...]:
    """How presentation states show one frame of an image: files, the image's content, name, UID, frame.

    Those that are not about the frame are left out.
    """
    files, image, name, uid, frame = request
    found = []
    with one_file(name):
        grey = range_of((image, name, frame))
        for content in files:
            dataset = _parsed(content, name)
            file = _file(dataset, name)
            if any(one.uid == uid and (not one.frames or frame in one.frames) for one in file.references):
                found.append(ShownState(file, _shown(dataset, uid, frame, grey)))
    return tuple(found)


def range_of(request: tuple[bytes, str, int]) -> ShownRange | None:
    """The values that a frame is shown by; None of a colour image and of a file that is no DICOM."""
    content, name, frame = request
    if not is_dicom(content):
        return None
    with one_file(name):
        dataset, syntax = parse_dicom(content, name)
        layout = read_layout(dataset, syntax, name)
        if layout.samples != 1 or layout.photometric == "PALETTE COLOR":
            return None
        tags = FrameTags(dataset, frame - 1, big_endian=syntax == ExplicitVRBigEndian)
        inverted = layout.photometric == "MONOCHROME1"
        read = read_frame(dataset, layout, frame - 1, name)
        grey = grey_of(tags, read.words, inverted=inverted)
        display = in_units(tags, read.samples, grey)
        if display is not None and display.scale is not None:
            first = display.scale.intercept
            last = first + display.scale.slope * display.white
            return ShownRange(min(first, last), max(first, last), grey.inverted)
        return _range(grey, read.samples)


def _range(grey: Grey, samples: Any) -> ShownRange:
    modal = grey.modality(grey.words.stored().astype(np.float64))
    if grey.interest is None:
        counts = np.bincount(samples.ravel(), minlength=len(modal))
        if grey.padding is not None:
            stored = grey.words.stored()
            counts[(grey.padding[0] <= stored) & (stored <= grey.padding[1])] = 0
        low, high = used_range(modal, counts)
        return ShownRange(low, high, grey.inverted)
    at = np.array([modal.min(), modal.min() + 1.0, (modal.min() + modal.max()) / 2, modal.max()])
    bright = grey.interest(at)
    rise = float(bright[1] - bright[0])
    straight = rise > 0 and np.allclose(bright, bright[0] + rise * (at - at[0]), rtol=1e-6, atol=1e-6)
    if not straight:
        return ShownRange(0.0, 1.0, grey.inverted, straight=False)
    black = float(at[0] - bright[0] / rise)
    return ShownRange(black, black + 1 / rise, grey.inverted)


def _parsed(content: bytes, name: str) -> Dataset:
    if len(content) > LARGEST:
        raise InputError("{file} is too large for a presentation state; look at what it is.", file=name)
    dataset, _ = parse_dicom(content, name)
    if text(dataset, "SOPClassUID") != GrayscaleSoftcopyPresentationStateStorage:
        raise InputError(
            "{file} is no greyscale presentation state; choose a file of that kind.",
            file=name,
        )
    return dataset


def _file(dataset: Dataset, name: str) -> StateFile:
    uid = text(dataset, "SOPInstanceUID")
    references = tuple(_references(dataset))
    if uid is None or len(uid) > 64 or not references:
        raise InputError("{file} does not say which image it is about; export it again.", file=name)
    return StateFile(
        uid=uid,
        identity=identity_of(dataset),
        references=references,
        label=_words(text(dataset, "ContentLabel"), 16),
        description=_words(text(dataset, "ContentDescription"), 64),
        creator=_words((text(dataset, "ContentCreatorName") or "").replace("^", " "), 64),
        created=text(dataset, "PresentationCreationDate"),
    )


def _references(dataset: Dataset) -> Iterator[PresentationReference]:
    left = _MOST_REFERENCES
    for series in items(dataset, "ReferencedSeriesSequence")[:_MOST_REFERENCES]:
        for item in items(series, "ReferencedImageSequence")[:left]:
            left -= 1
            if uid := text(item, "ReferencedSOPInstanceUID"):
                frames = tuple(int(one) for one in numbers(item, "ReferencedFrameNumber")[:10_000])
                yield PresentationReference(uid, frames)


def _shown(dataset: Dataset, uid: str, frame: int, grey: ShownRange | None) -> Presentation:
    rotations = numbers(dataset, "ImageRotation")
    rotation = int(rotations[0]) if rotations and rotations[0] in (0, 90, 180, 270) else 0
    mirrored = text(dataset, "ImageHorizontalFlip") == "Y"
    inverse = text(dataset, "PresentationLUTShape") == "INVERSE"
    area = _area(_about(dataset, "DisplayedAreaSelectionSequence", uid, frame))
    lines, words, left_out = _graphics(dataset, uid, frame, _Place(area, rotation, mirrored))
    return Presentation(
        window=_window(_about(dataset, "SoftcopyVOILUTSequence", uid, frame), grey),
        inverted=inverse is not (grey is not None and grey.inverted),
        turn=turn_of(rotation, mirrored),
        mirrored=mirrored,
        area=area,
        lines=lines,
        words=words,
        left_out=left_out,
    )


def _about(dataset: Dataset, keyword: str, uid: str, frame: int) -> Dataset | None:
    """The item of a sequence that is about the frame: without a reference, it is about every image."""
    return next((item for item in items(dataset, keyword)[:_MOST] if _concerns(item, uid, frame)), None)


def _concerns(item: Dataset, uid: str, frame: int) -> bool:
    named = items(item, "ReferencedImageSequence")[:_MOST_REFERENCES]
    for one in named:
        frames = numbers(one, "ReferencedFrameNumber")
        if text(one, "ReferencedSOPInstanceUID") == uid and (not frames or frame in frames):
            return True
    return not named


def _window(item: Dataset | None, grey: ShownRange | None) -> tuple[float, float] | None:
    """In parts of the image's white; None where the file, or the image, has none that can be expressed so."""
    if item is None or grey is None or not grey.straight or grey.white <= grey.black:
        return None
    centres, widths = numbers(item, "WindowCenter")[:1], numbers(item, "WindowWidth")[:1]
    if not centres or not widths or not 0 < widths[0] < 1e9 or abs(centres[0]) > 1e9:
        return None
    centre, width = centres[0], widths[0]
    if (text(item, "VOILUTFunction") or "LINEAR").upper() == "LINEAR":  # PS3.3, C.11.2.1.2.1
        centre, width = centre - 0.5, max(width - 1, 1e-3)
    span = grey.white - grey.black
    part = (centre - grey.black) / span
    return (1 - part if grey.inverted else part), width / span


def _area(item: Dataset | None) -> tuple[Point, Point] | None:
    """From the corner of the first pixel, counted from 0; None where it cannot be."""
    if item is None:
        return None
    one = numbers(item, "DisplayedAreaTopLeftHandCorner")
    other = numbers(item, "DisplayedAreaBottomRightHandCorner")
    if len(one) != 2 or len(other) != 2 or max(map(abs, (*one, *other))) > _FARTHEST:
        return None
    (left, right), (top, bottom) = sorted((one[0], other[0])), sorted((one[1], other[1]))
    return (left - 1, top - 1), (right, bottom)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where points of a file are in the image; those of the displayed area are in parts of it."""

    area: tuple[Point, Point] | None
    rotation: int
    mirrored: bool

    def points(self, flat: tuple[float, ...], units: str | None) -> tuple[Point, ...]:
        """Empty where they cannot be."""
        pairs = [(flat[at], flat[at + 1]) for at in range(0, len(flat) - 1, 2)]
        if units == "DISPLAY":
            if self.area is None:
                return ()
            (left, top), (right, bottom) = self.area
            parts = [place_in_image(pair, self.rotation, self.mirrored) for pair in pairs]
            pairs = [(left + x * (right - left), top + y * (bottom - top)) for x, y in parts]
        elif units != "PIXEL":
            return ()
        return () if any(max(abs(x), abs(y)) > _FARTHEST for x, y in pairs) else tuple(pairs)


def _graphics(
    dataset: Dataset, uid: str, frame: int, place: _Place
) -> tuple[tuple[tuple[Point, ...], ...], tuple[Words, ...], int]:
    lines: list[tuple[Point, ...]] = []
    words: list[Words] = []
    left_out = 0
    for item in items(dataset, "GraphicAnnotationSequence")[:_MOST]:
        if not _concerns(item, uid, frame):
            continue
        left_out += len(items(item, "CompoundGraphicSequence"))
        for found in map(_line_of(place), items(item, "GraphicObjectSequence")[: _MOST + 1]):
            if found and len(lines) + len(words) < _MOST:
                lines.append(found)
            else:
                left_out += 1
        for text_object in map(_words_of(place), items(item, "TextObjectSequence")[: _MOST + 1]):
            if text_object is not None and len(lines) + len(words) < _MOST:
                words.append(text_object)
            else:
                left_out += 1
    return tuple(lines), tuple(words), left_out


def _line_of(place: _Place) -> Any:
    def line(item: Dataset) -> tuple[Point, ...]:
        flat, kind = numbers(item, "GraphicData"), text(item, "GraphicType")
        if not 2 <= len(flat) <= 2 * _MOST_POINTS or len(flat) % 2:
            return ()
        points = place.points(flat, text(item, "GraphicAnnotationUnits"))
        if kind in ("POLYLINE", "INTERPOLATED", "POINT"):
            return points
        if kind == "CIRCLE" and len(points) == 2:
            (x, y), radius = points[0], math.dist(*points)
            return _round((x, y), (radius, 0.0), (0.0, radius))
        if kind == "ELLIPSE" and len(points) == 4:
            centre = (points[0][0] + points[1][0]) / 2, (points[0][1] + points[1][1]) / 2
            major, minor = ((points[at][0] - centre[0], points[at][1] - centre[1]) for at in (1, 3))
            return _round(centre, major, minor)
        return ()

    return line


def _round(centre: Point, one: Point, other: Point) -> tuple[Point, ...]:
    """A closed line around a centre, by its two half axes."""
    angles = [2 * math.pi * step / _ROUND for step in range(_ROUND + 1)]
    return tuple(
        (
            round(centre[0] + math.cos(angle) * one[0] + math.sin(angle) * other[0], 3),
            round(centre[1] + math.cos(angle) * one[1] + math.sin(angle) * other[1], 3),
        )
        for angle in angles
    )


def _words_of(place: _Place) -> Any:
    def words(item: Dataset) -> Words | None:
        content = _words(" ".join(texts(item, "UnformattedTextValue")), _LONGEST)
        for corner, units in (
            ("BoundingBoxTopLeftHandCorner", "BoundingBoxAnnotationUnits"),
            ("AnchorPoint", "AnchorPointAnnotationUnits"),
        ):
            flat = numbers(item, corner)
            points = place.points(flat, text(item, units)) if len(flat) == 2 else ()
            if content and points:
                return Words(content, points[0])
        return None

    return words


def _words(content: str | None, longest: int) -> str:
    return one_line(content or "")[:longest]
