"""What the data elements of a DICOM file say, read so that a wrong one is no more than a missing one."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from typing import Any

from pydicom import Dataset
from pydicom.charset import python_encoding
from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.uid import UID

from tetkik.values import Equipment, Identity, ImageTags, Laterality, Sex, SpacingPlane, View

_MOST_SEQUENCE_BYTES = 1 << 24
_DAYS_IN_YEAR = 365.25
_AGE = re.compile(r"\s*(\d{1,3})\s*([DWMY]?)\s*", re.IGNORECASE)
_AGE_UNITS = {"D": _DAYS_IN_YEAR, "W": _DAYS_IN_YEAR / 7, "M": 12.0, "Y": 1.0, "": 1.0}
_OLDEST = 130
_UNDECODED = "\ufffd"
_LATERAL = frozenset({"LL", "RL", "LLD", "RLD", "LAT", "LATERAL"})
# Where what lies nearer to the source is thrown larger; everything else shows a section of the patient.
_PROJECTIONS = frozenset({"CR", "DX", "DR", "RG", "RF", "XA", "MG", "PX", "IO", "XC", "SC", "OT"})
# View Code Sequence (CID 4010, CID 4014), in SNOMED CT and in the older SNOMED-RT codes.
_VIEW_CODES = {
    **dict.fromkeys(("272479007", "R-10214", "R-40888"), View.PA),
    **dict.fromkeys(("399348003", "R-10206"), View.AP),
    **dict.fromkeys(("399067008", "R-102CD", "399173006", "R-10236", "399198007", "R-10232"), View.LATERAL),
}


def value(dataset: Dataset, keyword: str) -> Any:
    """The value of `keyword`, or None where it is missing, empty or not to be made out."""
    try:
        if _is_too_long(dataset, keyword):
            return None
        found = dataset.get(keyword)
    except Exception:  # Of a damaged element pydicom raises whatever its bytes lead to.
        return None
    return None if found is None or (isinstance(found, str | bytes | Sequence) and not len(found)) else found


def _is_too_long(dataset: Dataset, keyword: str) -> bool:
    """A sequence is parsed when it is asked for, so a bomb of items must not be."""
    tag = tag_for_keyword(keyword)
    if tag is None or tag not in dataset or not keyword.endswith("Sequence"):
        return False
    element = dataset.get_item(tag, keep_deferred=True)
    return isinstance(element, RawDataElement) and len(element.value or b"") > _MOST_SEQUENCE_BYTES


def _several(dataset: Dataset, keyword: str) -> Sequence[Any]:
    found = value(dataset, keyword)
    if found is None:
        return ()
    return found if isinstance(found, Sequence) and not isinstance(found, str | bytes) else (found,)


def text(dataset: Dataset, keyword: str) -> str | None:
    """The value of `keyword` as text without blanks around it; the first of several."""
    found = next(iter(_several(dataset, keyword)), None)
    return None if found is None else str(found).strip().strip("\0").strip() or None


def texts(dataset: Dataset, keyword: str) -> tuple[str, ...]:
    """Every value of `keyword` as text."""
    return tuple(str(one).strip() for one in _several(dataset, keyword) if one is not None)


def numbers(dataset: Dataset, keyword: str) -> tuple[float, ...]:
    """The values of `keyword` as finite numbers; none where one of them is no number."""
    try:
        numeric = tuple(float(one) for one in _several(dataset, keyword))
    except (TypeError, ValueError, OverflowError):
        return ()
    return numeric if all(math.isfinite(one) for one in numeric) else ()


def whole(dataset: Dataset, keyword: str) -> int | None:
    """The first value of `keyword` as a whole number."""
    found = numbers(dataset, keyword)
    return int(found[0]) if found else None


def items(dataset: Dataset, keyword: str) -> Sequence[Dataset]:
    """The items of a sequence; none where it is missing or damaged."""
    found = value(dataset, keyword)
    return found if isinstance(found, Sequence) and not isinstance(found, str | bytes) else ()


@dataclass(frozen=True, slots=True)
class FrameTags:
    """The tags of one frame, from 0: of the file, else of its functional groups (PS3.3 C.7.6.16)."""

    dataset: Dataset
    frame: int
    big_endian: bool = False

    def holder(self, keyword: str, macro: str) -> Dataset:
        """The data set that holds `keyword`, which an enhanced file keeps in the sequence `macro`."""
        if value(self.dataset, keyword) is not None:
            return self.dataset
        per_frame = items(self.dataset, "PerFrameFunctionalGroupsSequence")
        shared = items(self.dataset, "SharedFunctionalGroupsSequence")
        for group in (*per_frame[self.frame : self.frame + 1], *shared[:1]):
            for item in items(group, macro)[:1]:
                if value(item, keyword) is not None:
                    return item
        return self.dataset


def name_of_uid(uid: str | None) -> str:
    """What the standard calls `uid`; else a question mark, since a damaged file may hold anything there."""
    known = UID(uid or "")
    return known.name if known.type else "?"


def spacing_of(tags: FrameTags) -> tuple[tuple[float, float] | None, SpacingPlane | None]:
    """Millimetres between (rows, columns), and at which plane, as far as the file knows.

    Pixel Spacing (0028,0030) is calibrated or of a section through the patient; Imager Pixel Spacing
    (0018,1164) is at the detector, so it is divided by the magnification where that is known; a digitised
    film has Nominal Scanned Pixel Spacing (0018,2010). PS3.3 10.7.1.
    """
    dataset = tags.dataset
    own = _two(tags.holder("PixelSpacing", "PixelMeasuresSequence"), "PixelSpacing")
    at_detector = _two(dataset, "ImagerPixelSpacing")
    if own is not None:
        return own, _plane_of(dataset, own, at_detector)
    if at_detector is not None:
        magnification = numbers(dataset, "EstimatedRadiographicMagnificationFactor")
        if magnification and 1 < magnification[0] <= 10:
            in_patient = (at_detector[0] / magnification[0], at_detector[1] / magnification[0])
            return in_patient, SpacingPlane.PATIENT
        return at_detector, SpacingPlane.DETECTOR
    scanned = _two(dataset, "NominalScannedPixelSpacing")
    return scanned, None if scanned is None else SpacingPlane.DETECTOR


def _plane_of(
    dataset: Dataset, own: tuple[float, float], at_detector: tuple[float, float] | None
) -> SpacingPlane:
    """Where Pixel Spacing holds: of a projection it may be the detector's, copied (PS3.3, 10.7.1.3)."""
    modality = (text(dataset, "Modality") or "").upper()
    calibrated = (text(dataset, "PixelSpacingCalibrationType") or "").upper() in ("GEOMETRY", "FIDUCIAL")
    if calibrated or (modality and modality not in _PROJECTIONS):
        return SpacingPlane.PATIENT
    if at_detector is None:
        return SpacingPlane.UNSTATED
    copied = all(math.isclose(one, other, rel_tol=1e-3) for one, other in zip(own, at_detector, strict=True))
    return SpacingPlane.DETECTOR if copied else SpacingPlane.PATIENT


