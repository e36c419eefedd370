"""The marks of a draft: what the machine wrote against its evidence, what a person wrote against the facts.

The facts come from what the model found, as the radiologist has judged it: a finding that they rejected is
no longer found, one that they added is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from tetkik.records.reports.report_inputs import Material
from tetkik.report.facts import Facts, facts_of
from tetkik.report.grounding import check_draft, check_own
from tetkik.values import (
    DraftSentence,
    Figure,
    Finding,
    FindingsResult,
    Judgement,
    Measurement,
    MeasurementUnit,
    ReportContent,
    ThresholdOn,
)

Judged = Mapping[str, Judgement]


def written_by_machine(material: Material, sentence: DraftSentence) -> bool:
    """Whether a sentence stands in the machine's draft, word for word and in the same part."""
    if material.draft is None:
        return False
    return any(
        (sentence.section, sentence.text) == (own.section, own.text) for own in material.draft.sentences
    )


def checked(material: Material, content: ReportContent, judged: Judged) -> ReportContent:
    """The content with its marks; what a person decided about the same mark of the same words stays.

    A sentence may say what a person measured in the image.
    """
    draft, measured = content.draft, [words for item in content.measurements for words in sayings(item)]
    facts = _facts(material, judged)
    assessed = None if facts is None or facts.refused else facts
    sentences = []
    for sentence in draft.sentences:
        if facts is not None and written_by_machine(material, sentence):
            (found,) = check_draft(replace(draft, sentences=(sentence,)), facts).sentences
        else:
            found = check_own(sentence, assessed, draft.language, measured)
        sentences.append(found)
    return replace(content, draft=replace(draft, sentences=tuple(sentences)))


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


def _facts(material: Material, judged: Judged) -> Facts | None:
    if material.result is None:
        return None
    return facts_of(as_judged(material.result, judged), material.inputs, prior=material.prior)


def _judged(finding: Finding, judgement: Judgement) -> Finding:
    """A finding as the facts shall hold it; nothing of it is kept or shown."""
    if judgement is Judgement.REJECTED:
        return replace(finding, positive=False, asserts=False, rules_out=True)
    if judgement is Judgement.ADDED:
        return Finding(finding.label, True, 1.0, 1.0, 0.5, ThresholdOn.SCORE, positive=True)
    if not finding.positive:
        return replace(finding, rules_out=True)
    return replace(finding, asserts=True)
