"""What a draft looks like to a program, and what it may send back."""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from tetkik.documents.parts import measured_name, measured_words, measurement_words
from tetkik.imaging.key_picture import ShownWindow
from tetkik.language import Language
from tetkik.records.reports.edit_conflicts import WorkingDraft
from tetkik.records.reports.key_images import LONGEST_NOTE
from tetkik.records.reports.measurements import LONGEST_LABEL, NewMeasurement
from tetkik.records.reports.withdrawal_queries import Withdrawn
from tetkik.rules.draft_state import MarkDecision
from tetkik.rules.editing import LONGEST, MOST, Choice, DraftEdit, Rule
from tetkik.rules.judging import Detail, judge
from tetkik.rules.readiness import Blocker, BlockerKind
from tetkik.service.kit.http.responses import Shape
from tetkik.values import (
    Author,
    BasisKind,
    Certainty,
    Decision,
    DraftSentence,
    Fault,
    FigureKind,
    Finding,
    Judgement,
    KeyImage,
    Mark,
    Measurement,
    MeasurementKind,
    MeasurementUnit,
    ReportContent,
    Section,
    Side,
    SpacingPlane,
    ThresholdOn,
    Trait,
    label_name,
)

_CONTENT = {item.name for item in fields(ReportContent)}
_FARTHEST = 10**6
Coordinate = Annotated[float, Field(ge=0, le=_FARTHEST, allow_inf_nan=False)]
Pair = Annotated[list[Coordinate], Field(min_length=2, max_length=2)]
Points = Annotated[list[Pair], Field(min_length=1, max_length=4)]
Label = Annotated[str, Field(max_length=LONGEST_LABEL)]


class FigureShape(Shape):
    """One number of a measurement."""

    kind: FigureKind = Field(
        description="What it says: of a region of interest its `mean`, `deviation`, `minimum`, `maximum` and "
        "`area`, of a cardiothoracic ratio the widths of `heart` and `thorax` beside it."
    )
    value: float = Field(description="How much, in `unit`.")
    unit: MeasurementUnit = Field(
        description="In UCUM: `[hnsf'U]` where the file says that its values are Hounsfield units, else "
        "`{grey}`."
    )


class MeasurementShape(Shape):
    """A measurement, an arrow or a text in an image."""

    id: str = Field(description="Of the measurement, the same in every version of the report.")
    image_id: str = Field(
        description="In which image: the report's own, or an earlier one of the same patient."
    )
    frame: int | None = Field(description="Which of several, from 1; None in an image of one.")
    earlier: bool
    kind: MeasurementKind = Field(
        description="`length`, between two points; `angle`, at the second of three; `cobb`, between two "
        "lines; `cardiothoracic`, the borders of the heart, then the inner chest wall; `ellipse` and "
        "`rectangle`, two opposite corners; `arrow`, from end to head; `text`, the label at a point."
    )
    points: list[list[float]] = Field(
        description="Column and row of each, in pixels from the outer corner of the first one."
    )
    label: str = Field(description="A few words of the radiologist; may be empty.")
    value: float = Field(description="How much, in `unit`.")
    unit: MeasurementUnit = Field(
        description="`mm`, `deg`, or `{pixels}` where the file does not say how large a pixel is; see "
        "`figures`; empty of an arrow and of a text."
    )
    figures: list[FigureShape] = Field(description="All that was measured, `value` first.")
    calibrated: bool = Field(description="Whether the file says so.")
    plane: SpacingPlane | None = Field(
        description="Where millimetres hold: in the `patient`, at the `detector` (larger), or "
        "`unstated`; None where it is not calibrated."
    )
    name: str = Field(description="The label, else what it is.")
    text: str = Field(description="The value with its unit, in the reader's language.")
    about: str = Field(description="How far it is to be trusted, in the reader's language.")

    @classmethod
    def of(cls, item: Measurement, language: Language) -> MeasurementShape:
        return cls.from_value(
            item,
            image_id=item.image.id,
            frame=item.image.frame,
            earlier=item.image.earlier,
            points=[list(point) for point in item.points],
            value=item.rounded,
            figures=[FigureShape.from_value(one, value=one.rounded) for one in item.figures],
            plane=item.image.plane if item.calibrated else None,
            name=measured_name(item, language),
            text=measurement_words(item, language),
            about=measured_words(item, language),
        )


