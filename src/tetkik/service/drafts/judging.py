"""Judging findings over the API; what keeps a draft from being signed, and what is only hinted at."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

from tetkik.language import Language
from tetkik.records.cases.identity_comparison import Trait
from tetkik.records.reports.readiness import Blocker, BlockerKind
from tetkik.rules.judging import Detail
from tetkik.service.kit.http.parameters import Shape
from tetkik.values import Fault, Judgement, Side, label_name


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

    @property
    def detail(self) -> Detail:
        return Detail(self.side, self.size)


class ReviewsSent(BaseModel):
    """Findings that are accepted at once, as they were shown."""

    labels: Annotated[list[Annotated[str, Field(max_length=60)]], Field(min_length=1, max_length=50)]
