"""Codes in standard terminologies: only those that are certain; the rest are our own words."""

from __future__ import annotations

from types import MappingProxyType

from tetkik.values import Judgement, MeasurementKind, Side, SpacingPlane
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
        MeasurementKind.LENGTH: Code("410668003", "Length"),
        MeasurementKind.ANGLE: Code("1483009", "Angle"),
    }
)
"""What was measured, in SNOMED CT."""

OWN_VERIFICATION = Code("VERIFICATION", "SHA-256 of the report")
