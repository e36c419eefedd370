"""What the grounding check says of a draft: marks at a model's sentences, hints at a person's.

The facts come from what the model found, as the radiologist has judged it: a finding that they rejected is
no longer found, one that they added is. A model's sentence must agree with all of it, and a mark keeps the
report from being signed until somebody decides. A person's sentence is theirs: a hint says only where it
goes against what they judged themselves.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tetkik.language import Language, Sentence
from tetkik.report.facts import Facts, facts_of
from tetkik.report.grounding import check_draft, check_own
from tetkik.report.labeler import Context, Polarity, read_report
from tetkik.rules.draft_state import DraftState, Material
from tetkik.values import (
    Author,
    Basis,
    BasisKind,
    Draft,
    DraftSentence,
    Fault,
    Figure,
    Finding,
    FindingsResult,
    Judgement,
    Mark,
    Measurement,
    MeasurementUnit,
    ReportContent,
    ThresholdOn,
)

Judged = Mapping[str, Judgement]


_HINTS = frozenset({Fault.DENIES_FOUND, Fault.SIDE, Fault.FOREIGN})


def authored(material: Material, draft: Draft) -> Draft:
    """The draft with the author of each sentence.

    Where none was kept it is the machine's if it stands word for word in its draft, else a person's, and the
    marks that were once made at those go.
    """
    if all(item.author is not None for item in draft.sentences):
        return draft
    own = {(item.section, item.text) for item in material.draft.sentences} if material.draft else set()
    sentences = tuple(
        item
        if item.author is not None
        else replace(item, author=Author.MACHINE)
        if (item.section, item.text) in own
        else replace(item, author=Author.PERSON, marks=())
        for item in draft.sentences
    )
    return replace(draft, sentences=sentences)


@dataclass(frozen=True, slots=True)
class Grounds:
    """Everything that the marks of a draft rest on."""

    draft: Draft
    material: Material
    judged: Judged
    measured: tuple[str, ...]
    """How a sentence may say what a person measured in the image."""

    @classmethod
    def of(cls, state: DraftState) -> Grounds:
        measured = {words for item in state.working.content.measurements for words in sayings(item)}
        return cls(state.draft, state.material, state.judged, tuple(sorted(measured)))


@dataclass(frozen=True, slots=True)
class Assessment:
    """A draft with its marks and hints, and what they rest on."""

    grounds: Grounds
    draft: Draft


def checked(state: DraftState, known: Sequence[Assessment] = ()) -> ReportContent:
    """The content with its marks and hints; what a person decided about a mark of the same words stays.

    Reading the sentences takes its time: where it is `known` what comes of just these grounds, that is it.
    """
    grounds = Grounds.of(state)
    found = next((item for item in known if item.grounds == grounds), None) or assess(grounds)
    return replace(state.working.content, draft=found.draft)


def assess(grounds: Grounds) -> Assessment:
    """Read every sentence of a draft and compare it with the facts."""
    material, judged, measured = grounds.material, grounds.judged, grounds.measured
    draft = authored(material, grounds.draft)
    facts = _facts(material, judged, draft.evidence)
    own = _judged_facts(material, judged, draft.evidence)
    sentences = []
    for item in draft.sentences:
        if item.author is None or not item.author.is_model:
            hints = _hints(item, own, judged, draft.language, measured)
            sentences.append(replace(item, marks=(), hints=hints))
        elif facts is not None:
            sentences += check_draft(replace(draft, sentences=(item,)), facts, measured).sentences
        else:
            sentences.append(item)
    return Assessment(grounds, replace(draft, sentences=tuple(sentences)))


def _hints(
    sentence: DraftSentence, facts: Facts | None, judged: Judged, language: Language, measured: Sequence[str]
) -> tuple[Mark, ...]:
    """Where a person's sentence goes against what they judged themselves, and fields that were left open."""
    bare = replace(sentence, marks=(), hints=())
    found = [mark for mark in check_own(bare, facts, language, measured).marks if mark.fault in _HINTS]
    rejected = {label for label, judgement in judged.items() if judgement is Judgement.REJECTED}
    for reading in read_report(sentence.text, language) if rejected else ():
        for item in reading.mentions:
            stated = (
                item.context is Context.CURRENT and item.polarity is not Polarity.ABSENT and not item.implied
            )
            if stated and item.label in rejected and not (facts and facts.may_assert(item.label)):
                reason = Sentence("This finding was rejected.")
                found.append(Mark(Fault.NOT_FOUND, reason, item.start, item.end))
    return tuple(found)


