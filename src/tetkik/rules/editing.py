"""What a person's text does to a draft: which sentences stay what they were, what was decided about marks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from tetkik.errors import InputError
from tetkik.rules.draft_state import DraftState, MarkDecision, Working
from tetkik.values import (
    Author,
    Decision,
    Draft,
    DraftSentence,
    Fault,
    Judgement,
    Mark,
    ReportContent,
    Section,
)
from tetkik.values.common import one_line

LONGEST = 4000
"""Characters of a sentence; a report with a longer one is none."""
MOST = 200
"""Sentences of a report."""
LONGEST_REPORT = 20_000
"""Characters of a report, six printed pages: that of a whole body after an accident has half of it."""


@dataclass(frozen=True, slots=True)
class Choice:
    sentence: int
    """Its place among the sentences that the person sees, from 0."""
    fault: Fault
    start: int
    end: int
    decision: Decision | None
    """None opens the question again."""


@dataclass(frozen=True, slots=True)
class DraftEdit:
    sentences: Sequence[DraftSentence]
    decisions: Sequence[Choice] = ()
    """About marks, by the place of the sentence in `sentences`."""
    texts: Mapping[str, str] = field(default_factory=dict)
    """What else people write, by its field of `ReportContent`; one that is not here stays."""


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes of a draft; its sentences are still to be checked."""

    state: DraftState
    """Afterwards, its sentences in reading order."""
    places: tuple[int, ...] | None = None
    """For each sentence its place in what the person sent; None where they stand as they stood."""
    choices: Sequence[Choice] = ()
    judgements: tuple[tuple[str, Judgement | None], ...] = ()
    """The findings that were judged, in that order; None took a judgement back."""


Rule = Callable[[DraftState], Change]
"""What somebody does to a draft."""


def save(edit: DraftEdit, state: DraftState) -> Change:
    """What a person wrote, in the place of what stands there.

    A sentence that stands in the draft already, in the same part and word for word, keeps its evidence, its
    certainty and what was decided about its marks.
    """
    sentences, places = _merged(state.draft, edit)
    texts: dict[str, Any] = {name: one_line(text) for name, text in edit.texts.items()}
    after = state.with_content(replace(state.working.content, **texts))
    after = after.with_draft(replace(state.draft, sentences=sentences))
    if sentences != state.draft.sentences:
        after = _without_undo(after)
    return _decided(replace(Change(after), places=places), edit.decisions)


def decide(choices: Sequence[Choice], state: DraftState) -> Change:
    """Marks are decided: the sentence stays, or goes; None opens the question again."""
    return _decided(Change(state), choices)


def _decided(change: Change, choices: Sequence[Choice]) -> Change:
    if not choices:
        return change
    return replace(change, state=_without_undo(change.state), choices=choices)


def _without_undo(state: DraftState) -> DraftState:
    """Once anything else was written, the last judging is not undone any more."""
    return replace(state, working=replace(state.working, undo=None))


def _merged(draft: Draft, edit: DraftEdit) -> tuple[tuple[DraftSentence, ...], tuple[int, ...]]:
    """A person's sentences beside the draft's: the same words in the same part keep what they had.

    A model's sentence with other words stays the model's, until it is sent as the person's. Whoever does not
    say whose a sentence was is believed by its evidence: what is typed has none.
    """
    sentences = edit.sentences
    written = [*(item.text for item in sentences), *edit.texts.values()]
    if len(sentences) > MOST or any(len(text) > LONGEST for text in written):
        raise InputError(
            "A report has at most {most} sentences of {longest} characters; shorten it and save again.",
            most=MOST,
            longest=LONGEST,
        )
    if sum(map(len, written)) > LONGEST_REPORT:
        raise InputError(
            "A report has at most {most} characters in all; shorten it and save again.", most=LONGEST_REPORT
        )
    before = {(item.section, item.text): item for item in draft.sentences}
    known = {basis.id for basis in draft.evidence} | {f"passage:{item.id}" for item in draft.passages}
    order = list(Section)
    kept = []
    for place, item in enumerate(sentences):
        same = before.get((item.section, item.text))
        text = item.text if same is not None else one_line(item.text)
        if not text:
            continue
        if same is None:
            evidence = tuple(dict.fromkeys(name for name in item.evidence if name in known))
            author = _changed(item.author, bool(evidence))
            same = DraftSentence(text, item.section, evidence, author=author)
        elif same.author is Author.EDITED and item.author is Author.PERSON:
            same = replace(same, author=Author.PERSON)
        kept.append((order.index(item.section), place, same))
    kept.sort(key=lambda one: one[:2])
    return tuple(item for *_, item in kept), tuple(place for _, place, _ in kept)


def _changed(author: Author | None, based: bool) -> Author:
    """Whose a sentence is whose words changed; `based` says whether it leans on evidence."""
    if author is None:
        return Author.EDITED if based else Author.PERSON
    return Author.EDITED if author.is_model else Author.PERSON


def after_decisions(change: Change, checked: ReportContent, by: str, at: datetime) -> Working:
    """The draft with its marks, as `checked`, and what a person decided about them."""
    working, choices = replace(change.state.working, content=checked), change.choices
    places = change.places if change.places is not None else range(len(working.draft.sentences))
    sentences = dict(zip(places, working.draft.sentences, strict=True))
    decisions = list(working.decisions)
    removed = set()
    for choice in choices:
        sentence = sentences.get(choice.sentence)
        mark = None if sentence is None else _mark(sentence, choice)
        if sentence is None or mark is None:
            raise InputError("The objection is not there any more; look at the draft as it is now.")
        decisions = [item for item in decisions if not _same(item, sentence, mark)]
        if choice.decision is not None:
            about = (sentence.text, mark.fault, mark.start, mark.end)
            decisions.append(MarkDecision(*about, choice.decision, by, at))
        if choice.decision is Decision.REMOVED:
            removed.add(choice.sentence)
        else:
            marks = tuple(
                replace(item, decision=choice.decision) if item is mark else item for item in sentence.marks
            )
            sentences[choice.sentence] = replace(sentence, marks=marks)
    left = tuple(_owned(sentences[place]) for place in places if place not in removed)
    working = working.with_draft(replace(working.draft, sentences=left))
    return replace(working, decisions=tuple(decisions))


def _owned(sentence: DraftSentence) -> DraftSentence:
    """A model's sentence that a person changed is theirs once they keep it against every mark."""
    kept = bool(sentence.marks) and all(mark.decision is Decision.KEPT for mark in sentence.marks)
    if sentence.author is not Author.EDITED or not kept:
        return sentence
    return replace(sentence, marks=(), author=Author.PERSON)


def _mark(sentence: DraftSentence, choice: Choice) -> Mark | None:
    place = (choice.fault, choice.start, choice.end)
    return next((mark for mark in sentence.marks if (mark.fault, mark.start, mark.end) == place), None)


def _same(decision: MarkDecision, sentence: DraftSentence, mark: Mark) -> bool:
    about = (decision.sentence, decision.fault, decision.start, decision.end)
    return about == (sentence.text, mark.fault, mark.start, mark.end)
