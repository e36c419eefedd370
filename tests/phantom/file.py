"""A phantom as a DICOM file that says in every name that it is synthetic."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import numpy as np
from numpy.typing import NDArray

from tests.phantom.draw import BITS, Options, Phantom, make_phantom
from tetkik.values import Route, View

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_DX, _CR, _MR = (
    "1.2.840.10008.5.1.4.1.1.1.1",
    "1.2.840.10008.5.1.4.1.1.1",
    "1.2.840.10008.5.1.4.1.1.4",
)
_EXPLICIT = "1.2.840.10008.1.2.1"
_NATIVE = ("1.2.840.10008.1.2", _EXPLICIT, "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2")
_JPEG_BASELINE = "1.2.840.10008.1.2.4.50"


def write_phantom(
    path: Path | str,
    seed: int = 0,
    signs: Iterable[str] = (),
    *,
    photometric: str = "MONOCHROME2",
    transfer_syntax: str = _EXPLICIT,
    bits: int = BITS,
    modality: str | None = None,
    **options: Unpack[Options],
) -> Phantom:
    """Draw a phantom and write it as a DICOM file; the same arguments give the same bytes.

    Args:
        path: the file to write.
        seed: as in `make_phantom`.
        signs: as in `make_phantom`.
        photometric: `MONOCHROME2`, or `MONOCHROME1` with the stored values inverted.
        transfer_syntax: a UID: uncompressed, deflated, RLE, JPEG baseline (8 bits), JPEG-LS or JPEG 2000.
        bits: stored bits, 8 to 16.
        modality: `DX` (Digital X-Ray Image Storage - For Presentation) or `CR` for a chest, `MR` for a brain.
        options: as in `make_phantom`.

    Returns:
        What was drawn, 12 bit, whatever the file stores.

    Raises:
        ValueError: arguments that do not go together.
    """
    if photometric not in ("MONOCHROME1", "MONOCHROME2") or not 8 <= bits <= 16:
        raise ValueError(f"a phantom cannot be {photometric} with {bits} bits")
    phantom = make_phantom(seed, signs, **options)
    modality = modality or ("DX" if phantom.kind is Route.CHEST else "MR")
    if modality not in (("DX", "CR") if phantom.kind is Route.CHEST else ("MR",)):
        raise ValueError(f"a {phantom.kind.value} phantom cannot be of modality {modality}")
    dataset = _dataset(phantom, modality, photometric, bits)
    _store_pixels(dataset, _stored(phantom, photometric, bits), transfer_syntax)
    dataset.save_as(path, enforce_file_format=True)
    return phantom


def _stored(phantom: Phantom, photometric: str, bits: int) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """The values of the file: scaled to its bits, inverted for MONOCHROME1."""
    white = 2**bits - 1
    values = (phantom.pixels.astype(np.uint32) * white + (2**BITS - 1) // 2) // (2**BITS - 1)
    if photometric == "MONOCHROME1":
        values = white - values
    return np.asarray(values, np.uint8) if bits == 8 else np.asarray(values, np.uint16)


def _uid(*parts: object) -> str:
    """The same UID for the same parts: PS3.5, annex B.2 (2.25 and a UUID as a number)."""
    return f"2.25.{int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:16], 'big')}"


def _dataset(phantom: Phantom, modality: str, photometric: str, bits: int) -> Dataset:
    from pydicom.dataset import Dataset, FileMetaDataset

    digest = hashlib.sha256(phantom.pixels.tobytes()).hexdigest()
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.ImageType = ["DERIVED", "PRIMARY"]
    dataset.SOPClassUID = {"DX": _DX, "CR": _CR, "MR": _MR}[modality]
    dataset.SOPInstanceUID = _uid("instance", digest, modality, photometric, bits)
    dataset.StudyInstanceUID = _uid("study", phantom.kind, phantom.seed)
    dataset.SeriesInstanceUID = _uid("series", digest, modality)
    dataset.FrameOfReferenceUID = _uid("frame", phantom.kind, phantom.seed)
    dataset.StudyDate = dataset.SeriesDate = dataset.ContentDate = dataset.AcquisitionDate = "20260101"
    dataset.StudyTime = dataset.SeriesTime = dataset.ContentTime = dataset.AcquisitionTime = "120000"
    dataset.AccessionNumber = f"SYN{phantom.seed:06d}"
    dataset.Modality = modality
    dataset.Manufacturer = "Tetkik"
    dataset.ManufacturerModelName = "Synthetic phantom"
    dataset.InstitutionName = "SYNTHETIC"
    dataset.ReferringPhysicianName = ""
    dataset.StudyDescription = "SYNTHETIC PHANTOM - NOT A PATIENT"
    dataset.SeriesDescription = f"SYNTHETIC {'CHEST' if phantom.kind is Route.CHEST else 'BRAIN'} PHANTOM"
    dataset.ImageComments = "Synthetic: drawn by a computer program, not a patient."
    dataset.PatientName = "SENTETIK^FANTOM"
    dataset.PatientID = f"SYNTHETIC-{phantom.seed}"
    dataset.PatientBirthDate = "19700101"
    dataset.PatientSex = phantom.sex.value
    dataset.PatientAge = "056Y"
    dataset.StudyID = "SYN"
    dataset.SeriesNumber = dataset.InstanceNumber = 1
    dataset.BurnedInAnnotation = "NO"
    dataset.LossyImageCompression = "00"
    if phantom.kind is Route.CHEST:
        _chest_tags(dataset, phantom, modality, photometric, bits)
    else:
        _brain_tags(dataset, phantom, bits)
    _pixel_tags(dataset, phantom, photometric, bits)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    return dataset


def _pixel_tags(dataset: Dataset, phantom: Phantom, photometric: str, bits: int) -> None:
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = photometric
    dataset.Rows, dataset.Columns = phantom.pixels.shape
    dataset.BitsAllocated = 8 if bits == 8 else 16
    dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = bits, bits - 1, 0


def _chest_tags(dataset: Dataset, phantom: Phantom, modality: str, photometric: str, bits: int) -> None:
    dataset.BodyPartExamined = "CHEST"
    dataset.ViewPosition = (phantom.view or View.PA).value
    dataset.PatientOrientation = ["L", "F"]
    # A film of 35 cm across its shorter side.
    pitch = f"{350 / min(phantom.pixels.shape):.6f}"
    dataset.ImagerPixelSpacing = [pitch, pitch]
    dataset.KVP = "120"
    dataset.WindowCenter, dataset.WindowWidth = str(2 ** (bits - 1)), str(2**bits)
    if modality == "DX":
        dataset.ImageLaterality = "U"
        dataset.PresentationIntentType = "FOR PRESENTATION"
        dataset.DetectorType = "SCINTILLATOR"
        dataset.PixelIntensityRelationship = "LOG"
        dataset.PixelIntensityRelationshipSign = -1 if photometric == "MONOCHROME1" else 1
        dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = "0", "1", "US"
        dataset.PresentationLUTShape = "INVERSE" if photometric == "MONOCHROME1" else "IDENTITY"
        dataset.AnatomicRegionSequence = [_code("51185008", "SCT", "Chest")]
        view = (
            ("272479007", "postero-anterior")
            if phantom.view is View.PA
            else ("272460009", "antero-posterior")
        )
        dataset.ViewCodeSequence = [_code(view[0], "SCT", view[1])]
        dataset.AcquisitionContextSequence = []


def _brain_tags(dataset: Dataset, phantom: Phantom, bits: int) -> None:
    dataset.BodyPartExamined = "BRAIN"
    dataset.PatientPosition = "HFS"
    dataset.ScanningSequence, dataset.SequenceVariant = "SE", "NONE"
    dataset.ScanOptions, dataset.MRAcquisitionType = "", "2D"
    dataset.RepetitionTime, dataset.EchoTime, dataset.EchoTrainLength = "500", "15", "1"
    dataset.SliceThickness = "5"
    pitch = 220 / min(phantom.pixels.shape)
    dataset.PixelSpacing = [f"{pitch:.6f}", f"{pitch:.6f}"]
    rows, columns = phantom.pixels.shape
    dataset.ImagePositionPatient = [f"{-pitch * columns / 2:.4f}", f"{-pitch * rows / 2:.4f}", "0"]
    dataset.ImageOrientationPatient = ["1", "0", "0", "0", "1", "0"]
    dataset.PositionReferenceIndicator = ""
    dataset.WindowCenter, dataset.WindowWidth = str(2 ** (bits - 1)), str(2**bits)


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    from pydicom.dataset import Dataset

    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, scheme, meaning
    return code


def _store_pixels(
    dataset: Dataset, values: NDArray[np.uint8] | NDArray[np.uint16], transfer_syntax: str
) -> None:
    from pydicom.uid import JPEG2000, UID, JPEGLSNearLossless

    if transfer_syntax in _NATIVE:
        dataset.file_meta.TransferSyntaxUID = UID(transfer_syntax)
        big = transfer_syntax == _NATIVE[3]
        data = values.astype(values.dtype.newbyteorder(">" if big else "<")).tobytes()
        dataset.PixelData = data + b"\0" * (len(data) % 2)
        dataset["PixelData"].VR = "OB" if values.dtype == np.uint8 and transfer_syntax != _NATIVE[0] else "OW"
        return
    dataset.file_meta.TransferSyntaxUID = UID(_EXPLICIT)
    if transfer_syntax == _JPEG_BASELINE:
        _jpeg(dataset, values)
        return
    if transfer_syntax == JPEG2000:
        dataset.compress(transfer_syntax, values, j2k_cr=[10], generate_instance_uid=False)
        _lossy(dataset, values.nbytes / len(dataset.PixelData), "ISO_15444_1")
    elif transfer_syntax == JPEGLSNearLossless:
        dataset.compress(transfer_syntax, values, jls_error=3, generate_instance_uid=False)
        _lossy(dataset, values.nbytes / len(dataset.PixelData), "ISO_14495_1")
    else:
        dataset.compress(transfer_syntax, values, generate_instance_uid=False)


def _lossy(dataset: Dataset, ratio: float, method: str) -> None:
    dataset.LossyImageCompression = "01"
    dataset.LossyImageCompressionRatio = f"{ratio:.2f}"
    dataset.LossyImageCompressionMethod = method


def _jpeg(dataset: Dataset, values: NDArray[np.uint8] | NDArray[np.uint16]) -> None:
    from io import BytesIO

    from PIL import Image
    from pydicom.encaps import encapsulate
    from pydicom.uid import UID

    if values.dtype != np.uint8:
        raise ValueError(f"JPEG baseline holds 8 bits, not {dataset.BitsStored}")
    stream = BytesIO()
    Image.fromarray(values).save(stream, "JPEG", quality=92)
    dataset.file_meta.TransferSyntaxUID = UID(_JPEG_BASELINE)
    dataset.PixelData = encapsulate([stream.getvalue()])
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    _lossy(dataset, values.nbytes / stream.tell(), "ISO_10918_1")
