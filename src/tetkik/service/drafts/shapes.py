"""What a draft looks like to a program, and what it may send back."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from tetkik.documents.words import measured_name, measured_words, measurement_words
from tetkik.language import Language
from tetkik.records.reports.editing import LONGEST, MOST, Choice
from tetkik.records.reports.material import MarkDecision
from tetkik.records.reports.measuring import LONGEST_LABEL, Taken
from tetkik.records.reports.withdrawals import Withdrawn
from tetkik.records.reports.working import WorkingDraft
from tetkik.values import (
    BasisKind,
    Certainty,
    Decision,
    DraftSentence,
    Fault,
    Finding,
    Judgement,
    Mark,
    Measurement,
    MeasurementKind,
    MeasurementUnit,
    Section,
    Side,
    SpacingPlane,
    ThresholdOn,
    label_name,
)

_FARTHEST = 10**6
Coordinate = Annotated[float, Field(ge=0, le=_FARTHEST, allow_inf_nan=False)]
Pair = Annotated[list[Coordinate], Field(min_length=2, max_length=2)]
Points = Annotated[list[Pair], Field(min_length=2, max_length=3)]
Label = Annotated[str, Field(max_length=LONGEST_LABEL)]


class MeasurementShape(BaseModel):
    """A length or an angle in an image.

    Attributes:
        id: of the measurement, the same in every version of the report.
        image_id: in which image: the report's own, or an earlier one of the same patient.
        frame: which of several, from 1; None in an image of one.
        earlier: whether it is an earlier image.
        kind: `length`, between two points, or `angle`, at the second of three.
        points: column and row of each, in pixels from the outer corner of the first one.
        label: a few words of the radiologist; may be empty.
        value: how much, in `unit`.
        unit: `mm`, `deg`, or `{pixels}` where the file does not say how large a pixel is.
        calibrated: whether the file says so.
        plane: where millimetres hold: in the `patient`, at the `detector` (larger than in the patient), or
            `unstated`; None where it is not calibrated.
        name: the label, else what it is.
        text: the value with its unit, in the reader's language.
        about: how far it is to be trusted, in the reader's language.
    """

    id: str
    image_id: str
    frame: int | None
    earlier: bool
    kind: MeasurementKind
    points: list[list[float]]
    label: str
    value: float
    unit: MeasurementUnit
    calibrated: bool
    plane: SpacingPlane | None
    name: str
    text: str
    about: str

    @classmethod
    def of(cls, item: Measurement, language: Language) -> MeasurementShape:
        """The same for a program."""
        return cls(
            id=item.id,
            image_id=item.image.id,
            frame=item.image.frame,
            earlier=item.image.earlier,
            kind=item.kind,
            points=[list(point) for point in item.points],
            label=item.label,
            value=item.rounded,
            unit=item.unit,
            calibrated=item.calibrated,
            plane=item.image.plane if item.calibrated else None,
            name=measured_name(item, language),
            text=measurement_words(item, language),
            about=measured_words(item, language),
        )


class MeasurementSent(BaseModel):
    """A new measurement; how large a pixel is comes from the image."""

    kind: MeasurementKind
    image_id: Annotated[str, Field(max_length=26)]
    points: Points
    label: Label = ""
    frame: Annotated[int, Field(ge=1, lt=2**31)] | None = None

    def value(self) -> Taken:
        """The same for the records."""
        points = [(column, row) for column, row in self.points]
        return Taken(self.kind, self.image_id, points, self.label, self.frame)


class MeasurementChanged(BaseModel):
    """What changes of a measurement; what is null stays."""

    points: Points | None = None
    label: Label | None = None

    def places(self) -> list[tuple[float, float]] | None:
        """The points for the records."""
        return None if self.points is None else [(column, row) for column, row in self.points]


class MarkShape(BaseModel):
    """An objection of the grounding check.

    Attributes:
        fault: what is wrong.
        reason: in words.
        start: first character of the words in the sentence.
        end: after the last one.
        decision: of a person; None as long as nobody decided.
        decided_by: id of who decided.
        decided_at: when.
    """

    fault: Fault
    reason: str
    start: int
    end: int
    decision: Decision | None
    decided_by: str | None
    decided_at: datetime | None


class SentenceShape(BaseModel):
    """A sentence of a draft.

    Attributes:
        section: where it stands.
        text: as it is read.
        evidence: ids of the draft's evidence.
        certainty: how sure it sounds; None where it asserts no finding.
        by: whether the machine wrote it as it stands, or a person wrote or changed it.
        marks: objections.
    """

    section: Section
    text: str
    evidence: list[str]
    certainty: Certainty | None
    by: Literal["machine", "person"]
    marks: list[MarkShape]


class EvidenceShape(BaseModel):
    """One thing that a sentence leans on.

    Attributes:
        id: how a sentence cites it.
        kind: what it is.
        key: the label, the passage's id, or the name of the input.
        name: of a label, in the reader's language; otherwise the key.
        probability: of a finding, 0 to 1; None where there is none.
        side: of a finding, where it was measured.
    """

    id: str
    kind: BasisKind
    key: str
    name: str
    probability: float | None
    side: Side | None


class PassageShape(BaseModel):
    """A text that was cited."""

    id: str
    title: str
    text: str
    source: str


class FindingShape(BaseModel):
    """What the model says of one label, and what the radiologist says of that.

    Attributes:
        label: its name in every file.
        name: in the reader's language.
        assessed: whether the model was taught it and the image allows it.
        score: the network's, 0 to 1.
        probability: calibrated, 0 to 1; None where there is none.
        threshold: the operating point.
        threshold_on: what the threshold is compared with.
        positive: whether the threshold is reached.
        rules_out: whether its absence may be stated.
        uncertain: whether it lies in the band in which an imported model is not to be trusted.
        judgement: of the radiologist; None as long as there is none.
    """

    label: str
    name: str
    assessed: bool
    score: float | None
    probability: float | None
    threshold: float | None
    threshold_on: ThresholdOn | None
    positive: bool
    rules_out: bool
    uncertain: bool
    judgement: Judgement | None


class DraftShape(BaseModel):
    """A draft at one revision.

    Attributes:
        report_id: of the report.
        case_id: of its case.
        image_id: that it is about.
        run_id: of the model; None without one.
        number: as people call the report.
        revision: grows with each save; the value of the ETag.
        version: of the last signed one; 0 before the first.
        amending: why a signed report is being amended; None where it is not.
        withdrawn: who took the last signed version back, when and why; None where nobody did.
        language: of the sentences.
        writer: `composer`, `person`, or the name of the language model.
        model: the bundle that found the findings.
        updated_at: when it was last saved.
        updated_by: who saved it; None for the machine.
        notices: what the reader must know of how it came about.
        open_marks: objections that nobody has decided; it cannot be signed before there are none.
        sentences: in reading order.
        evidence: everything that a sentence may cite.
        passages: those that were cited.
        findings: what the model said, in the order of the labels.
        measurements: that people made in the image, in the order in which they were made.
    """

    report_id: str
    case_id: str
    image_id: str
    run_id: str | None
    number: str
    revision: int
    version: int
    amending: str | None
    withdrawn: Withdrawn | None
    language: Language
    writer: str
    model: str | None
    updated_at: datetime
    updated_by: str | None
    notices: list[str]
    open_marks: int
    sentences: list[SentenceShape]
    evidence: list[EvidenceShape]
    passages: list[PassageShape]
    findings: list[FindingShape]
    measurements: list[MeasurementShape]

    @classmethod
    def of(cls, found: WorkingDraft, language: Language) -> DraftShape:
        """A draft, its names and reasons in the reader's language."""
        draft = found.draft
        judged = {item.label: item.judgement for item in found.verdicts}
        findings = list(found.result.findings) if found.result is not None else []
        known = {item.label for item in findings}
        findings += [Finding(label, False) for label in judged if label not in known]
        return cls(
            report_id=found.report_id,
            case_id=found.case_id,
            image_id=found.image_id,
            run_id=found.run_id,
            number=found.number,
            revision=found.revision,
            version=found.version,
            amending=found.amending,
            withdrawn=found.withdrawn,
            language=draft.language,
            writer=draft.writer,
            model=draft.model,
            updated_at=found.updated_at,
            updated_by=found.updated_by,
            notices=[notice.in_language(language) for notice in draft.notices],
            open_marks=draft.open_marks,
            sentences=[
                _sentence(item, by_person, found.decisions, language)
                for item, by_person in zip(draft.sentences, found.by_person, strict=True)
            ],
            evidence=[
                EvidenceShape(
                    id=item.id,
                    kind=item.kind,
                    key=item.key,
                    name=label_name(item.key, language) if item.kind in _OF_LABELS else item.key,
                    probability=item.probability,
                    side=item.side,
                )
                for item in draft.evidence
            ],
            passages=[
                PassageShape(id=item.id, title=item.title, text=item.text, source=item.source)
                for item in draft.passages
            ],
            findings=[_finding(item, judged.get(item.label), language) for item in findings],
            measurements=[MeasurementShape.of(item, language) for item in found.measurements],
        )


