"""Codes of findings in standard terminologies: only those that are certain; the rest stay our own words.

SNOMED CT concepts are of the International Edition. A label with a wider or a narrower concept but no equal
one has none: a wrong code is worse than no code.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType


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

OWN_VERIFICATION = Code("VERIFICATION", "SHA-256 of the report")
