"""Measurements in a structured report: a group each, its figure inferred from points in an image.

TID 1501 with a row of TID 300 whose spatial coordinates (TID 320) are a polyline through the points, in the
image that it was drawn in (PS3.3, section C.18.6).
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
from tetkik.documents.codes import MEASURES, OWN_PLANES, OWN_SCHEME
from tetkik.documents.picture import opened
from tetkik.documents.report_phrases import measured_name
from tetkik.documents.sanitize import valid_uid
from tetkik.values import MeasuredImage, Measurement, MeasurementUnit, ReportDocument, Signature
from tetkik.values.finding_labels import Code

_UNITS = {
    MeasurementUnit.MILLIMETRE: codes.UCUM.Millimeter,
    MeasurementUnit.DEGREE: codes.UCUM.Degree,
    MeasurementUnit.PIXEL: sr.CodedConcept(MeasurementUnit.PIXEL.value, "UCUM", "pixels"),
}


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


def measured_groups(document: ReportDocument) -> Iterator[Any]:
    """The measurements (TID 1501), in the order in which they were made."""
    for item in document.measurements:
        place = _place(document, item.image)
        method = concept(OWN_PLANES[item.image.plane if item.calibrated else None])
        measured = sr.Measurement(
            concept(MEASURES[item.kind], "SCT"),
            item.rounded,
            _UNITS[item.unit],
            # An angle is the same at the detector and in the patient.
            method=None if item.unit is MeasurementUnit.DEGREE else method,
            referenced_coordinates=None if place is None else [_coordinates(item, place)],
        )
        yield sr.MeasurementsAndQualitativeEvaluations(
            tracking_identifier=sr.TrackingIdentifier(
                uid=hd.UID(dicom.new_uid(document, f"measurement/{item.id}")),
                identifier=dicom.text(measured_name(item, document.draft.language), 64),
            ),
            measurements=[measured],
        )


def _coordinates(item: Measurement, place: Elsewhere) -> Any:
    points = np.array(item.points) * np.array(place.scale)
    frames = [item.image.frame] if item.image.frame is not None else None
    source = sr.SourceImageForRegion(place.instance.sop_class, place.instance.uid, frames)
    return sr.CoordinatesForMeasurement(sr.GraphicTypeValues.POLYLINE, points, source)


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