class KeyImageShape(Shape):
    """An image, or a frame of one, that the report shows."""

    id: str = Field(description="Of the key image, the same in every version of the report.")
    image_id: str
    frame: int | None = Field(description="Which of several, from 1; None in an image of one.")
    note: str = Field(description="What is said of it; may be empty.")

    @classmethod
    def of(cls, item: KeyImage) -> KeyImageShape:
        return cls(id=item.id, image_id=item.image.id, frame=item.image.frame, note=item.note)


class KeyImageSent(BaseModel):
    """An image that is to be shown in the report, in the window that it is looked at through."""

    image_id: Annotated[str, Field(max_length=26)]
    frame: Annotated[int, Field(ge=1, lt=2**31)] | None = None
    centre: Annotated[float, Field(ge=-10, le=10, allow_inf_nan=False, description="In parts of white.")] = (
        0.5
    )
    width: Annotated[float, Field(gt=0, le=20, allow_inf_nan=False, description="In parts of white.")] = 1.0
    inverted: bool = False
    note: Annotated[str, Field(max_length=LONGEST_NOTE)] = ""

    @property
    def window(self) -> ShownWindow:
        return ShownWindow(self.centre, self.width, self.inverted)


class KeyImageNamed(BaseModel):
    """What is said of a key image."""

    note: Annotated[str, Field(max_length=LONGEST_NOTE)]


class MeasurementSent(BaseModel):
    """A new measurement; how large a pixel is, and what a region holds, comes from the image."""

    kind: MeasurementKind
    image_id: Annotated[str, Field(max_length=26)]
    points: Points
    label: Label = ""
    frame: Annotated[int, Field(ge=1, lt=2**31)] | None = None

    def value(self) -> NewMeasurement:
        points = [(column, row) for column, row in self.points]
        return NewMeasurement(self.kind, self.image_id, points, self.label, self.frame)


class MeasurementChanged(BaseModel):
    """What changes of a measurement; what is null stays."""

    points: Points | None = None
    label: Label | None = None

    def places(self) -> list[tuple[float, float]] | None:
        return None if self.points is None else [(column, row) for column, row in self.points]


class HintShape(Shape):
    """Where a person's sentence goes against what they judged, or has a field that was left open."""

    fault: Fault
    reason: str
    start: int = Field(description="First character of the words in the sentence.")
    end: int


class BlockerShape(Shape):
    """One thing that keeps a report from being signed."""

    kind: BlockerKind = Field(
        description="`identity`, the file names another person; `finding`, nobody judged it; `mark`, a "
        "sentence of a model has one that nobody decided."
    )
    label: str | None = Field(default=None, description="Of the finding.")
    name: str | None = Field(default=None, description="Of the finding, in the reader's language.")
    sentence: int | None = Field(default=None, description="Its place in the list of sentences, from 0.")
    trait: Trait | None = Field(default=None, description="What the file says otherwise than the record.")
    file: str | None = Field(default=None, description="What the file says.")
    record: str | None = Field(default=None, description="What the record says.")

    @classmethod
    def of(cls, item: Blocker, language: Language) -> BlockerShape:
        difference = item.difference
        return cls(
            kind=item.kind,
            label=item.label,
            name=None if item.label is None else label_name(item.label, language),
            sentence=item.sentence,
            trait=None if difference is None else difference.trait,
            file=None if difference is None else difference.file,
            record=None if difference is None else difference.record,
        )


class ReviewSent(BaseModel):
    """What a radiologist says of one finding."""

    label: Annotated[str, Field(max_length=60)]
    judgement: Judgement | None = Field(description="Null takes it back.")
    side: Side | None = Field(default=None, description="Of a finding that is accepted or added.")
    size: Annotated[str, Field(max_length=40)] = Field(
        default="", description="The same: `12 mm`, `3 x 2 cm`; millimetres without a unit."
    )
    sentences_follow: bool = Field(
        default=True,
        description="Whether the words of the draft follow: definite where it is there, taken out where not.",
    )

    def rule(self) -> Rule:
        """What it does to the draft."""
        detail = Detail(self.side, self.size)
        follow = self.sentences_follow
        return partial(judge, [self.label], self.judgement, detail=detail, sentences_follow=follow)


class ReviewsSent(BaseModel):
    """Findings that are accepted at once, as they were shown."""

    labels: Annotated[list[Annotated[str, Field(max_length=60)]], Field(min_length=1, max_length=50)]

    def rule(self) -> Rule:
        """What it does to the draft."""
        return partial(judge, self.labels, Judgement.ACCEPTED)


class MarkShape(Shape):
    """An objection of the grounding check to a model's sentence."""

    fault: Fault
    reason: str
    start: int = Field(description="First character of the words in the sentence.")
    end: int
    decision: Decision | None = Field(description="Of a person; None as long as nobody decided.")
    decided_by: str | None
    decided_at: datetime | None


