"""Which order a study answers: matched, doubtful, or none."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from tetkik.records.cases.identity_comparison import Difference
from tetkik.values import Identity


class Verdict(StrEnum):
    """What a study is to its order."""

    MATCHED = "matched"
    """One order fits, and nothing speaks against it."""
    DOUBTFUL = "doubtful"
    """Something does, or several fit, or too little is said: a person decides."""
    NONE = "none"
    """Nothing that we know asks for it."""


@dataclass(frozen=True, slots=True)
class StudyFacts:
    """What the files of a study say, repaired (`integrations.dicom.character_sets`)."""

    identity: Identity = field(repr=False)
    issuer: str = ""
    """Whose its Patient ID is (0010,0021), or of the sender's peer; empty where unknown."""
    accession_issuer: str = ""
    """Whose its accession number is (0008,0051), or of the sender's peer."""
    modality: str | None = None
    body_part: str | None = None
    at: datetime | None = None
    """When it was made, with the sender's clock put right."""


@dataclass(frozen=True, slots=True)
class StudyVerdict:
    """The verdict with its reasons, as a page can show them."""

    kind: Verdict
    order_id: str | None = None
    """The order that it answers; of a doubtful study the one that is nearest."""
    patient_id: str | None = None
    """Of the surviving record: of the order, or of a patient who is known by number and has no order."""
    reasons: tuple[Difference, ...] = ()
    """Where study and nearest order differ."""
    candidates: tuple[str, ...] = ()
    """Every order that might be meant, the nearest first."""