def sayings(measurement: Measurement) -> tuple[str, ...]:
    """How a sentence may say a measurement: to the tenth or whole, in millimetres or centimetres.

    A ratio is said as such or as a percentage.

    Pixels and grey values are said of no patient, so nothing is given for them.
    """
    forms = [form for figure in measurement.figures for form in _forms(figure)]
    return tuple(variant + unit for number, unit in forms for variant in {number, number.replace(".", ",")})


def _forms(figure: Figure) -> list[tuple[str, str]]:
    """Numbers, each with what follows it."""
    value = figure.rounded
    rounded = {f"{value:.1f}", f"{value:.0f}", f"{math.floor(value + 0.5)}"}
    units = {
        MeasurementUnit.DEGREE: ("°", " derece", " degrees"),
        MeasurementUnit.HOUNSFIELD: (" HU",),
        MeasurementUnit.SQUARE_MILLIMETRE: (" mm²", " mm2"),
        MeasurementUnit.MILLIMETRE: (" mm",),
    }
    forms = [(number, unit) for number in rounded for unit in units.get(figure.unit, ())]
    if figure.unit is MeasurementUnit.MILLIMETRE:
        forms += [(f"{value / 10:.{digits}f}".removesuffix(".0"), " cm") for digits in (1, 2)]
    if figure.unit is MeasurementUnit.RATIO:
        forms += [(f"{value:.2f}", ""), (f"{value * 100:.0f}", "%"), (f"%{value * 100:.0f}", "")]
    return forms


def as_judged(result: FindingsResult, judged: Judged) -> FindingsResult:
    """What there is to say of the image as the radiologist has judged it: for a draft and its check."""
    known = {item.label: item for item in result.findings}
    for label, judgement in judged.items():
        known[label] = _judged(known.get(label) or Finding(label, False), judgement)
    return replace(result, findings=tuple(known.values()))


def _facts(material: Material, judged: Judged, evidence: Sequence[Basis]) -> Facts | None:
    if material.result is None:
        return None
    return _facts_of(as_judged(material.result, judged), material, judged, evidence)


def _judged_facts(material: Material, judged: Judged, evidence: Sequence[Basis]) -> Facts | None:
    """What a person judged, and nothing else."""
    if material.result is None or not judged:
        return None
    result = as_judged(material.result, judged)
    own = tuple(item for item in result.findings if item.label in judged)
    return _facts_of(replace(result, findings=own), material, judged, evidence)


def _facts_of(result: FindingsResult, material: Material, judged: Judged, evidence: Sequence[Basis]) -> Facts:
    """The facts, with the side that a person gave to a finding in the place of the measured one."""
    given = {
        basis.key: basis.side
        for basis in evidence
        if basis.kind is BasisKind.FINDING and basis.key in judged and basis.side is not None
    }
    sides = dict(material.inputs.sides) | given
    return facts_of(result, replace(material.inputs, sides=tuple(sides.items())), prior=material.prior)


def _judged(finding: Finding, judgement: Judgement) -> Finding:
    """A finding as the facts shall hold it; nothing of it is kept or shown."""
    if judgement is Judgement.REJECTED:
        return replace(finding, positive=False, asserts=False, rules_out=True)
    if judgement is Judgement.ADDED:
        return Finding(finding.label, True, 1.0, 1.0, 0.5, ThresholdOn.SCORE, positive=True)
    if not finding.positive:
        return replace(finding, rules_out=True)
    return replace(finding, asserts=True)
