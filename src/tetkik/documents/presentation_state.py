"""How an image is looked at as a DICOM Grayscale Softcopy Presentation State (PS3.3, section A.33.1).

Window, turn, mirror, part of the image and what is drawn over it, for any viewer that has the image.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, GrayscaleSoftcopyPresentationStateStorage

from tetkik._version import __version__
from tetkik.documents import dicom
from tetkik.documents.parts import age_at, valid_uid
from tetkik.documents.picture import Drawing, drawing_of
from tetkik.language import translate
from tetkik.values import Hospital, Identity, MeasuredImage, ReportDocument
from tetkik.values.measurement import Point
from tetkik.values.presentation import Presentation, place_in_image

_LAYER = "TETKIK"
_SERIES_NUMBER = 9004


@dataclass(frozen=True, slots=True)
class GreyRange:
    """Which values after the modality transformation a viewer shows as black and as white.

    `inverted` is whether the lowest is shown as white: of MONOCHROME1.
    """

    black: float
    white: float
    inverted: bool = False


@dataclass(frozen=True, slots=True)
class StateMeta:
    """Names of the object, who made it and when; the UIDs are new for each."""

    uid: str
    series_uid: str
    created: datetime
    creator: str = ""
    label: str = "TETKIK"
    description: str = ""
    number: int = 1
    """Of the object in its series."""


def to_presentation_state(
    image: MeasuredImage,
    identity: Identity,
    hospital: Hospital,
    shown: Presentation,
    drawings: Sequence[Drawing],
    meta: StateMeta,
    grey: GreyRange | None,
) -> bytes:
    """The object as a file (PS3.10), Explicit VR Little Endian, text in UTF-8.

    `grey` is None of an image whose greys are no straight line of its values: the window is left out then.
    ValueError for an image without UIDs, to which nothing can refer.
    """
    known, study = dicom.instance_of(image, image.sop_class), valid_uid(image.study_uid)
    if known is None or study is None:
        raise ValueError("an image without UIDs")
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID = GrayscaleSoftcopyPresentationStateStorage
    made.file_meta.MediaStorageSOPInstanceUID = UID(meta.uid)
    dicom.identify_patient(made, identity, hospital, age_at(identity, meta.created))
    made.StudyInstanceUID = study
    made.Manufacturer, made.ManufacturerModelName = dicom.MANUFACTURER, dicom.MANUFACTURER
    made.SoftwareVersions, made.DeviceSerialNumber = __version__, __version__
    made.Modality = "PR"
    made.Laterality = ""  # of type 2C: nobody knows whether it is one of a pair
    made.SeriesInstanceUID, made.SeriesNumber = meta.series_uid, _SERIES_NUMBER
    made.SeriesDescription = dicom.text(meta.description, 64)
    made.SOPClassUID, made.SOPInstanceUID = GrayscaleSoftcopyPresentationStateStorage, meta.uid
    made.InstanceNumber = meta.number
    made.ContentLabel = meta.label
    made.ContentDescription = dicom.text(meta.description, 64)
    made.ContentCreatorName = dicom.spoken_name(meta.creator)
    created = hospital.local(meta.created)
    made.TimezoneOffsetFromUTC = created.strftime("%z")
    for kind in ("InstanceCreation", "PresentationCreation"):
        setattr(made, f"{kind}Date", created.strftime("%Y%m%d"))
        setattr(made, f"{kind}Time", created.strftime("%H%M%S"))
    reference = Dataset()
    reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = known.sop_class, known.uid
    if image.frame is not None:
        reference.ReferencedFrameNumber = image.frame
    series = Dataset()
    series.SeriesInstanceUID, series.ReferencedImageSequence = known.series, [reference]
    made.ReferencedSeriesSequence = [series]
    _set_greys(made, shown, grey)
    made.ImageRotation = shown.rotation
    made.ImageHorizontalFlip = "Y" if shown.mirrored else "N"
    made.DisplayedAreaSelectionSequence = [_area(image, shown)]
    annotations = _annotations(drawings, image)
    if annotations is not None:
        made.GraphicAnnotationSequence = [annotations]
        layer = Dataset()
        layer.GraphicLayer, layer.GraphicLayerOrder = _LAYER, 1
        made.GraphicLayerSequence = [layer]
    return dicom.to_bytes(made)


def drawn_images(document: ReportDocument) -> tuple[MeasuredImage, ...]:
    """The images of the report's study in which something was measured or drawn, each once."""
    study = valid_uid(document.identity.study_uid)
    found = (item.image for item in document.content.measurements if not item.image.earlier)
    there = (one for one in found if one.study_uid == study and dicom.instance_of(one, one.sop_class))
    return tuple(dict.fromkeys(there)) if study else ()


def report_state(document: ReportDocument, image: MeasuredImage) -> dicom.Instance:
    """The presentation state of one of them, as `own_instance` names objects."""
    uid = dicom.own_instance(document, "", f"presentation/{image.instance_uid}/{image.frame}").uid
    series = dicom.new_uid(document, "presentation")
    return dicom.Instance(GrayscaleSoftcopyPresentationStateStorage, uid, series)


