"""Values of an image: its pixels, where they came from, what may be done with them."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from tetkik.language import Language, Sentence
from tetkik.values.common import ADDED


class Fit(StrEnum):
    """How an oblong image becomes a square."""

    SQUASH = "squash"
    """Both sides are brought to the size: nothing is lost, proportions change."""
    CROP = "crop"
    """The shorter side is brought to the size and the middle of the longer is kept."""
    PAD = "pad"
    """The longer side is brought to the size and the rest is black."""


class FileFormat(StrEnum):
    """What kind of file an image was read from."""

    DICOM = "dicom"
    PNG = "png"
    JPEG = "jpeg"
    TIFF = "tiff"


class Route(StrEnum):
    """Which kind of image a model of findings was taught on."""

    CHEST = "chest"
    """A frontal chest radiograph."""
    BRAIN_MRI = "brain_mri"
    """A slice of a brain MRI."""


class View(StrEnum):
    """The projection of a radiograph: DICOM's View Position (0018,5101), as far as it matters here."""

    PA = "PA"
    AP = "AP"
    LATERAL = "LATERAL"
    OTHER = "OTHER"


class Laterality(StrEnum):
    """Side of the body: DICOM's Image Laterality (0020,0062)."""

    LEFT = "L"
    RIGHT = "R"
    BOTH = "B"
    UNPAIRED = "U"


