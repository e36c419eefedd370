"""A report as a DICOM Structured Report: Comprehensive 3D SR, template TID 1500 (PS3.16).

Each label that is said to be there or not is a measurement group; the report's sentences are texts under
Qualitative Evaluations. Only what is there is called a Finding; what is not is an evaluation with the value
Absent, so that nobody who lists findings takes it for one. Where the radiologist judged a label the group is
theirs, and the model answers for its probability alone, with its algorithm at that figure; where nobody did
the algorithm answers for the whole group, and a signed report says so.

A measurement is a group of its own with the length or the angle, inferred from a polyline in its image. The
key images are a second group of the image library.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import highdicom as hd
import numpy as np
from highdicom import sr
from highdicom.coding_schemes import CodingSchemeIdentificationItem
from highdicom.sr.enum import RelationshipTypeValues
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import Comprehensive3DSRStorage

from tetkik.documents import dicom
from tetkik.documents.parts import (
    DERIVATIONS,
    OWN_CALIBRATED,
    OWN_DEPARTMENT,
    OWN_JUDGEMENT,
    OWN_JUDGEMENTS,
    OWN_NUMBER,
    OWN_PLANES,
    OWN_SCHEME,
    OWN_VERIFICATION,
    SIDES,
    SNOMED,
    Statement,
    disclaimer,
    measure_of,
    measured_name,
    parts_of,
    replaced_words,
    state_words,
    statements,
    valid_uid,
)
from tetkik.documents.picture import opened
from tetkik.language import Language, translate
from tetkik.values.document import ReportDocument, ReportState, Signature
from tetkik.values.finding_labels import Code, label_name
from tetkik.values.measurement import (
    Figure,
    FigureKind,
    MeasuredImage,
    Measurement,
    MeasurementKind,
    MeasurementUnit,
    Point,
)
from tetkik.values.radiograph import Route

# Measurements in a structured report: a group each, its figure inferred from points in an image.
#
# TID 1501 with a row of TID 300 whose spatial coordinates (TID 320) are a polyline through the points, in
# the image that it was drawn in (PS3.3, section C.18.6). A region of interest is a group of TID 1410: the
# region once, and a row for each figure of its pixels, mean, standard deviation, minimum, maximum, area.


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


_SERIES_NUMBER = 9001
_QUALITATIVE = Code("C0034375", "Qualitative Evaluations")
"""Row 12 of TID 1500; its rows 13 and 14 take codes and texts."""
# CID 100, Quantitative Diagnostic Imaging Procedure.
_PROCEDURES = MappingProxyType(
    {Route.CHEST: codes.LN.XRUnspecifiedBodyRegion, Route.BRAIN_MRI: codes.LN.MRIUnspecifiedBodyRegion}
)
_LANGUAGES = MappingProxyType({Language.TR: "Turkish", Language.EN: "English"})


def to_sr(document: ReportDocument, replaced: ReportDocument | None = None) -> bytes:
    """The report as a file (PS3.10), Explicit VR Little Endian, text in UTF-8; a draft is unverified.

    It refers to the image in its archive; for a file without UIDs to the Secondary Capture that
    `capture.to_image_capture` makes of it; and to the heatmap's, where there is one. ValueError where it was
    withdrawn: an archive learns of it by `rejection.to_rejection`.

    Args:
        replaced: the version before, which it names as its predecessor (PS3.3, section C.17.2).
    """
    if document.withdrawal is not None:
        raise ValueError("a withdrawn document")
    signed = document.signature
    pictures = tuple(_pictures(document))
    # The class wants evidence even for a report that refers to nothing; what it does not refer to is dropped.
    itself = dicom.own_instance(document, Comprehensive3DSRStorage)
    evidence = [dicom.evidence(document, item) for item in pictures or (itself,)]
    keys = [(item.instance, item.study) for item in key_instances(document)] if pictures else []
    measured = [(item.instance, item.study) for item in measured_pictures(document)]
    for instance, study in dict.fromkeys([*measured, *keys]):
        if instance not in pictures:
            evidence.append(dicom.evidence(document, instance, study))
    report = sr.Comprehensive3DSR(
        evidence=evidence,
        content=_content(document, pictures),
        series_instance_uid=itself.series,
        series_number=_SERIES_NUMBER,
        sop_instance_uid=itself.uid,
        instance_number=document.version,
        manufacturer=dicom.MANUFACTURER,
        previous_versions=None if replaced is None else [_itself(replaced)],
        is_complete=signed is not None,
        is_final=signed is not None,
        is_verified=signed is not None,
        verifying_observer_name=None if signed is None else dicom.observer(signed),
        verifying_organization=None if signed is None else dicom.organization(document),
        specific_character_set=dicom.CHARACTER_SET,
        coding_schemes=[
            CodingSchemeIdentificationItem(
                OWN_SCHEME, "Tetkik findings", responsible_organization=dicom.MANUFACTURER
            )
        ],
    )
    if not pictures:
        del report.CurrentRequestedProcedureEvidenceSequence
    dicom.identify(report, document)
    dicom.date_it(report, document)
    report.SeriesDescription = dicom.text(
        f"Tetkik: {translate('Radiology report', document.draft.language)}", 64
    )
    report.CompletionFlagDescription = dicom.text(state_words(document), 64)
    if signed is not None:
        report.VerifyingObserverSequence[0].VerificationDateTime = signed.signed_at.strftime("%Y%m%d%H%M%S%z")
    return dicom.to_bytes(report)


def _itself(document: ReportDocument) -> Dataset:
    return dicom.evidence(document, dicom.own_instance(document, Comprehensive3DSRStorage))


def _pictures(document: ReportDocument) -> Iterator[dicom.Instance]:
    """What the report refers to: the image first, then its heatmap."""
    origin = dicom.image_of(document)
    if origin is not None:
        yield origin
    yield from (one for one in dicom.study_images(document).values() if one != origin)
    if document.heatmap is not None:
        yield dicom.capture(document, "heatmap", document.heatmap)


def _content(document: ReportDocument, pictures: tuple[dicom.Instance, ...]) -> Any:
    """The tree from its root, in the order of TID 1500's rows."""
    route = document.result.route if document.result is not None else None
    procedure = _PROCEDURES.get(route, codes.SCT.ImagingProcedure) if route else codes.SCT.ImagingProcedure
    root = sr.ContainerContentItem(
        name=codes.DCM.ImagingMeasurementReport, is_content_continuous=False, template_id="1500"
    )
    language = document.draft.language
    spoken = sr.CodedConcept(language.value, "RFC5646", _LANGUAGES[language])
    tree = sr.ContentSequence()
    tree.extend(sr.LanguageOfContentItemAndDescendants(spoken))
    tree.extend(_context(document))
    tree.append(
        sr.CodeContentItem(codes.DCM.ProcedureReported, procedure, RelationshipTypeValues.HAS_CONCEPT_MOD)
    )
    if pictures:
        tree.append(_library(pictures, key_instances(document)))
    groups = [_group(document, item, pictures) for item in statements(document)]
    groups += measured_groups(document)
    if groups:
        tree.append(_container(codes.DCM.ImagingMeasurements, [item for group in groups for item in group]))
    tree.append(_container(concept(_QUALITATIVE, "UMLS"), list(_texts(document))))
    root.ContentSequence = tree
    return sr.ContentSequence([root], is_root=True)


