"""A drawn picture as a DICOM file that says in its tags, too, that it is of nobody."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from typing import Any

from tetkik.imaging.examples.drawings import labelled

_CLASSES = {
    "DX": "1.2.840.10008.5.1.4.1.1.1.1",
    "MR": "1.2.840.10008.5.1.4.1.1.4",
    "CT": "1.2.840.10008.5.1.4.1.1.2",
    "US": "1.2.840.10008.5.1.4.1.1.6.1",
}


@dataclass(frozen=True, slots=True)
class DrawnStudy:
    """Of whom, when and what: what the files of one study share. `name` is as DICOM writes it."""

    key: str
    name: str
    number: str
    birth_date: str
    sex: str
    at: datetime
    modality: str = "DX"
    part: str = "CHEST"
    description: str = ""


def drawn_file(
    study: DrawnStudy, pixels: Any, *, view: str = "", number: int = 1, pitch: float = 0.45
) -> bytes:
    """A DICOM file of one picture; `number` counts within its series, and `pitch` is millimetres a pixel.

    `pixels` are (rows, columns), 12 bits or Hounsfield units, or (rows, columns, 3), 8 bits.
    """
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import UID

    tags = Dataset()
    tags.SpecificCharacterSet = "ISO_IR 192"
    tags.ImageType = ["DERIVED", "PRIMARY", "AXIAL"] if study.modality == "CT" else ["DERIVED", "PRIMARY"]
    tags.SOPClassUID = _CLASSES[study.modality]
    tags.SOPInstanceUID = _uid(study, view, number)
    tags.StudyInstanceUID, tags.SeriesInstanceUID = _uid(study), _uid(study, view)
    tags.StudyDate = tags.SeriesDate = tags.AcquisitionDate = tags.ContentDate = f"{study.at:%Y%m%d}"
    tags.StudyTime = tags.SeriesTime = tags.AcquisitionTime = tags.ContentTime = f"{study.at:%H%M%S}"
    tags.AccessionNumber, tags.StudyID = f"DENEME-{study.key}"[:16], "DENEME"
    tags.Modality, tags.Manufacturer, tags.InstitutionName = study.modality, "Tetkik", "DENEME"
    tags.StudyDescription = study.description
    tags.SeriesDescription = f"DENEME {view or study.modality}"
    tags.ImageComments = "Synthetic: drawn by a computer program, not a patient."
    tags.PatientName, tags.PatientID = study.name, study.number
    tags.PatientBirthDate, tags.PatientSex = study.birth_date, study.sex
    tags.QualityControlSubject = "YES"
    tags.BodyPartExamined, tags.BurnedInAnnotation = study.part, "NO"
    tags.SeriesNumber, tags.InstanceNumber = 1 + (view == "LL"), number
    if view:
        tags.ViewPosition = view
    _add_geometry(tags, study.modality, number, pitch)
    _add_pixels(tags, study.modality, pixels)
    tags.file_meta = FileMetaDataset()
    tags.file_meta.MediaStorageSOPClassUID = tags.SOPClassUID
    tags.file_meta.MediaStorageSOPInstanceUID = tags.SOPInstanceUID
    tags.file_meta.TransferSyntaxUID = UID("1.2.840.10008.1.2.1")  # explicit, little endian
    stream = BytesIO()
    tags.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def _uid(study: DrawnStudy, *parts: object) -> str:
    """PS3.5, annex B.2: 2.25 and a UUID as a number."""
    name = repr((study.key, study.number, study.at.isoformat(), *parts))
    return f"2.25.{int.from_bytes(hashlib.sha256(name.encode()).digest()[:16], 'big')}"


def _add_geometry(tags: Any, modality: str, number: int, pitch: float) -> None:
    if modality in ("CT", "MR"):
        tags.PixelSpacing = [pitch, pitch]
        tags.SliceThickness = 5
        tags.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        tags.ImagePositionPatient = [-pitch * 128, -pitch * 128, -5 * number]
    elif modality == "DX":
        tags.ImagerPixelSpacing = [pitch, pitch]
        tags.PatientOrientation = ["L", "F"]


def _add_pixels(tags: Any, modality: str, pixels: Any) -> None:
    colour = pixels.ndim == 3
    tags.Rows, tags.Columns = pixels.shape[:2]
    tags.SamplesPerPixel, tags.PhotometricInterpretation = (3, "RGB") if colour else (1, "MONOCHROME2")
    bits = 8 if colour else 16 if modality == "CT" else 12
    tags.BitsAllocated, tags.BitsStored, tags.HighBit = 8 if colour else 16, bits, bits - 1
    tags.PixelRepresentation = int(modality == "CT")
    if colour:
        tags.PlanarConfiguration = 0
    elif modality == "CT":
        tags.RescaleIntercept, tags.RescaleSlope, tags.RescaleType = 0, 1, "HU"
        tags.WindowCenter, tags.WindowWidth = [-600, 40], [1500, 400]
    else:
        tags.WindowCenter, tags.WindowWidth = 2048, 4096
    white = 255 if colour else 1500 if modality == "CT" else 4095
    tags.PixelData = labelled(pixels, white).tobytes()
    tags["PixelData"].VR = "OB" if colour else "OW"