class Sex(StrEnum):
    """Patient's Sex (0010,0040)."""

    FEMALE = "F"
    MALE = "M"
    OTHER = "O"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who and what a DICOM file says it is about. None of it shows in `repr`, so none of it gets into a log.

    Attributes:
        patient_name: (0010,0010), as the file writes it: `FAMILY^GIVEN`.
        age_years: (0010,1010), or the years from birth to the study where that is empty.
        other_ids: numbers of records that the patient's record stands for (Other Patient IDs Sequence,
            0010,1002); no file is asked for them.
        other_names: of those records, where they differ (Other Patient Names, 0010,1001), as `patient_name`.
        national_id: Turkish identity number; of a file's identity None: there it is the `patient_id`.
        study_offset: Timezone Offset From UTC (0008,0201), such as `+0300`; None for the hospital's zone.
    """

    patient_id: str | None = field(default=None, repr=False)  # (0010,0020)
    patient_name: str | None = field(default=None, repr=False)
    birth_date: str | None = field(default=None, repr=False)  # (0010,0030), `YYYYMMDD`
    sex: Sex | None = field(default=None, repr=False)  # (0010,0040)
    age_years: float | None = field(default=None, repr=False)
    accession: str | None = field(default=None, repr=False)  # Accession Number (0008,0050)
    study_date: str | None = field(default=None, repr=False)  # (0008,0020), `YYYYMMDD`
    study_uid: str | None = field(default=None, repr=False)  # (0020,000D)
    series_uid: str | None = field(default=None, repr=False)  # (0020,000E)
    instance_uid: str | None = field(default=None, repr=False)  # SOP Instance UID (0008,0018)
    other_ids: tuple[str, ...] = field(default=(), repr=False)
    other_names: tuple[str, ...] = field(default=(), repr=False)
    national_id: str | None = field(default=None, repr=False, metadata=ADDED)
    study_time: str | None = field(default=None, repr=False, metadata=ADDED)  # (0008,0030), `HHMMSS`
    study_offset: str | None = field(default=None, repr=False, metadata=ADDED)
    referrer: str | None = field(default=None, repr=False, metadata=ADDED)  # (0008,0090), as `patient_name`


class Trait(StrEnum):
    """What tells one patient from another, and one order from another."""

    NAME = "name"
    NUMBER = "number"
    """Of the hospital; where a file is compared with a record alone, the identity number as well."""
    TCKN = "tckn"
    BIRTH_DATE = "birth_date"
    SEX = "sex"
    ACCESSION = "accession"
    MODALITY = "modality"
    BODY_PART = "body_part"
    TIME = "time"
    STATE = "state"


@dataclass(frozen=True, slots=True)
class Difference:
    """What a file and a record say differently of a patient."""

    trait: Trait
    file: str = field(repr=False)
    record: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ImageTags:
    """What a DICOM file says of how its image was made; None where it says nothing.

    Attributes:
        description: Series Description and Study Description, lower case, for routing only: it may hold
            anything, so it is not shown and not logged.
        series: Series Description (0008,103E) as the file writes it, for the viewer; not logged either.
        location: millimetres along the normal of the section (Image Position against Image Orientation,
            PS3.3 C.7.6.2), by which a stack is put in order; None without both.
    """

    modality: str | None = None  # (0008,0060), upper case, such as `CR`, `DX`, `MR`
    body_part: str | None = None  # Body Part Examined (0018,0015), upper case
    sop_class: str | None = None  # SOP Class UID (0008,0016)
    description: str | None = field(default=None, repr=False)
    burned_in: bool | None = None  # Burned In Annotation (0028,0301)
    frames: int = 1  # Number of Frames (0028,0008)
    series: str | None = field(default=None, repr=False, metadata=ADDED)
    series_number: int | None = field(default=None, metadata=ADDED)  # (0020,0011)
    number: int | None = field(default=None, metadata=ADDED)  # Instance Number (0020,0013)
    location: float | None = field(default=None, metadata=ADDED)
    laterality: Laterality | None = field(default=None, metadata=ADDED)


@dataclass(frozen=True, slots=True)
class Equipment:
    """Where and with what an image was made, for figures by site and by device; it names no patient."""

    institution: str | None = None  # Institution Name (0008,0080)
    manufacturer: str | None = None  # (0008,0070)
    model: str | None = None  # Manufacturer's Model Name (0008,1090)

    @property
    def device(self) -> str | None:
        return " ".join(part for part in (self.manufacturer, self.model) if part) or None


def middle_frame(frames: int) -> int:
    """The frame that stands for a file of several, from 1: the first of a volume shows next to nothing."""
    return (frames + 1) // 2


class SpacingPlane(StrEnum):
    """Where the millimetres between two pixels hold: a projection is larger at the detector than the patient.

    PS3.3, section 10.7.1.3.
    """

    PATIENT = "patient"
    """In the patient: a section, or a projection that was calibrated or corrected for its magnification."""
    DETECTOR = "detector"
    """At the detector, or on the film that was digitised: in the patient everything is smaller."""
    UNSTATED = "unstated"


@dataclass(frozen=True, slots=True)
class ValueScale:
    """What a stored value means: `slope * stored + intercept`, in `unit`, such as `HU` or `Gy`."""

    slope: float
    intercept: float
    unit: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class DisplayPixels:
    """What a viewer shows instead of the grey that a model reads: colour, or values before any window.

    Attributes:
        values: (rows, columns), uint16, or (rows, columns, 3), uint8, RGB; C-contiguous, not writable.
        white: no value exceeds it; black is 0.
        window: centre and width, in stored values, in which they are first shown.
        scale: of grey; None of colour.
    """

    values: NDArray[np.uint8] | NDArray[np.uint16]
    white: int
    window: tuple[float, float]
    scale: ValueScale | None = None

    def __post_init__(self) -> None:
        self.values.setflags(write=False)

    @property
    def is_colour(self) -> bool:
        return self.values.ndim == 3


@dataclass(frozen=True, slots=True, eq=False)
class Radiograph:
    """One grey image, as it should be looked at: a larger value is brighter.

    Attributes:
        pixels: (rows, columns), uint8 or uint16, C-contiguous, not writable; MONOCHROME1 is inverted, the
            VOI LUT or window applied, padding black.
        spacing: millimetres between (rows, columns), which holds at `plane`; None where unknown.
        colour: mean absolute difference of the colour channels over the range, 0 (grey) to 1; 0 for DICOM
            grey. A grey picture saved in colour has 0 too.
        notes: what was done to the image that its reader must know (a photographed film that was
            straightened, a frame chosen of many), as sentences.
        display: what a viewer shows of a DICOM file in colour, a CT or a map of doses; None where it shows
            `pixels`.
    """

    pixels: NDArray[np.uint8] | NDArray[np.uint16]
    white: int  # the value of white, 255 or `2**bits - 1`; black is 0. A pixel never exceeds it
    file_format: FileFormat
    sha256: str
    spacing: tuple[float, float] | None = None
    view: View | None = None
    laterality: Laterality | None = None
    tags: ImageTags = ImageTags()
    identity: Identity = Identity()  # who it is about; empty for a raster file
    colour: float = 0.0
    notes: tuple[Sentence, ...] = ()
    degraded: bool = False  # whether it is a photograph of a film, or else of less than diagnostic quality
    plane: SpacingPlane | None = None
    display: DisplayPixels | None = None
    equipment: Equipment = Equipment()

    def __post_init__(self) -> None:
        if self.pixels.ndim != 2 or self.pixels.dtype not in (np.uint8, np.uint16) or not self.pixels.size:
            raise ValueError(f"not a grey image: {self.pixels.dtype} {self.pixels.shape}")
        if not 1 <= self.white <= np.iinfo(self.pixels.dtype).max:
            raise ValueError(f"white is outside the range of {self.pixels.dtype}: {self.white}")
        self.pixels.setflags(write=False)

    @property
    def rows(self) -> int:
        """Height in pixels."""
        return int(self.pixels.shape[0])

    @property
    def columns(self) -> int:
        """Width in pixels."""
        return int(self.pixels.shape[1])

    @property
    def nbytes(self) -> int:
        """Of all its pixels."""
        return self.pixels.nbytes + (self.display.values.nbytes if self.display is not None else 0)


@dataclass(frozen=True, slots=True)
class Measured:
    """What can be counted of an image without knowing what it shows; it names nobody.

    Attributes:
        brightness, contrast: mean and standard deviation of the pixels as shares of white.
        side: the shorter side in pixels.
        spacing: whether the file says how large a pixel is.
        modality: (0008,0060); None where the file says none.
    """

    brightness: float
    contrast: float
    side: int
    spacing: bool
    modality: str | None = None


class Flaw(StrEnum):
    """What the quality gate can say against an image. All but the last four make it unsuitable."""

    NOT_A_RADIOGRAPH = "not_a_radiograph"
    """Neither a chest radiograph nor a brain MRI slice."""
    LATERAL = "lateral"
    INVERTED = "inverted"
    ROTATED = "rotated"
    """By 90 or 180 degrees, or mirrored upside down."""
    CROPPED = "cropped"
    TOO_SMALL = "too_small"
    EXPOSURE = "exposure"
    """So dark, so bright or so flat that nothing can be recognised."""
    AGE = "age"
    """A patient outside the ages that the model was trained on."""
    BURNED_IN_TEXT = "burned_in_text"
    PHOTOGRAPH = "photograph"
    DOUBTFUL = "doubtful"
    """The gate is not sure of its route; the image is read all the same."""

    @property
    def refuses(self) -> bool:
        """Whether the image gets no findings."""
        return self not in (Flaw.AGE, Flaw.BURNED_IN_TEXT, Flaw.PHOTOGRAPH, Flaw.DOUBTFUL)


@dataclass(frozen=True, slots=True)
class Reason:
    """One thing that the gate found, in words for the person who sent the image."""

    flaw: Flaw
    sentence: Sentence


@dataclass(frozen=True, slots=True)
class GateResult:
    """What the gate says of an image; its route is None where no labels can be assessed."""

    route: Route | None
    reasons: tuple[Reason, ...] = ()

    @property
    def suitable(self) -> bool:
        """Whether the image may be read by a model."""
        return self.route is not None and not any(reason.flaw.refuses for reason in self.reasons)

    def words(self, language: Language) -> list[str]:
        return [reason.sentence.in_language(language) for reason in self.reasons]
