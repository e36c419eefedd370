"""Values about a complaint: departments, urgency, the answer of triage."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from tetkik.values.common import fields_as_json

DEPARTMENTS: tuple[str, ...] = (
    "Dermatoloji",
    "Psikiyatri",
    "Ortopedi",
    "Pediatri",
    "Kadın Hastalıkları ve Doğum",
    "Genel Cerrahi",
    "Beyin ve Sinir Cerrahisi",
    "Göz Hastalıkları",
    "Üroloji",
    "Nöroloji",
    "Kardiyoloji",
    "Dahiliye",
    "Kulak Burun Boğaz",
    "Göğüs Hastalıkları",
    "Fizik Tedavi ve Rehabilitasyon",
)
"""The 15 departments, in the order of every built-in triage model."""


class UrgencyLevel(StrEnum):
    """How soon a patient should be seen."""

    KIRMIZI = "kirmizi"
    """Emergency: 112 or the emergency department now."""
    SARI = "sari"
    """Seen today."""
    YESIL = "yesil"
    """An appointment."""

    @property
    def severity(self) -> int:
        """0 (yeşil), 1 (sarı), 2 (kırmızı)."""
        return ("yesil", "sari", "kirmizi").index(self.value)


@dataclass(frozen=True, slots=True)
class Span:
    """A place in the original text, in characters: `text[start:end]`."""

    start: int
    end: int

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.end:
            raise ValueError(f"not a span: {self.start}..{self.end}")


@dataclass(frozen=True, slots=True)
class RedFlag:
    """One urgency rule that fired, and where.

    `reason` is a sentence for the person at the desk.
    """

    id: str
    level: UrgencyLevel
    reason: str
    span: Span
    source: str

    def as_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "reason": self.reason,
            "start": self.span.start,
            "end": self.span.end,
            "level": self.level.value,
            "source": self.source,
        }


@dataclass(frozen=True, slots=True)
class Urgency:
    """The urgency of a complaint with the red flags found, worst first.

    `level` is None where the text could not be read: somebody must see the patient.
    """

    level: UrgencyLevel | None
    flags: tuple[RedFlag, ...] = ()

    def as_json(self) -> dict[str, Any]:
        return fields_as_json(self)


@dataclass(frozen=True, slots=True)
class Evidence:
    """A stretch of the original text and what it adds to the first department's logit, in nats."""

    span: Span
    text: str
    weight: float

    def as_json(self) -> dict[str, Any]:
        return {
            "start": self.span.start,
            "end": self.span.end,
            "text": self.text,
            "weight": round(self.weight, 4),
        }


@dataclass(frozen=True, slots=True)
class DepartmentScore:
    """A department with its calibrated probability, its bookable clinic and that clinic's referral rule.

    `clinic` is None where the hospital's list names none; `referral` is None where no referral is needed.
    """

    name: str
    probability: float
    clinic: str | None
    referral: str | None

    def as_json(self) -> dict[str, Any]:
        return fields_as_json(self)


@dataclass(frozen=True, slots=True)
class MeasuredComplaint:
    """What a complaint is like, without a word of it, for telling drift; `plain` has no Turkish letter.

    The share of words `unknown` to the model's vocabulary is None where the text was not read.
    """

    words: int
    plain: bool
    unknown: float | None


class DestinationKind(StrEnum):
    """What kind of place a patient is sent to."""

    EMERGENCY = "emergency"
    DEPARTMENT = "department"


@dataclass(frozen=True, slots=True)
class Destination:
    """Where the patient goes first; `text` is for whoever reads the answer."""

    kind: DestinationKind
    text: str

    def as_json(self) -> dict[str, Any]:
        return {"kind": self.kind.value, "text": self.text}


@dataclass(frozen=True, slots=True)
class TriageResult:
    """The answer to one complaint.

    Attributes:
        departments: best first; empty only where the text could not be read as a complaint.
        reason: why it abstains, or why the first department was chosen over the model's own; else None.
        question: the one that would help most where it abstains, unless the level is red; else None.
        destination: the emergency department where the level is red; None where it abstains otherwise.
    """

    text: str
    departments: tuple[DepartmentScore, ...]
    urgency: Urgency
    abstain: bool
    reason: str | None
    question: str | None
    destination: Destination | None = field(default=None, kw_only=True)
    evidence: tuple[Evidence, ...]  # the words that decided for the first department, strongest first
    model: str
    question_id: str | None = None
    child: bool = False  # whether the text tells of a patient under 18

    def as_json(self) -> dict[str, Any]:
        """The contract's keys, in the contract's order."""
        content = fields_as_json(self)
        del content["question_id"], content["child"]
        return content
