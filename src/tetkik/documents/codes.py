"""Codes of findings in standard terminologies: only those that are certain; the rest stay our own words.

SNOMED CT concepts are of the International Edition. A label with a wider or a narrower concept but no equal
one has none: a wrong code is worse than no code.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

from tetkik.values import Judgement, MeasurementKind, SpacingPlane


@dataclass(frozen=True, slots=True)
class Code:
    """A concept.

    Attributes:
        value: in its scheme.
        meaning: as the scheme words it.
    """

    value: str
    meaning: str


SNOMED = MappingProxyType(
    {
        "Atelectasis": Code("46621007", "Atelectasis"),
        "Cardiomegaly": Code("8186001", "Cardiomegaly"),
        "Effusion": Code("60046008", "Pleural effusion"),
        "Pneumonia": Code("233604007", "Pneumonia"),
        "Pneumothorax": Code("36118008", "Pneumothorax"),
        "Consolidation": Code("95436008", "Lung consolidation"),
        "Edema": Code("19242006", "Pulmonary edema"),
        "Emphysema": Code("87433001", "Pulmonary emphysema"),
        "Fibrosis": Code("51615001", "Fibrosis of lung"),
        "Hernia": Code("84089009", "Hiatal hernia"),
        "COVID-19": Code("840539006", "Disease caused by severe acute respiratory syndrome coronavirus 2"),
        "Viral_Pneumonia": Code("75570004", "Viral pneumonia"),
        "Tuberculosis": Code("56717001", "Tuberculosis"),
    }
)
"""SNOMED CT by shared label. Left out on purpose: Infiltration, Mass, Nodule, Pleural_Thickening, the tumours
and the normal labels, for which a label says less or more than any one concept."""

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

MEASURES = MappingProxyType(
    {
        MeasurementKind.LENGTH: Code("410668003", "Length"),
        MeasurementKind.ANGLE: Code("1483009", "Angle"),
    }
)
"""What was measured, in SNOMED CT."""

OWN_VERIFICATION = Code("VERIFICATION", "SHA-256 of the report")