def _context(document: ReportDocument) -> Any:
    """Who observed: the program always, the radiologist once signed (TID 1001)."""
    name, version = dicom.model_of(document)
    device = sr.ObserverContext(
        observer_type=codes.DCM.Device,
        observer_identifying_attributes=sr.DeviceObserverIdentifyingAttributes(
            uid=dicom.device_uid(document),
            name=dicom.MANUFACTURER,
            manufacturer_name=dicom.MANUFACTURER,
            model_name=name,
            serial_number=version,
        ),
    )
    if document.signature is None:
        return sr.ObservationContext(observer_device_context=device)
    return sr.ObservationContext(person(document, document.signature), device)


def _library(pictures: tuple[dicom.Instance, ...], keys: tuple[KeyInstance, ...]) -> Any:
    """The pictures (TID 1600), without descriptors: a report does not know their rows and columns."""
    images = [
        sr.ImageContentItem(
            name=sr.CodedConcept("260753009", "SCT", "Source"),
            referenced_sop_class_uid=item.sop_class,
            referenced_sop_instance_uid=item.uid,
            relationship_type=RelationshipTypeValues.CONTAINS,
        )
        for item in pictures
    ]
    groups = [_container(codes.DCM.ImageLibraryGroup, images)]
    if keys:
        shown = [
            sr.ImageContentItem(
                name=codes.LN.KeyImages,
                referenced_sop_class_uid=item.instance.sop_class,
                referenced_sop_instance_uid=item.instance.uid,
                referenced_frame_numbers=None if item.frame is None else [item.frame],
                relationship_type=RelationshipTypeValues.CONTAINS,
            )
            for item in keys
        ]
        groups.append(_container(codes.DCM.ImageLibraryGroup, shown))
    return _container(codes.DCM.ImageLibrary, groups)


