"""Values of a report: passages, sentences with their evidence, marks, the draft."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any

from tetkik.language import Language, Sentence
from tetkik.values.common import ADDED, fields_as_json
from tetkik.values.measurement import MeasuredImage, Measurement


class Section(StrEnum):
    """A part of a report, in the order in which it is read."""

    TECHNIQUE = "technique"
    FINDINGS = "findings"
    IMPRESSION = "impression"
    RECOMMENDATION = "recommendation"


class Side(StrEnum):
    """Where in a paired organ."""

    LEFT = "left"
    RIGHT = "right"
    BOTH = "both"


class Certainty(StrEnum):
    """How sure a sentence sounds of what it asserts, by the calibrated probability.

    A finding below its threshold is never asserted, however likely, so the scale begins at `POSSIBLE`.
    """

    CERTAIN = "certain"
    PROBABLE = "probable"
    POSSIBLE = "possible"


class PassageKind(StrEnum):
    """What a passage tells."""

    DEFINITION = "definition"
    SIGNS = "signs"
    DIFFERENTIAL = "differential"
    FOLLOW_UP = "follow_up"
    LIMITS = "limits"
    """What an image or a model of this kind cannot show."""
    HOSPITAL = "hospital"


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of text that a report may lean on: `effusion-signs-tr`, or of a hospital's own `doc-NAME-3`.

    Its label is None where it is about none in particular.
    """

    id: str
    language: Language
    kind: PassageKind
    label: str | None
    title: str
    text: str
    source: str


class BasisKind(StrEnum):
    """What a sentence of a report may lean on."""

    FINDING = "finding"
    """A label above its threshold."""
    ABSENCE = "absence"
    """A label whose absence the model has the measured right to state."""
    NOT_ASSESSED = "not_assessed"
    """Labels that the model was never taught, or that the image does not allow."""
    PASSAGE = "passage"
    QUALITY = "quality"
    """A warning of the quality gate, or what was done to the image."""
    TECHNIQUE = "technique"
    """What the file says of how it was made."""
    HISTORY = "history"
    """The clinical question, in the words of the referrer."""
    PRIOR = "prior"
    CAPTION = "caption"
    """The words of a captioner: of little authority, quoted as such."""


@dataclass(frozen=True, slots=True)
class Basis:
    """One thing that a sentence leans on: a label, a passage's id or the name of an input is its `key`.

    The probability is a finding's, calibrated; None where there is none.
    """

    kind: BasisKind
    key: str
    probability: float | None = None
    side: Side | None = None

    @property
    def id(self) -> str:
        """How a sentence cites it: `finding:Effusion`, `passage:effusion-signs-tr`."""
        return f"{self.kind}:{self.key}"


class Fault(StrEnum):
    """What the grounding check can say against a sentence."""

    NOT_FOUND = "not_found"
    DENIES_FOUND = "denies_found"
    DENIES_UNPROVEN = "denies_unproven"
    """It denies what the model has no measured right to deny."""
    SIDE = "side"
    """It names another side than the finding's, or one that nobody measured."""
    MEASUREMENT = "measurement"
    """It states a number or a size that nobody measured."""
    CITATION = "citation"
    """It cites what does not exist, or what does not hold it."""
    COMPARISON = "comparison"
    """It compares with an earlier image that was not given, or wrongly."""
    FOREIGN = "foreign"
    """It is no sentence of a report: an instruction, an address, a name, code."""


class Author(StrEnum):
    """Whose a sentence is: a model's must pass the grounding check, a person's only gets hints."""

    MACHINE = "machine"
    """A model's, word for word."""
    EDITED = "edited"
    """A model's that a person changed: it stays the model's until that person confirms it."""
    PERSON = "person"
    """Typed, dictated, of a template or a macro, or an edited one that was confirmed."""
    JUDGED = "judged"
    """Written by judging a finding: the person's, and it follows the judgement."""

    @property
    def is_model(self) -> bool:
        return self in (Author.MACHINE, Author.EDITED)


class Decision(StrEnum):
    """What a person decided about a mark."""

    KEPT = "kept"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class Mark:
    """One objection of the grounding check; a draft cannot be signed while a mark has no decision."""

    fault: Fault
    reason: Sentence
    start: int
    end: int
    decision: Decision | None = None

    def in_words(self, language: Language) -> dict[str, Any]:
        """As JSON, with its reason in `language`."""
        return fields_as_json(self) | {"reason": self.reason.in_language(language)}


@dataclass(frozen=True, slots=True)
class DraftSentence:
    """One sentence of a report with the ids of its evidence, at least one for what a composer wrote.

    Its certainty is None where it asserts no finding; its author None outside the records, and in what they
    kept before authors were. Hints stand at a person's sentence, and keep nothing from being signed.
    """

    text: str
    section: Section
    evidence: tuple[str, ...] = ()
    certainty: Certainty | None = None
    marks: tuple[Mark, ...] = ()
    author: Author | None = field(default=None, metadata=ADDED)
    hints: tuple[Mark, ...] = field(default=(), metadata=ADDED)

    def __post_init__(self) -> None:
        if not self.text.strip():
            raise ValueError("a sentence without words")

    @property
    def by_person(self) -> bool:
        """Whether a person wrote or changed it."""
        return self.author in (Author.EDITED, Author.PERSON)