class SentenceShape(Shape):
    """A sentence of a draft."""

    section: Section
    text: str
    evidence: list[str] = Field(description="Ids of the draft's evidence.")
    certainty: Certainty | None = Field(description="How sure it sounds; None where it asserts no finding.")
    by: Literal["machine", "person"] = Field(
        description="Whether a model wrote it as it stands, or a person wrote or changed it."
    )
    author: Author = Field(
        description="Whose it is: `machine`, word for word; `edited`, a model's that a person changed and "
        "has not confirmed; `person`; `judged`, written by judging a finding."
    )
    marks: list[MarkShape] = Field(description="Of a model's sentence; an open one blocks the signature.")
    hints: list[HintShape] = Field(description="Of a person's sentence; they block nothing.")


class EvidenceShape(Shape):
    """One thing that a sentence leans on."""

    id: str = Field(description="How a sentence cites it.")
    kind: BasisKind
    key: str = Field(description="The label, the passage's id, or the name of the input.")
    name: str = Field(description="Of a label, in the reader's language; otherwise the key.")
    probability: float | None = Field(description="Of a finding, 0 to 1; None where there is none.")
    side: Side | None = Field(description="Of a finding, where it was measured.")


class PassageShape(Shape):
    """A text that was cited."""

    id: str
    title: str
    text: str
    source: str


class FindingShape(Shape):
    """What the model says of one label, and what the radiologist says of that."""

    label: str = Field(description="Its name in every file.")
    name: str = Field(description="In the reader's language.")
    assessed: bool = Field(description="Whether the model was taught it and the image allows it.")
    score: float | None = Field(description="The network's, 0 to 1.")
    probability: float | None = Field(description="Calibrated, 0 to 1; None where there is none.")
    threshold: float | None
    threshold_on: ThresholdOn | None
    positive: bool = Field(description="Whether the threshold is reached: it is suggested to the reader.")
    asserts: bool = Field(description="Whether a draft states it.")
    rules_out: bool = Field(description="Whether its absence may be stated.")
    uncertain: bool = Field(
        description="Whether it lies in the band in which an imported model is not to be trusted."
    )
    judgement: Judgement | None = Field(description="Of the radiologist; None as long as there is none.")


class ContentShape(Shape):
    """What a draft and a signed version share: each field that people write, named as in `ReportContent`."""

    language: Language
    measurements: list[MeasurementShape] = Field(
        description="That people made in the image, in the order in which they were made."
    )
    key_images: list[KeyImageShape] = Field(description="That the report shows, in their order.")

    @staticmethod
    def of_content(content: ReportContent, language: Language) -> dict[str, Any]:
        """The fields of a shape, names in the reader's language."""
        texts = {name: getattr(content, name) for name in _CONTENT & ContentShape.model_fields.keys()}
        measurements = [MeasurementShape.of(item, language) for item in content.measurements]
        return texts | {
            "language": content.draft.language,
            "measurements": measurements,
            "key_images": [KeyImageShape.of(item) for item in content.key_images],
        }


