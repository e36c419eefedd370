"""What keeps a draft from being signed, and nothing else does.

- a finding that the machine's draft or the report states and that nobody judged;
- a sentence of a model with a mark that nobody decided;
- an image whose file names another person than the record, where nobody has confirmed that it is theirs.

Nothing that a person wrote is among them, nor a finding that is only suggested beside the draft.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from tetkik.errors import Conflict
from tetkik.language import Language
from tetkik.rules.draft_state import DraftState
from tetkik.rules.judging import read_labels, stated_labels
from tetkik.values import NORMAL_LABELS, Difference


class BlockerKind(StrEnum):
    """What somebody has to decide before the signature."""

    IDENTITY = "identity"
    FINDING = "finding"
    MARK = "mark"


@dataclass(frozen=True, slots=True)
class Blocker:
    """One thing to decide: a finding, a sentence by its place from 0, or what a file says otherwise."""

    kind: BlockerKind
    label: str | None = None
    sentence: int | None = None
    difference: Difference | None = None


class NotReady(Conflict):
    """Something is still to be decided."""

    def __init__(self, blockers: tuple[Blocker, ...]) -> None:
        self.blockers = blockers
        kinds = [item.kind for item in blockers]
        if BlockerKind.IDENTITY in kinds:
            super().__init__(
                "The image's file names another person than the record; confirm that the image is this "
                "patient's, or move it, then sign."
            )
        elif BlockerKind.FINDING in kinds:
            super().__init__(
                "{count} findings that the report states are not judged; accept or reject each, then sign.",
                count=kinds.count(BlockerKind.FINDING),
            )
        else:
            super().__init__(
                "{count} sentences of the model are marked and nobody has decided; keep or remove each, "
                "then sign.",
                count=kinds.count(BlockerKind.MARK),
            )


@dataclass(frozen=True, slots=True)
class Readiness:
    """The findings of the model that wait for a judgement, and the draft of which that holds."""

    state: DraftState
    unjudged: tuple[str, ...]

    @classmethod
    def of(cls, state: DraftState, known: Readiness | None = None) -> Readiness:
        """Read the draft for it, unless it is the one of what is `known`."""
        return known if known is not None and known.state == state else cls(state, _unjudged(state))


def blockers_of(readiness: Readiness, differences: Sequence[Difference]) -> tuple[Blocker, ...]:
    """All that keeps a draft from being signed: whose image it is first, then findings, then sentences."""
    found = [Blocker(BlockerKind.IDENTITY, difference=item) for item in differences]
    found += [Blocker(BlockerKind.FINDING, label) for label in readiness.unjudged]
    found += [
        Blocker(BlockerKind.MARK, sentence=place)
        for place, item in enumerate(readiness.state.draft.sentences)
        if any(mark.decision is None for mark in item.marks)
    ]
    return tuple(found)


def _unjudged(state: DraftState) -> tuple[str, ...]:
    """Findings that are asserted for drafts, or stated by the report, and not judged.

    A verdict on the whole image, *normal*, is no finding in it.
    """
    draft, result, judged = state.draft, state.material.result, state.judged
    wanted = {
        item.label: item.asserted
        for item in (result.findings if result is not None and result.suitable else ())
        if item.assessed and item.positive and item.label not in NORMAL_LABELS and item.label not in judged
    }
    if not wanted:
        return ()
    stated = {label for item in draft.sentences for label in stated_labels(item) if item.certainty}
    if not wanted.keys() <= stated | {label for label, asserted in wanted.items() if asserted}:
        own = (item.text for item in draft.sentences if item.by_person)
        stated |= _labels_in(own, draft.language)
    return tuple(label for label, asserted in wanted.items() if asserted or label in stated)


def _labels_in(texts: Iterable[str], language: Language) -> set[str]:
    return set().union(*(read_labels(text, language) for text in texts))