def _two(dataset: Dataset, keyword: str) -> tuple[float, float] | None:
    """A spacing that can be: some files write zeros, or metres."""
    found = numbers(dataset, keyword)
    if len(found) == 2 and all(1e-3 <= distance <= 100 for distance in found):
        return found[0], found[1]
    return None


def view_of(dataset: Dataset) -> View | None:
    """The projection: View Position, else View Code Sequence, else Patient Orientation.

    The last tells no more than lateral: rows that run from front to back or back (PS3.3 C.7.6.1.1.1).
    """
    position = (text(dataset, "ViewPosition") or "").upper()
    if position in (View.PA, View.AP):
        return View(position)
    if position in _LATERAL:
        return View.LATERAL
    for item in items(dataset, "ViewCodeSequence")[:1]:
        if (found := _VIEW_CODES.get(text(item, "CodeValue") or "")) is not None:
            return found
    if position:
        return View.OTHER
    orientation = texts(dataset, "PatientOrientation")
    if len(orientation) == 2 and orientation[0][:1] in ("A", "P") and orientation[1][:1] in ("F", "H"):
        return View.LATERAL
    return None


def laterality_of(dataset: Dataset) -> Laterality | None:
    """Image Laterality (0020,0062), else Laterality (0020,0060) of the series."""
    for keyword in ("ImageLaterality", "FrameLaterality", "Laterality"):
        with suppress(ValueError):
            return Laterality((text(dataset, keyword) or "").upper())
    return None


