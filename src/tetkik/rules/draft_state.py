"""A draft as it stands, with everything that the rules judge it by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from tetkik.values import (
    Basis,
    Decision,
    Draft,
    DraftSentence,
    Fault,
    FindingsResult,
    Identity,
    ImageTags,
    Judgement,
    ReportContent,
    ReportInput,
)
from tetkik.values.common import ADDED


@dataclass(frozen=True, slots=True)
class Material:
    """What the machine gave to a report."""

    draft: Draft | None = None
    """As it wrote it; None for a report that a person began."""
    result: FindingsResult | None = None
    inputs: ReportInput = field(default_factory=ReportInput)
    prior: FindingsResult | None = None
    """The findings of an earlier image that it was compared with."""
    identity: Identity = field(default_factory=Identity)
    tags: ImageTags = field(default_factory=ImageTags)
    heatmap_label: str | None = None
    images: tuple[str, ...] = field(default=(), metadata=ADDED)
    """The images of the study that it is about; empty where it is about one alone."""


@dataclass(frozen=True, slots=True)
class MarkDecision:
    """What a person decided about one objection."""

    sentence: str
    fault: Fault
    start: int
    end: int
    decision: Decision
    user_id: str
    at: datetime


@dataclass(frozen=True, slots=True)
class BeforeJudging:
    """What one step of undoing restores: judgements (None for none), sentences and evidence."""

    judgements: tuple[tuple[str, Judgement | None], ...]
    sentences: tuple[DraftSentence, ...] = field(repr=False)
    evidence: tuple[Basis, ...] = field(default=(), metadata=ADDED)


@dataclass(frozen=True, slots=True)
class Working:
    """A draft as it stands, and what was decided on the way."""

    content: ReportContent
    decisions: tuple[MarkDecision, ...] = ()
    undo: BeforeJudging | None = field(default=None, metadata=ADDED)
    """The last judging; None once anything else was written."""

    @property
    def draft(self) -> Draft:
        return self.content.draft

    def with_draft(self, draft: Draft) -> Working:
        """The same with other sentences."""
        return replace(self, content=replace(self.content, draft=draft))


@dataclass(frozen=True, slots=True)
class DraftState:
    """A draft, what the machine gave for it, and the judgement of each finding that has one."""

    working: Working
    material: Material
    judged: Mapping[str, Judgement] = field(default_factory=dict)

    @property
    def draft(self) -> Draft:
        return self.working.draft

    def with_draft(self, draft: Draft) -> DraftState:
        """The same with other sentences."""
        return replace(self, working=self.working.with_draft(draft))

    def with_content(self, content: ReportContent) -> DraftState:
        """The same with other words, measurements or key images."""
        return replace(self, working=replace(self.working, content=content))

    def with_judgements(self, judgements: Iterable[tuple[str, Judgement | None]]) -> DraftState:
        """The same after findings were judged; None takes a judgement back."""
        judged = {**self.judged, **dict(judgements)}
        return replace(
            self, judged={label: verdict for label, verdict in judged.items() if verdict is not None}
        )
