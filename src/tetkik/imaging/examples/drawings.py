"""Images of a demonstration: the shipped films, and what is drawn here, with the word DENEME in their pixels.

None of them is of a person: the models, which learned from films, may say anything of them.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tetkik.imaging.examples import example

WORD = "DENEME"
Pixels = NDArray[np.uint8] | NDArray[np.uint16] | NDArray[np.int16]
_WHITE = 4095
_LETTERS, _GROUND = 0.6, 0.15
"""Of the word and what lies under it: the check for burned-in text, which could name a patient, looks for
letters of more contrast.
"""


def shipped(name: str) -> NDArray[np.uint16]:
    """The pixels of a shipped example: (rows, columns), uint16, 12 bits."""
    from pydicom import dcmread

    return np.asarray(dcmread(BytesIO(example(name))).pixel_array, np.uint16)


def enlarged(pixels: NDArray[np.uint16], share: float) -> NDArray[np.uint16]:
    """The middle of a film, `share` of each side, at the size of the whole: another patient's film."""
    from PIL import Image

    rows, columns = pixels.shape
    picture = Image.fromarray(pixels.astype(np.float32))
    edges = (columns * (1 - share) / 2, 0, columns * (1 + share) / 2, rows * share)
    resized = picture.resize((columns, rows), Image.Resampling.BICUBIC, box=edges)
    return np.asarray(np.clip(np.asarray(resized), 0, _WHITE), np.uint16)


def lateral_chest(side: int = 768) -> NDArray[np.uint16]:
    """A schematic lateral film, the face to the left: (side, side), uint16, 12 bits."""
    x, y, random = _grid(side, side, seed=21)
    body = _soft(((x - 0.5) / 0.36) ** 2 + ((y - 0.56) / 0.62) ** 4)
    lung = _soft(((x - 0.47) / 0.27) ** 2 + ((y - 0.42) / 0.36) ** 2)
    spine = np.exp(-(((x - 0.74 - 0.05 * np.sin(3 * y)) / 0.045) ** 2))
    discs = 0.7 + 0.3 * np.cos(2 * np.pi * y * 15)
    heart = _soft(((x - 0.38) / 0.15) ** 2 + ((y - 0.56) / 0.17) ** 2)
    sternum = np.exp(-(((x - 0.19 - 0.10 * (y - 0.3) ** 2) / 0.014) ** 2))
    belly = _soft((0.70 + 0.10 * ((x - 0.42) / 0.3) ** 2 - y) / 0.02 + 1)
    dense = body * (0.62 - 0.42 * lung + 0.30 * spine * discs + 0.24 * heart + 0.18 * sternum + 0.34 * belly)
    grey = 1 - np.exp(-1.5 * np.clip(dense, 0, None)) + 0.012 * random.standard_normal((side, side))
    return np.asarray(np.clip(grey, 0, 1) * _WHITE, np.uint16)


def chest_slice(height: float, side: int = 256) -> NDArray[np.int16]:
    """An axial CT slice of a schematic chest in Hounsfield units, `height` from 0 (apex) to 1 (base)."""
    x, y, random = _grid(side, side, seed=round(height * 1000))
    x, y = x - 0.5, y - 0.5
    body = _soft((x / 0.44) ** 2 + (y / 0.31) ** 2)
    muscle = _soft((x / 0.41) ** 2 + (y / 0.28) ** 2)
    hounsfield = -1000 + body * 900 + muscle * 150
    size = np.sin(np.pi * (0.18 + 0.75 * height))
    for place in (-0.2, 0.2):
        lung = _soft(((x - place) / (0.16 * size)) ** 2 + ((y + 0.01) / (0.22 * size)) ** 2)
        vessels = np.clip(np.sin(47 * (x + 0.3 * height)) * np.sin(53 * y + 9 * height) - 0.8, 0, 1)
        hounsfield += lung * (-890 + 2500 * vessels - hounsfield)
    heart = _soft(((x - 0.05) / 0.13) ** 2 + ((y + 0.05) / 0.12) ** 2) * np.clip(3 * height - 1.2, 0, 1)
    aorta = _soft(((x - 0.05) / 0.035) ** 2 + ((y - 0.09) / 0.035) ** 2)
    spine = _soft((x / 0.055) ** 2 + ((y - 0.17) / 0.055) ** 2)
    nodule = _soft((x + 0.23) ** 2 / 0.0006 + (y - 0.02) ** 2 / 0.0006) * np.exp(
        -(((height - 0.6) / 0.1) ** 2)
    )
    for tissue, value in ((heart, 45), (aorta, 180), (nodule, 40), (spine, 350)):
        hounsfield += tissue * (value - hounsfield)
    for turn in np.linspace(0, 2 * np.pi, 18, endpoint=False) + height:
        rib = (x - 0.385 * np.cos(turn)) ** 2 + (y - 0.255 * np.sin(turn)) ** 2
        hounsfield += _soft(rib / 0.00018) * (420 - hounsfield)
    return np.asarray(np.clip(hounsfield + 14 * random.standard_normal((side, side)), -1024, 1500), np.int16)