def _group(document: ReportDocument, item: Statement, pictures: tuple[dicom.Instance, ...]) -> Any:
    if item.label in SNOMED:
        named = concept(SNOMED[item.label], "SCT")
    else:
        named = concept(Code(item.label, dicom.text(label_name(item.label, Language.EN), 64)))
    algorithm = sr.AlgorithmIdentification(*dicom.model_of(document))
    by_model = item.judgement is None
    evaluations = [sr.QualitativeEvaluation(named, codes.SCT.Present if item.present else codes.SCT.Absent)]
    if item.side is not None:
        side = concept(SIDES[item.side], "SCT")
        evaluations.append(sr.QualitativeEvaluation(codes.SCT.Laterality, side))
    if not by_model or document.signature is not None:
        judged = concept(OWN_JUDGEMENTS[item.judgement])
        evaluations.append(sr.QualitativeEvaluation(concept(OWN_JUDGEMENT), judged))
    measured = []
    seen_in = dicom.study_images(document).get((item.finding.image_id if item.finding else None) or "")
    if item.finding is not None and item.finding.probability is not None:
        measured.append(
            sr.Measurement(
                concept(OWN_CALIBRATED),
                round(item.finding.probability, 4),
                codes.UCUM.NoUnits,
                algorithm_id=None if by_model else algorithm,
            )
        )
    return sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(
            uid=hd.UID(dicom.new_uid(document, f"finding/{item.label}")), identifier=item.label
        ),
        finding_type=named if item.present else None,
        algorithm_id=algorithm if by_model else None,
        measurements=measured,
        qualitative_evaluations=evaluations,
        source_images=[
            sr.SourceImageForMeasurementGroup(one.sop_class, one.uid)
            for one in ((seen_in,) if seen_in is not None else pictures[:1])
        ],
    )


def _texts(document: ReportDocument) -> Iterator[Any]:
    draft, language = document.draft, document.draft.language
    for part in parts_of(document.content):
        if part.dicom is None:
            continue
        name = concept(part.dicom, "DCM")
        for line in part.lines:
            yield _text(name, line.text)
            for words in line.objections:
                yield _text(codes.DCM.Comment, words)
    if draft.exercise or document.state is ReportState.DRAFT:
        yield _text(codes.DCM.Comment, state_words(document))
    for words in replaced_words(document):
        yield _text(codes.DCM.Comment, words)
    for notice in draft.notices:
        yield _text(codes.DCM.Comment, notice.in_language(language))
    for code, words in ((OWN_NUMBER, document.number), (OWN_DEPARTMENT, document.department)):
        if words:
            yield _text(concept(code), words)
    yield _text(codes.DCM.Comment, disclaimer(language))
    yield _text(concept(OWN_VERIFICATION), document.verification)


def _text(name: Any, value: str) -> Any:
    return sr.TextContentItem(name, dicom.text(value, len(value)), RelationshipTypeValues.CONTAINS)


def _container(name: Any, items: list[Any]) -> Any:
    container = sr.ContainerContentItem(
        name=name, is_content_continuous=False, relationship_type=RelationshipTypeValues.CONTAINS
    )
    container.ContentSequence = sr.ContentSequence(items)
    return container
