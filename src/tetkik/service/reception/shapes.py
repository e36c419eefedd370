"""What the answer to a complaint looks like to a program."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, StrictBool, field_validator

from tetkik.records.cases.complaints import UrgencyChoice
from tetkik.service.reception import triage
from tetkik.values import DestinationKind, TriageResult, UrgencyLevel, UrgencyReason


class TriageRequest(BaseModel):
    """A complaint."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"text": "Gözlerim kızardı ve sulanıyor."}]}
    )

    text: str = Field(
        max_length=triage.LONGEST_TEXT, repr=False, description="What the patient says, in Turkish."
    )


class DepartmentShape(BaseModel):
    """A department with its calibrated probability."""

    name: str
    probability: float = Field(ge=0, le=1, description="0 to 1.")
    clinic: str | None = Field(description="As it is booked; None where the hospital's list has none.")
    referral: str | None = Field(
        description="Which clinic must refer first; None where it is booked directly."
    )


class FlagShape(BaseModel):
    """A rule of urgency that fired."""

    id: str
    reason: str = Field(description="For the person at the desk.")
    start: int = Field(ge=0, description="Of the words in the text, in characters.")
    end: int = Field(ge=0)
    level: UrgencyLevel
    source: str = Field(description="Where the rule comes from.")


class UrgencyShape(BaseModel):
    """How soon the patient should be seen."""

    level: UrgencyLevel | None = Field(
        description="None where the text could not be read: somebody must see the patient."
    )
    flags: list[FlagShape] = Field(description="That were found, the worst first.")


class DestinationShape(BaseModel):
    """Where the patient goes first."""

    kind: DestinationKind
    text: str = Field(description="The emergency department, or the clinic or department as it is booked.")


class EvidenceShape(BaseModel):
    """Words that decided for the first department."""

    start: int = Field(ge=0, description="In the text, in characters.")
    end: int = Field(ge=0)
    text: str
    weight: float = Field(description="What they add to the logit, in nats.")


class TriageShape(BaseModel):
    """The answer to one complaint, with the keys of `tetkik triage predict --json`."""

    text: str = Field(description="The complaint as it came.")
    departments: list[DepartmentShape] = Field(
        description="The best first; empty where the text cannot be read."
    )
    urgency: UrgencyShape = Field(description="Found by rules, apart from the departments.")
    abstain: bool = Field(description="Whether no department is likely enough.")
    reason: str | None = Field(description="Why it abstains, or why the first department comes first.")
    question: str | None = Field(
        description="That would help most where it abstains; None where no answer would change the first two "
        "departments, and of red."
    )
    destination: DestinationShape | None = Field(
        description="The emergency department for red; None where it abstains otherwise."
    )
    evidence: list[EvidenceShape]
    model: str

    @classmethod
    def of(cls, result: TriageResult) -> TriageShape:
        return cls.model_validate(result.as_json())


class UrgencyChange(BaseModel):
    """The urgency that a person sets instead of that of triage."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"level": "kirmizi", "reason": "vital_signs"}]}
    )

    level: UrgencyLevel | None = Field(description="None lets the level of triage stand again.")
    reason: UrgencyReason | None = Field(default=None, description="Needed with a level.")
    sure: StrictBool = Field(default=False, description="Whether a person confirms that a red is lowered.")

    def value(self) -> UrgencyChoice:
        return UrgencyChoice(self.level, self.reason, self.sure)


class TypedUrgency(BaseModel):
    """The same as a form sends it (`parts/urgency_choice.html.jinja`); an empty level is that of triage."""

    urgency: UrgencyLevel | None = None
    urgency_reason: UrgencyReason | None = None
    urgency_sure: bool = False

    @field_validator("urgency", "urgency_reason", mode="before")
    @classmethod
    def _none(cls, value: object) -> object:
        return value or None

    def choice(self) -> UrgencyChoice:
        return UrgencyChoice(self.urgency, self.urgency_reason, self.urgency_sure)