def ultrasound(rows: int = 480, columns: int = 640) -> NDArray[np.uint8]:
    """A sector of speckle with a dark cyst and flow in red and blue: (rows, columns, 3), uint8."""
    x, y, random = _grid(rows, columns, seed=5)
    x, y = (x - 0.5) * columns / rows, y + 0.08
    radius, angle = np.hypot(x, y), np.arctan2(x, y)
    sector = (radius > 0.2) & (radius < 1.0) & (np.abs(angle) < 0.62)
    speckle = random.rayleigh(0.22, (rows, columns)) * (0.9 - 0.5 * radius + 0.15 * np.sin(40 * radius))
    cyst = _soft((x + 0.10) ** 2 / 0.012 + (y - 0.45) ** 2 / 0.008)
    grey = np.clip(speckle * (1 - 0.93 * cyst) + 0.25 * cyst * (y > 0.53), 0, 1) * sector
    colours = np.repeat(grey[..., None], 3, axis=2)
    vessel = _soft((y - 0.68 - 0.3 * (x - 0.1) ** 2) ** 2 / 0.0006) * sector * (np.abs(x - 0.08) < 0.2)
    flow = np.where((x < 0.08)[..., None], [0.9, 0.15, 0.1], [0.1, 0.25, 0.95])
    colours += vessel[..., None] * (flow * (0.6 + 0.4 * random.random((rows, columns, 1))) - colours)
    return np.asarray(np.clip(colours, 0, 1) * 255, np.uint8)


def photographed(pixels: NDArray[np.uint16]) -> bytes:
    """A film on a light box as a phone takes it, a little turned: a JPEG without any word of a patient."""
    from PIL import Image

    film = Image.fromarray((labelled(pixels, _WHITE) >> 4).astype(np.uint8))
    box = Image.new("L", (1100, 1200), 212)
    box.paste(film.resize((900, 900)), (100, 150))
    corners = (18, -12, -14, 1190, 1108, 1214, 1090, 10)
    turned = box.transform(box.size, Image.Transform.QUAD, corners, Image.Resampling.BICUBIC, fillcolor=60)
    stream = BytesIO()
    turned.convert("RGB").save(stream, "JPEG", quality=88)
    return stream.getvalue()


def labelled(pixels: Any, white: int) -> Any:
    """The same picture with the word at its upper edge; a colour picture in each of its channels. `white` is
    the brightest value."""
    from PIL import Image, ImageDraw

    from tetkik.drawing.typeface import typeface

    rows, columns = pixels.shape[:2]
    letters, ground = Image.new("L", (columns, rows)), Image.new("1", (columns, rows))
    drawn: dict[str, Any] = {
        "xy": (columns * 0.96, rows * 0.06),
        "font": typeface(max(12, rows // 26)),
        "anchor": "ra",
    }
    draw = ImageDraw.Draw(letters)
    draw.text(text=WORD, fill=255, **drawn)
    ImageDraw.Draw(ground).rectangle(draw.textbbox(text=WORD, **drawn), fill=1)
    level, under = np.asarray(letters, np.float32) / 255, np.asarray(ground)
    level, under = (level[..., None], under[..., None]) if pixels.ndim == 3 else (level, under)
    lowest = float(pixels.min())
    word = lowest + (white - lowest) * (_GROUND + (_LETTERS - _GROUND) * level)
    return np.where(under, word, pixels).astype(pixels.dtype)


def _grid(rows: int, columns: int, *, seed: int) -> tuple[Any, Any, np.random.Generator]:
    """Places from 0 to 1 to the right and downwards, and chance that is always the same."""
    y, x = np.mgrid[0:rows, 0:columns].astype(np.float64)
    return (x + 0.5) / columns, (y + 0.5) / rows, np.random.default_rng(seed)


def _soft(distance: Any) -> Any:
    """1 where a distance is below 1, 0 beyond, with a soft edge."""
    return 1 / (1 + np.exp(np.clip((distance - 1) * 18, -50, 50)))


# A drawn picture as a DICOM file that says in its tags, too, that it is of nobody.


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