_OF_LABELS = frozenset({BasisKind.FINDING, BasisKind.ABSENCE, BasisKind.PRIOR})
Text = Annotated[str, Field(max_length=LONGEST)]
Place = Annotated[int, Field(ge=0, le=LONGEST)]


class SentenceSent(BaseModel):
    """A sentence as a person leaves it; one that is empty is left out."""

    section: Section
    text: Text
    evidence: Annotated[list[Annotated[str, Field(max_length=200)]], Field(max_length=50)] = []

    def value(self) -> DraftSentence | None:
        """The sentence; None for one without words."""
        if not self.text.strip():
            return None
        return DraftSentence(self.text, self.section, tuple(self.evidence))


class DecisionSent(BaseModel):
    """What a person decides about a mark.

    Attributes:
        sentence: its place in the list of sentences, from 0.
        fault: of the mark.
        start: of the mark.
        end: of the mark.
        decision: `kept`, `removed` (the sentence goes), or null to open the question again.
    """

    sentence: Annotated[int, Field(ge=0, lt=MOST)]
    fault: Fault
    start: Place
    end: Place
    decision: Decision | None = None

    def value(self, place: int) -> Choice:
        """The same for the records, about the sentence at `place`."""
        return Choice(place, self.fault, self.start, self.end, self.decision)