class DraftShape(ContentShape):
    """A draft at one revision."""

    report_id: str
    case_id: str
    image_id: str
    run_id: str | None = Field(description="Of the model; None without one.")
    number: str = Field(description="As people call the report.")
    revision: int = Field(description="Grows with each save; the value of the ETag.")
    version: int = Field(description="Of the last signed one; 0 before the first.")
    amending: str | None = Field(description="Why a signed report is being amended; None where it is not.")
    withdrawn: Withdrawn | None = Field(
        description="Who took the last signed version back, when and why; None where nobody did."
    )
    writer: str = Field(description="`composer`, `person`, or the name of the language model.")
    model: str | None = Field(description="The bundle that found the findings.")
    updated_at: datetime = Field(description="When it was last saved.")
    updated_by: str | None = Field(description="Who saved it; None for a model.")
    notices: list[str] = Field(description="What the reader must know of how it came about.")
    open_marks: int = Field(description="Marks of a model's sentences that nobody has decided.")
    blocking: list[BlockerShape] = Field(
        description="What somebody has to decide before the report can be signed; nothing else blocks it."
    )
    undo: list[str] = Field(
        description="The findings of the last judging, which one step takes back; empty where nothing can."
    )
    sentences: list[SentenceShape]
    evidence: list[EvidenceShape] = Field(description="Everything that a sentence may cite.")
    passages: list[PassageShape]
    findings: list[FindingShape] = Field(description="What the model found, in the order of the labels.")

    @classmethod
    def of(cls, found: WorkingDraft, language: Language) -> DraftShape:
        """A draft, its names and reasons in the reader's language."""
        draft = found.draft
        judged = found.judged
        findings = list(found.result.findings) if found.result is not None else []
        known = {item.label for item in findings}
        findings += [Finding(label, False) for label in judged if label not in known]
        return cls.from_value(
            found,
            **cls.of_content(found.content, language),
            writer=draft.writer,
            model=draft.model,
            notices=[notice.in_language(language) for notice in draft.notices],
            open_marks=draft.open_marks,
            blocking=[BlockerShape.of(item, language) for item in found.blockers],
            undo=list(found.undo),
            sentences=[
                SentenceShape.from_value(
                    item,
                    by="person" if item.by_person else "machine",
                    hints=[
                        HintShape.from_value(hint, reason=hint.reason.in_language(language))
                        for hint in item.hints
                    ],
                    marks=[_mark(mark, item.text, found.decisions, language) for mark in item.marks],
                )
                for item in draft.sentences
            ],
            evidence=[
                EvidenceShape.from_value(
                    item,
                    name=label_name(item.key, language) if item.kind in _OF_LABELS else item.key,
                )
                for item in draft.evidence
            ],
            passages=draft.passages,
            findings=[
                FindingShape.from_value(
                    item,
                    name=label_name(item.label, language),
                    asserts=item.asserted,
                    judgement=judged.get(item.label),
                )
                for item in findings
            ],
        )


_OF_LABELS = frozenset({BasisKind.FINDING, BasisKind.ABSENCE, BasisKind.PRIOR})
Text = Annotated[str, Field(max_length=LONGEST)]
Place = Annotated[int, Field(ge=0, le=LONGEST)]


class SentenceSent(BaseModel):
    """A sentence as a person leaves it; one that is empty is left out."""

    section: Section
    text: Text
    evidence: Annotated[list[Annotated[str, Field(max_length=200)]], Field(max_length=50)] = []
    author: Author | None = Field(
        default=None,
        description="As the draft had it; `person` confirms one that was `edited`. Null: one with evidence "
        "and other words is taken for an edited one.",
    )

    def value(self) -> DraftSentence | None:
        """The sentence; None for one without words."""
        if not self.text.strip():
            return None
        return DraftSentence(self.text, self.section, tuple(self.evidence), author=self.author)


class DecisionSent(BaseModel):
    """What a person decides about a mark."""

    sentence: Annotated[int, Field(ge=0, lt=MOST)] = Field(
        description="Its place in the list of sentences, from 0."
    )
    fault: Fault
    start: Place
    end: Place
    decision: Decision | None = Field(
        default=None, description="`kept`, `removed` (the sentence goes), or null to open the question again."
    )

    def value(self, place: int) -> Choice:
        """The same for the records, about the sentence at `place`."""
        return Choice(place, self.fault, self.start, self.end, self.decision)


Decisions = Annotated[list[DecisionSent], Field(max_length=10 * MOST)]


class DraftSent(BaseModel):
    """A whole draft as a person leaves it.

    A text beside the sentences is a field named as in `ReportContent`, `Text | None = None`: null leaves it.
    """

    sentences: Annotated[list[SentenceSent], Field(max_length=MOST)]
    decisions: Decisions = []

    def value(self) -> DraftEdit:
        """The same for the records, without the empty sentences."""
        kept = [(place, value) for place, one in enumerate(self.sentences) if (value := one.value())]
        # Places of decisions count the sentences as they were sent; an empty one has none.
        places = {sent: place for place, (sent, _) in enumerate(kept)}
        choices = [one.value(places.get(one.sentence, -1)) for one in self.decisions]
        texts = self.model_dump(include=_CONTENT, exclude_none=True)
        return DraftEdit([value for _, value in kept], choices, texts)


class DecisionsSent(BaseModel):
    """Decisions about marks."""

    decisions: Decisions


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


def _mark(mark: Mark, text: str, decisions: tuple[MarkDecision, ...], language: Language) -> MarkShape:
    about = (text, mark.fault, mark.start, mark.end)
    decided = [one for one in decisions if (one.sentence, one.fault, one.start, one.end) == about]
    last = decided[-1] if decided and mark.decision is not None else None
    return MarkShape.from_value(
        mark,
        reason=mark.reason.in_language(language),
        decided_by=last.user_id if last is not None else None,
        decided_at=last.at if last is not None else None,
    )