def image_tags(dataset: Dataset, frames: int) -> ImageTags:
    """How the image was made."""
    described = [text(dataset, keyword) for keyword in ("SeriesDescription", "StudyDescription")]
    burned = (text(dataset, "BurnedInAnnotation") or "").upper()
    return ImageTags(
        modality=_upper(dataset, "Modality"),
        body_part=_upper(dataset, "BodyPartExamined"),
        sop_class=text(dataset, "SOPClassUID"),
        description=" ".join(words.lower() for words in described if words) or None,
        burned_in={"YES": True, "NO": False}.get(burned),
        frames=frames,
        series=text(dataset, "SeriesDescription"),
        series_number=whole(dataset, "SeriesNumber"),
        number=whole(dataset, "InstanceNumber"),
        location=_location(dataset),
        laterality=laterality_of(dataset),
    )


def equipment_of(dataset: Dataset) -> Equipment:
    """Where and with what the image was made."""
    names = ("InstitutionName", "Manufacturer", "ManufacturerModelName")
    return Equipment(*(text(dataset, name) for name in names))


def _location(dataset: Dataset) -> float | None:
    """Image Position (Patient) along the normal of the rows and columns (PS3.3 C.7.6.2.1.1)."""
    position, axes = numbers(dataset, "ImagePositionPatient"), numbers(dataset, "ImageOrientationPatient")
    if len(position) != 3 or len(axes) != 6:
        return None
    (a, b, c), (d, e, f) = axes[:3], axes[3:]
    normal = (b * f - c * e, c * d - a * f, a * e - b * d)
    return round(sum(one * other for one, other in zip(position, normal, strict=True)), 3)


def _upper(dataset: Dataset, keyword: str) -> str | None:
    found = text(dataset, keyword)
    return found.upper() if found else None


def identity_of(dataset: Dataset) -> Identity:
    """Who and what the file is about."""
    sex: Sex | None = None
    with suppress(ValueError):
        sex = Sex((text(dataset, "PatientSex") or "").upper())
    return Identity(
        patient_id=_person(dataset, "PatientID"),
        patient_name=_person(dataset, "PatientName"),
        birth_date=text(dataset, "PatientBirthDate"),
        sex=sex,
        age_years=age_of(dataset),
        accession=text(dataset, "AccessionNumber"),
        study_date=text(dataset, "StudyDate"),
        study_uid=text(dataset, "StudyInstanceUID"),
        series_uid=text(dataset, "SeriesInstanceUID"),
        instance_uid=text(dataset, "SOPInstanceUID"),
        study_time=text(dataset, "StudyTime"),
        study_offset=text(dataset, "TimezoneOffsetFromUTC"),
        referrer=_person(dataset, "ReferringPhysicianName"),
    )


def _person(dataset: Dataset, keyword: str) -> str | None:
    """A name or an identifier, in the character set that its bytes are in.

    Specific Character Set (0008,0005) is often wrong or missing. Bytes that are UTF-8 are hardly ever
    anything else; what the declared set cannot say is taken for Turkish (Windows-1254, which
    holds ISO 8859-9).
    """
    tag = tag_for_keyword(keyword)
    element = dataset.get_item(tag, keep_deferred=True) if tag is not None and tag in dataset else None
    # The bytes are there until pydicom is asked for the value.
    raw = element.value if isinstance(element, RawDataElement) else None
    declared = text(dataset, keyword)
    if not isinstance(raw, bytes) or raw.isascii() or b"\x1b" in raw:
        return declared
    with suppress(UnicodeDecodeError):
        return raw.decode("utf-8").strip(" \0")
    is_known = any(name and name in python_encoding for name in texts(dataset, "SpecificCharacterSet"))
    if declared and is_known and _UNDECODED not in declared:
        return declared
    return raw.decode("cp1254", "replace").strip(" \0") or declared


def age_of(dataset: Dataset) -> float | None:
    """Patient's Age (0010,1010) in years, else from birth to the study.

    Written as `045Y`, `018M`, `003W` or `010D`; a number without a unit, which some files have, is years.
    """
    match = _AGE.fullmatch(text(dataset, "PatientAge") or "")
    if match is not None:
        age = int(match[1]) / _AGE_UNITS[match[2].upper()]
        return age if age <= _OLDEST else None
    birth = _date(dataset, "PatientBirthDate")
    for keyword in ("StudyDate", "AcquisitionDate", "SeriesDate", "ContentDate"):
        taken = _date(dataset, keyword)
        if birth is not None and taken is not None:
            age = (taken - birth).days / _DAYS_IN_YEAR
            return age if 0 <= age <= _OLDEST else None
    return None


def _date(dataset: Dataset, keyword: str) -> date | None:
    digits = re.sub(r"\D", "", text(dataset, keyword) or "")
    try:
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:8]))
    except ValueError:
        return None
