"""A report's pictures as DICOM Secondary Capture images (PS3.3, section A.8), for archives and viewers."""

from __future__ import annotations

from types import MappingProxyType

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from tetkik.documents import dicom
from tetkik.documents.parts import disclaimer, heatmap_words
from tetkik.documents.picture import opened
from tetkik.language import Language, translate
from tetkik.values import Flaw, ReportDocument, Route, label_name

_SERIES = MappingProxyType({"heatmap": 9002, "image": 9003})
_BODY_PARTS = MappingProxyType({Route.CHEST: "CHEST", Route.BRAIN_MRI: "BRAIN"})


def to_capture(document: ReportDocument) -> bytes:
    """The heatmap as a file: in the study of the image, in a series of its own, derived from the image.

    Raises ValueError where the document has no heatmap, or was withdrawn.
    """
    if document.withdrawal is not None:
        raise ValueError("a withdrawn document")
    if document.heatmap is None:
        raise ValueError("a document without a heatmap")
    made = _captured(document, "heatmap", document.heatmap)
    made.ImageType = ["DERIVED", "SECONDARY"]
    about = f" for {label_name(document.heatmap_label, Language.EN)}" if document.heatmap_label else ""
    model = " ".join(dicom.model_of(document))
    made.DerivationDescription = dicom.text(f"Heatmap of the model {model}{about}", 1024)
    made.ImageComments = f"{heatmap_words(document)} {disclaimer(document.draft.language)}"
    origin = dicom.image_of(document)
    if origin is not None:
        reference = Dataset()
        reference.ReferencedSOPClassUID = origin.sop_class
        reference.ReferencedSOPInstanceUID = origin.uid
        purpose = dicom.code("121322", "DCM", "Source image for image processing operation")
        reference.PurposeOfReferenceCodeSequence = [purpose]
        made.SourceImageSequence = [reference]
    return dicom.to_bytes(made)


def to_image_capture(document: ReportDocument) -> bytes:
    """The original as a file: what a report about a PNG, JPEG or TIFF without UIDs refers to."""
    if document.image is None:
        raise ValueError("a document without an image")
    made = _captured(document, "image", document.image)
    made.ImageType = ["ORIGINAL", "SECONDARY"]
    return dicom.to_bytes(made)


def needs_image_capture(document: ReportDocument) -> bool:
    """Whether the image has no UIDs of its own: the other objects can only refer to a capture of it."""
    return document.image is not None and dicom.source(document) is None


def _captured(document: ReportDocument, what: str, picture: bytes) -> Dataset:
    language = document.draft.language
    instance = dicom.capture(document, what, picture)
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID = UID(instance.sop_class)
    made.file_meta.MediaStorageSOPInstanceUID = UID(instance.uid)
    dicom.identify(made, document)
    dicom.date_it(made, document)
    made.SOPClassUID = instance.sop_class
    made.SOPInstanceUID = instance.uid
    made.SeriesInstanceUID = instance.series
    made.SeriesNumber = _SERIES[what]
    made.InstanceNumber = document.version
    made.Modality = "OT"
    made.ConversionType = "WSD"
    made.DateOfSecondaryCapture = made.ContentDate
    made.TimeOfSecondaryCapture = made.ContentTime
    made.PatientOrientation = ""
    # The image's own where it is no part of a pair, or what the route says.
    route = document.result.route if document.result is not None else None
    body = _BODY_PARTS.get(route) if route is not None else None
    if document.tags.body_part in _BODY_PARTS.values():
        body = document.tags.body_part
    if body:
        made.BodyPartExamined = body
    else:
        made.Laterality = ""  # of type 2C: without a body part nobody knows whether it is one of a pair
    title = "Where the model looked" if what == "heatmap" else "Image"
    made.SeriesDescription = dicom.text(f"Tetkik: {translate(title, language)}", 64)
    made.ImageComments = disclaimer(language)
    burned = _burned_in(document)
    if burned is not None:
        made.BurnedInAnnotation = "YES" if burned else "NO"
    _set_pixels(made, picture)
    return made


def _burned_in(document: ReportDocument) -> bool | None:
    """Whether text in the picture may say whose it is (0028,0301); None where nobody looked.

    The legend of a heatmap names a model and a finding, and no patient.
    """
    result = document.result
    if document.tags.burned_in or (result is not None and Flaw.BURNED_IN_TEXT in result.flaws):
        return True
    looked = document.tags.burned_in is not None or (result is not None and result.gated)
    return False if looked else None


def _set_pixels(made: Dataset, picture: bytes) -> None:
    """The Image Pixel module: 8 bits, grey or RGB."""
    pixels = opened(picture)
    made.SamplesPerPixel = len(pixels.getbands())
    made.PhotometricInterpretation = "MONOCHROME2" if pixels.mode == "L" else "RGB"
    if pixels.mode == "RGB":
        made.PlanarConfiguration = 0
    made.Rows, made.Columns = pixels.height, pixels.width
    made.BitsAllocated = made.BitsStored = 8
    made.HighBit, made.PixelRepresentation = 7, 0
    content = pixels.tobytes()
    made.PixelData = content + b"\0" * (len(content) % 2)
    made["PixelData"].VR = "OB"