@dataclass(frozen=True, slots=True)
class Draft:
    """A report that nobody has signed.

    Attributes:
        notices: what the reader must know of how it came about: what the image is like, why nothing is
            stated, a language model that was down.
    """

    language: Language
    sentences: tuple[DraftSentence, ...]  # in reading order; sections in the order of `Section`
    evidence: tuple[Basis, ...] = ()  # everything that a sentence may cite, in the order of first use
    passages: tuple[Passage, ...] = ()
    writer: str = "composer"  # `composer`, or the name of the language model
    model: str | None = None  # the bundle that found the findings; None for a text that came from elsewhere
    notices: tuple[Sentence, ...] = ()
    exercise: bool = False  # whether it is an example for teaching and about no patient
    not_assessed: tuple[str, ...] = field(default=(), metadata=ADDED)  # labels, for one line under the report

    def __post_init__(self) -> None:
        order = list(Section)
        places = [order.index(sentence.section) for sentence in self.sentences]
        if places != sorted(places):
            raise ValueError("the sections of a draft stand in reading order")

    def section(self, section: Section) -> tuple[DraftSentence, ...]:
        return tuple(sentence for sentence in self.sentences if sentence.section is section)

    @property
    def open_marks(self) -> int:
        """Objections that nobody has decided; the draft cannot be signed before there are none."""
        return sum(mark.decision is None for sentence in self.sentences for mark in sentence.marks)

    def as_json(self) -> dict[str, Any]:
        """The draft as `report draft --json` prints it; reasons and notices in the draft's language."""
        language = self.language
        return {
            "language": language,
            "writer": self.writer,
            "model": self.model,
            "exercise": self.exercise,
            "notices": [notice.in_language(language) for notice in self.notices],
            "not_assessed": list(self.not_assessed),
            "sentences": [
                {"section": item.section}
                | fields_as_json(item)
                | {"marks": [mark.in_words(language) for mark in item.marks]}
                for item in self.sentences
            ],
            "evidence": [{"id": item.id} | fields_as_json(item) for item in self.evidence],
            "passages": [
                {"id": item.id, "title": item.title, "text": item.text, "source": item.source}
                for item in self.passages
            ],
        }


@dataclass(frozen=True, slots=True)
class KeyImage:
    """An image, or a frame of one, that a report shows; `image.frame` is None in a file of one."""

    id: str
    image: MeasuredImage
    picture: str  # SHA-256 of the PNG that documents show it as, hexadecimal
    note: str = ""


@dataclass(frozen=True, slots=True)
class ReportContent:
    """What a draft and a signed report share: all that people write, and that a signature signs.

    Stored JSON has these fields among those of the object that holds the content. A field that is added here
    needs a default, and `metadata=ADDED`: reports that were signed before keep their bytes and their code.
    """

    draft: Draft
    measurements: tuple[Measurement, ...] = ()
    key_images: tuple[KeyImage, ...] = field(default=(), metadata=ADDED)

    @property
    def measured(self) -> tuple[Measurement, ...]:
        """The measurements without the arrows and the texts, which measure nothing."""
        return tuple(item for item in self.measurements if item.kind.measures)

    def verified(self) -> dict[str, object]:
        """What the verification code of a report covers of it; a part that is empty is left out."""
        verified: dict[str, object] = {
            "sentences": [[item.section, item.text] for item in self.draft.sentences]
        }
        if self.measurements:
            verified["measurements"] = [
                [item.image.id, item.label, item.rounded, item.unit, item.points]
                + [[one.rounded, one.unit] for one in item.figures[1:]]
                for item in self.measurements
            ]
        if self.key_images:
            verified["key_images"] = [
                [item.image.id, item.image.frame, item.picture, item.note] for item in self.key_images
            ]
        for item in fields(self):
            value = getattr(self, item.name)
            if item.metadata.get("added") and value != item.default:
                verified.setdefault(item.name, value)
        return verified


@dataclass(frozen=True, slots=True)
class ReportInput:
    """Everything that a draft is made of beside the findings themselves.

    Attributes:
        history: the clinical question, in the words of the referrer; data, never an instruction.
        sides: of positive findings whose localisation was measured and passes.
    """

    history: str = field(default="", repr=False)
    caption: str = field(default="", repr=False)
    sides: tuple[tuple[str, Side], ...] = ()
    technique: str | None = None  # how it was made: `PA`, `PA, LATERAL`, `SLICES`; None where unknown
    warnings: tuple[Sentence, ...] = ()  # of the quality gate and of the reading
