"""What signed reports look like to a program, and what it may send."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, Field

from tetkik.documents.parts import cited
from tetkik.language import Language
from tetkik.records.reports.signing import LONGEST_REASON
from tetkik.records.reports.versions import SignedVersion
from tetkik.records.reports.withdrawal import LONGEST_WORDS
from tetkik.records.reports.withdrawal_queries import Withdrawn
from tetkik.rules.comparison import Change, compared, compared_measurements
from tetkik.service.drafts.shapes import ContentShape, MeasurementShape
from tetkik.service.kit.access.passkeys import Proof
from tetkik.service.kit.http.responses import Shape
from tetkik.values import Judgement, Method, ReportState, Section, WithdrawalReason, label_name


class WithdrawalSent(Proof):
    """Why a report is withdrawn, and the password or a passkey again."""

    why: WithdrawalReason
    words: Annotated[str, Field(max_length=LONGEST_WORDS, repr=False)] = Field(
        default="", description="More about it, that its readers will see; needed with `other`."
    )


class ReportListed(Shape):
    """A signed report in a list."""

    report_id: str
    case_id: str
    number: str
    department: str | None
    state: ReportState = Field(description="`final`, `amended` or `withdrawn`.")
    version: int
    signed_at: datetime
    signed_by: str
    corrected: bool = Field(description="Whether a person changed the model's draft before.")
    amending: bool = Field(description="Whether it is being amended right now.")
    withdrawn: Withdrawn | None = Field(description="Who took it back, when and why; None where it stands.")
    restricted: bool = Field(description="Whether the case opens only with a reason.")
    patient: str | None = Field(
        description="Name; None where you may not know it, or the patient was erased."
    )


class VersionListed(Shape):
    """A signed version in a few words."""

    number: int = Field(description="From 1.")
    replaces: int | None = Field(description="The number of the version that it amends; None for the first.")
    signed_at: datetime
    signed_by: str
    verification: str
    corrected: bool = Field(description="Whether a person changed the model's draft before.")
    is_last: bool = Field(description="Whether no later one amends it.")
    withdrawn: Withdrawn | None = Field(description="Who took it back, when and why; None where nobody did.")
    follows: Withdrawn | None = Field(
        description="The withdrawal of the version before it; None of the first, and of an amendment."
    )


class SectionText(BaseModel):
    """A part of a report with its sentences."""

    section: Section
    sentences: list[str]


class JudgedShape(Shape):
    """How the radiologist judged one label."""

    label: str
    name: str
    judgement: Judgement


class VersionShape(VersionListed, ContentShape):
    """A signed version as it reads."""

    report_id: str
    case_id: str
    image_id: str
    report_number: str = Field(description="As people call the report.")
    state: ReportState = Field(description="`final`, `amended` or `withdrawn`.")
    withdrawal_words: str | None = Field(
        description="The words beside the reason of the withdrawal; None where it stands."
    )
    method: Method = Field(description="How the signer proved to be that person.")
    reason: str | None = Field(description="Why it amends the one before; None for the first.")
    sections: list[SectionText]
    references: list[str] = Field(description="The sources that it cites.")
    model: str | None = Field(description="The bundle that found the findings; None without one.")
    has_image: bool = Field(description="Whether there is a picture of the image.")
    has_heatmap: bool
    judgements: list[JudgedShape] = Field(
        description="How the radiologist judged the findings; nothing for those that nobody judged."
    )

    @classmethod
    def whole(cls, found: SignedVersion, language: Language) -> VersionShape:
        document = found.document
        sections = [(section, document.draft.section(section)) for section in Section]
        return cls.from_value(
            found.info,
            **cls.of_content(document.content, language),
            case_id=found.case_id,
            image_id=found.image_id,
            report_number=found.report_number,
            state=document.standing,
            withdrawal_words=document.withdrawal.words if document.withdrawal is not None else None,
            method=found.method,
            reason=found.reason,
            sections=[
                SectionText(section=section, sentences=[item.text for item in items])
                for section, items in sections
                if items
            ],
            references=list(dict.fromkeys(item.source for item in cited(document))),
            model=document.result.model if document.result is not None else None,
            has_image="image" in found.pictures,
            has_heatmap="heatmap" in found.pictures,
            judgements=[
                JudgedShape(label=item.label, name=label_name(item.label, language), judgement=item.judgement)
                for item in document.judgements
            ],
        )


class StretchShape(Shape):
    """Words that stayed, went or came."""

    change: Change
    text: str


class ComparedShape(Shape):
    """One part of two versions."""

    section: Section
    changed: bool
    stretches: list[StretchShape]


class ComparedMeasurementShape(BaseModel):
    """A measurement that stayed, went or came; one that was moved or named anew did both."""

    change: Change
    measurement: MeasurementShape


class Comparison(Shape):
    """Two versions of a report."""

    before: int = Field(description="The number of the earlier one.")
    after: int = Field(description="The number of the later one.")
    reason: str | None = Field(description="Why the later one was made; None for the first.")
    sections: list[ComparedShape]
    measurements: list[ComparedMeasurementShape]

    @classmethod
    def of(cls, before: SignedVersion, after: SignedVersion, language: Language) -> Comparison:
        old, new = before.document, after.document
        return cls.from_value(
            after,
            before=before.info.number,
            after=after.info.number,
            sections=compared(old.draft, new.draft),
            measurements=[
                ComparedMeasurementShape(
                    change=item.change, measurement=MeasurementShape.of(item.measurement, language)
                )
                for item in compared_measurements(old.measurements, new.measurements)
            ],
        )


class SignSent(Proof):
    """A signature: what was read, and that it is still the same person."""

    revision: Annotated[int, Field(ge=0, lt=2**31)] = Field(description="Of the draft that the person read.")
    small_display: bool = Field(
        default=False,
        description="Whether it was read on the display of a phone, which is no diagnostic one.",
    )


class SignedShape(Shape):
    """What a signature made."""

    report_id: str
    number: int
    verification: str
    corrected: bool = Field(description="Whether a person changed the model's draft before.")


class AmendmentSent(BaseModel):
    """Why a signed report is to be amended, in words that its readers will see."""

    reason: Annotated[str, Field(min_length=1, max_length=LONGEST_REASON)]


class CodeSent(BaseModel):
    """A verification code, as a document shows it."""

    code: Annotated[str, Field(min_length=64, max_length=64, pattern="^[0-9a-f]{64}$")]


class Verified(BaseModel):
    """What a code belongs to."""

    known: bool = Field(description="Whether a signed version has it.")
    is_last: bool | None = Field(
        default=None,
        description="Whether that version is the last of its report: an older one was amended since.",
    )
    withdrawn: bool | None = Field(
        default=None, description="Whether it was withdrawn: it stands no longer, even where it is the last."
    )
    report_id: str | None = Field(
        default=None, description="Of the report, where you may open it; None otherwise."
    )
    number: int | None = Field(default=None, description="Of the version; None where it is not known.")
