"""What the answer to a complaint looks like to a program."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from tetkik.service.reception import triage
from tetkik.values import TriageResult, UrgencyLevel


class Asked(BaseModel):
    """A complaint.

    Attributes:
        text: what the patient says, in Turkish.
    """

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"text": "Gözlerim kızardı ve sulanıyor."}]}
    )

    text: str = Field(max_length=triage.LONGEST_TEXT, repr=False)


class DepartmentShape(BaseModel):
    """A department with its calibrated probability.

    Attributes:
        name: of the department.
        probability: 0 to 1.
        clinic: as it is booked; None where the hospital's list has none.
        referral: which clinic must refer first; None where it is booked directly.
    """

    name: str
    probability: float = Field(ge=0, le=1)
    clinic: str | None
    referral: str | None


class FlagShape(BaseModel):
    """A rule of urgency that fired.

    Attributes:
        id: of the rule.
        reason: for the person at the desk.
        start: of the words in the text, in characters.
        end: after the words.
        level: that it asks for.
        source: where the rule comes from.
    """

    id: str
    reason: str
    start: int = Field(ge=0)
    end: int = Field(ge=0)
    level: UrgencyLevel
    source: str


class UrgencyShape(BaseModel):
    """How soon the patient should be seen.

    Attributes:
        level: kirmizi, sari or yesil.
        flags: that were found, the worst first.
    """

    level: UrgencyLevel
    flags: list[FlagShape]


class EvidenceShape(BaseModel):
    """Words that decided for the first department.

    Attributes:
        start: in the text, in characters.
        end: after the words.
        text: the words.
        weight: what they add to the logit, in nats.
    """

    start: int = Field(ge=0)
    end: int = Field(ge=0)
    text: str
    weight: float


class TriageShape(BaseModel):
    """The answer to one complaint, with the keys of `tetkik triage predict --json`.

    Attributes:
        text: the complaint as it came.
        departments: the best first; empty where the text cannot be read.
        urgency: found by rules, apart from the departments.
        abstain: whether no department is likely enough.
        reason: why it abstains, or why the first department comes first.
        question: that would help most where it abstains.
        evidence: the strongest first.
        model: id and version.
    """

    text: str
    departments: list[DepartmentShape]
    urgency: UrgencyShape
    abstain: bool
    reason: str | None
    question: str | None
    evidence: list[EvidenceShape]
    model: str

    @classmethod
    def of(cls, result: TriageResult) -> TriageShape:
        """The shape of an answer."""
        return cls.model_validate(result.as_json())
