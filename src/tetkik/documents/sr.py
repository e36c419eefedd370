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
from types import MappingProxyType
from typing import Any

import highdicom as hd
from highdicom import sr
from highdicom.coding_schemes import CodingSchemeIdentificationItem
from highdicom.sr.enum import RelationshipTypeValues
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import Comprehensive3DSRStorage

from tetkik.documents import dicom
from tetkik.documents.codes import (
    OWN_CALIBRATED,
    OWN_DEPARTMENT,
    OWN_JUDGEMENT,
    OWN_JUDGEMENTS,
    OWN_NUMBER,
    OWN_SCHEME,
    OWN_VERIFICATION,
    SIDES,
    SNOMED,
)
from tetkik.documents.parts import parts_of
from tetkik.documents.report_phrases import disclaimer, state_words
from tetkik.documents.sr_measured import (
    KeyInstance,
    concept,
    key_instances,
    measured_groups,
    measured_pictures,
    person,
)
from tetkik.documents.statements import Statement, statements
from tetkik.language import Language, translate
from tetkik.values import ReportDocument, ReportState, Route, label_name
from tetkik.values.finding_labels import Code

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
