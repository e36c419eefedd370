"""Codes in standard terminologies: only those that are certain; the rest are our own words."""

from __future__ import annotations

from types import MappingProxyType

from tetkik.documents.particulars import AgeUnit
from tetkik.values import FigureKind, Judgement, MeasurementUnit, Side, SpacingPlane
from tetkik.values.finding_labels import REGISTRY, Code

SNOMED = MappingProxyType(
    {label: known.snomed for label, known in REGISTRY.items() if known.snomed is not None}
)
"""SNOMED CT by shared label, for the labels that it has an equal concept for."""

OWN_SCHEME = "99TETKIK"
"""Our own words: the shared labels, and what no standard code says. DICOM keeps `99` for private schemes."""

OWN_CALIBRATED = Code("PROBABILITY", "Calibrated probability")
"""DICOM has none: `Probability of cancer` is about cancer, and `Certainty of Finding` is not calibrated."""

OWN_JUDGEMENT = Code("JUDGEMENT", "Judgement of the radiologist")
OWN_JUDGEMENTS = MappingProxyType(
    {
        Judgement.ACCEPTED: Code("ACCEPTED", "Accepted by the radiologist as the model said it"),
        Judgement.REJECTED: Code("REJECTED", "Rejected by the radiologist"),
        Judgement.ADDED: Code("ADDED", "Added by the radiologist"),
        None: Code("NOT_JUDGED", "Not judged by the radiologist: the model alone says it"),
    }
)
"""What became of the model's statement; a radiologist's word on a model's has no standard code."""

OWN_PLANES = MappingProxyType(
    {
        SpacingPlane.PATIENT: Code("IN_PATIENT", "In the patient"),
        SpacingPlane.DETECTOR: Code("AT_DETECTOR", "At the detector: larger than in the patient"),
        SpacingPlane.UNSTATED: Code("PLANE_UNKNOWN", "At the detector or in the patient: not stated"),
        None: Code("NOT_CALIBRATED", "Not calibrated"),
    }
)
"""How a length was calibrated (PS3.3, section 10.7.1.3), for which there are attributes and no concepts."""

SIDES = MappingProxyType(
    {
        Side.LEFT: Code("7771000", "Left"),
        Side.RIGHT: Code("24028007", "Right"),
        Side.BOTH: Code("51440002", "Bilateral"),
    }
)
"""In SNOMED CT: the concepts of DICOM's CID 244, Laterality."""

MEASURES = MappingProxyType(
    {
        FigureKind.LENGTH: (Code("410668003", "Length"), "SCT"),
        FigureKind.ANGLE: (Code("1483009", "Angle"), "SCT"),
        FigureKind.COBB: (Code("285285000", "Cobb angle"), "SCT"),
        FigureKind.CARDIOTHORACIC: (Code("CARDIOTHORACIC_RATIO", "Cardiothoracic ratio"), OWN_SCHEME),
        FigureKind.HEART: (Code("HEART_WIDTH", "Transverse diameter of the heart"), OWN_SCHEME),
        FigureKind.THORAX: (Code("THORAX_WIDTH", "Transverse inner diameter of the thorax"), OWN_SCHEME),
        FigureKind.AREA: (Code("42798000", "Area"), "SCT"),
    }
)
"""What a figure says, with its scheme. LOINC has ratios of the heart to the thorax in fetal echocardiography
alone, by area and by circumference; the one of diameters on a radiograph has no code that is certain."""

ATTENUATION = (Code("112031", "Attenuation Coefficient"), "DCM")
"""Of which the Hounsfield units of a region are."""
OWN_GREY = (Code("GREY_VALUE", "Grey value after the modality transformation"), OWN_SCHEME)

DERIVATIONS = MappingProxyType(
    {
        FigureKind.MEAN: Code("373098007", "Mean"),
        FigureKind.DEVIATION: Code("386136009", "Standard Deviation"),
        FigureKind.MINIMUM: Code("255605001", "Minimum"),
        FigureKind.MAXIMUM: Code("56851009", "Maximum"),
    }
)
"""Of what the pixels of a region have, in SNOMED CT (CID 7464)."""


def measure_of(kind: FigureKind, unit: MeasurementUnit) -> tuple[Code, str]:
    """What a figure says, and the scheme of the code; of a region's values, whatever is derived of them."""
    if kind in DERIVATIONS:
        return ATTENUATION if unit is MeasurementUnit.HOUNSFIELD else OWN_GREY
    return MEASURES[kind]


AGE = Code("30525-0", "Age")
"""In LOINC."""
AGE_UNITS = MappingProxyType(
    {AgeUnit.YEARS: Code("a", "year"), AgeUnit.MONTHS: Code("mo", "month"), AgeUnit.DAYS: Code("d", "day")}
)
"""In UCUM."""
OWN_NUMBER = Code("REPORT_NUMBER", "Report number")
OWN_DEPARTMENT = Code("REFERRING_DEPARTMENT", "Referring department")
OWN_VERIFICATION = Code("VERIFICATION", "SHA-256 of the report")
