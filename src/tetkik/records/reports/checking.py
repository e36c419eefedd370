"""The marks of a draft: what the machine wrote against its evidence, what a person wrote against the facts.

The facts come from what the model found, as the radiologist has judged it: a finding that they rejected is
no longer found, one that they added is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from tetkik.records.reports.material import Material
from tetkik.report.facts import Facts, facts_of
from tetkik.report.grounding import check_draft, check_own
from tetkik.values import Draft, DraftSentence, Finding, FindingsResult, Judgement, ThresholdOn

Judged = Mapping[str, Judgement]


def written_by_machine(material: Material, sentence: DraftSentence) -> bool:
    """Whether a sentence stands in the machine's draft, word for word and in the same part."""
    if material.draft is None:
        return False
    return any(
        (sentence.section, sentence.text) == (own.section, own.text) for own in material.draft.sentences
    )


def checked(material: Material, draft: Draft, judged: Judged) -> Draft:
    """The draft with its marks; what a person decided about the same mark of the same words stays.

    Args:
        material: what the machine gave.
        draft: as it stands, its sentences with the marks that they had.
        judged: what the radiologist says of the findings.
    """
    facts = _facts(material, judged)
    assessed = None if facts is None or facts.refused else facts
    sentences = []
    for sentence in draft.sentences:
        if facts is not None and written_by_machine(material, sentence):
            (found,) = check_draft(replace(draft, sentences=(sentence,)), facts).sentences
        else:
            found = check_own(sentence, assessed, draft.language)
        sentences.append(found)
    return replace(draft, sentences=tuple(sentences))


def as_judged(result: FindingsResult, judged: Judged) -> FindingsResult:
    """What the model found, without what was rejected: as a signed document may pass it on.

    What a radiologist added stands in the text; a score for it would be made up.
    """
    findings = tuple(
        replace(item, positive=False, rules_out=False)
        if judged.get(item.label) in (Judgement.REJECTED, Judgement.ADDED)
        else item
        for item in result.findings
    )
    return replace(result, findings=findings)


def as_seen(result: FindingsResult, judged: Judged) -> FindingsResult:
    """What there is to say of the image as the radiologist has judged it: for a draft and its check."""
    known = {item.label: item for item in result.findings}
    for label, judgement in judged.items():
        known[label] = _judged(known.get(label) or Finding(label, False), judgement)
    return replace(result, findings=tuple(known.values()))


def _facts(material: Material, judged: Judged) -> Facts | None:
    if material.result is None:
        return None
    return facts_of(as_seen(material.result, judged), material.inputs, prior=material.prior)


def _judged(finding: Finding, judgement: Judgement) -> Finding:
    """A finding as the facts shall hold it; nothing of it is kept or shown."""
    if judgement is Judgement.REJECTED:
        return replace(finding, positive=False, rules_out=True)
    if judgement is Judgement.ADDED:
        return Finding(finding.label, True, 1.0, 1.0, 0.5, ThresholdOn.SCORE, positive=True)
    if not finding.positive:
        return replace(finding, rules_out=True)
    return finding
