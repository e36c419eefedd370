"""What a sentence asserts, denies, locates and compares, against what was found."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from tetkik.language import Language, Sentence
from tetkik.report.facts import ChangeKind, Facts
from tetkik.report.grounding.wording import overlap, words
from tetkik.report.labeler import OTHER_LABELS, Context, Mention, Polarity, SentenceReading
from tetkik.turkish import flat
from tetkik.values import NORMAL_LABELS, Fault, Mark, Side, label_name, narrower


def mention_marks(
    mention: Mention, facts: Facts, language: Language, *, strict: bool, differential: bool = False
) -> Iterator[Mark]:
    """What is wrong with one mention; one objection is enough.

    Args:
        strict: whether only the facts may be stated, as in a draft. Somebody's own text may know of what no
            model was asked for (a fracture, a catheter, an opacity, a side), and calls a heart at the upper
            limit normal: there only what goes against the facts is marked.
        differential: whether it stands in a recommendation that cites a passage, on which what is only left
            open may lean.
    """
    unassessed = mention.context is Context.NOT_ASSESSED and not mention.implied
    if mention.context is not Context.CURRENT and not unassessed:
        # The past, a condition: nothing is claimed of this image.
        return
    mark = partial(Mark, start=mention.start, end=mention.end)
    label = mention.label
    beyond = not strict and label in OTHER_LABELS and not facts.assessed(label)
    edge = not strict and bool(words("borderline", "words").search(flat(mention.words)))
    name = label_name(label, language)
    here = facts.may_assert(label)
    if unassessed:
        # A wider word may be unassessed itself, though a narrower one makes it true.
        if any(item.label == label for item in facts.present):
            yield mark(Fault.DENIES_FOUND, Sentence("{finding} was found.", {"finding": name}))
    elif mention.polarity is Polarity.ABSENT:
        if label in NORMAL_LABELS:
            return
        if here:
            yield mark(Fault.DENIES_FOUND, Sentence("{finding} was found.", {"finding": name}))
        elif not beyond and not facts.may_deny(label):
            reason = Sentence("The model has no measured right to deny {finding}.", {"finding": name})
            yield mark(Fault.DENIES_UNPROVEN, reason)
    elif here:
        if not beyond:
            yield from _side_marks(mention, facts, mark, strict)
    elif not strict and facts.may_suggest(label):
        return  # a person may state what the model only suggests
    elif not beyond and not (mention.polarity is Polarity.UNCERTAIN and (differential or edge)):
        yield mark(Fault.NOT_FOUND, Sentence("{finding} was not found.", {"finding": name}))


def _side_marks(mention: Mention, facts: Facts, mark: partial[Mark], strict: bool) -> Iterator[Mark]:
    if mention.side is None:
        return
    measured = facts.sides_of(mention.label)
    if not measured:
        if strict:
            yield mark(Fault.SIDE, Sentence("No side was measured."))
    elif mention.side not in measured and not (
        mention.side is Side.BOTH and {Side.LEFT, Side.RIGHT} <= measured
    ):
        yield mark(Fault.SIDE, Sentence("The side is another one."))


def comparison_marks(reading: SentenceReading, facts: Facts, *, strict: bool) -> Iterator[Mark]:
    """A comparison needs an earlier image, and one that was assessed for the same finding.

    Somebody's own text may compare with an image that nobody gave here; only what goes against the one that
    was given is marked in it.
    """
    span = reading.comparison
    if span is None:
        return
    mark = partial(Mark, Fault.COMPARISON, start=span.start, end=span.end)
    if not facts.compared:
        if strict:
            yield mark(Sentence("No earlier image was compared."))
        return
    current = [item for item in reading.mentions if item.context is Context.CURRENT and not item.implied]
    plain = flat(reading.text)
    if strict and current and words("comparison", "amount").search(plain):
        yield mark(Sentence("Nobody measured a change."))
    elif any(_goes_against(mention, facts, plain, strict) for mention in current):
        yield mark(Sentence("The comparison does not hold."))


def _goes_against(mention: Mention, facts: Facts, plain: str, strict: bool) -> bool:
    kinds = {facts.changes[label] for label in narrower(mention.label) if label in facts.changes}
    if not kinds:
        return strict
    if mention.polarity is Polarity.ABSENT:
        return ChangeKind.GONE not in kinds
    claimed = {
        kind
        for kind, name in ((ChangeKind.NEW, "new"), (ChangeKind.PERSISTS, "same"))
        if words("comparison", name).search(plain)
    }
    return not kinds & (claimed or {ChangeKind.NEW, ChangeKind.PERSISTS})


def beyond_marks(
    text: str, readings: Sequence[SentenceReading], own: Sequence[tuple[int, int]]
) -> Iterator[Mark]:
    """Words of findings or impression for what nothing here assesses: other parts, finer places, grades.

    Names of findings that the facts hold stand at the places `own`.
    """
    plain = flat(text)
    named = [(item.start, item.end) for reading in readings for item in reading.mentions] + list(own)
    named += [match.span() for match in words("unassessed", "never").finditer(plain)]
    for table, fault, reason in (
        ("things", Fault.NOT_FOUND, Sentence("Nothing here assesses this.")),
        ("places", Fault.SIDE, Sentence("No such place was measured.")),
        ("grades", Fault.MEASUREMENT, Sentence("Nobody graded this.")),
    ):
        for match in words("unassessed", table).finditer(plain):
            if not overlap(*match.span(), named):
                yield Mark(fault, reason, *match.span())
