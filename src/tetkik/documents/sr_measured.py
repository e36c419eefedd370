"""Measurements in a structured report: a group each, its figure inferred from points in an image.

TID 1501 with a row of TID 300 whose spatial coordinates (TID 320) are a polyline through the points, in the
image that it was drawn in (PS3.3, section C.18.6). A region of interest is a group of TID 1410: the region
once, and a row for each figure of its pixels, mean, standard deviation, minimum, maximum, area.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import highdicom as hd
import numpy as np
from highdicom import sr
from pydicom.sr.codedict import codes

from tetkik.documents import dicom
from tetkik.documents.codes import DERIVATIONS, OWN_PLANES, OWN_SCHEME, measure_of
from tetkik.documents.picture import opened
from tetkik.documents.report_phrases import measured_name
from tetkik.documents.sanitize import valid_uid
from tetkik.values import (
    Figure,
    FigureKind,
    MeasuredImage,
    Measurement,
    MeasurementKind,
    MeasurementUnit,
    ReportDocument,
    Signature,
)
from tetkik.values.finding_labels import Code
from tetkik.values.measurement import Point

_UNITS = {
    MeasurementUnit.MILLIMETRE: codes.UCUM.Millimeter,
    MeasurementUnit.DEGREE: codes.UCUM.Degree,
    MeasurementUnit.PIXEL: sr.CodedConcept(MeasurementUnit.PIXEL.value, "UCUM", "pixels"),
    MeasurementUnit.RATIO: codes.UCUM.NoUnits,
    MeasurementUnit.HOUNSFIELD: codes.UCUM.HounsfieldUnit,
    MeasurementUnit.GREY: sr.CodedConcept(MeasurementUnit.GREY.value, "UCUM", "grey value"),
    MeasurementUnit.SQUARE_MILLIMETRE: codes.UCUM.SquareMillimeter,
}
_LENGTHS = (FigureKind.LENGTH, FigureKind.HEART, FigureKind.THORAX, FigureKind.AREA)
"""Figures that are another at the detector than in the patient."""


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """An image that a measurement points into; across and down `scale` is 1 unless it is a smaller copy."""

    instance: dicom.Instance
    study: str
    scale: tuple[float, float] = (1.0, 1.0)


def person(document: ReportDocument, signed: Signature) -> Any:
    """Who answers for something (TID 1003)."""
    who = sr.PersonObserverIdentifyingAttributes(
        dicom.observer(signed), organization_name=dicom.organization(document)
    )
    return sr.ObserverContext(codes.DCM.Person, who)


def concept(code: Code, scheme: str = OWN_SCHEME) -> Any:
    """A code as a concept, of ours or of another scheme."""
    return sr.CodedConcept(code.value, scheme, code.meaning)


def measured_pictures(document: ReportDocument) -> tuple[Elsewhere, ...]:
    """The images that were measured in, each once; those that no archive knows are left out."""
    found = [_place(document, item.image) for item in document.measurements]
    return tuple(dict.fromkeys(item for item in found if item is not None))


@dataclass(frozen=True, slots=True)
class KeyInstance:
    """A key image, as an archive knows it; `frame` counted from 1, None in a file of one."""

    instance: dicom.Instance
    study: str
    frame: int | None


def key_instances(document: ReportDocument) -> tuple[KeyInstance, ...]:
    """The key images of a report; those that no archive knows are left out."""
    found = ((_place(document, item.image), item.image.frame) for item in document.content.key_images)
    return tuple(
        KeyInstance(place.instance, place.study, frame) for place, frame in found if place is not None
    )


def measured_groups(document: ReportDocument) -> Iterator[Any]:
    """The measurements (TID 1501, TID 1410), in the order in which they were made."""
    for item in document.measurements:
        place = _place(document, item.image)
        tracking = sr.TrackingIdentifier(
            uid=hd.UID(dicom.new_uid(document, f"measurement/{item.id}")),
            identifier=dicom.text(measured_name(item, document.draft.language), 64),
        )
        if item.kind.is_region and place is not None:
            yield sr.PlanarROIMeasurementsAndQualitativeEvaluations(
                tracking_identifier=tracking,
                referenced_region=_region(item, place),
                measurements=[_figure(item, one) for one in item.figures],
            )
            continue
        drawn = _drawn(item)
        yield sr.MeasurementsAndQualitativeEvaluations(
            tracking_identifier=tracking,
            measurements=[
                _figure(item, one, _lines(drawn.get(one.kind, ()), item, place)) for one in item.figures
            ],
        )


def _figure(item: Measurement, figure: Figure, coordinates: list[Any] | None = None) -> Any:
    code, scheme = measure_of(figure.kind, figure.unit)
    derived = DERIVATIONS.get(figure.kind)
    method = concept(OWN_PLANES[item.image.plane if item.calibrated else None])
    return sr.Measurement(
        concept(code, scheme),
        figure.rounded,
        _UNITS[figure.unit],
        method=method if figure.kind in _LENGTHS else None,
        derivation=None if derived is None else concept(derived, "SCT"),
        referenced_coordinates=coordinates or None,
    )


def _drawn(item: Measurement) -> dict[FigureKind, tuple[tuple[Point, ...], ...]]:
    """The lines that a figure was measured along."""
    if item.kind is MeasurementKind.CARDIOTHORACIC:
        heart, thorax = item.spans
        return {
            FigureKind.CARDIOTHORACIC: (heart, thorax),
            FigureKind.HEART: (heart,),
            FigureKind.THORAX: (thorax,),
        }
    lines = (item.points[:2], item.points[2:]) if item.kind is MeasurementKind.COBB else (item.points,)
    return {one.kind: lines for one in item.figures[:1]}


def _lines(lines: tuple[tuple[Point, ...], ...], item: Measurement, place: Elsewhere | None) -> list[Any]:
    if place is None or item.kind.is_region:
        return []
    return [
        sr.CoordinatesForMeasurement(
            sr.GraphicTypeValues.POLYLINE, np.array(points) * np.array(place.scale), _source(item, place)
        )
        for points in lines
    ]


def _source(item: Measurement, place: Elsewhere) -> Any:
    frames = [item.image.frame] if item.image.frame is not None else None
    return sr.SourceImageForRegion(place.instance.sop_class, place.instance.uid, frames)


def _region(item: Measurement, place: Elsewhere) -> Any:
    """An ellipse by the ends of its longer axis, then of its shorter; a rectangle as a closed polyline."""
    (left, top), (right, bottom) = item.points
    across, down = (left + right) / 2, (top + bottom) / 2
    if item.kind is MeasurementKind.ELLIPSE:
        axes = [((left, down), (right, down)), ((across, top), (across, bottom))]
        lengths = [abs(right - left) * place.scale[0], abs(bottom - top) * place.scale[1]]
        longer = axes if lengths[0] >= lengths[1] else axes[::-1]
        points, kind = [*longer[0], *longer[1]], sr.GraphicTypeValues.ELLIPSE
    else:
        points = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)]
        kind = sr.GraphicTypeValues.POLYLINE
    return sr.ImageRegion(kind, np.array(points) * np.array(place.scale), _source(item, place))


def _place(document: ReportDocument, image: MeasuredImage) -> Elsewhere | None:
    """Where an archive has the image; of a file without UIDs, the Secondary Capture of the report's own."""
    known = dicom.instance_of(image, image.sop_class)
    if known is not None:
        return Elsewhere(known, str(valid_uid(image.study_uid)))
    if image.earlier or document.image is None or dicom.source(document) is not None:
        return None
    captured = dicom.capture(document, "image", document.image)
    copy = opened(document.image)
    scale = (copy.width / image.columns, copy.height / image.rows)
    return Elsewhere(captured, dicom.study_uid(document), scale)