def to_report_states(
    document: ReportDocument, greys: Mapping[MeasuredImage, GreyRange | None]
) -> tuple[bytes, ...]:
    """What was drawn into each of `drawn_images` as a presentation state; those without greys are left out.

    Raises ValueError where the report was withdrawn: an archive learns of it by `rejection.to_rejection`.
    """
    if document.withdrawal is not None:
        raise ValueError("a withdrawn document")
    signed = document.signature
    made = []
    for place, image in enumerate(drawn_images(document), 1):
        if image not in greys:
            continue
        names = report_state(document, image)
        title = f"Tetkik: {translate('Radiology report', document.draft.language)}"
        who = signed.name if signed is not None else ""
        meta = StateMeta(names.uid, names.series, document.created, who, description=title, number=place)
        language = document.draft.language
        own = [drawing_of(one, language) for one in document.content.measurements if one.image == image]
        made.append(
            to_presentation_state(
                image, document.identity, document.hospital, Presentation(), own, meta, greys[image]
            )
        )
    return tuple(made)


def _set_greys(made: Dataset, shown: Presentation, grey: GreyRange | None) -> None:
    """Softcopy VOI LUT (PS3.3, C.11.8) and Softcopy Presentation LUT (C.11.6)."""
    image_inverted = grey is not None and grey.inverted
    made.PresentationLUTShape = "INVERSE" if shown.inverted is not image_inverted else "IDENTITY"
    if grey is None or shown.window is None or grey.white <= grey.black:
        return
    centre, width = shown.window
    span = grey.white - grey.black
    window = Dataset()
    window.WindowCenter = _number(grey.black + (1 - centre if grey.inverted else centre) * span)
    window.WindowWidth = _number(width * span)
    window.VOILUTFunction = "LINEAR_EXACT"
    made.SoftcopyVOILUTSequence = [window]


def _number(value: float) -> str:
    """A decimal string of at most 16 characters (PS3.5, section 6.2)."""
    return f"{value:.8g}"


def _area(image: MeasuredImage, shown: Presentation) -> Dataset:
    """The pixels shown at the upper left and the lower right, counted from 1 (PS3.3, C.10.4)."""
    (left, top), (right, bottom) = shown.area or ((0.0, 0.0), (float(image.columns), float(image.rows)))
    # Parts of pixels count whole; a viewer may look beyond the edge of the image.
    first = int(left) + 1 if left >= 0 else int(left), int(top) + 1 if top >= 0 else int(top)
    last = max(first[0], -int(-right // 1)), max(first[1], -int(-bottom // 1))
    corners = [place_in_image(end, shown.rotation, shown.mirrored) for end in ((0.0, 0.0), (1.0, 1.0))]
    pixels = [[(last if part else first)[axis] for axis, part in enumerate(corner)] for corner in corners]
    area = Dataset()
    area.DisplayedAreaTopLeftHandCorner, area.DisplayedAreaBottomRightHandCorner = pixels
    area.PresentationSizeMode = "SCALE TO FIT"
    if image.spacing is not None:
        area.PresentationPixelSpacing = [_number(one) for one in image.spacing]
    else:
        area.PresentationPixelAspectRatio = [1, 1]
    return area


def _annotations(drawings: Sequence[Drawing], image: MeasuredImage) -> Dataset | None:
    """Graphics and texts in the pixels of the image (PS3.3, C.10.5)."""
    graphics = [_graphic("POLYLINE", line) for drawing in drawings for line in drawing.lines]
    graphics += [_ellipse(*drawing.ellipse) for drawing in drawings if drawing.ellipse is not None]
    texts = [_text(drawing) for drawing in drawings if drawing.words]
    if not graphics and not texts:
        return None
    annotations = Dataset()
    annotations.GraphicLayer = _LAYER
    if graphics:
        annotations.GraphicObjectSequence = graphics
    if texts:
        annotations.TextObjectSequence = texts
    return annotations


def _graphic(kind: str, points: Sequence[Point]) -> Dataset:
    graphic = Dataset()
    graphic.GraphicAnnotationUnits = "PIXEL"
    graphic.GraphicDimensions = 2
    graphic.NumberOfGraphicPoints = len(points)
    graphic.GraphicData = [float(number) for point in points for number in point]
    graphic.GraphicType = kind
    if points[0] == points[-1] or kind == "ELLIPSE":
        graphic.GraphicFilled = "N"
    return graphic


def _ellipse(one: Point, other: Point) -> Dataset:
    """By the ends of its longer axis, then of its shorter."""
    across, down = (one[0] + other[0]) / 2, (one[1] + other[1]) / 2
    axes = [((one[0], down), (other[0], down)), ((across, one[1]), (across, other[1]))]
    if abs(other[1] - one[1]) > abs(other[0] - one[0]):
        axes.reverse()
    return _graphic("ELLIPSE", [*axes[0], *axes[1]])


def _text(drawing: Drawing) -> Dataset:
    text = Dataset()
    text.AnchorPointAnnotationUnits = "PIXEL"
    text.UnformattedTextValue = dicom.text(drawing.words, 1024)
    text.AnchorPoint = [float(number) for number in drawing.anchor]
    text.AnchorPointVisibility = "N"
    return text