Decisions = Annotated[list[DecisionSent], Field(max_length=10 * MOST)]


class DraftSent(BaseModel):
    """A whole draft as a person leaves it."""

    sentences: Annotated[list[SentenceSent], Field(max_length=MOST)]
    decisions: Decisions = []


class DecisionsSent(BaseModel):
    """Decisions about marks."""

    decisions: Decisions


class ReviewSent(BaseModel):
    """What a radiologist says of one finding.

    Attributes:
        label: of the finding.
        judgement: null takes it back.
        sentences_follow: whether sentences that lean on a rejected finding alone go with it.
    """

    label: Annotated[str, Field(max_length=60)]
    judgement: Judgement | None
    sentences_follow: bool = False


class RedraftSent(BaseModel):
    """How a fresh draft is to be written."""

    language: Language
    writer: Literal["composer", "language_model"] = "composer"


class ByHandSent(BaseModel):
    """An image that a person writes about without a model's draft."""

    image_id: Annotated[str, Field(max_length=26)]
    language: Language


class TemplateSent(BaseModel):
    """The template whose sentences a draft takes."""

    template_id: Annotated[str, Field(max_length=26)]


def _sentence(
    item: DraftSentence, by_person: bool, decisions: tuple[MarkDecision, ...], language: Language
) -> SentenceShape:
    return SentenceShape(
        section=item.section,
        text=item.text,
        evidence=list(item.evidence),
        certainty=item.certainty,
        by="person" if by_person else "machine",
        marks=[_mark(mark, item.text, decisions, language) for mark in item.marks],
    )


def _mark(mark: Mark, text: str, decisions: tuple[MarkDecision, ...], language: Language) -> MarkShape:
    about = (text, mark.fault, mark.start, mark.end)
    told = [one for one in decisions if (one.sentence, one.fault, one.start, one.end) == about]
    last = told[-1] if told and mark.decision is not None else None
    return MarkShape(
        fault=mark.fault,
        reason=mark.reason.in_language(language),
        start=mark.start,
        end=mark.end,
        decision=mark.decision,
        decided_by=last.user_id if last is not None else None,
        decided_at=last.at if last is not None else None,
    )


def _finding(item: Finding, judgement: Judgement | None, language: Language) -> FindingShape:
    return FindingShape(
        label=item.label,
        name=label_name(item.label, language),
        assessed=item.assessed,
        score=item.score,
        probability=item.probability,
        threshold=item.threshold,
        threshold_on=item.threshold_on,
        positive=item.positive,
        rules_out=item.rules_out,
        uncertain=item.uncertain,
        judgement=judgement,
    )
