"""A draft from the findings: written by the composer or a language model, checked sentence by sentence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from tetkik.choices import Marked
from tetkik.language import Language, Sentence
from tetkik.report.composer import cited, compose
from tetkik.report.facts import Facts, facts_of
from tetkik.report.grounding import check_draft, without_marked
from tetkik.report.llm import LanguageModel, ModelFault, Usage
from tetkik.report.retrieval import passages_for
from tetkik.settings import settings
from tetkik.values import (
    Certainty,
    Draft,
    DraftSentence,
    FindingsResult,
    Identity,
    ReportInput,
    Section,
    label_name,
)

_NO_USAGE = Usage()


@dataclass(frozen=True, slots=True)
class Drafted:
    """A draft with what it came from."""

    draft: Draft
    facts: Facts
    usage: Usage = _NO_USAGE


def draft_report(
    result: FindingsResult,
    inputs: ReportInput | None = None,
    *,
    prior: FindingsResult | None = None,
    language: Language = Language.TR,
    model: LanguageModel | None = None,
    identity: Identity | None = None,
    image: bytes | None = None,
    on_text: Callable[[str], None] | None = None,
) -> Drafted:
    """Draft a report.

    A language model writes findings, impression and recommendation; the technique with its warnings is always
    the composer's, and how sure a sentence is said to be follows from what it cites. What was found and is
    left out is listed in a notice. Where the model is down, slow or not to be understood, the composer's
    draft comes in time, with a notice.

    Args:
        prior: the findings of an earlier image of the same patient.
        model: the language model that writes it; None is the composer.
        identity: of the patient, taken out of every free text that a language model gets.
        image: a PNG that names nobody; dropped where the model may get none. What it adds to the findings is
            marked, and a finding that the labeler knows stays where marked sentences are else removed.
    """
    if model is None or model.image_host is None:
        image = None
    facts = facts_of(result, inputs, prior=prior)
    labels = [item.label for item in facts.abnormal]
    passages = passages_for(labels, language)
    composed = compose(facts, passages, language)
    if model is None or not (facts.present or facts.absent or image):
        return Drafted(check_draft(composed, facts), facts)
    from tetkik.report.llm.writing import write

    try:
        written = write(
            model,
            facts,
            passages,
            language,
            seconds=settings().llm_seconds,
            identity=identity,
            image=image,
            on_text=on_text,
        )
    except ModelFault as fault:
        reason = Sentence(fault.template, fault.values)
        notice = Sentence(
            "The composer wrote this draft instead of the language model: {reason}", {"reason": reason}
        )
        draft = replace(composed, notices=(*composed.notices, notice))
        return Drafted(check_draft(draft, facts), facts)
    notice = Sentence("A language model wrote this draft: {name}.", {"name": model.name})
    if image is not None:
        notice = Sentence(
            "A language model that was given the image wrote this draft: {name}. The check marks what it "
            "adds to the findings, as far as it sees it.",
            {"name": model.name},
        )
    # How the image was made and what was asked is no matter of wording: those sentences are the composer's.
    own = tuple(item for item in written.sentences if item.section is not Section.TECHNIQUE)
    draft = Draft(
        language,
        (*composed.section(Section.TECHNIQUE), *(_with_certainty(item, facts) for item in own)),
        facts.bases(),
        cited(passages, own),
        writer=model.name,
        model=result.model,
        notices=(*composed.notices, notice),
        not_assessed=facts.not_assessed,
    )
    checked = check_draft(draft, facts)
    if settings().report_marked is Marked.REMOVED:
        checked = without_marked(checked, keep_added=image is not None)
        checked = replace(checked, passages=cited(checked.passages, checked.sentences))
    if not checked.section(Section.FINDINGS) and not checked.section(Section.IMPRESSION):
        notice = Sentence("Nothing of the language model's draft held; the composer wrote this one.")
        composed = replace(composed, notices=(*composed.notices, notice))
        return Drafted(check_draft(composed, facts), facts, written.usage)
    if left_out := _left_out(checked, facts):
        names = ", ".join(label_name(label, language) for label in left_out)
        notice = Sentence(
            "The language model's draft leaves out what was found: {findings}.", {"findings": names}
        )
        checked = replace(checked, notices=(*checked.notices, notice))
    return Drafted(checked, facts, written.usage)


def _left_out(draft: Draft, facts: Facts) -> tuple[str, ...]:
    """What was found and no sentence of findings or impression cites."""
    stated = {
        name
        for sentence in draft.sentences
        if sentence.section in (Section.FINDINGS, Section.IMPRESSION)
        for name in sentence.evidence
    }
    return tuple(item.label for item in facts.abnormal if item.basis.id not in stated)


def _with_certainty(sentence: DraftSentence, facts: Facts) -> DraftSentence:
    """The sentence with the certainty of what it cites, the least of several: a model's word is not taken."""
    cited = [item.certainty for item in facts.present if item.basis.id in sentence.evidence]
    scale = list(Certainty)
    return replace(sentence, certainty=max(cited, key=scale.index) if cited else None)
